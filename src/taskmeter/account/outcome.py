"""What an ending says about a task when the application says nothing, and what is said of a task from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from taskmeter.account.budget import BudgetExceeded
from taskmeter.records import Charge, Outcome

SUCCEEDED = Outcome("succeeded")


def outcome_of(error: BaseException | None) -> Outcome:
    """The default outcome of a scope that ended with `error`, or without one.

    An `Exception` fails it. Anything else (`CancelledError`, `GeneratorExit`, `KeyboardInterrupt`) is somebody
    stopping the work: abandoned. The reason is the type only; a message may hold a prompt or a secret. A budget says
    which of its limits was reached.
    """
    if error is None:
        return SUCCEEDED
    if isinstance(error, BudgetExceeded):
        return Outcome("failed", reason=f"budget: {error.reason}")
    return Outcome("failed" if isinstance(error, Exception) else "abandoned", reason=type(error).__name__)


@dataclass(frozen=True, slots=True)
class OutcomeRecord:
    """An outcome said of a task by whoever knows it, whenever. Never changed: a later one counts instead."""

    outcome: Outcome
    at_ns: int
    """When it became known: Unix time."""
    sequence: int
    """The order of those of one time in one process."""
    task_id: str | None = None
    """The task meant. Exactly one of `task_id` and `key` is there."""
    key: str | None = None
    name: str | None = None
    """Of the tasks with that key only those of this name are meant."""
    charge: Charge | None = None
    """The price of its human minutes, where a rate is known."""
