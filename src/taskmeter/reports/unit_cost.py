"""`taskmeter report`: what a task of each name costs, and what a succeeded one does.

A row's money is that of its tasks with all that is nested in them, counted once where a task of the same name is
nested in another. The total adds own costs, so that each dollar is in it once. Percentiles are nearest-rank: the
cost of a task there really was.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Literal

from taskmeter.records import ZERO, add, divide, subtract, total
from taskmeter.reports.relations import Leaf, Relations, Task

_MONEY = Context(prec=60)
_QUOTIENT = Decimal("1e-12")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCost:
    """One row. Amounts are exact, in the report's currency."""

    name: str
    kind: Literal["task", "unfinished", "no_task", "total"]
    """`unfinished`: spending of tasks that have no record of their own yet. `no_task`: outside any task."""
    tasks: int
    succeeded: int = 0
    failed: int = 0
    abandoned: int = 0
    pending: int = 0
    total: Decimal | None
    """`None` when nothing could be priced; a lower bound if there are `unpriced_calls`."""
    cost_per_success: Decimal | None = None
    """All of `total`, failures included, over `succeeded`, to 12 decimals; `None` without a success."""
    p50: Decimal | None = None
    p95: Decimal | None = None
    calls: int
    retries: int
    wasted: Decimal
    wasted_share: float | None
    """Of `total`, 0 to 1; `None` when `total` is nothing."""
    estimated: Decimal
    estimated_share: float | None
    unpriced_calls: int
    exposed_attempts: int
    """HTTP requests without an answer that may be billed all the same: nothing of theirs is in `total`."""


@dataclass(frozen=True, slots=True)
class UnitCostReport:
    """Rows by falling total, what is in no finished task, the total, and what to know when reading them."""

    currency: str
    rows: tuple[UnitCost, ...]
    total: UnitCost
    notes: tuple[str, ...]


def unit_cost(relations: Relations) -> UnitCostReport:
    """Makes the report."""
    by_name: dict[str, list[Task]] = defaultdict(list)
    for task in relations.tasks.values():
        by_name[task.name].append(task)
    rows = [_task_row(name, tasks, relations) for name, tasks in by_name.items()]
    rows.sort(key=lambda row: (-(row.total or ZERO), row.name))
    unfinished = [leaf for leaf in relations.leaves if leaf.task_id and leaf.task_id not in relations.tasks]
    outside = [leaf for leaf in relations.leaves if not leaf.task_id]
    if unfinished:
        count = len({leaf.task_id for leaf in unfinished})
        rows.append(_leaf_row("(unfinished)", "unfinished", count, unfinished, relations))
    if outside:
        rows.append(_leaf_row("(no task)", "no_task", 0, outside, relations))
    whole = _total_row(rows, relations)
    return UnitCostReport(relations.currency, tuple(rows), whole, tuple(_notes(whole, rows, relations)))


def nearest_rank(amounts: Sequence[Decimal], percent: int) -> Decimal | None:
    """The smallest of the sorted `amounts` that at least `percent` % of them do not exceed; `None` for none."""
    return amounts[max(0, -(-len(amounts) * percent // 100) - 1)] if amounts else None


def _task_row(name: str, tasks: Sequence[Task], relations: Relations) -> UnitCost:
    outermost = [task for task in tasks if all(around.name != name for around in relations.ancestors(task))]
    outcomes = Counter(task.outcome for task in tasks)
    known = sorted(task.cost for task in tasks if task.cost is not None)
    spent = total(task.cost for task in outermost if task.cost is not None) if known else None
    wasted = total(task.wasted for task in outermost)
    estimated = total(task.estimated for task in outermost)
    succeeded = outcomes["succeeded"]
    return UnitCost(
        name=name,
        kind="task",
        tasks=len(tasks),
        succeeded=succeeded,
        failed=outcomes["failed"],
        abandoned=outcomes["abandoned"],
        pending=outcomes["pending"],
        total=spent,
        cost_per_success=_quotient(spent, succeeded) if spent is not None and succeeded else None,
        p50=nearest_rank(known, 50),
        p95=nearest_rank(known, 95),
        calls=sum(task.calls for task in outermost),
        retries=sum(task.retries for task in outermost),
        wasted=wasted,
        wasted_share=_share(wasted, spent),
        estimated=estimated,
        estimated_share=_share(estimated, spent),
        unpriced_calls=sum(task.unpriced_calls for task in outermost),
        exposed_attempts=sum(task.exposed_attempts for task in outermost),
    )


def _leaf_row(
    name: str, kind: Literal["unfinished", "no_task"], tasks: int, leaves: Sequence[Leaf], relations: Relations
) -> UnitCost:
    known = [leaf for leaf in leaves if leaf.cost is not None]
    unpriced = sum(leaf.status == "unpriced" for leaf in leaves)
    spent = _costs(known) if known or not unpriced else None
    wasted = _costs(leaf for leaf in known if relations.is_wasted(leaf))
    estimated = _costs(leaf for leaf in known if leaf.status == "estimated")
    return UnitCost(
        name=name,
        kind=kind,
        tasks=tasks,
        total=spent,
        calls=sum(leaf.kind == "call" for leaf in leaves),
        retries=sum(leaf.retries for leaf in leaves),
        wasted=wasted,
        wasted_share=_share(wasted, spent),
        estimated=estimated,
        estimated_share=_share(estimated, spent),
        unpriced_calls=unpriced,
        exposed_attempts=sum(leaf.exposed_attempts for leaf in leaves),
    )


def _total_row(rows: Sequence[UnitCost], relations: Relations) -> UnitCost:
    outermost = [task for task in relations.tasks.values() if not any(relations.ancestors(task))]
    others = [row for row in rows if row.kind != "task"]
    priced = any(row.total is not None for row in rows) or not rows
    own = total(task.own for task in relations.tasks.values())
    spent = add(own, total(row.total or ZERO for row in others)) if priced else None
    wasted = add(total(task.wasted for task in outermost), total(row.wasted for row in others))
    estimated = add(total(task.estimated for task in outermost), total(row.estimated for row in others))
    return UnitCost(
        name="TOTAL",
        kind="total",
        tasks=sum(row.tasks for row in rows),
        succeeded=sum(row.succeeded for row in rows),
        failed=sum(row.failed for row in rows),
        abandoned=sum(row.abandoned for row in rows),
        pending=sum(row.pending for row in rows),
        total=spent,
        calls=sum(task.calls for task in outermost) + sum(row.calls for row in others),
        retries=sum(task.retries for task in outermost) + sum(row.retries for row in others),
        wasted=wasted,
        wasted_share=_share(wasted, spent),
        estimated=estimated,
        estimated_share=_share(estimated, spent),
        unpriced_calls=sum(task.unpriced_calls for task in outermost) + sum(row.unpriced_calls for row in others),
        exposed_attempts=sum(task.exposed_attempts for task in outermost) + sum(row.exposed_attempts for row in others),
    )


def _costs(leaves: Iterable[Leaf]) -> Decimal:
    return total(leaf.cost for leaf in leaves if leaf.cost is not None)


def _quotient(amount: Decimal, count: int) -> Decimal:
    return divide(amount, Decimal(count)).quantize(_QUOTIENT, ROUND_HALF_EVEN, _MONEY)


def _share(part: Decimal, whole: Decimal | None) -> float | None:
    return round(float(divide(part, whole)), 6) if whole else None


def _notes(whole: UnitCost, rows: Iterable[UnitCost], relations: Relations) -> Iterable[str]:
    if whole.unpriced_calls:
        yield f"{_plural(whole.unpriced_calls, 'call')} could not be priced: totals that include one are lower bounds."
    if whole.exposed_attempts:
        yield exposed_note(whole.exposed_attempts)
    if relations.unreadable_costs:
        yield f"{_plural(relations.unreadable_costs, 'amount')} in the spool could not be read and count as unknown."
    if any(row.kind == "task" and row.total is None for row in rows):
        yield "unpriced: none of the calls of these tasks could be priced."
    yield from missing_notes(relations, relations.missing())


def exposed_note(attempts: int) -> str:
    """What to say about attempts that got no answer."""
    return f"{_plural(attempts, 'HTTP request')} got no answer and may be billed all the same: not in any total."


def missing_notes(relations: Relations, missing: dict[str, Decimal]) -> Iterable[str]:
    """What to say about tasks whose total is not the sum of the spans recorded in them."""
    gaps = [
        gap
        for task_id, gap in missing.items()
        if all(around.id not in missing for around in relations.ancestors(relations.tasks[task_id]))
    ]
    lost = [gap for gap in gaps if gap > 0]
    if lost:
        yield (
            f"{_plural(len(lost), 'task')}: the spans recorded inside add up to {total(lost):f} {relations.currency} "
            "less than the task's total (sampled, lost or not yet flushed); totals are the tasks' own."
        )
    late = [gap for gap in gaps if gap < 0]
    if late:
        more = subtract(ZERO, total(late))
        yield (
            f"{_plural(len(late), 'task')}: the spans recorded inside add up to {more:f} {relations.currency} "
            "more than the task's total (spent after the task had ended, or in another process)."
        )


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
