"""The tasks that a forecast is made from: the outermost ones that have ended, with all that is nested in them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias

from taskmeter.errors import UsageError
from taskmeter.records import ZERO, total
from taskmeter.reports.coverage import SUMS, Coverage, coverage_of, read_price_data
from taskmeter.reports.engine import cohort
from taskmeter.reports.engine.warehouse import Warehouse

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

_ONE_ROW_A_TASK: Final = ("name", "customer", "version")
# What is unknown of a cost is left out of it, here and in the sums: all is a lower bound then.
_TASKS = """
SELECT number, CAST(coalesce(cost, zero()) AS DOUBLE) AS cost, CAST(outcome = 'succeeded' AS DOUBLE) AS succeeded
FROM cohort JOIN pilot_groups USING (grouped) WHERE parent IS NULL AND NOT is_open ORDER BY start_ns, id
"""
_GROUPS = f"""
CREATE OR REPLACE TEMP TABLE pilot_groups AS
SELECT grouped, row_number() OVER (ORDER BY sum(cost) DESC NULLS LAST, grouped) - 1 AS number, {SUMS},
    count(cost) AS priced, count(*) FILTER (outcome = 'succeeded') AS succeeded
FROM cohort WHERE parent IS NULL AND NOT is_open GROUP BY grouped
"""
_OPEN = "SELECT count(*) AS tasks, sum(cost) AS spent FROM cohort WHERE parent IS NULL AND is_open"


@dataclass(frozen=True, slots=True)
class Group:
    """The tasks of one name, or of one customer, version or label."""

    name: str
    tasks: int
    succeeded: int
    pending: int
    unpriced: int
    """Tasks in which a call has no price: they are in `spent` with what is known."""
    spent: Decimal | None
    """`None` where nothing could be priced."""
    estimated: Decimal


@dataclass(frozen=True, slots=True)
class Pilot:
    """By falling spend the groups, and the tasks in order of time."""

    currency: str
    groups: tuple[Group, ...]
    number: NDArray[np.int64]
    """Of each task, the place of its group in `groups`."""
    cost: Floats
    succeeded: Floats
    """1 or 0."""
    unfinished: int
    """Tasks that have not ended, which are in nothing else here."""
    unfinished_spent: Decimal
    outside: Decimal
    """What was spent in no task, likewise."""
    price_data: str | None
    """As in `Coverage`."""

    def coverage(self, groups: tuple[Group, ...]) -> Coverage:
        """Of the tasks of some groups."""
        return coverage_of(
            tasks=sum(group.tasks for group in groups),
            unpriced=sum(group.unpriced for group in groups),
            pending=sum(group.pending for group in groups),
            spent=total(group.spent or ZERO for group in groups),
            estimated=total(group.estimated for group in groups),
            price_data=self.price_data,
        )


def read_pilot(warehouse: Warehouse, by: str, since_ns: int | None, until_ns: int | None) -> Pilot:
    """Reads the tasks that began in a window.

    Raises `UsageError` for a group that a task is not in as a whole, and when no task has ended.
    """
    if by not in _ONE_ROW_A_TASK and not by.startswith(cohort.LABEL):
        raise UsageError(f"--by {by!r} cannot be forecast; there are {', '.join(_ONE_ROW_A_TASK)} and label:NAME")
    cohort.make_cohort(warehouse, by, since_ns, until_ns)
    warehouse.run(_GROUPS)
    groups = tuple(
        Group(
            name=found["grouped"],
            tasks=found["tasks"],
            succeeded=found["succeeded"],
            pending=found["pending"],
            unpriced=found["unpriced"],
            spent=warehouse.known(found["spent"]) if found["priced"] else None,
            estimated=warehouse.known(found["estimated"]),
        )
        for found in warehouse.ask("SELECT * FROM pilot_groups ORDER BY number")
    )
    if not groups:
        raise UsageError("No task has ended in this window, so there is nothing to forecast from")
    tasks = warehouse.arrays(_TASKS)
    (still_open,) = warehouse.ask(_OPEN)
    (outside,) = warehouse.ask(cohort.OUTSIDE, {"since": since_ns, "until": until_ns})
    return Pilot(
        currency=warehouse.currency,
        groups=groups,
        number=tasks["number"],
        cost=warehouse.floats(tasks["cost"]),
        succeeded=tasks["succeeded"],
        unfinished=still_open["tasks"],
        unfinished_spent=warehouse.known(still_open["spent"]),
        outside=warehouse.known(outside["spent"]),
        price_data=read_price_data(warehouse, since_ns, until_ns),
    )
