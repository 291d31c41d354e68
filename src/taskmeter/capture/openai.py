"""The OpenAI SDK: every endpoint that makes something, on any client class and base URL."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from typing import cast

from taskmeter.capture.openai_prompt import read_prompt
from taskmeter.capture.openai_stream import OpenAIStreamReader
from taskmeter.capture.openai_usage import last_speech_event, read_answer, request_units
from taskmeter.capture.prompt import Walk
from taskmeter.capture.provider import Client, Options, is_post, is_raw, request_body, request_path
from taskmeter.capture.reading import Reading, StreamReader, field, items, text_field
from taskmeter.pricing import provider_of
from taskmeter.records import Usage

_OPERATIONS = {
    "/chat/completions": "chat",
    "/responses": "chat",
    "/responses/compact": "compact",
    "/embeddings": "embeddings",
    "/completions": "text_completion",
    "/images/generations": "image_generation",
    "/images/edits": "image_edit",
    "/images/variations": "image_variation",
    "/audio/speech": "speech",
    "/audio/transcriptions": "transcription",
    "/audio/translations": "translation",
    "/moderations": "moderation",
    "/videos": "video_generation",
    "/videos/edits": "video_generation",
    "/remix": "video_generation",
    "/videos/extensions": "video_generation",
    "/decisions": "decision",
    "/threads/runs": "invoke_agent",
    "/runs": "invoke_agent",
}
_NO_CALLS = ("/batches", "/evals/")
"""POSTs whose answer may state the usage of other calls."""
_NAME = re.compile(r"[a-z]+(?:[_-][a-z]+)*")
_BATCHES = re.compile(r"/batches(?:/[^/]+(?:/cancel)?)?$")
_CONTENT = re.compile(r"/files/([^/]+)/content$")
_BATCH_IDS = ("id", "input_file_id", "output_file_id", "error_file_id")
_USAGE_HOSTS = (".openai.com", ".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")
"""Hosts known to honour `stream_options.include_usage`; others may refuse a field they do not know."""


class OpenAI:
    """See `Provider`."""

    package = "openai"
    traced_method: str | None = None
    served_as_asked: tuple[str, ...] = ("service_tier",)

    def operation(self, options: Options) -> str | None:
        """By path, whatever base URL or deployment comes before."""
        path = request_path(options)
        if not is_post(options) or any(part in path for part in _NO_CALLS):
            return None
        return next((name for suffix, name in _OPERATIONS.items() if path.endswith(suffix)), None)

    def possible_operation(self, options: Options) -> str | None:
        """The last segment of an unknown path that is a word and no id: `rerank` for `/v2/rerank`."""
        path = request_path(options)
        if not is_post(options) or any(part in path for part in _NO_CALLS):
            return None
        return next((name for name in reversed(path.split("/")) if _NAME.fullmatch(name)), "other")

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
            not request_path(options).endswith("/completions")
            or (isinstance(wanted, Mapping) and "include_usage" in wanted)
            or is_raw(options)
            or not f".{client.base_url.host}".endswith(_USAGE_HOSTS)
        ):
            return None
        stream_options = {**(cast("Mapping[str, object]", wanted) if isinstance(wanted, Mapping) else {})}
        changed = copy.copy(options)
        changed.json_data = {**body, "stream_options": {**stream_options, "include_usage": True}}
        return changed

    def read(self, body: object, operation: str, request: Mapping[str, object]) -> Reading:
        """Any endpoint's answer; where it states no usage, what the request shows, as an estimate."""
        reading = read_answer(last_speech_event(body) if operation == "speech" else body, operation)
        if reading.usage is None and (units := request_units(operation, request)) is not None:
            return Reading(usage=units, doubt="the answer states no usage: characters of the request counted here")
        return reading

    def read_prompt(self, request: Mapping[str, object], operation: str, walk: Walk) -> Mapping[str, object]:
        """Any endpoint's."""
        return read_prompt(request, operation, walk)

    def stream_reader(self, operation: str, *, asked: bool) -> StreamReader:
        """Events say by themselves which API they are of."""
        return OpenAIStreamReader(operation, asked=asked)

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
        reading = self.read(field(found, "response", "body"), "chat", {})
        return reading._replace(variants=(*reading.variants, ("processing", "batch")))
