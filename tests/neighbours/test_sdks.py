"""Neighbours that watch the SDKs: each call is booked once, whoever came first and whoever else opens spans."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from taskmeter.demo.stub import (
    Billed,
    Error,
    anthropic_message,
    openai_chat,
    openai_embeddings,
    openai_response,
)
from tests.neighbours.conftest import WHO

if WHO is None or WHO.startswith(("langchain", "litellm", "agents")):
    pytest.skip("this neighbour watches a framework", allow_module_level=True)

from tests.neighbours import programs as p

BILLED = Billed(input=1000, cache_read=400, output=60, reasoning=20)
CHAT = openai_chat(p.GPT, "On its way.", BILLED)
RESPONSE = openai_response(p.GPT, "On its way.", BILLED)
GPT_USD = Decimal("0.00028")
EMBEDDINGS = openai_embeddings("text-embedding-3-small", 1, Billed(input=1000, output=0))
EMBEDDINGS_USD = Decimal("0.00002")
MESSAGE = anthropic_message(p.CLAUDE, "On its way.", Billed(input=1000, cache_read=400, cache_write=100, output=60))
CLAUDE_USD = Decimal("0.00193")
BUSY = Error(503, retry_after=0.01)

OPENAI: list[tuple[Any, list[Any], int, Decimal]] = [
    (p.chat, [CHAT], 1, GPT_USD),
    (p.chat, [BUSY, CHAT], 1, GPT_USD),
    (p.chat_async, [CHAT], 1, GPT_USD),
    (p.chat_stream, [CHAT], 1, GPT_USD),
    (p.chat_stream_async, [CHAT], 1, GPT_USD),
    (p.chat_refused, [Error(400)], 1, Decimal(0)),
    (p.response, [RESPONSE], 1, GPT_USD),
    (p.response_async, [RESPONSE], 1, GPT_USD),
    (p.response_stream, [RESPONSE], 1, GPT_USD),
    (p.responses_at_once, [RESPONSE] * 5, 5, 5 * GPT_USD),
    (p.embeddings, [EMBEDDINGS], 1, EMBEDDINGS_USD),
]
ANTHROPIC: list[tuple[Any, list[Any], int, Decimal]] = [
    (p.message, [MESSAGE], 1, CLAUDE_USD),
    (p.message, [BUSY, MESSAGE], 1, CLAUDE_USD),
    (p.message_async, [MESSAGE], 1, CLAUDE_USD),
    (p.message_stream, [MESSAGE], 1, CLAUDE_USD),
    (p.message_stream_async, [MESSAGE], 1, CLAUDE_USD),
    (p.message_helper, [MESSAGE], 1, CLAUDE_USD),
    (p.message_refused, [Error(400)], 1, Decimal(0)),
    (p.messages_at_once, [MESSAGE] * 5, 5, 5 * CLAUDE_USD),
]


def check(bench: Any, task: Any, before: Decimal, calls: int, usd: Decimal) -> None:
    """The account, the exported leaves and the metric all say the truth."""
    assert (task.calls, task.cost.total, task.unpriced_calls) == (calls, usd, 0)
    assert bench.leaf_sum() == usd
    assert bench.counted() - before == usd


@pytest.mark.parametrize(("program", "replies", "calls", "usd"), OPENAI)
def test_openai(bench: Any, program: Any, replies: list[Any], calls: int, usd: Decimal) -> None:
    """Whatever the surface: the script's price, once."""
    before = bench.counted()
    task = bench.run(program, replies)
    check(bench, task, before, calls, usd)
    billed = 0 if not usd else calls
    assert task.usage.input_tokens == 1000 * billed
    assert task.retries == len(replies) - calls
    assert WHO in ("native", "logfire") or bench.foreign_spans() or program is p.embeddings


@pytest.mark.parametrize("native", [True, False], ids=["native", "ours"])
@pytest.mark.parametrize(("program", "replies", "calls", "usd"), ANTHROPIC)
def test_anthropic(bench: Any, program: Any, replies: list[Any], calls: int, usd: Decimal, native: bool) -> None:
    """The same, with the SDK's own spans on and off."""
    before = bench.counted()
    task = bench.run(program, replies, native=native)
    check(bench, task, before, calls, usd)
    billed = 0 if not usd else calls
    assert (task.usage.input_tokens, task.usage.cache_write_tokens) == (1000 * billed, 100 * billed)
    assert task.retries == len(replies) - calls


@pytest.mark.parametrize(
    ("program", "reply", "options"),
    [
        (p.chat_stream_left, CHAT, {}),
        (p.message_stream_left, MESSAGE, {"native": True}),
        (p.message_stream_left, MESSAGE, {"native": False}),
    ],
)
def test_stream_left_early(bench: Any, program: Any, reply: Any, options: Any) -> None:
    """One call, an estimate, the same everywhere; a neighbour's guess is not added."""
    before = bench.counted()
    task = bench.run(program, [reply], **options)
    assert (task.calls, task.unpriced_calls) == (1, 0)
    assert task.cost.total == task.cost.estimated == task.cost.wasted == bench.leaf_sum() > 0
    assert bench.counted() - before == round(task.cost.total, 12)
