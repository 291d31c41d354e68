"""`with` and `async with`, and one opener object used by many at once."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry import context as otel

from taskmeter.scopes import Step, Task, ToolRun, charge, current_task, track_step, track_task, track_tool

scopes = pytest.mark.parametrize(
    ("track", "handle", "span"),
    [
        (track_task, Task, "invoke_workflow work"),
        (track_step, Step, "step work"),
        (track_tool, ToolRun, "execute_tool work"),
    ],
    ids=["task", "step", "tool"],
)


def enter(opener: Any) -> Any:
    with opener as handle:
        return handle


def enter_async(opener: Any) -> Any:
    async def block() -> Any:
        async with opener as handle:
            return handle

    return asyncio.run(block())


def fail(opener: Any, error: Exception) -> None:
    with opener:
        raise error


def fail_async(opener: Any, error: Exception) -> None:
    async def block() -> None:
        async with opener:
            raise error

    asyncio.run(block())


@scopes
@pytest.mark.parametrize("block", [enter, enter_async])
def test_a_block_gives_its_handle(track: Any, handle: type, span: str, block: Callable[..., Any], spans: Any) -> None:
    """`with` and `async with` give the handle of the scope, a fresh one each time, and end its span."""
    opener = track("work")
    first, second = block(opener), block(opener)
    assert isinstance(first, handle)
    assert first is not second
    assert first.name == "work"
    assert spans.names() == [span, span]


@scopes
@pytest.mark.parametrize("block", [fail, fail_async])
def test_an_exception_leaves_the_block_untouched(
    track: Any, handle: type, span: str, block: Callable[..., None], spans: Any
) -> None:
    """The same object arrives; the span is marked as an error by its type only."""
    error = LookupError("a secret")
    with pytest.raises(LookupError) as caught:
        block(track("work"), error)
    assert caught.value is error
    (ended,) = spans.all()
    assert ended.attributes["error.type"] == "LookupError"
    assert ended.status.status_code.name == "ERROR"
    assert ended.status.description is None
    assert ended.events == ()
    assert "a secret" not in ended.to_json()


@scopes
def test_one_opener_nests_in_itself(track: Any, handle: type, span: str, spans: Any) -> None:
    """Entering an opener that is open opens a second run inside the first; exits end the innermost first."""
    opener = track("work")
    with opener as outer, opener as inner:
        assert outer is not inner
    first, second = spans.all()
    assert first.parent.span_id == second.context.span_id
    assert second.parent is None


def test_nested_blocks_of_one_opener_keep_their_own_accounts() -> None:
    """Each run has its own ledger; the inner one counts in the outer's total."""
    opener = track_task("work")
    with opener as outer:
        with opener as inner:
            charge("1")
        charge("2")
    assert (inner.cost.total, outer.cost.total, outer.cost.self) == (Decimal(1), Decimal(3), Decimal(2))


def test_sixteen_threads_share_one_opener_exactly() -> None:
    """16 threads x 500 charges through one opener object: each task has its own, to the last digit."""
    task_opener, step_opener = track_task("work"), track_step("part")
    start = threading.Barrier(16)

    def work(_: int) -> tuple[Decimal, Decimal, int]:
        start.wait()
        with task_opener as task:
            for _ in range(500):
                with step_opener as step:
                    charge("0.001")
                assert step.cost.total == Decimal("0.001")
            return task.cost.total, task.cost.self, hash(task.id)

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(work, range(16)))
    assert [(total, own) for total, own, _ in results] == [(Decimal("0.500"), Decimal("0.500"))] * 16
    assert len({name for *_, name in results}) == 16


def test_sixteen_threads_book_to_one_task_exactly() -> None:
    """Threads that carry the task's context book to it: 16 x 500 tenths of a cent are 8 dollars."""

    def work() -> None:
        for _ in range(500):
            with track_step("part"):
                charge("0.001")

    with track_task("work") as task:
        threads = [threading.Thread(target=contextvars.copy_context().run, args=(work,)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert task.cost.total == task.cost.self == Decimal("8.000")


def test_interleaved_coroutines_share_one_opener_exactly() -> None:
    """500 asyncio steps of one opener, all open at once, under one task."""
    opener = track_step("part")

    async def part(number: int) -> Decimal:
        async with opener as step:
            await asyncio.sleep(0)
            charge(number)
            await asyncio.sleep(0)
            return step.cost.total

    async def main() -> tuple[Task, list[Decimal]]:
        async with track_task("work") as task:
            return task, list(await asyncio.gather(*(part(number) for number in range(500))))

    task, parts = asyncio.run(main())
    assert parts == [Decimal(number) for number in range(500)]
    assert task.cost.total == task.cost.self == Decimal(124_750)


def test_interleaved_tasks_of_one_opener_end_their_own() -> None:
    """Tasks that overlap and end in the order they began keep outcome and cost apart."""
    opener = track_task("work")

    async def work(number: int) -> Task:
        async with opener as task:
            await asyncio.sleep(0.002 * number)  # the first to begin is the first to end
            charge(number)
            task.succeed(value=number)
            assert current_task() is task
        return task

    async def main() -> list[Task]:
        return list(await asyncio.gather(*(work(number) for number in range(8))))

    assert [task.cost.total for task in asyncio.run(main())] == [Decimal(number) for number in range(8)]


# --- exits elsewhere


@scopes
@pytest.mark.parametrize("place", ["thread", "context"])
def test_a_scope_may_end_elsewhere(track: Any, handle: type, span: str, place: str, spans: Any) -> None:
    """Ended in another thread or `contextvars.Context` than it began in: no error, one span, no trace of it there."""
    stack = ExitStack()
    contextvars.copy_context().run(stack.enter_context, track("work"))
    assert current_task() is None
    if place == "thread":
        thread = threading.Thread(target=stack.close)
        thread.start()
        thread.join()
    else:
        contextvars.copy_context().run(stack.close)
    assert spans.names() == [span]


def test_a_task_that_ended_elsewhere_is_not_current_any_more() -> None:
    """`current_task()` is an open task or None, also in a context that was copied while the task was open."""
    stack = ExitStack()
    inside = contextvars.copy_context()
    with track_task("outer") as outer:
        inside = contextvars.copy_context()
        task = inside.run(stack.enter_context, track_task("inner"))
        assert inside.run(current_task) is task
        stack.close()
        assert inside.run(current_task) is outer
    assert inside.run(current_task) is None


def test_an_exit_elsewhere_leaves_an_open_scope_there_alone() -> None:
    """A task ended from within another task does not take that task's place."""
    stack = ExitStack()
    contextvars.copy_context().run(stack.enter_context, track_task("elsewhere"))
    with track_task("here") as here:
        stack.close()
        assert current_task() is here
        charge("1")
    assert here.cost.total == Decimal(1)


def test_scopes_that_end_in_the_order_they_began() -> None:
    """When the outer of two ends first, the inner one stays current to its own end, and nothing stays after."""
    before = otel.get_current()
    first, second = ExitStack(), ExitStack()
    first.enter_context(track_task("first"))
    inner = second.enter_context(track_task("second"))
    first.close()
    assert current_task() is inner
    charge("1")
    second.close()
    assert inner.cost.total == Decimal(1)
    assert otel.get_current() == before


def test_an_outer_scope_ends_though_an_inner_one_ended_elsewhere() -> None:
    """What another thread ended is not waited for: after the outer scope the context is what it was."""
    before = otel.get_current()
    stack = ExitStack()
    with track_task("outer") as outer:
        stack.enter_context(track_task("inner"))
        thread = threading.Thread(target=stack.close)
        thread.start()
        thread.join()
        assert current_task() is outer
    assert otel.get_current() == before


def test_a_task_in_a_plain_generator_does_not_take_its_consumers_place() -> None:
    """A consumer that opened a task between two steps of such a generator keeps it when the generator is closed."""

    def pages() -> Iterator[int]:
        with track_task("pages"):
            yield 1

    reading = pages()
    next(reading)
    with track_task("consumer") as task:
        reading.close()
        assert current_task() is task
    assert current_task() is None


def test_background_work_is_still_booked_to_its_task() -> None:
    """What a copied context spends after the task ended is part of its cost, though the task is not current."""
    with track_task("work") as task:
        background = contextvars.copy_context()
    background.run(charge, "1")
    assert task.cost.total == Decimal(1)


def test_an_exit_without_an_entry_does_nothing() -> None:
    """An opener that is not open has nothing to end."""
    track_task("work").__exit__(None, None, None)
    assert current_task() is None
