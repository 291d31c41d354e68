"""The OpenAI SDK: every endpoint that makes something, on any client class and base URL."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import cast

from taskmeter.capture.openai_stream import OpenAIStreamReader
from taskmeter.capture.openai_usage import last_speech_event, read_answer, request_units
from taskmeter.capture.provider import Client, Options, is_post, is_raw, request_body, request_path
from taskmeter.capture.reading import Reading, StreamReader
from taskmeter.pricing import provider_of

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
_USAGE_HOSTS = (".openai.com", ".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")
"""Hosts known to honour `stream_options.include_usage`; others may refuse a field they do not know."""


class OpenAI:
    """See `Provider`."""

    package = "openai"
    traced_method: str | None = None

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

    def stream_reader(self, operation: str, *, asked: bool) -> StreamReader:
        """Events say by themselves which API they are of."""
        return OpenAIStreamReader(operation, asked=asked)
