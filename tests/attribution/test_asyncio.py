"""asyncio and trio carry the open task by themselves, threads by OpenTelemetry's instrumentation; late work is late."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest
from opentelemetry.instrumentation.threading import ThreadingInstrumentor

from taskmeter import Task, charge, current_task, track_step, track_task
from tests.attribution.wire import PRICES, Clients
from tests.capture.harness import Meter, attributes

GPT = PRICES["openai"]


@pytest.fixture
def threading_instrumented() -> Iterator[None]:
    instrumentor = ThreadingInstrumentor()
    instrumentor.instrument()
    yield
    instrumentor.uninstrument()


def late(meter: Meter) -> list[str]:
    """Whose spans are marked as late."""
    return [
        attributes(span)["taskmeter.task.name"]
        for kind in ("call", "charge", "tool")
        for span in meter.spans(kind)
        if attributes(span).get("taskmeter.cost.is_late")
    ]


async def call(clients: Clients) -> None:
    await clients.call("openai", "1", asynchronous=True)


def test_gather_and_task_groups(clients: Clients) -> None:
    """Nested tasks side by side: each has its own, the sum is in the one around, none is in another."""

    async def part(count: int) -> Task:
        with track_task("part") as task:
            for _ in range(count):
                await call(clients)
        return task

    async def main() -> None:
        with track_task("whole") as whole:
            parts = await asyncio.gather(*(part(count) for count in range(4)))
            async with asyncio.TaskGroup() as group:
                more = [group.create_task(part(count)) for count in range(4)]
            await call(clients)
        parts += [task.result() for task in more]
        assert [task.cost.total for task in parts] == [count * GPT for count in [*range(4), *range(4)]]
        assert (whole.cost.total, whole.cost.self) == (13 * GPT, GPT)

    asyncio.run(main())


def test_recursion() -> None:
    """A task in a task of its own name: each level has what is below it."""
    tasks: list[Task] = []

    @track_task("solve")
    async def solve(depth: int) -> None:
        task = current_task()
        assert task is not None
        tasks.append(task)
        charge("1")
        if depth:
            await asyncio.gather(solve(depth - 1), solve(depth - 1))

    asyncio.run(solve(3))
    assert [task.cost.total for task in tasks[:2]] == [Decimal(15), Decimal(7)]
    assert sum(task.cost.self for task in tasks) == Decimal(15)


def test_a_cancelled_task_keeps_what_it_cost(clients: Clients, meter: Meter) -> None:
    """Abandoned, all of it waste; the one around it goes on."""

    async def part(started: asyncio.Event) -> None:
        with track_task("part"):
            await call(clients)
            started.set()
            await asyncio.sleep(60)

    async def main() -> Task:
        started = asyncio.Event()
        with track_task("whole") as whole:
            running = asyncio.create_task(part(started))
            await started.wait()
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            await call(clients)
        return whole

    whole = asyncio.run(main())
    assert (whole.cost.total, whole.cost.wasted) == (2 * GPT, GPT)
    [part_span, _] = meter.spans("task")
    assert attributes(part_span)["taskmeter.task.outcome"] == "abandoned"


def test_work_in_the_background_that_outlives_its_task(clients: Clients, meter: Meter) -> None:
    """Booked late to it: not lost, not to the task that is open then, nor to any other."""

    async def background(gate: asyncio.Event) -> None:
        await gate.wait()
        assert current_task() is None
        await call(clients)
        with track_task("nested") as nested:
            await call(clients)
        assert nested.cost.total == GPT

    async def main() -> tuple[Task, Task]:
        gate = asyncio.Event()
        with track_task("first") as first:
            running = asyncio.create_task(background(gate))
        with track_task("second") as second:
            gate.set()
            await running
            await call(clients)
        return first, second

    first, second = asyncio.run(main())
    assert (first.cost.total, first.cost.self, second.cost.total) == (2 * GPT, GPT, GPT)
    assert late(meter) == ["first"]
    assert {
        attributes(s)["taskmeter.task.name"]: attributes(s)["taskmeter.cost.exact"] for s in meter.spans("task")
    } == {
        "first": "0",
        "second": str(GPT),
        "nested": str(GPT),
    }
    assert sum(point.value for point in meter.metric("taskmeter.cost")) == float(3 * GPT)
    assert [point.value for point in meter.metric("taskmeter.late_cost")] == [float(GPT)]


def test_shielded_work(clients: Clients, meter: Meter) -> None:
    """Cancelled outside, going on inside: late."""

    async def main() -> Task:
        shielded: list[asyncio.Future[None]] = []

        async def work() -> None:
            await asyncio.sleep(0.02)
            await call(clients)

        async def cancelled() -> None:
            inner = asyncio.ensure_future(work())
            shielded.append(inner)
            with track_step("wait"):
                await asyncio.shield(inner)

        with track_task("whole") as whole, pytest.raises(TimeoutError):
            await asyncio.wait_for(cancelled(), 0.005)
        await shielded[0]
        return whole

    whole = asyncio.run(main())
    assert whole.cost.total == GPT
    assert late(meter) == ["whole"]


def test_callbacks_of_the_loop() -> None:
    """`call_soon`, `call_later`, `add_done_callback` and `to_thread` belong to whoever asked for them."""

    async def main() -> tuple[Task, Task]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with track_task("whole") as whole:
            loop.call_soon(charge, "1")
            loop.call_later(0.001, charge, "2")
            future.add_done_callback(lambda _: charge("4"))
            await asyncio.to_thread(charge, "8")
        with track_task("other") as other:
            future.set_result(None)
            await asyncio.sleep(0.01)
        return whole, other

    whole, other = asyncio.run(main())
    assert (whole.cost.total, other.cost.total) == (Decimal(15), Decimal(0))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_anyio(backend: str) -> None:
    """Task groups, worker threads and what those call back in, on both event loops."""

    async def part(amount: str) -> None:
        with track_step("part"):
            await anyio.lowlevel.checkpoint()
            charge(amount)

    def in_thread() -> None:
        charge("4")
        anyio.from_thread.run(part, "8")

    async def main() -> tuple[Task, Task]:
        with track_task("whole") as whole:
            async with anyio.create_task_group() as group:
                group.start_soon(part, "1")
                group.start_soon(part, "2")
            await anyio.to_thread.run_sync(in_thread)
            with anyio.move_on_after(0.001), track_task("slow") as slow:
                charge("16")
                await anyio.sleep(60)
        assert current_task() is None
        return whole, slow

    whole, slow = anyio.run(main, backend=backend)
    assert (whole.cost.total, whole.cost.wasted, slow.cost.wasted) == (Decimal(31), Decimal(16), Decimal(16))


def test_threads_by_opentelemetrys_instrumentation(clients: Clients, threading_instrumented: None) -> None:
    """Threads, timers and thread pools carry the task without `carry`."""

    def work() -> None:
        clients.call("openai", "1", asynchronous=False)

    with track_task("whole") as whole:
        threads = [threading.Thread(target=work), threading.Timer(0, work)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: work(), range(5)))
            nested = pool.submit(run_nested, clients).result()
    assert (whole.cost.total, nested.cost.total) == (8 * GPT, GPT)


def run_nested(clients: Clients) -> Task:
    with track_task("nested") as task:
        clients.call("openai", "1", asynchronous=False)
    return task


def test_a_thread_that_nobody_carries_has_no_task(clients: Clients, meter: Meter) -> None:
    """Counted under no task, never under some other's."""
    with track_task("whole") as whole:
        thread = threading.Thread(target=clients.call, args=("openai", "1"), kwargs={"asynchronous": False})
        thread.start()
        thread.join()
    assert whole.cost.total == Decimal(0)
    [span] = meter.spans("call")
    assert "taskmeter.task.id" not in attributes(span)
    assert meter.leaf_sum() == GPT


def test_a_stream_held_when_its_task_ends(clients: Clients, meter: Meter) -> None:
    """Late as well: its span has the money, the task's span does not."""
    with track_task("whole") as whole:
        stream: Any = clients.call("anthropic", "1", asynchronous=False, stream=True)
    with track_task("other") as other:
        list(stream)
    assert (whole.cost.total, other.cost.total) == (PRICES["anthropic"], Decimal(0))
    assert late(meter) == ["whole"]
    [span] = meter.spans("call")
    assert attributes(span)["taskmeter.cost.exact"] == str(PRICES["anthropic"])
