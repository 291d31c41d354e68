"""How sure the cost of a success and the mean of each row are, from sums that SQL makes: a million tasks are as quick
as ten, and thousands of rows as one, which no bootstrap is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from taskmeter.reports.intervals import Interval, Sums, rounded, skewed_ratio
from taskmeter.reports.notes import heavy_note
from taskmeter.reports.text import plain

if TYPE_CHECKING:
    from taskmeter.reports.engine.warehouse import Warehouse

LEAST: Final = 10
"""Tasks that an interval takes."""
LEAST_SUCCESSES: Final = 5
HEAVY: Final = 0.2
"""The share of all money on one task from which on an interval may be too narrow."""

# c: what a task cost; x: the same, but nothing where its money is in that of one around it.
_MOMENTS: Final = """
SELECT grouped, count(*) AS tasks, count(*) FILTER (ok) AS succeeded, sum(x) AS x, sum(x * x) AS x2,
    sum(x * x * x) AS x3, sum(x) FILTER (ok) AS x_ok, sum(x * x) FILTER (ok) AS x2_ok, max(x) AS top_x,
    arg_max(ok, x) AS top_ok, count(c) AS priced, sum(c) AS c, sum(c * c) AS c2, sum(c * c * c) AS c3, max(c) AS top
FROM (
    SELECT grouped, CAST(cost AS DOUBLE) AS c, outcome = 'succeeded' AS ok,
        CAST(CASE WHEN is_outer THEN coalesce(cost, zero()) ELSE zero() END AS DOUBLE) AS x
    FROM cohort WHERE NOT is_open
)
GROUP BY grouped
"""


@dataclass(frozen=True, slots=True)
class RowIntervals:
    """At 95 %, of one row; `None` for too few tasks."""

    per_success: Interval | None
    mean: Interval | None
    top_share: float | None
    """Of what all its tasks cost: the part of the costliest."""

    def ends(self) -> dict[str, float]:
        """As fields of `UnitCost`."""
        known = {"cost_per_success": self.per_success, "mean": self.mean}
        return {
            f"{name}_{end}": rounded(getattr(interval, end))
            for name, interval in known.items()
            if interval is not None
            for end in ("low", "high")
        }


def read_intervals(warehouse: Warehouse) -> dict[str, RowIntervals]:
    """By row of the table `cohort`, of tasks that have ended."""
    unit = float(warehouse.floats(1.0))
    return {found["grouped"]: _of_row(found, unit) for found in warehouse.ask(_MOMENTS)}


def _of_row(found: Mapping[str, Any], unit: float) -> RowIntervals:
    def known(name: str, power: int = 1) -> float:
        return (found[name] or 0.0) * unit**power

    count, priced, succeeded = found["tasks"], found["priced"], found["succeeded"]
    per_success = mean = None
    if priced >= LEAST:
        sums = Sums(priced, known("c"), known("c2", 2), known("c3", 3), priced, known("c"), known("c2", 2))
        mean = skewed_ratio(sums, known("top"), largest_counts=True)
        if succeeded >= LEAST_SUCCESSES:
            of_ok = (known("x_ok"), known("x2_ok", 2))
            sums = Sums(count, known("x"), known("x2", 2), known("x3", 3), succeeded, *of_ok)
            per_success = skewed_ratio(sums, known("top_x"), largest_counts=found["top_ok"])
    return RowIntervals(per_success, mean, found["top"] / found["c"] if found["c"] else None)


def doubts(rows: Iterable[str], intervals: Mapping[str, RowIntervals]) -> Iterable[str]:
    """What to say about rows whose intervals rest on one task."""
    for name in rows:
        if (share := intervals[name].top_share) is not None and share >= HEAVY:
            yield heavy_note(plain(name), share)
