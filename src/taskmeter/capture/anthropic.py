"""The Anthropic SDK: messages, stable and beta, on any client class and base URL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from taskmeter.capture.provider import Client, Options, is_post, request_path
from taskmeter.capture.reading import (
    Reading,
    StreamReader,
    count_field,
    field,
    has_count,
    items,
    not_counts,
    split,
    text_field,
)
from taskmeter.capture.tokens import estimated_tokens, how, request_tokens, utf8_length
from taskmeter.pricing import provider_of
from taskmeter.records import Part, Usage

_PLATFORMS = {
    "bedrock": "aws.bedrock",
    "mantle": "aws.bedrock",
    "vertex": "gcp.vertex_ai",
    "foundry": "azure.ai.inference",
}
_BATCHES = re.compile(r"/messages/batches(?:/[^/]+(?:/cancel)?)?$")
_RESULTS = re.compile(r"/messages/batches/([^/]+)/results$")
_VARIANTS = ("service_tier", "speed", "inference_geo")
_STANDARD = frozenset({"standard", "default", "not_available", "global"})


class Anthropic:
    """See `Provider`."""

    package = "anthropic"
    traced_method: str | None = "_request"

    def operation(self, options: Options) -> str | None:
        """By path; counting tokens, batches and files are not calls."""
        return "chat" if is_post(options) and request_path(options).endswith("/v1/messages") else None

    def name(self, client: Client) -> str:
        """The platform that the class stands for, else the provider whose URL it is, else Anthropic."""
        kind = type(client).__name__.lower()
        platform = next((name for word, name in _PLATFORMS.items() if word in kind), None)
        return platform or provider_of(str(client.base_url)) or "anthropic"

    def opens_span(self, client: Client, options: Options) -> bool:
        """Since 1.14 the SDK traces its calls, unless the application or the environment switched that off."""
        return bool(getattr(options, "span_name", None)) and getattr(client, "_tracer", None) is not None

    def with_usage(self, client: Client, options: Options, operation: str) -> Options | None:
        """Never needed: every stream states its usage."""
        return None

    def possible_operation(self, options: Options) -> str | None:
        """None: an endpoint that it does not know yet is no call."""
        return None

    def read(self, body: object, operation: str, request: Mapping[str, object]) -> Reading:
        """A message."""
        usage = field(body, "usage")
        tokens, doubt = _usage(usage)
        return Reading(
            usage=tokens,
            model=text_field(body, "model"),
            response_id=text_field(body, "id"),
            finish_reasons=_reasons(text_field(body, "stop_reason")),
            variants=_variants(usage),
            doubt=doubt,
        )

    def stream_reader(self, operation: str, *, asked: bool) -> StreamReader:
        """Reads message events."""
        return _StreamReader()

    def concerns_batches(self, options: Options) -> bool:
        """Submitting, polling, listing and cancelling."""
        return bool(_BATCHES.search(request_path(options)))

    def batch_results(self, options: Options) -> str | None:
        """By path: the id of the batch."""
        found = None if is_post(options) else _RESULTS.search(request_path(options))
        return found[1] if found else None

    def batch_ids(self, body: object) -> Iterable[tuple[str, ...]]:
        """Of a batch or a list of them."""
        for entry in items(field(body, "data")) or [body]:
            if text_field(entry, "type") == "message_batch" and (name := text_field(entry, "id")):
                yield (name,)

    def batch_item(self, line: object) -> Reading | None:
        """A message, or an item that failed, expired or was cancelled."""
        kind = text_field(line, "result", "type")
        if kind is None or text_field(line, "custom_id") is None:
            return None
        if kind != "succeeded":
            return Reading(Usage())
        reading = self.read(field(line, "result", "message"), "chat", {})
        return replace(reading, variants=tuple({**dict(reading.variants), "processing": "batch"}.items()))


class _StreamReader:
    """`message_start` states the input; each `message_delta` states totals so far, and the last one counts."""

    __slots__ = ("_counts", "_finish_reason", "_id", "_model", "_output_bytes", "_start", "_stated_output", "_stopped")

    def __init__(self) -> None:
        self._start: object = None
        self._counts: dict[str, object] = {}
        self._model: str | None = None
        self._id: str | None = None
        self._finish_reason: str | None = None
        self._output_bytes = 0
        self._stated_output = False
        self._stopped = False

    @property
    def complete(self) -> bool:
        return self._stopped and self._stated_output

    @property
    def making(self) -> str | None:
        return None

    def hides(self, event: object) -> bool:
        return False

    def read(self, event: object) -> None:
        kind = text_field(event, "type")
        if kind == "content_block_delta":
            delta = field(event, "delta")
            for name in ("text", "thinking", "partial_json"):
                self._output_bytes += utf8_length(text_field(delta, name))
        elif kind == "message_start":
            message = field(event, "message")
            self._start = field(message, "usage")
            self._model = text_field(message, "model")
            self._id = text_field(message, "id")
        elif kind == "message_delta":
            usage = field(event, "usage")
            for name in _COUNTS:
                value = field(usage, name)
                if value is not None:  # what it omits keeps the value of `message_start`
                    self._counts[name] = value
            self._stated_output = self._stated_output or has_count(usage, "output_tokens")
            self._finish_reason = text_field(event, "delta", "stop_reason") or self._finish_reason
        elif kind == "message_stop":
            self._stopped = True

    def reading(self, request: Mapping[str, object]) -> Reading:
        counts: dict[str, object] = {name: field(self._start, name) for name in (*_COUNTS, *_VARIANTS)}
        counts |= self._counts
        doubt = ""
        if not has_count(counts, "input_tokens"):
            counts["input_tokens"] = request_tokens(request)
            doubt = f"the stream ended before its usage: tokens {how()}"
        if not self._stated_output:
            # `message_start` holds a placeholder for the output count.
            counts["output_tokens"] = max(estimated_tokens(self._output_bytes), count_field(counts, "output_tokens"))
            doubt = doubt or "the stream ended before its output count: estimated as UTF-8 bytes / 4"
        usage, parts_doubt = _usage(counts)
        return Reading(
            usage, self._model, self._id, _reasons(self._finish_reason), _variants(counts), doubt or parts_doubt
        )


_COUNTS = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
)


_COUNT_PATHS = (
    ("output_tokens",),
    ("cache_read_input_tokens",),
    ("cache_creation_input_tokens",),
    ("cache_creation", "ephemeral_1h_input_tokens"),
    ("output_tokens_details", "thinking_tokens"),
    ("server_tool_use", "web_search_requests"),
)


def _usage(usage: object) -> tuple[Usage | None, str]:
    """Counts as disjoint parts. Anthropic's `input_tokens` leaves out both cache counts."""
    if not has_count(usage, "input_tokens"):
        return None, ""
    doubt = not_counts(usage, *_COUNT_PATHS)
    if not has_count(usage, "output_tokens"):
        doubt = doubt or "the response states no output count"
    written = count_field(usage, "cache_creation_input_tokens")
    written_1h = count_field(usage, "cache_creation", "ephemeral_1h_input_tokens")
    # Without a breakdown a write lives 5 minutes.
    writes, write_doubt = split(written, "cache_write_5m", {"cache_write_1h": written_1h})
    output, output_doubt = split(
        count_field(usage, "output_tokens"),
        "output",
        {"reasoning": count_field(usage, "output_tokens_details", "thinking_tokens")},
    )
    tokens: dict[Part, int] = {
        "input": count_field(usage, "input_tokens"),
        "cache_read": count_field(usage, "cache_read_input_tokens"),
        **writes,
        **output,
    }
    searches = count_field(usage, "server_tool_use", "web_search_requests")
    return (
        Usage({part: count for part, count in tokens.items() if count}, {"web_search": searches} if searches else {}),
        doubt or write_doubt or output_doubt,
    )


def _variants(usage: object) -> tuple[tuple[str, str], ...]:
    """What of the service tier, speed and geography is not standard, in the price data's words."""
    found = {name: value for name in _VARIANTS if (value := text_field(usage, name)) and value not in _STANDARD}
    if found.get("service_tier") == "batch":
        found["processing"] = found.pop("service_tier")
    return tuple(sorted(found.items()))


def _reasons(reason: str | None) -> tuple[str, ...]:
    return (reason,) if reason else ()
