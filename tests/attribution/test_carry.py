"""`carry`: what a function spends is its wrapper's, wherever it runs."""

from __future__ import annotations

import asyncio
import gc
import inspect
import pickle
import sys
import threading
import weakref
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as otel

from taskmeter import TaskmeterError, _guard, carry, charge, current_task, track_step, track_task
from taskmeter.errors import UsageError
from tests.attribution.wire import PRICES, Clients
from tests.capture.harness import Meter, attributes

carry_module = sys.modules["taskmeter.scopes.carry"]


def spend(amount: str) -> str:
    """Spends it."""
    charge(amount)
    return amount


async def spend_async(amount: str) -> str:
    await asyncio.sleep(0)
    charge(amount)
    return amount


def spend_stepwise(amount: str) -> Generator[str, str, str]:
    while amount:
        charge(amount)
        amount = yield amount
    return "done"


async def spend_stepwise_async(amount: str) -> AsyncGenerator[str, None]:
    for _ in range(2):
        await asyncio.sleep(0)
        charge(amount)
        yield amount


class Spender:
    def __call__(self, amount: str) -> str:
        return spend(amount)

    def method(self, amount: str) -> str:
        return spend(amount)


def in_thread(work: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@pytest.mark.parametrize(
    "work",
    [spend, Spender(), Spender().method, partial(spend)],
    ids=lambda work: type(work).__name__,
)
def test_anything_that_can_be_called(work: Callable[[str], str]) -> None:
    """In a thread, beside another task there: result and task are right, and that thread's own context comes back."""
    with track_task("whole") as whole:
        carried = carry(work)

    def elsewhere() -> Decimal:
        with track_task("other") as other:
            assert carried("1") == "1"
            assert current_task() is other
            charge("10")
        return other.cost.total

    assert in_thread(elsewhere) == Decimal(10)
    assert whole.cost.total == Decimal(1)


def test_it_is_the_same_kind_of_function() -> None:
    """Frameworks that look at what they are given see the function itself."""
    assert inspect.iscoroutinefunction(carry(spend_async))
    assert inspect.isgeneratorfunction(carry(spend_stepwise))
    assert inspect.isasyncgenfunction(carry(spend_stepwise_async))
    assert not inspect.iscoroutinefunction(carry(spend))
    assert inspect.signature(carry(spend)) == inspect.signature(spend)
    assert (carry(spend).__name__, carry(spend).__doc__) == ("spend", "Spends it.")


def test_a_coroutine_function_in_another_event_loop() -> None:
    """The loop's thread knows nothing of the task."""
    with track_task("whole") as whole:
        carried = carry(spend_async)

        def loop() -> list[str]:
            async def main() -> list[str]:
                return await asyncio.gather(*(carried("1") for _ in range(5)))

            return asyncio.run(main())

        assert in_thread(loop) == ["1"] * 5
    assert whole.cost.total == Decimal(5)


def test_a_generator_does_not_bring_its_task_to_its_consumer() -> None:
    """Between two steps the consumer's own task is current; sent values and the result pass through."""
    with track_task("whole") as whole:
        generator = carry(spend_stepwise)("1")
    with track_task("consumer") as consumer:
        assert next(generator) == "1"
        assert current_task() is consumer
        assert generator.send("2") == "2"
        with pytest.raises(StopIteration) as stop:
            generator.send("")
        assert stop.value.value == "done"
    assert (whole.cost.total, consumer.cost.total) == (Decimal(3), Decimal(0))


def test_an_async_generator_does_not_either() -> None:
    """The same between the steps of an async generator."""

    async def main() -> None:
        with track_task("whole") as whole:
            generator = carry(spend_stepwise_async)("1")
        with track_task("consumer") as consumer:
            async for _ in generator:
                assert current_task() is consumer
        assert (whole.cost.total, consumer.cost.total) == (Decimal(2), Decimal(0))

    asyncio.run(main())


def test_the_innermost_scope_is_what_is_carried(meter: Meter) -> None:
    """Spent in the step that was open, below its span."""
    with track_task("whole") as whole, track_step("draft") as step:
        in_thread(partial(carry(spend), "1"))
    assert (whole.cost.total, step.cost.total) == (Decimal(1), Decimal(1))
    [span] = meter.spans("charge")
    [above] = meter.spans("step")
    assert span.parent is not None
    assert span.parent.span_id == above.context.span_id


def test_an_error_arrives_and_nothing_stays() -> None:
    """Raised through unchanged; the context of the thread is its own again."""

    def fail() -> None:
        raise KeyError("k")

    with track_task("whole"):
        carried = carry(fail)

    def elsewhere() -> bool:
        before = otel.get_current()
        with pytest.raises(KeyError):
            carried()
        return otel.get_current() is before

    assert in_thread(elsewhere)


def test_a_coroutine_closed_elsewhere_leaves_that_place_alone() -> None:
    """As when the garbage collector closes it: what is current there stays."""
    with track_task("whole"):
        coroutine = carry(spend_async)("1")
        coroutine.send(None)  # type: ignore[attr-defined]
    otel.attach(otel.Context())
    with track_task("other") as other:
        coroutine.close()  # type: ignore[attr-defined]
        assert current_task() is other


@pytest.mark.parametrize("how", ["timer", "finalizer", "callback of an event loop"])
def test_callbacks_after_the_end(how: str, meter: Meter) -> None:
    """Booked late to the task they were carried into: marked on the span, counted apart, in the task's own total."""
    done = threading.Event()

    def work() -> None:
        spend("0.5")
        done.set()

    with track_task("whole") as whole:
        charge("2")
        carried = carry(work)
    if how == "timer":
        threading.Timer(0, carried).start()
    elif how == "finalizer":
        weakref.finalize(Spender(), carried)
    else:
        asyncio.run(called_soon(carried))
    assert done.wait(5)
    assert whole.cost.total == Decimal("2.5")
    [in_time, late] = meter.spans("charge")
    assert "taskmeter.cost.is_late" not in attributes(in_time)
    assert attributes(late)["taskmeter.cost.is_late"] is True
    assert attributes(late)["taskmeter.task.id"] == whole.id
    assert late.context.trace_id == in_time.context.trace_id
    [span] = meter.spans("task")
    assert attributes(span)["taskmeter.cost.exact"] == "2"
    assert sum(point.value for point in meter.metric("taskmeter.cost")) == 2.5
    assert [point.value for point in meter.metric("taskmeter.late_cost")] == [0.5]


async def called_soon(work: Callable[[], object]) -> None:
    asyncio.get_running_loop().call_soon(work)
    await asyncio.sleep(0)


def test_outside_any_task_it_changes_nothing() -> None:
    """Carried from nowhere, a function spends under no task, also where one is open."""
    carried = carry(spend)
    with track_task("other") as other:
        carried("1")
    assert other.cost.total == Decimal(0)


def test_what_comes_out_of_a_pickle_knows_the_task_by_name(meter: Meter) -> None:
    """Id, name, key and customer; the trace; the baggage. Its money is not in this process's account of the task."""
    with track_task("whole", key="K-1", customer="acme") as whole:
        sent = pickle.dumps(carry(spend))
        trace_id = trace.get_current_span().get_span_context().trace_id
    pickle.loads(sent)("1")
    [span] = meter.spans("charge")
    found = attributes(span)
    assert {name: found.get(f"taskmeter.{name}") for name in ("task.id", "task.name", "task.key", "customer")} == {
        "task.id": whole.id,
        "task.name": "whole",
        "task.key": "K-1",
        "customer": "acme",
    }
    assert found["taskmeter.task.remote"] is True
    assert span.context.trace_id == trace_id
    assert whole.cost.total == Decimal(0)
    [point] = meter.metric("taskmeter.cost")
    assert (point.value, point.attributes["taskmeter.task.name"]) == (1, "whole")
    assert meter.metric("taskmeter.late_cost") == []


def told() -> object:
    return current_task(), baggage.get_all()


def test_a_pickled_function_passes_the_task_on() -> None:
    """To services it calls, and through a second pickle. The task itself is not open there."""
    with track_task("whole", key="K-1") as whole:
        once = pickle.loads(pickle.dumps(carry(told)))
    task, entries = once()
    assert task is None
    assert entries == {"taskmeter.task.id": whole.id, "taskmeter.task.name": "whole", "taskmeter.task.key": "K-1"}
    assert pickle.loads(pickle.dumps(once))() == (task, entries)


def test_a_pickled_function_without_a_task() -> None:
    """Arrives as it is."""
    assert pickle.loads(pickle.dumps(carry(told)))() == (None, {})


def test_what_cannot_be_called_is_refused() -> None:
    """Most likely it was called too early."""
    with pytest.raises(UsageError, match=r"carry\('1'\): pass the function itself, not what it returns"):
        carry(spend("1"))  # type: ignore[arg-type]
    assert issubclass(UsageError, TaskmeterError)


def test_calls_in_a_pool_of_threads(clients: Clients) -> None:
    """Of both SDKs, each booked once."""
    with track_task("whole") as whole, ThreadPoolExecutor(4) as pool:
        call = carry(partial(clients.call, asynchronous=False))
        list(pool.map(call, ["openai", "anthropic", "native"] * 4, "1" * 12))
    assert whole.calls == 12
    assert whole.cost.total == 4 * sum(PRICES.values())


def test_it_is_an_iterator_that_can_be_dropped(meter: Meter) -> None:
    """A carried generator that nobody finishes is closed like any other."""
    unwound: list[Decimal] = []

    def body() -> Iterator[int]:
        try:
            yield 1
        finally:
            charge("1")

    with track_task("whole") as whole:
        generator = carry(body)()
        next(generator)
        del generator
        gc.collect()
        unwound.append(whole.cost.total)
    assert unwound == [Decimal(1)]


def broken(*_: object, **__: object) -> Any:
    raise LookupError


@pytest.mark.parametrize(
    ("target", "name", "place"),
    [(carry_module, "current_scope", "scopes.carry"), (carry_module, "with_scope", "scopes.arrive")],
)
def test_a_fault_of_ours_costs_the_identity_only(
    target: Any, name: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function is pickled and runs all the same."""
    monkeypatch.setattr(_guard, "strict", False)
    monkeypatch.setattr(_guard, "faults", Counter())
    monkeypatch.setattr(target, name, broken)
    with track_task("whole"):
        sent = pickle.dumps(carry(told))
    assert pickle.loads(sent)() == (None, {})
    assert set(_guard.faults) == {place}
