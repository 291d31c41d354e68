"""A fake wire for the real clients, so that only the client and our hooks are timed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from openai import OpenAI
from openai._base_client import BaseClient, SyncAPIClient
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

import taskmeter
from taskmeter.demo.stub import Billed, openai_chat, openai_chat_stream


class Discard(SpanProcessor):
    """Takes spans as a batch processor would, without the cost of a thread beside the measurement."""

    def on_end(self, span: ReadableSpan) -> None:
        """Drops it."""


def tracer_provider() -> TracerProvider:
    """A real SDK provider with our processor, that exports nothing."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(taskmeter.TaskSpanProcessor())
    provider.add_span_processor(Discard())
    return provider


_REQUEST = SyncAPIClient.__dict__["request"]
_PROCESS_RESPONSE = SyncAPIClient.__dict__["_process_response"]
_PROCESS_RESPONSE_DATA = BaseClient.__dict__["_process_response_data"]


class BareOpenAI(OpenAI):
    """A client with the SDK's own functions, whether the hooks are on or not.

    They sit on its base class, and would come here too if these were the same functions.
    """

    def request(self, *args: Any, **kwargs: Any) -> Any:
        """The SDK's own, with its retries."""
        return _REQUEST(self, *args, **kwargs)

    def _process_response(self, *args: Any, **kwargs: Any) -> Any:
        return _PROCESS_RESPONSE(self, *args, **kwargs)

    def _process_response_data(self, *args: Any, **kwargs: Any) -> Any:
        return _PROCESS_RESPONSE_DATA(self, *args, **kwargs)


def client(kind: type[OpenAI]) -> OpenAI:
    """A client whose every chat completion is answered from memory."""
    answer = openai_chat("gpt-5-mini", "fine", Billed(input=900, cache_read=400, output=60))
    whole = json.dumps(answer).encode()
    events = b"".join(event.encode() for event in openai_chat_stream(answer))

    def handle(request: httpx2.Request) -> httpx2.Response:
        if request.headers.get("x-stream"):
            return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=events)
        return httpx2.Response(200, headers={"content-type": "application/json"}, content=whole)

    transport = httpx2.MockTransport(handle)
    return kind(api_key="none", http_client=httpx2.Client(transport=transport))


@contextmanager
def instrumented() -> Iterator[None]:
    """The hooks on, with spans to a real provider."""
    taskmeter.instrument(tracer_provider=tracer_provider())
    try:
        yield
    finally:
        taskmeter.uninstrument()
