"""After every kind of call, whatever its ending: what a budget has spent is what the ledger has."""

from __future__ import annotations

import gc
from decimal import Decimal
from typing import Any

import pytest

from taskmeter import Budget, BudgetExceeded, Task, account, charge, track_step, track_task, track_tool
from taskmeter.capture import finish
from taskmeter.demo.stub import (
    Error,
    Hang,
    Jsonl,
    Sse,
    anthropic_batch,
    anthropic_batch_line,
    anthropic_message,
    openai_chat,
    openai_chat_stream,
    openai_embeddings,
    openai_response,
)
from tests.capture import background_programs as b
from tests.capture import programs as p
from tests.capture import tool_programs as t
from tests.capture.harness import CLAUDE, CLAUDE_USD, GPT, GPT_USD, Kit, Meter, Program, outcome, stubbed

CHAT: Any = openai_chat(GPT, '{"done": true}')
MESSAGE = anthropic_message(CLAUDE, '{"done": true}')
LENGTH: Any = {**CHAT, "choices": [{**CHAT["choices"][0], "finish_reason": "length"}]}
CUT = Sse(openai_chat_stream(CHAT), cut_after=2)
RETRY = Error(429, retry_after=0.01)
DONE: Any = {**openai_response(GPT), "id": b.RESPONSE_ID, "background": True}
QUEUED: Any = {**DONE, "status": "queued", "usage": None}
MYSTERY = "mystery-1"


def impatient(kit: Kit) -> Any:
    """The first attempt times out, and may be billed; the second is answered."""
    return kit.openai(timeout=0.2, max_retries=1).chat.completions.create(**p.CHAT)


def unanswered(kit: Kit) -> Any:
    return kit.openai(timeout=0.2, max_retries=0).chat.completions.create(**p.CHAT)


def mystery(kit: Kit) -> Any:
    return kit.openai().chat.completions.create(**p.CHAT | {"model": MYSTERY})


def never_retrieved(kit: Kit) -> Any:
    answer = kit.openai().responses.create(**b.BACKGROUND)
    finish()
    return answer


@track_tool("crm.lookup", cost="0.25")
def _lookup() -> int:
    return 1


def tools_and_charges(kit: Kit) -> Any:
    charge("0.5")
    return _lookup(), p.chat(kit)


def discarded(kit: Kit) -> Any:
    with track_step("draft") as step:
        answer = p.chat(kit)
        step.discard()
    return answer


def nested(kit: Kit) -> Any:
    with track_task("inner", budget=Budget(usd=1)):
        charge("0.125")
        return p.chat(kit)


CASES: list[tuple[Program, tuple[Any, ...], Decimal, Decimal]] = [
    # program, what the stub answers, what it costs, what stays at risk
    (p.chat, (CHAT,), GPT_USD, Decimal(0)),
    (p.chat_async, (CHAT,), GPT_USD, Decimal(0)),
    (p.chat, (RETRY, CHAT), GPT_USD, Decimal(0)),
    (p.chat, (Error(400),), Decimal(0), Decimal(0)),
    (p.chat_async, (RETRY, RETRY, RETRY), Decimal(0), Decimal(0)),
    (p.chat_raw, (CHAT,), GPT_USD, Decimal(0)),
    (p.chat_streaming_response, (CHAT,), GPT_USD, Decimal(0)),
    (p.chat_parse, (LENGTH,), GPT_USD, Decimal(0)),
    (p.chat_parse_async, (LENGTH,), GPT_USD, Decimal(0)),
    (p.chat_stream_with_usage, (CHAT,), GPT_USD, Decimal(0)),
    (p.response, (openai_response(GPT),), GPT_USD, Decimal(0)),
    (p.embeddings, (openai_embeddings("text-embedding-3-small"),), Decimal("0.0000024"), Decimal(0)),
    (p.message, (RETRY, MESSAGE), CLAUDE_USD, Decimal(0)),
    (p.message_async, (MESSAGE,), CLAUDE_USD, Decimal(0)),
    (p.message_stream, (MESSAGE,), CLAUDE_USD, Decimal(0)),
    (t.openai_runner, t.OPENAI, 2 * GPT_USD, Decimal(0)),
    (t.anthropic_runner, t.ANTHROPIC, 2 * CLAUDE_USD, Decimal(0)),
    (tools_and_charges, (CHAT,), GPT_USD + Decimal("0.75"), Decimal(0)),
    (discarded, (CHAT,), GPT_USD, Decimal(0)),
    (nested, (CHAT,), GPT_USD + Decimal("0.125"), Decimal(0)),
    # 8 tokens of request and the 4096 that are assumed, at 0.25 and 2 USD per million
    (impatient, (Hang(5), CHAT), GPT_USD, Decimal("0.008194")),
    (unanswered, (Hang(5),), Decimal(0), Decimal("0.008194")),
    (mystery, (openai_chat(MYSTERY),), Decimal(0), Decimal(0)),
]
ESTIMATED: list[tuple[Program, tuple[Any, ...]]] = [
    (p.chat_stream, (CHAT,)),
    (p.chat_stream_async, (CHAT,)),
    (p.chat_stream, (CUT,)),
    (p.chat_stream_closed, (CHAT,)),
    (p.chat_stream_closed_async, (CHAT,)),
    (p.chat_stream_unread, (CHAT,)),
    (p.chat_helper_left, (CHAT,)),
    (p.message_stream_closed, (MESSAGE,)),
    (p.message_stream_unread, (MESSAGE,)),
    (b.polled, (QUEUED, QUEUED, QUEUED, DONE, DONE)),
    (never_retrieved, (QUEUED,)),
]


def _run(program: Program, replies: tuple[Any, ...], meter: Meter) -> tuple[Task, list[account.Account]]:
    """Runs it under every kind of budget."""
    meter.instrument(
        budgets=[
            Budget(usd=100),
            Budget(usd=90, per="day"),
            Budget(usd=80, task="t*"),
            Budget(tokens=10**6, customer="acme", per="hour"),
            Budget(usd=70, seconds=600, per="task"),
        ]
    )
    with track_task("outer", customer="acme", budget=Budget(usd=60)), stubbed(*replies) as stub:
        with track_task("test", budget=Budget(usd=50, calls=100)) as task:
            outcome(program, Kit(stub.url))
        gc.collect()
        finish()
        purse = account.budgets.purse_of(task._scope)
        assert purse is not None
    return task, list(purse.accounts)


@pytest.mark.parametrize(
    ("program", "replies", "usd", "at_risk"), CASES, ids=lambda value: getattr(value, "__name__", "")
)
def test_spent_is_what_the_ledger_has(
    program: Program, replies: tuple[Any, ...], usd: Decimal, at_risk: Decimal, meter: Meter
) -> None:
    """Of the task's own budget, the task's around it, those by name, of the customer and of the process."""
    task, accounts = _run(program, replies, meter)
    states = [each.tally.state() for each in accounts]
    assert len(states) == 8
    tokens = task.usage.input_tokens + task.usage.output_tokens
    assert {state.spent for state in states} == {(usd, tokens, task.calls)}
    assert task.cost.total == usd
    assert {state.reserved for state in states} == {account.Amounts()}
    assert {each.tally.state().exposed.usd for each in accounts if each.budget.usd} == {at_risk}


@pytest.mark.parametrize(("program", "replies"), ESTIMATED, ids=lambda value: getattr(value, "__name__", ""))
def test_spent_is_what_the_ledger_estimates(program: Program, replies: tuple[Any, ...], meter: Meter) -> None:
    """So it is with streams that were left, and with answers made in the background."""
    task, accounts = _run(program, replies, meter)
    states = [each.tally.state() for each in accounts]
    tokens = task.usage.input_tokens + task.usage.output_tokens
    assert {state.spent for state in states} == {(task.cost.total, tokens, 1)}
    assert {state.reserved for state in states} == {account.Amounts()}
    assert task.cost.total > 0 or task.unpriced_calls == 1


def test_a_batch_is_spent_when_its_results_are_read(meter: Meter) -> None:
    """Nothing is reserved for it: the next call is stopped."""
    batch = anthropic_batch("msgbatch_budget", "/v1/messages/batches/msgbatch_budget/results")
    lines = Jsonl([anthropic_batch_line("a", MESSAGE), anthropic_batch_line("b", MESSAGE)])
    with stubbed(batch, lines) as stub, track_task("batch", budget=Budget(calls=2)) as task:
        client = Kit(stub.url).anthropic()
        assert len(list(client.messages.batches.results("msgbatch_budget"))) == 2
        with pytest.raises(BudgetExceeded, match="2 spent"):
            client.messages.create(**p.MESSAGE)
        client.close()
    assert (task.calls, task.cost.total, len(stub.requests)) == (2, CLAUDE_USD, 2)
