"""The Anthropic SDK: messages, stable and beta, on any client class and base URL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from taskmeter.capture.anthropic_prompt import read_prompt
from taskmeter.capture.anthropic_usage import VARIANTS, read_message
from taskmeter.capture.counts import fields_of, is_count
from taskmeter.capture.prompt import Walk
from taskmeter.capture.provider import Client, Options, is_post, request_path
from taskmeter.capture.reading import Reading, StreamReader, field, items, text_field
from taskmeter.capture.tokens import estimated_tokens, how, request_tokens, utf8_length
from taskmeter.pricing import provider_of
from taskmeter.records import Usage

_PLATFORMS = {
    "bedrock": "aws.bedrock",
    "mantle": "aws.bedrock",
    "vertex": "gcp.vertex_ai",
    "foundry": "azure.ai.inference",
}
_BATCHES = re.compile(r"/messages/batches(?:/[^/]+(?:/cancel)?)?$")
_RESULTS = re.compile(r"/messages/batches/([^/]+)/results$")


class Anthropic:
    """See `Provider`."""

    package = "anthropic"
    traced_method: str | None = "_request"
    served_as_asked: tuple[str, ...] = VARIANTS

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
        return read_message(fields_of(body), request)

    def read_prompt(self, request: Mapping[str, object], operation: str, walk: Walk) -> Mapping[str, object]:
        """That of a message."""
        return read_prompt(request, walk)

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
        return reading._replace(variants=tuple({**dict(reading.variants), "processing": "batch"}.items()))


class _StreamReader:
    """`message_start` states the input; each `message_delta` states totals so far, and the last one counts."""

    __slots__ = ("_message", "_output_bytes", "_stated_output", "_stopped", "_usage")

    def __init__(self) -> None:
        self._message: dict[str, object] = {}
        """What is known of the message, under its own names."""
        self._usage: dict[str, object] = {}
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
        elif kind == "content_block_start":
            self._fall_back(field(event, "content_block"))
        elif kind == "message_start":
            message = fields_of(field(event, "message"))
            self._message = {name: message.get(name) for name in ("id", "model", "container")}
            self._usage = dict(fields_of(message.get("usage")))
        elif kind == "message_delta":
            # What they omit keeps the value of `message_start`.
            self._message |= _stated(field(event, "delta"))
            self._usage |= _stated(field(event, "usage"))
            self._stated_output = self._stated_output or is_count(field(event, "usage", "output_tokens"))
        elif kind == "message_stop":
            self._stopped = True

    def _fall_back(self, block: object) -> None:
        """Another model goes on: the first named only itself in `message_start`."""
        if text_field(block, "type") == "fallback":
            self._message["content"] = [*items(self._message.get("content")), block]
            self._message["model"] = text_field(block, "to", "model") or self._message.get("model")

    def reading(self, request: Mapping[str, object]) -> Reading:
        usage = dict(self._usage)
        doubt = ""
        if not is_count(usage.get("input_tokens")):
            usage["input_tokens"] = request_tokens(request)
            doubt = f"the stream ended before its usage: tokens {how()}"
        if not self._stated_output:
            # `message_start` holds a placeholder for the output count.
            placeholder = usage.get("output_tokens")
            made = estimated_tokens(self._output_bytes)
            usage["output_tokens"] = max(made, placeholder) if is_count(placeholder) else made
            doubt = doubt or "the stream ended before its output count: estimated as UTF-8 bytes / 4"
        reading = read_message({**self._message, "usage": usage}, request)
        return reading._replace(doubt="; ".join(filter(None, (doubt, reading.doubt)))) if doubt else reading


def _stated(value: object) -> dict[str, object]:
    return {name: stated for name, stated in fields_of(value).items() if stated is not None}
