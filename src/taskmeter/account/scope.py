"""An open task or step: who it is and where its money is booked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from taskmeter.account.ledger import Ledger
from taskmeter.records import Outcome


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
    process: int = field(default_factory=os.getpid)
    """Where its ledger is; a forked process has but a copy."""

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
