"""From what an SDK hands over to what it cost: reading the usage, reading the whole answer, and pricing it as well."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from anthropic.types import Message
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from pydantic import BaseModel

from bench.harness import Operation, Plan, Result, measure
from taskmeter.capture.anthropic import Anthropic
from taskmeter.capture.openai import OpenAI
from taskmeter.capture.openai_tokens import read_tokens
from taskmeter.capture.priced import price_reading
from taskmeter.capture.provider import Provider
from taskmeter.demo.stub import Billed, anthropic_message, openai_chat, openai_response
from taskmeter.records import Usage

_BILLED = Billed(input=1200, output=240, cache_read=500, reasoning=50)
_CHAT = ChatCompletion.model_validate(openai_chat("gpt-5-mini", billed=_BILLED))
_ANSWERS: dict[str, tuple[Provider, str, BaseModel]] = {
    "chat": (OpenAI(), "openai", _CHAT),
    "Response": (OpenAI(), "openai", Response.model_validate(openai_response("gpt-5-mini", billed=_BILLED))),
    "message": (Anthropic(), "anthropic", Message.model_validate(anthropic_message("claude-sonnet-5", billed=_BILLED))),
}


def run(plan: Plan) -> Iterator[Result]:
    """Each on parsed answers and a warm rate card."""
    yield measure("chat: usage object to Usage", lambda: Usage(read_tokens(_CHAT.usage, []) or {}), plan)
    for name, (provider, source, answer) in _ANSWERS.items():
        yield measure(f"{name}: parsed to reading", _reads(provider, answer), plan)
        yield measure(f"{name}: parsed to charges", _charges(provider, source, answer), plan)


def _reads(provider: Provider, answer: BaseModel) -> Operation:
    return lambda: provider.read(answer, "chat", {})


def _charges(provider: Provider, source: str, answer: BaseModel) -> Callable[[], object]:
    at_ns = time.time_ns()
    return lambda: price_reading(provider.read(answer, "chat", {}), provider=source, at_ns=at_ns)
