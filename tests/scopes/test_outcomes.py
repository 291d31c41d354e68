"""What becomes of a task, by default and by word."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from taskmeter.errors import UsageError
from taskmeter.records import Outcome
from taskmeter.scopes import charge, current_task, track_step, track_task


@pytest.mark.parametrize(
    ("error", "outcome", "wasted"),
    [
        (None, "succeeded", "0"),
        (LookupError(), "failed", "2"),
        (asyncio.CancelledError(), "abandoned", "2"),
        (GeneratorExit(), "abandoned", "2"),
        (KeyboardInterrupt(), "abandoned", "2"),
        (SystemExit(1), "abandoned", "2"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_the_default_outcome(error: BaseException | None, outcome: str, wasted: str, spans: Any) -> None:
    """No exception succeeds, an `Exception` fails, being stopped abandons; the last two make the cost waste."""

    def work() -> None:
        with track_task("work"):
            charge("2")
            if error is not None:
                raise error

    if error is None:
        work()
    else:
        with pytest.raises(type(error)) as caught:
            work()
        assert caught.value is error
    attributes = spans.only("invoke_workflow work")
    assert attributes["taskmeter.task.outcome"] == outcome
    assert attributes.get("taskmeter.task.outcome.reason") == (None if error is None else type(error).__name__)
    assert attributes["taskmeter.cost.wasted.exact"] == wasted


def test_a_cancelled_coroutine_is_abandoned(spans: Any) -> None:
    """asyncio's cancellation arrives as it would without us, and the task is abandoned."""

    @track_task
    async def work() -> None:
        await asyncio.sleep(60)

    async def main() -> bool:
        running = asyncio.create_task(work())
        await asyncio.sleep(0)
        running.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await running
        return running.cancelled()

    assert asyncio.run(main())
    assert spans.only("invoke_workflow work")["taskmeter.task.outcome"] == "abandoned"


@pytest.mark.parametrize(
    ("say", "outcome", "wasted"),
    [
        (lambda task: task.succeed(value="12.50", reason="paid"), Outcome("succeeded", "paid", Decimal("12.50")), 0.0),
        (lambda task: task.succeed(), Outcome("succeeded"), 0.0),
        (lambda task: task.succeed(value=-3), Outcome("succeeded", None, Decimal(-3)), 0.0),
        (lambda task: task.fail("no such order"), Outcome("failed", "no such order"), 2.0),
        (lambda task: task.abandon("customer left"), Outcome("abandoned", "customer left"), 2.0),
        (lambda task: task.pending("in review"), Outcome("pending", "in review"), 0.0),
    ],
    ids=["succeed, all said", "succeed", "succeed at a loss", "fail", "abandon", "pending"],
)
@pytest.mark.parametrize("raises", [False, True])
def test_a_said_outcome_wins(say: Any, outcome: Outcome, wasted: float, raises: bool, spans: Any) -> None:
    """What the application says is what is exported, whether or not something is raised after."""
    try:
        with track_task("work") as task:
            charge("2")
            say(task)
            if raises:
                raise LookupError
    except LookupError:
        pass
    assert task.outcome == outcome
    attributes = spans.only("invoke_workflow work")
    assert attributes["taskmeter.task.outcome"] == outcome.status
    assert attributes.get("taskmeter.task.outcome.reason") == outcome.reason
    assert attributes.get("taskmeter.task.value") == (None if outcome.value is None else float(outcome.value))
    assert attributes["taskmeter.cost.wasted"] == wasted


def test_the_last_word_counts(spans: Any) -> None:
    """An outcome may be revised while the task is open."""
    with track_task("work") as task:
        task.fail("first try")
        task.succeed()
    assert spans.only("invoke_workflow work")["taskmeter.task.outcome"] == "succeeded"
    assert "taskmeter.task.outcome.reason" not in spans.only("invoke_workflow work")


def test_a_decorated_function_finds_its_task() -> None:
    """`current_task()` is where a function says what came of it."""

    @track_task
    def work() -> Outcome | None:
        task = current_task()
        assert task is not None
        task.fail("no such order")
        return task.outcome

    assert work() == Outcome("failed", "no such order")


@pytest.mark.parametrize("verb", ["succeed", "fail", "abandon", "pending"])
def test_an_ended_task_takes_no_outcome(verb: str) -> None:
    """Too late is an error that says what to do; the outcome stays what it was."""
    with track_task("work") as task:
        pass
    with pytest.raises(UsageError, match=r"task 'work' has ended.*say it inside the task"):
        getattr(task, verb)()
    assert task.outcome == Outcome("succeeded")


def test_an_ended_task_can_still_be_read() -> None:
    """Figures, names and repr are right after the end."""
    with track_task("work", key="T-1", customer="acme") as task:
        charge("0.25", category="tools")
    assert (task.name, task.key, task.customer, len(task.id)) == ("work", "T-1", "acme", 32)
    assert (task.cost.total, task.cost.tools, task.cost.currency) == (Decimal("0.25"), Decimal("0.25"), "USD")
    assert (task.calls, task.attempts, task.retries, task.tool_runs, task.unpriced_calls) == (0, 0, 0, 0, 0)
    assert task.usage.input_tokens == 0
    assert repr(task) == f"<Task 'work' id={task.id} cost=0.25 USD>"


def test_a_discarded_step_is_waste_of_its_task(spans: Any) -> None:
    """`discard` makes what the step cost, and will still cost, waste: of the step and of the task around it."""
    with track_task("work") as task:
        with track_step("draft") as step:
            charge("1")
            step.discard("failed validation")
            charge("2")
        charge("4")
    assert (step.discarded, step.discard_reason) == (True, "failed validation")
    assert (step.cost.wasted, task.cost.wasted, task.cost.total) == (Decimal(3), Decimal(3), Decimal(7))
    attributes = spans.only("step draft")
    assert attributes["taskmeter.step.discarded"] is True
    assert attributes["taskmeter.step.discarded.reason"] == "failed validation"


def test_a_step_that_raises_is_not_waste_by_itself(spans: Any) -> None:
    """Only a discarded step is: its error may be part of the plan."""

    @track_step("draft")
    def draft() -> None:
        charge("1")
        raise LookupError

    with track_task("work") as task, pytest.raises(LookupError):
        draft()
    assert task.cost.wasted == Decimal(0)
    assert spans.only("step draft")["taskmeter.step.discarded"] is False
    assert spans.only("step draft")["error.type"] == "LookupError"
