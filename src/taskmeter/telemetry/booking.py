"""Booking to a scope's ledger, and counting at once what no task will count when it ends."""

from __future__ import annotations

import os

from taskmeter._guard import guarded
from taskmeter.account import Entry, LedgerLine, Scope, elsewhere
from taskmeter.telemetry import providers


def book(scope: Scope | None, entry: Entry) -> None:
    """Books `entry` to `scope`. A task counts its spending when it ends, with its waste known; money that belongs to
    no task, or comes after its task has ended, is counted now."""
    task = None
    if scope is not None and scope.process != os.getpid():  # remembered from before a fork
        scope = None if scope.task is None else elsewhere(scope.task)
    if scope is not None:
        task, lines = scope.task, scope.ledger.book(entry)
    else:
        lines = [
            LedgerLine(each.category, each.item, each.amount, {entry.waste: each.amount} if entry.waste else {})
            for each in entry.charges
        ]
    if lines:
        with guarded("telemetry.spent"):
            late = task is not None and not task.remote
            providers.account_instruments().spent(lines, task.name if task is not None else None, late=late)
