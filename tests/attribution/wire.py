"""Real clients over a wire in memory whose answers state as many tokens as the request asks for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import anthropic
import httpx2
import openai

from taskmeter.demo.stub import (
    Billed,
    Event,
    anthropic_message,
    anthropic_message_stream,
    openai_chat,
    openai_chat_stream,
)
from tests.capture.harness import CLAUDE, GPT, Meter

TOKENS = 15_625
"""So many, or a multiple, make prices that are exact as doubles, and so are the sums of the metrics."""
PRICES = {"openai": Decimal("0.03515625"), "anthropic": Decimal("0.1875"), "native": Decimal("0.1875")}
"""USD for as many tokens in as out. `native` is the Anthropic SDK with its own spans."""


def _body(events: Sequence[Event]) -> bytes:
    return b"".join(event.encode() for event in events)


def answer(request: httpx2.Request) -> httpx2.Response:
    """`"2"` costs twice the price; `"refused"` is an error."""
    asked = json.loads(request.content)
    assert "taskmeter" not in request.headers.get("baggage", "")
    text = asked["messages"][0]["content"]
    if text == "refused":
        return httpx2.Response(400, json={"error": {"type": "invalid_request_error", "message": "no"}})
    billed = Billed(input=int(text) * TOKENS, output=int(text) * TOKENS)
    streamed = asked.get("stream")
    if "/messages" in str(request.url):
        body = anthropic_message(asked["model"], "Hello.", billed)
        events = anthropic_message_stream(body)
    else:
        body = openai_chat(asked["model"], "Hello.", billed)
        events = openai_chat_stream(body)
    if streamed:
        return httpx2.Response(200, content=_body(events), headers={"content-type": "text/event-stream"})
    return httpx2.Response(200, json=body)


async def _answer(request: httpx2.Request) -> httpx2.Response:
    return answer(request)


class Clients:
    """One of each SDK, with and without an event loop."""

    def __init__(self, meter: Meter) -> None:
        http: Any = httpx2.Client(transport=httpx2.MockTransport(answer))
        ahttp: Any = httpx2.AsyncClient(transport=httpx2.MockTransport(_answer))
        quiet: Any = {"api_key": "stub", "max_retries": 0, "base_url": "https://gateway.example"}
        traced: Any = {"open_telemetry": {"tracer_provider": meter.tracer_provider}}
        untraced: Any = {"open_telemetry": False}
        self._clients: dict[tuple[str, bool], Any] = {
            ("openai", False): openai.OpenAI(http_client=http, **quiet).chat.completions,
            ("openai", True): openai.AsyncOpenAI(http_client=ahttp, **quiet).chat.completions,
            ("anthropic", False): anthropic.Anthropic(http_client=http, **quiet, **untraced).messages,
            ("anthropic", True): anthropic.AsyncAnthropic(http_client=ahttp, **quiet, **untraced).messages,
            ("native", False): anthropic.Anthropic(http_client=http, **quiet, **traced).messages,
            ("native", True): anthropic.AsyncAnthropic(http_client=ahttp, **quiet, **traced).messages,
        }

    def call(self, sdk: str, text: str, *, asynchronous: bool, model: str | None = None, **options: Any) -> Any:
        """The result, or in an event loop something to wait for."""
        extra: Any = {"model": model or GPT} if sdk == "openai" else {"model": model or CLAUDE, "max_tokens": 100}
        messages = [{"role": "user", "content": text}]
        return self._clients[sdk, asynchronous].create(messages=messages, **extra, **options)
