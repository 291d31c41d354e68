"""Frameworks and who traces them: an SDK's calls are booked by our hooks, all others by their spans; each once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from taskmeter.demo.stub import (
    Billed,
    ToolCall,
    anthropic_message,
    openai_chat,
    openai_embeddings,
    openai_response,
)
from tests.neighbours import frameworks as f
from tests.neighbours.conftest import WHO

FRAMEWORK = (WHO or "").partition("-")[0]

BILLED = Billed(input=1000, cache_read=400, output=60, reasoning=20)
CHAT = openai_chat(f.GPT, "On its way.", BILLED)
RESPONSE = openai_response(f.GPT, "On its way.", BILLED)
ASKS = openai_response(f.GPT, "", BILLED, tool_calls=[ToolCall("look_up", {"order": 17})])
GPT_USD = Decimal("0.00028")
EMBEDDINGS = openai_embeddings("text-embedding-3-small", 1, Billed(input=1000, output=0))
EMBEDDINGS_USD = Decimal("0.00002")
MESSAGE = anthropic_message(f.CLAUDE, "On its way.", Billed(input=1000, cache_read=400, cache_write=100, output=60))
CLAUDE_USD = Decimal("0.00193")

PROGRAMS: dict[str, list[tuple[Any, list[Any], Decimal]]] = {
    "langchain": [
        (f.langchain_chat, [CHAT], GPT_USD),
        (f.langchain_response, [RESPONSE], GPT_USD),
        (f.langchain_chat_async, [CHAT], GPT_USD),
        (f.langchain_chat_stream, [CHAT], GPT_USD),
        (f.langchain_batch, [CHAT] * 5, 5 * GPT_USD),
        (f.langchain_chain, [CHAT], GPT_USD),
        (f.langchain_message, [MESSAGE], CLAUDE_USD),
        (f.langchain_message_async, [MESSAGE], CLAUDE_USD),
        (f.langchain_message_stream, [MESSAGE], CLAUDE_USD),
        (f.langchain_then_sdk, [CHAT, CHAT], 2 * GPT_USD),
    ],
    "litellm": [
        (f.litellm_chat, [CHAT], GPT_USD),
        (f.litellm_chat_async, [CHAT], GPT_USD),
        (f.litellm_message, [MESSAGE], CLAUDE_USD),
        (f.litellm_message_async, [MESSAGE], CLAUDE_USD),
        (f.litellm_message_stream, [MESSAGE], CLAUDE_USD),
        (f.litellm_both, [CHAT, MESSAGE, CHAT, MESSAGE], 2 * GPT_USD + 2 * CLAUDE_USD),
        (f.litellm_embeddings, [EMBEDDINGS], EMBEDDINGS_USD),
    ],
    "agents": [
        (f.agent, [RESPONSE], GPT_USD),
        (f.agent_on_chat, [CHAT], GPT_USD),
        (f.agent_streamed, [RESPONSE], GPT_USD),
        (f.agent_with_tool, [ASKS, RESPONSE], 2 * GPT_USD),
    ],
}


if WHO == "litellm-own":
    PROGRAMS["litellm"] = [case for case in PROGRAMS["litellm"] if case[0] is not f.litellm_message_stream]


@pytest.mark.skipif(WHO != "litellm-own", reason="LiteLLM's own callback only")
def test_told_outside_of_its_task(bench: Any) -> None:
    """LiteLLM's callback tells of a synchronous stream in a thread of its own: counted once, in no task."""
    before = bench.counted()
    task = bench.run(f.litellm_message_stream, [MESSAGE])
    assert (task.calls, task.cost.total) == (0, 0)
    assert bench.leaf_sum() == bench.counted() - before == CLAUDE_USD


@pytest.mark.parametrize(("program", "replies", "usd"), PROGRAMS.get(FRAMEWORK, []))
def test_framework(bench: Any, program: Any, replies: list[Any], usd: Decimal) -> None:
    """Account, exported leaves and metric say the script's price; the framework's spans add nothing."""
    before = bench.counted()
    task = bench.run(program, replies)
    assert (task.calls, task.cost.total, task.unpriced_calls) == (len(replies), usd, 0)
    assert bench.leaf_sum() == usd
    assert bench.counted() - before == usd
    assert task.usage.input_tokens == 1000 * len(replies)
    assert bench.foreign_spans()
