"""An open task or step: who it is and where its money is booked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from taskmeter.account.ledger import Ledger
from taskmeter.account.repeats import Answers, ToolRuns
from taskmeter.account.sent import Sent
from taskmeter.records import Outcome

MOST_STEPS: Final = 256
"""Names of steps that an open scope tells apart, to see which is a repeat."""


@dataclass(frozen=True, slots=True)
class TaskIdentity:
    """Who a task is. Everything started inside carries it."""

    id: str
    name: str
    key: str | None = None
    customer: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    parent_id: str | None = None
    remote: bool = False
    """Whether it was opened in another process: that one sums it up, here it is a name to book under."""


@dataclass(slots=True, eq=False, weakref_slot=True)
class Scope:
    """An open task (`step` is `None`) or an open step."""

    task: TaskIdentity | None
    """The task it is, or is in; `None` for a step outside any task."""
    ledger: Ledger
    parent: Scope | None = None
    step: str | None = None
    outcome: Outcome | None = None
    """What was said of a task so far, and what it came to when it ended."""
    closed: bool = False
    purse: object = None
    """Of a task under budgets, and of its steps: the `Purse` that it spends from."""
    partial: Any = None
    """Of a task: what the application said there is of its result, for who catches `BudgetExceeded`."""
    held: list[Any] = field(default_factory=list[Any])
    """Of a task: what is to be pictured when it ends. Not for the account."""
    rejected: bool = False
    """Of a step: whether it was discarded, or ended with an exception."""
    reask_reason: str | None = None
    """Why the last answer in it was rejected."""
    steps: dict[str, Scope] = field(default_factory=dict[str, Any])
    """The last step of each name that was opened inside."""
    beside: bool = False
    """Of a step: whether another of its name was open at the same time, so that none is a repeat of the other."""
    inside: set[Scope] = field(default_factory=set[Any])
    """The steps, and attempts of retry loops, that are open directly inside."""
    parallel: bool = False
    """Of a step: whether another was open at the same time, so that what is done in either follows from nothing in the
    other."""
    sent: Sent | None = None
    """Of a task that is open: what its calls have sent so far."""
    answers: Answers | None = None
    """Of a task that is open: what it has asked and got."""
    runs: ToolRuns | None = None
    """Of a task, or a step that is `parallel`, that is open: its last tool runs."""
    process: int = field(default_factory=os.getpid)
    """Where its ledger is; a forked process has but a copy."""

    def end(self) -> None:
        """Nothing is opened inside any more."""
        self.closed, self.partial = True, None
        self.steps.clear()  # they know this scope: let go, so that no cycle is left to collect
        self.inside.clear()
        self.sent = self.answers = self.runs = None
        if self.parent is not None:
            self.parent.inside.discard(self)

    def within(self, step: str, *, is_attempt: bool = False) -> Scope:
        """A new step inside, which books here and spends from the same purse; or an attempt of a retry loop, of which
        the application does not know."""
        ledger, beside = Ledger(self.ledger, is_task=False, is_attempt=is_attempt), tuple(self.inside)
        scope = Scope(self.task, ledger, self, step, purse=self.purse, parallel=bool(beside))
        for other in beside:
            other.parallel = True
        if not self.closed and len(beside) < MOST_STEPS:
            self.inside.add(scope)
        return scope

    def opens(self, name: str, step: Scope) -> None:
        """`step` is opened inside. What the one before it of that name cost is waste, if that was rejected."""
        before = self.steps.pop(name, None)  # by one thread only
        if before is not None and not before.closed:
            before.beside = step.beside = True
        elif before is not None and before.rejected and not before.beside:
            before.ledger.reask()
        if len(self.steps) < MOST_STEPS:
            self.steps[name] = step

    @property
    def owner(self) -> Scope:
        """The scope of the task it is or is in; of a step outside any task the outermost step around it."""
        scope = self
        while scope.step is not None and scope.parent is not None:
            scope = scope.parent
        return scope

    @property
    def branch(self) -> Scope:
        """What is done one after the other: the innermost step around that is `parallel`, else the task."""
        scope = self
        while scope.step is not None and scope.parent is not None and not scope.parallel:
            scope = scope.parent
        return scope

    @property
    def is_late(self) -> bool:
        """Whether its task has ended here, so that what is booked now is not in its roll-up."""
        return self.task is not None and not self.task.remote and self.ledger.is_drained


def elsewhere(task: TaskIdentity) -> Scope:
    """A scope for what is done here for `task`, which is open in another process. Its ledger gives back each entry at
    once, as nobody will sum it up."""
    ledger = Ledger()
    ledger.drain()
    return Scope(task if task.remote else replace(task, remote=True), ledger)


def partial_of(scope: Scope | None) -> Any:
    """What the innermost task from `scope` outwards that said so has of its result; `None` if none did."""
    while scope is not None and scope.partial is None:
        scope = scope.parent
    return None if scope is None else scope.partial
