"""The OpenAI SDK: chat completions, Responses, embeddings, on any client class and base URL."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import cast

from taskmeter.capture.provider import Client, Options, is_post, is_raw, request_body, request_path
from taskmeter.capture.reading import (
    Reading,
    StreamReader,
    count_field,
    estimated_tokens,
    field,
    has_count,
    items,
    not_counts,
    request_bytes,
    split,
    text_field,
    utf8_length,
)
from taskmeter.pricing import provider_of
from taskmeter.records import Part, Usage

_OPERATIONS = {
    "/chat/completions": "chat",
    "/responses": "chat",
    "/embeddings": "embeddings",
    "/completions": "text_completion",
}
_BATCHES = re.compile(r"/batches(?:/[^/]+(?:/cancel)?)?$")
_CONTENT = re.compile(r"/files/([^/]+)/content$")
_BATCH_IDS = ("id", "input_file_id", "output_file_id", "error_file_id")
_USAGE_HOSTS = (".openai.com", ".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")
"""Hosts known to honour `stream_options.include_usage`; others may refuse a field they do not know."""


class OpenAI:
    """See `Provider`."""

    package = "openai"
    traced_method: str | None = None

    def operation(self, options: Options) -> str | None:
        """By path: a new endpoint of the same shape needs no change here."""
        if not is_post(options):
            return None
        path = request_path(options)
        return next((name for suffix, name in _OPERATIONS.items() if path.endswith(suffix)), None)

    def name(self, client: Client) -> str:
        """The provider whose URL it is; for a URL nobody is known by (a gateway, a proxy) what the class stands for."""
        if "azure" in type(client).__name__.lower():
            return "azure.ai.openai"
        return provider_of(str(client.base_url)) or "openai"

    def opens_span(self, client: Client, options: Options) -> bool:
        """Never."""
        return False

    def with_usage(self, client: Client, options: Options, operation: str) -> Options | None:
        """A copy with `stream_options.include_usage`, for a parsed chat stream on a host known to support it."""
        body = request_body(options)
        wanted = body.get("stream_options")
        if (
            operation not in ("chat", "text_completion")
            or request_path(options).endswith("/responses")
            or (isinstance(wanted, Mapping) and "include_usage" in wanted)
            or is_raw(options)
            or not f".{client.base_url.host}".endswith(_USAGE_HOSTS)
        ):
            return None
        stream_options = {**(cast("Mapping[str, object]", wanted) if isinstance(wanted, Mapping) else {})}
        changed = copy.copy(options)
        changed.json_data = {**body, "stream_options": {**stream_options, "include_usage": True}}
        return changed

    def read(self, body: object) -> Reading:
        """A chat completion, a Response or embeddings: told apart by the names of their counts."""
        usage, doubt = _usage(field(body, "usage"), _fees(body))
        tier = text_field(body, "service_tier")
        status = text_field(body, "status")
        return Reading(
            usage=usage,
            model=text_field(body, "model"),
            response_id=text_field(body, "id"),
            finish_reasons=(status,) if status else _finish_reasons(body),
            variants=(("service_tier", tier),) if tier else (),
            doubt=doubt,
        )

    def stream_reader(self, operation: str, *, asked: bool) -> StreamReader:
        """Events say by themselves which API they are of."""
        return _StreamReader(self, asked=asked)

    def concerns_batches(self, options: Options) -> bool:
        """Batches themselves, and uploading a file, which may be the input of one."""
        path = request_path(options)
        return bool(_BATCHES.search(path)) or (is_post(options) and path.endswith("/files"))

    def batch_results(self, options: Options) -> str | None:
        """Any file's content: only its first line tells whether it is that of a batch."""
        found = None if is_post(options) else _CONTENT.search(request_path(options))
        return found[1] if found else None

    def batch_ids(self, body: object) -> Iterable[tuple[str, ...]]:
        """Of a batch, a list of them, or a file that is to be the input of one."""
        if text_field(body, "object") == "list":
            for entry in items(field(body, "data")):
                yield from self.batch_ids(entry)
        elif text_field(body, "object") == "batch":
            named = (text_field(body, name) for name in _BATCH_IDS)
            yield tuple(name for name in named if name)
        elif text_field(body, "purpose") == "batch" and (file := text_field(body, "id")):
            yield (file,)

    def batch_item(self, line: object) -> Reading | None:
        """Priced as of a batch: the body itself says `default`."""
        found = cast("dict[str, object]", line) if isinstance(line, dict) else {}
        if text_field(found, "custom_id") is None or "response" not in found:
            return None
        status = field(found, "response", "status_code")
        if not isinstance(status, int) or not 200 <= status < 300:  # noqa: PLR2004 - what HTTP calls success
            return Reading(Usage())
        reading = self.read(field(found, "response", "body"))
        return replace(reading, variants=(*reading.variants, ("processing", "batch")))


class _StreamReader:
    """Chat chunks (usage in the last, if asked for) or Responses events (usage in the terminal one)."""

    __slots__ = ("_asked", "_final", "_finish_reasons", "_id", "_model", "_openai", "_output_bytes", "_tier")

    def __init__(self, openai: OpenAI, *, asked: bool) -> None:
        self._openai = openai
        self._asked = asked
        self._final: Reading | None = None
        self._model: str | None = None
        self._id: str | None = None
        self._tier: str | None = None
        self._finish_reasons: tuple[str, ...] = ()
        self._output_bytes = 0

    @property
    def complete(self) -> bool:
        return self._final is not None

    def hides(self, event: object) -> bool:
        return self._asked and field(event, "usage") is not None and not items(field(event, "choices"))

    def read(self, event: object) -> None:
        kind = text_field(event, "type")
        if kind is not None and kind.startswith("response."):
            self._read_response_event(kind, event)
            return
        self._model = text_field(event, "model") or self._model
        self._id = text_field(event, "id") or self._id
        self._tier = text_field(event, "service_tier") or self._tier
        for choice in items(field(event, "choices")):
            self._output_bytes += _delta_bytes(choice)
        self._finish_reasons += _finish_reasons(event)
        usage, doubt = _usage(field(event, "usage"), {})
        if usage is not None:
            # Some servers state a running usage on every chunk: the last one counts.
            self._final = Reading(usage, self._model, self._id, self._finish_reasons, self._variants(), doubt)

    def _read_response_event(self, kind: str, event: object) -> None:
        response = field(event, "response")
        if response is not None:
            self._model = text_field(response, "model") or self._model
            self._id = text_field(response, "id") or self._id
            self._tier = text_field(response, "service_tier") or self._tier
            if kind in ("response.completed", "response.incomplete", "response.failed"):
                final = self._openai.read(response)
                self._final = final if final.usage is not None else None
        elif kind.endswith(".delta"):
            self._output_bytes += utf8_length(text_field(event, "delta"))

    def reading(self, request: Mapping[str, object]) -> Reading:
        if self._final is not None:
            return self._final
        tokens: dict[Part, int] = {
            "input": estimated_tokens(request_bytes(request)),
            "output": estimated_tokens(self._output_bytes),
        }
        return Reading(
            usage=Usage({part: count for part, count in tokens.items() if count}),
            model=self._model,
            response_id=self._id,
            finish_reasons=self._finish_reasons,
            variants=self._variants(),
            doubt="the stream ended without usage: tokens estimated as UTF-8 bytes / 4",
        )

    def _variants(self) -> tuple[tuple[str, str], ...]:
        return (("service_tier", self._tier),) if self._tier else ()


_INPUT_DETAILS: dict[str, Part] = {
    "cached_tokens": "cache_read",
    "cache_write_tokens": "cache_write",
    "audio_tokens": "input_audio",
    "image_tokens": "input_image",
}
_OUTPUT_DETAILS: dict[str, Part] = {"reasoning_tokens": "reasoning", "audio_tokens": "output_audio"}


def _usage(usage: object, fees: dict[str, int]) -> tuple[Usage | None, str]:
    """Counts as disjoint parts. OpenAI's totals include what their details state."""
    if has_count(usage, "prompt_tokens"):
        names = ("prompt_tokens", "prompt_tokens_details", "completion_tokens", "completion_tokens_details")
    elif has_count(usage, "input_tokens"):
        names = ("input_tokens", "input_tokens_details", "output_tokens", "output_tokens_details")
    else:
        return None, ""
    input_total, input_details, output_total, output_details = names
    doubt = not_counts(
        usage,
        (output_total,),
        *((input_details, name) for name in _INPUT_DETAILS),
        *((output_details, name) for name in _OUTPUT_DETAILS),
    )
    unstated = count_field(usage, "total_tokens") - count_field(usage, input_total) - count_field(usage, output_total)
    if unstated > 0 or not (has_count(usage, output_total) or has_count(usage, "total_tokens")):
        doubt = doubt or "its counts do not add up to a total"
    input_tokens, input_doubt = split(
        count_field(usage, input_total),
        "input",
        {part: count_field(usage, input_details, name) for name, part in _INPUT_DETAILS.items()},
    )
    output_tokens, output_doubt = split(
        count_field(usage, output_total),
        "output",
        {part: count_field(usage, output_details, name) for name, part in _OUTPUT_DETAILS.items()},
    )
    return Usage({**input_tokens, **output_tokens}, fees), doubt or input_doubt or output_doubt


def _fees(body: object) -> dict[str, int]:
    """Billed tool use of a Response: searches as it states them, else the search calls among its items."""
    output = items(field(body, "output"))
    if not output and field(body, "tool_usage") is None:
        return {}
    stated = ("tool_usage", "web_search", "num_requests")
    searches = (
        count_field(body, *stated)
        if has_count(body, *stated)
        else sum(
            text_field(item, "type") == "web_search_call" and text_field(item, "action", "type") in (None, "search")
            for item in output
        )
    )
    file_searches = sum(text_field(item, "type") == "file_search_call" for item in output)
    return {fee: n for fee, n in (("web_search", searches), ("file_search", file_searches)) if n}


def _finish_reasons(body: object) -> tuple[str, ...]:
    reasons = (text_field(choice, "finish_reason") for choice in items(field(body, "choices")))
    return tuple(reason for reason in reasons if reason)


def _delta_bytes(choice: object) -> int:
    """Bytes of what one chunk adds to the answer: text, refusal, reasoning, tool arguments."""
    delta = field(choice, "delta")
    if delta is None:
        return utf8_length(text_field(choice, "text"))
    size = sum(utf8_length(text_field(delta, name)) for name in ("content", "refusal", "reasoning_content"))
    for call in items(field(delta, "tool_calls")):
        size += utf8_length(text_field(call, "function", "name"))
        size += utf8_length(text_field(call, "function", "arguments"))
    return size
