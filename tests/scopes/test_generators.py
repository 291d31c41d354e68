"""Decorated generators: the task is open from the first step to the end, and current only while the body runs."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, Generator, Iterator
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry import context as otel

from taskmeter.scopes import Task, charge, current_task, track_step, track_task


class Item:
    """Something a weak reference can point to."""


def inside() -> Task:
    task = current_task()
    assert task is not None
    return task


@track_task("echo")
def echo() -> Generator[object, object, str]:
    received: object = "ready"
    while received != "stop":
        try:
            received = yield received
        except KeyError as error:
            received = error
    return "done"


@track_task("echo")
async def echo_async() -> AsyncGenerator[object, object]:
    received: object = "ready"
    while received != "stop":
        try:
            received = yield received
        except KeyError as error:
            received = error


def test_sent_values_thrown_errors_and_the_result_pass_through(spans: Any) -> None:
    """`send`, `throw` and the return value work as on the bare generator; the same error object arrives."""
    generator = echo()
    assert next(generator) == "ready"
    assert generator.send("a") == "a"
    error = KeyError("k")
    assert generator.throw(error) is error
    with pytest.raises(StopIteration) as stop:
        generator.send("stop")
    assert stop.value.value == "done"
    assert spans.only("invoke_workflow echo")["taskmeter.task.outcome"] == "succeeded"


def test_sent_values_and_thrown_errors_pass_through_async(spans: Any) -> None:
    """`asend`, `athrow` and the end work as on the bare async generator."""

    async def main() -> None:
        generator = echo_async()
        assert await anext(generator) == "ready"
        assert await generator.asend("a") == "a"
        error = KeyError("k")
        assert await generator.athrow(error) is error
        with pytest.raises(StopAsyncIteration):
            await generator.asend("stop")

    asyncio.run(main())
    assert spans.only("invoke_workflow echo")["taskmeter.task.outcome"] == "succeeded"


def test_the_body_may_delegate_to_a_decorated_generator() -> None:
    """`yield from` gets items and result."""

    def outer() -> Generator[object, object, object]:
        return (yield from echo())

    generator = outer()
    assert next(generator) == "ready"
    with pytest.raises(StopIteration) as stop:
        generator.send("stop")
    assert stop.value.value == "done"


def test_nothing_happens_before_the_first_step(spans: Any) -> None:
    """A generator that is never stepped into opens no task and runs none of its body."""
    ran: list[str] = []

    @track_task
    def body() -> Iterator[int]:
        ran.append("body")
        yield 1

    generator = body()
    del generator
    assert (ran, spans.names()) == ([], [])


def test_the_parent_is_whoever_takes_the_first_step(spans: Any) -> None:
    """The scope starts at the first step, so a task opened between call and step is its parent."""
    generator = echo()
    with track_task("consumer") as consumer:
        next(generator)
    generator.close()
    assert spans.only("invoke_workflow echo")["taskmeter.task.parent.id"] == consumer.id


def test_the_task_is_not_the_consumers() -> None:
    """Between two steps the consumer's own context is back, whole."""
    seen: list[Task] = []

    @track_task
    def body() -> Iterator[int]:
        for number in range(3):
            seen.append(inside())
            yield number

    before = otel.get_current()
    for _ in body():
        assert current_task() is None
        assert otel.get_current() == before
        charge("100")
    assert seen[0] is seen[1] is seen[2]
    assert seen[0].cost.total == Decimal(0)


def test_the_task_is_not_the_consumers_async() -> None:
    """Between two steps of an async generator the consumer's own context is back, also after an await in the body."""
    seen: list[Task] = []

    @track_task
    async def body() -> AsyncGenerator[int, None]:
        for number in range(3):
            await asyncio.sleep(0)
            seen.append(inside())
            yield number

    async def main() -> None:
        before = otel.get_current()
        async for _ in body():
            assert current_task() is None
            assert otel.get_current() == before

    asyncio.run(main())
    assert seen[0] is seen[1] is seen[2]


def test_a_step_inside_the_body_survives_its_yields(spans: Any) -> None:
    """What the body charges after a yield is booked to the step that was open at the yield."""
    steps: list[Decimal] = []

    @track_task
    def body() -> Iterator[int]:
        with track_step("draft") as step:
            charge("1")
            yield 1
            charge("2")
            yield 2
        charge("4")
        steps.append(step.cost.total)
        steps.append(inside().cost.total)

    assert list(body()) == [1, 2]
    assert steps == [Decimal(3), Decimal(7)]
    step, *_ = [span for span in spans.all() if span.name == "step draft"]
    (task,) = [span for span in spans.all() if span.name == "invoke_workflow body"]
    assert step.parent.span_id == task.context.span_id


def test_a_step_inside_an_async_body_survives_its_yields() -> None:
    """The same for async generators, with two of them interleaved in one coroutine."""
    found: list[Decimal] = []

    @track_task
    async def body(amount: str) -> AsyncGenerator[int, None]:
        async with track_step("draft") as step:
            for number in range(3):
                await asyncio.sleep(0)
                charge(amount)
                yield number
        found.append(step.cost.total)

    async def main() -> None:
        left, right = body("1"), body("10")
        for number in range(3):
            assert await anext(left) == await anext(right) == number
        for generator in (left, right):
            with pytest.raises(StopAsyncIteration):
                await anext(generator)

    asyncio.run(main())
    assert found == [Decimal(3), Decimal(30)]


@pytest.mark.parametrize("how", ["close", "drop"])
def test_a_generator_left_early_is_abandoned(how: str, spans: Any) -> None:
    """Closed or dropped: the body is unwound inside its task, and the task is abandoned."""
    unwound: list[object] = []

    @track_task
    def body() -> Iterator[int]:
        try:
            yield 1
        finally:
            unwound.append(inside().name)

    generator: Any = body()
    next(generator)
    if how == "close":
        assert generator.close() is None
    del generator
    gc.collect()
    assert unwound == ["body"]
    assert spans.only("invoke_workflow body")["taskmeter.task.outcome"] == "abandoned"


def test_a_body_may_take_its_close_calmly(spans: Any) -> None:
    """A body that catches GeneratorExit and returns ends as bare: `close` gives what it always gave."""

    def bare() -> Generator[int, None, str]:
        try:
            yield 1
        except GeneratorExit:
            return "closed"
        return "ended"

    results = []
    for func in (bare, track_task(bare)):
        generator: Any = func()
        next(generator)
        results.append(generator.close())
    assert results[0] == results[1]
    assert spans.only("invoke_workflow bare")["taskmeter.task.outcome"] == "abandoned"


def test_a_body_that_ignores_its_close_is_told_so() -> None:
    """The RuntimeError is Python's own, and the body goes on where it was."""

    @track_task
    def body() -> Iterator[int]:
        try:
            yield 1
        except GeneratorExit:
            yield 2
        yield 3

    generator: Any = body()
    next(generator)
    with pytest.raises(RuntimeError, match="generator ignored GeneratorExit"):
        generator.close()
    assert list(generator) == [3]


def test_an_async_body_that_ignores_its_close_is_told_so() -> None:
    """The same of an async generator."""

    @track_task
    async def body() -> AsyncGenerator[int, None]:
        try:
            yield 1
        except GeneratorExit:
            yield 2

    async def main() -> None:
        generator = body()
        await anext(generator)
        with pytest.raises(RuntimeError, match="async generator ignored GeneratorExit"):
            await generator.aclose()

    asyncio.run(main())


def test_the_body_sees_no_exception_but_its_own() -> None:
    """After it dealt with a thrown error, an error it raises has no context, and nothing is being handled."""

    @track_task
    def body() -> Iterator[object]:
        with contextlib.suppress(KeyError):
            yield 1
        yield sys.exc_info()
        raise LookupError

    generator: Any = body()
    next(generator)
    assert generator.throw(KeyError("k")) == (None, None, None)
    with pytest.raises(LookupError) as caught:
        next(generator)
    assert caught.value.__context__ is None


def test_items_are_kept_alive_by_the_consumer_alone() -> None:
    """Between two steps nothing of ours refers to the item that was yielded, or to what was sent."""

    @track_task
    def body() -> Generator[Item, object, None]:
        while True:
            yield Item()

    generator = body()
    item: Item | None = next(generator)
    sent: Item | None = Item()
    references = [weakref.ref(item), weakref.ref(sent)]
    generator.send(sent)
    item = sent = None
    assert [reference() for reference in references] == [None, None]
    generator.close()


def test_an_async_generator_closed_early_is_abandoned(spans: Any) -> None:
    """`aclose` unwinds the body inside its task, awaits included."""
    unwound: list[str] = []

    @track_task
    async def body() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            unwound.append(inside().name)

    async def main() -> None:
        generator = body()
        await anext(generator)
        await generator.aclose()

    asyncio.run(main())
    assert unwound == ["body"]
    assert spans.only("invoke_workflow body")["taskmeter.task.outcome"] == "abandoned"


@pytest.mark.parametrize("dropped", [True, False], ids=["dropped", "kept to the end of the loop"])
def test_a_forgotten_async_generator_is_closed_by_its_loop(
    dropped: bool, spans: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """asyncio finalises it as it does a bare one: once, in silence, awaits included."""
    unwound: list[str] = []

    @track_task
    async def body() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            for _ in range(3):
                await asyncio.sleep(0)
            unwound.append(inside().name)

    kept: list[object] = []

    async def main() -> None:
        for _ in range(10):
            generator = body()
            await anext(generator)
            if not dropped:
                kept.append(generator)
        del generator
        gc.collect()
        await asyncio.sleep(0.01)

    asyncio.run(main())
    assert unwound == ["body"] * 10
    assert [span.attributes["taskmeter.task.outcome"] for span in spans.all()] == ["abandoned"] * 10
    assert caplog.records == []


@pytest.mark.parametrize("place", ["thread", "context"])
@pytest.mark.parametrize("ending", ["close", "last step"])
def test_a_generator_may_end_elsewhere(place: str, ending: str, spans: Any) -> None:
    """Steps may come from several threads and contexts, as web servers take them; each is left as it was."""

    @track_task
    def body() -> Iterator[int]:
        with track_step("draft"):
            charge("1")
            yield 1
            charge("2")

    generator: Any = body()
    next(generator)
    elsewhere: list[object] = []

    def finish() -> None:
        with track_task("other") as other:
            list(generator) if ending == "last step" else generator.close()
            elsewhere.append(current_task() is other)
            elsewhere.append(other.cost.total)

    if place == "thread":
        thread = threading.Thread(target=finish)
        thread.start()
        thread.join()
    else:
        contextvars.copy_context().run(finish)
    assert elsewhere == [True, Decimal(0)]
    expected = ("3", "succeeded") if ending == "last step" else ("1", "abandoned")
    attributes = spans.only("invoke_workflow body")
    assert attributes["taskmeter.task.outcome"] == expected[1]
    wanted = "taskmeter.cost.exact"
    assert (attributes[wanted], spans.only("step draft")[wanted]) == (expected[0], expected[0])


def test_an_async_generator_may_end_in_another_asyncio_task(spans: Any) -> None:
    """`aclose` from another asyncio task than took the first step, as frameworks do."""

    @track_task
    async def body() -> AsyncGenerator[int, None]:
        async with track_step("draft"):
            yield 1

    async def main() -> None:
        generator = body()
        await asyncio.create_task(anext(generator))  # type: ignore[arg-type]
        await asyncio.create_task(generator.aclose())  # type: ignore[arg-type]

    asyncio.run(main())
    assert spans.names() == ["step draft", "invoke_workflow body"]
