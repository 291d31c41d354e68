"""What type checkers make of the public API. Checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, assert_type

import taskmeter
from taskmeter import (
    Context,
    Cost,
    Task,
    Usage,
    carry,
    charge,
    current_task,
    document,
    record_outcome,
    track_step,
    track_task,
    track_tool,
)
from taskmeter.diagnosis import Diagnosis
from taskmeter.scopes import Step, ToolRun


def key_of(ticket: str, urgent: bool = False) -> str:
    return ticket + "!" * urgent


@track_task
def bare(ticket: str, *, urgent: bool = False) -> int:
    return len(ticket) + urgent


@track_task("resolve", key=key_of, customer="acme", labels={"tier": "gold"})
def called(ticket: str, urgent: bool = False) -> int:
    return len(ticket) + urgent


@track_step
async def coroutine(ticket: str) -> int:
    return len(ticket)


@track_tool("crm.lookup", cost="0.002", call_id="call_1")
def generator(ticket: str) -> Generator[int, str, bool]:
    sent = yield len(ticket)
    return sent == ticket


@track_tool("fetch", cost=lambda page: page.usd, category="retrieval")
def fetch(url: str) -> bytes:
    return url.encode()


@track_tool("embed", cost="0.10", unit="character", per=1_000_000, quantity=len)
async def embed(text: str) -> str:
    return text


@track_tool("gpu", cost_per_second="0.001")
def compute(steps: int) -> int:
    return steps


@track_tool
def iterator(ticket: str) -> Iterator[int]:
    yield len(ticket)


@track_step()
async def async_generator(ticket: str) -> AsyncGenerator[int, str]:
    yield len(ticket)


@track_step("draft")
async def async_iterator(ticket: str) -> AsyncIterator[int]:
    yield len(ticket)


class Desk:
    @track_task
    def answer(self, ticket: str) -> bytes:
        return ticket.encode()

    @classmethod
    @track_step("open")
    def open(cls, ticket: str) -> Desk:
        return cls()

    @staticmethod
    @track_tool
    def check(ticket: str) -> bool:
        return bool(ticket)


def decorated_functions_keep_their_types() -> None:
    assert_type(bare("T-1", urgent=True), int)
    assert_type(called("T-1", True), int)
    assert_type(called(ticket="T-1"), int)
    assert_type(generator("T-1"), Generator[int, str, bool])
    assert_type(fetch("T-1"), bytes)
    assert_type(compute(1), int)
    assert_type(iterator("T-1"), Iterator[int])
    assert_type(async_generator("T-1"), AsyncGenerator[int, str])
    assert_type(async_iterator("T-1"), AsyncIterator[int])
    assert_type(Desk().answer("T-1"), bytes)
    assert_type(Desk.open("T-1"), Desk)
    assert_type(Desk.check("T-1"), bool)
    function: Callable[[str], int] = bare
    function("T-1")


def wrong_calls_are_errors() -> None:
    bare()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    bare("T-1", True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    called(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    charge("1", category="food")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def carried() -> None:
    """The function's own type."""
    assert_type(carry(key_of)("T-1", urgent=True), str)
    assert_type(document("page", source="kb"), str)
    assert_type(await carry(coroutine)("T-1"), int)
    assert_type(carry(generator)("T-1"), Generator[int, str, bool])
    assert_type(carry(Desk().answer)("T-1"), bytes)


async def blocks_give_handles() -> None:
    assert_type(await coroutine("T-1"), int)
    awaited: Coroutine[Any, Any, int] = coroutine("T-1")
    await awaited
    with track_task("resolve") as task, track_step("draft") as step, track_tool("crm.lookup") as run:
        assert_type(task, Task)
        assert_type(step, Step)
        assert_type(run, ToolRun)
    async with track_task("resolve") as task, track_step("draft") as step, track_tool("crm.lookup") as run:
        assert_type(task, Task)
        assert_type(step, Step)
        assert_type(run, ToolRun)


def blocks_swallow_nothing() -> int:
    """Type checkers know that the end is not reached."""
    with track_task("resolve"):
        return 1


def figures(task: Task, step: Step) -> None:
    assert_type(task.cost, Cost)
    assert_type(task.cost.total, Decimal)
    assert_type(task.usage, Usage)
    assert_type(task.context, Context)
    assert_type(task.usage.input_tokens, int)
    assert_type((task.calls, task.attempts, task.retries), tuple[int, int, int])
    assert_type((task.tool_runs, task.unpriced_calls, task.exposed_attempts), tuple[int, int, int])
    assert_type(task.retry_seconds, float)
    assert_type((task.name, task.id, task.key, task.customer), tuple[str, str, str | None, str | None])
    assert_type((step.cost, step.discarded, step.discard_reason), tuple[Cost, bool, str | None])
    assert_type(current_task(), Task | None)
    task.succeed(value="12.50")
    task.succeed(value=Decimal("12.50"), reason="paid")
    task.fail("no such order")
    task.abandon()
    task.pending("in review")
    task.succeed(human_minutes=4, quality="0.9")
    task.fail(human_minutes="2.5", quality=0)
    task.review(6)
    task.review(minutes=6, rate="95")
    assert_type(task.human_minutes, Decimal)
    assert_type(record_outcome(key="T-1", status="failed", reason="reopened"), bool)
    record_outcome(task_id="0" * 32, status="succeeded", value=3, human_minutes=4, quality=1, at=datetime.now(UTC))
    record_outcome(key="T-1", status="won")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    step.discard("failed validation")
    charge("0.0004", category="retrieval", item="pinecone", quantity=3, unit="query", estimated=True)
    taskmeter.charge(Decimal(1))
    assert_type(taskmeter.diagnose(), Diagnosis)
    assert_type((taskmeter.diagnose().healthy, str(taskmeter.diagnose())), tuple[bool, str])
