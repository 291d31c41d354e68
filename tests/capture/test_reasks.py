"""Loops of tenacity and stamina: what a repeated attempt cost is a re-ask, and the host sees no difference."""

from __future__ import annotations

import asyncio
import pickle
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import stamina
import tenacity
from opentelemetry import context as otel

from taskmeter import charge, current_task, instrument, track_step, track_task, uninstrument
from tests.capture.harness import Meter

TWO = {"reask": Decimal(3)}
"""Of 1, 2 and 4 in three attempts, what the first two cost."""


@pytest.fixture(autouse=True)
def hooked() -> Iterator[None]:
    instrument()
    yield
    uninstrument()
    assert otel.get_current() == {}


class Work:
    """Costs 1, 2, 4, ... and is no good until it has run `good` times."""

    def __init__(self, good: int = 3, *, raises: bool = True) -> None:
        self.runs = 0
        self._good = good
        self._raises = raises

    def __call__(self) -> int:
        charge(2**self.runs)
        self.runs += 1
        if self._raises and self.runs < self._good:
            raise ValueError(self.runs)
        return self.runs

    async def later(self) -> int:
        await asyncio.sleep(0)
        return self()


def decorated(work: Work) -> Any:
    return tenacity.retry(stop=tenacity.stop_after_attempt(5))(work)()


def called(work: Work) -> Any:
    return tenacity.Retrying(stop=tenacity.stop_after_attempt(5))(work)


def iterated(work: Work) -> Any:
    for attempt in tenacity.Retrying(stop=tenacity.stop_after_attempt(5)):
        with attempt:
            return work()
    return None


def by_result(work: Work) -> Any:
    work._raises = False
    return tenacity.Retrying(retry=tenacity.retry_if_result(lambda found: found < 3))(work)


def try_again(work: Work) -> Any:
    def attempt() -> int:
        try:
            return work()
        except ValueError as error:
            raise tenacity.TryAgain from error

    return tenacity.Retrying()(attempt)


def by_result_of_a_block(work: Work) -> Any:
    work._raises = False
    for attempt in tenacity.Retrying(retry=tenacity.retry_if_result(lambda found: found < 3)):
        with attempt:
            found = work()
        attempt.retry_state.set_result(found)
    return found


def decorated_async(work: Work) -> Any:
    return asyncio.run(tenacity.retry(stop=tenacity.stop_after_attempt(5))(work.later)())


def iterated_async(work: Work) -> Any:
    async def main() -> Any:
        async for attempt in tenacity.AsyncRetrying():
            with attempt:
                return await work.later()
        return None

    return asyncio.run(main())


def entered_async(work: Work) -> Any:
    async def main() -> Any:
        async for attempt in tenacity.AsyncRetrying():
            async with attempt:
                found = await work.later()
        return found

    return asyncio.run(main())


NO_WAIT: Any = {"wait_initial": 0, "wait_max": 0, "wait_jitter": 0}


def stamina_decorated(work: Work) -> Any:
    return stamina.retry(on=ValueError, **NO_WAIT)(work)()


def stamina_iterated(work: Work) -> Any:
    for attempt in stamina.retry_context(on=ValueError, **NO_WAIT):
        with attempt:
            return work()
    return None


def stamina_caller(work: Work) -> Any:
    return stamina.RetryingCaller(**NO_WAIT)(ValueError, work)


def stamina_async(work: Work) -> Any:
    return asyncio.run(stamina.AsyncRetryingCaller(**NO_WAIT)(ValueError, work.later))


LOOPS = [
    decorated,
    called,
    iterated,
    by_result,
    by_result_of_a_block,
    try_again,
    decorated_async,
    iterated_async,
    entered_async,
    stamina_decorated,
    stamina_iterated,
    stamina_caller,
    stamina_async,
]


@pytest.mark.parametrize("loop", LOOPS)
def test_what_a_loop_repeats_is_a_re_ask(loop: Any) -> None:
    """The last attempt, 4, is useful, as is what comes before and after the loop."""
    with track_task("t") as task:
        charge(8)
        assert loop(Work()) == 3
        assert current_task() is task
        charge(16)
    assert (task.cost.waste, task.cost.total, task.reasks) == (TWO, Decimal(31), 2)


@pytest.mark.parametrize("loop", [decorated, iterated, decorated_async, iterated_async, stamina_iterated])
def test_a_loop_that_ends_at_once_wastes_nothing(loop: Any) -> None:
    """Its one attempt gave the answer."""
    with track_task("t") as task:
        assert loop(Work(good=1)) == 1
        charge(16)
    assert (task.cost.waste, task.cost.total, task.reasks) == ({}, Decimal(17), 0)


def test_the_last_attempt_of_a_loop_that_gives_up_is_not_repeated() -> None:
    """It is waste if the task fails for it, and of that class."""
    retrying = tenacity.Retrying(stop=tenacity.stop_after_attempt(2), reraise=True)
    with pytest.raises(ValueError, match="2"), track_task("t") as task:
        retrying(Work())
    assert task.cost.waste == {"reask": Decimal(1), "failed_task": Decimal(2)}


def test_loops_side_by_side_do_not_mix() -> None:
    """Ten of them in asyncio tasks, of 1 to 10 attempts: n of them cost 2**n - 1, of which the last is kept."""

    async def main() -> None:
        async def loop(good: int) -> None:
            await tenacity.retry(retry=tenacity.retry_if_exception_type(ValueError))(Work(good).later)()

        await asyncio.gather(*(loop(good) for good in range(1, 11)))

    with track_task("t") as task:
        asyncio.run(main())
    kept = sum(2 ** (good - 1) for good in range(1, 11))
    assert task.cost.total == sum(2**good - 1 for good in range(1, 11))
    assert task.cost.wasted == task.cost.total - kept
    assert task.reasks == sum(range(10))


def test_a_loop_in_a_loop() -> None:
    """What the inner one repeats is waste once, though the outer repeats that as a whole."""
    outer = Work(good=2)

    def attempt() -> None:
        decorated(Work())
        outer()

    with track_task("t") as task:
        tenacity.Retrying()(attempt)
    # twice 1 + 2 + 4 inside, and 1 + 2 of the outer: all of the first round, and 1 + 2 of the second's inner
    assert (task.cost.total, task.cost.waste) == (Decimal(17), {"reask": Decimal(7 + 1 + 3)})
    assert task.reasks == 5


def test_steps_and_tasks_inside_an_attempt(meter: Meter) -> None:
    """A step of each attempt, and a task: they are where they would be, and are no repeats by themselves."""
    meter.instrument()
    work = Work()

    def attempt() -> None:
        with track_step("draft"), track_task("nested"):
            work()

    with track_task("t") as task:
        tenacity.Retrying()(attempt)
    assert (task.cost.waste, task.reasks) == ({"failed_task": Decimal(3)}, 2)
    steps = meter.spans("step")
    [root] = [span for span in meter.spans("task") if span.name == "invoke_workflow t"]
    assert [step.parent.span_id for step in steps if step.parent] == [root.context.span_id] * 3  # type: ignore[union-attr]


def test_outside_of_any_task_nothing_is_kept() -> None:
    """There is nobody to tell."""
    assert decorated(Work()) == 3


def test_what_an_attempt_leaves_in_the_context_stays() -> None:
    """As it would without us."""

    def attempt() -> None:
        otel.attach(otel.set_value("left", "here"))

    before = otel.get_current()
    with track_task("t"):
        tenacity.Retrying()(attempt)
        assert otel.get_value("left") == "here"
    otel.attach(before)


def test_the_host_sees_its_own_function_and_state() -> None:
    """Callbacks get what they were given, statistics count, a loop is copied and pickled as before."""
    seen: list[Any] = []
    work = Work()
    retrying = tenacity.Retrying(
        before=lambda state: seen.append(("before", state.fn is work, current_task())),
        after=lambda state: seen.append(("after", state.attempt_number, state.outcome.exception().args)),
    )
    with track_task("t") as task:
        retrying(work)
    assert seen == [
        ("before", True, task),
        ("after", 1, (1,)),
        ("before", True, task),
        ("after", 2, (2,)),
        ("before", True, task),
    ]
    assert retrying.statistics["attempt_number"] == 3
    assert pickle.loads(pickle.dumps(tenacity.Retrying())).__class__ is tenacity.Retrying


def test_the_hooks_come_off() -> None:
    """The identical functions are back, and nothing is counted."""
    uninstrument()
    for owner, name in (
        (tenacity.BaseRetrying, "iter"),
        (tenacity.AttemptManager, "__enter__"),
        (tenacity.AttemptManager, "__exit__"),
        (sys.modules["tenacity.asyncio"].AsyncRetrying, "iter"),
    ):
        assert type(owner.__dict__[name]).__name__ == "function"
    with track_task("t") as task:
        decorated(Work())
    assert (task.cost.waste, task.reasks) == ({}, 0)
