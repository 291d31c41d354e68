"""`taskmeter report`: what a task of each name costs, and what a succeeded one does.

A row's money is that of its tasks with all that is nested in them, counted once where a task of the same name is
nested in another. The total adds own costs, so that each dollar is in it once. Percentiles are nearest-rank: the
cost of a task there really was.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Literal, TypeAlias, TypeVar

from taskmeter.records import ZERO, add, divide, total
from taskmeter.reports.outcomes import Outcome, outcome_notes
from taskmeter.reports.relations import Relations
from taskmeter.reports.rows import Leaf, Task
from taskmeter.reports.text import plain

_MONEY = Context(prec=60)
_QUOTIENT = Decimal("1e-12")


Amount: TypeAlias = Literal["total", "cost_per_success", "p50", "p95", "wasted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCost:
    """One row. Amounts are exact, in the report's currency."""

    name: str
    kind: Literal["task", "unfinished", "no_task", "total"]
    """`unfinished`: tasks of which only what is inside is recorded: killed, or still open. `no_task`: outside any."""
    tasks: int
    succeeded: int = 0
    failed: int = 0
    abandoned: int = 0
    pending: int = 0
    unfinished: int = 0
    total: Decimal | None
    """`None` when nothing could be priced; a lower bound if there are `unpriced_calls`."""
    late: Decimal = ZERO
    """The part of `total` that was booked after its task had ended, or in another process."""
    cost_per_success: Decimal | None = None
    """All of `total`, failures included, over `succeeded`, to 12 decimals; `None` without a success."""
    p50: Decimal | None = None
    p95: Decimal | None = None
    calls: int
    retries: int
    wasted: Decimal | None
    """`None` where `total` is, like `estimated`."""
    wasted_share: float | None
    """Of `total`, 0 to 1; `None` when `total` is nothing."""
    estimated: Decimal | None
    estimated_share: float | None
    unpriced_calls: int
    exposed_attempts: int
    """HTTP requests without an answer that may be billed all the same: nothing of theirs is in `total`."""
    human_minutes: Decimal = ZERO
    """Time that people spent, priced or not."""
    value: Decimal | None = None
    """What the results are worth in all; `None` when nobody said."""
    quality: Decimal | None = None
    """The mean of the scores that were given."""
    estimates: tuple[Amount, ...] = ()
    """Which amounts contain estimates."""
    lower_bounds: tuple[Amount, ...] = ()
    """Which amounts leave out calls that could not be priced."""


@dataclass(frozen=True, slots=True)
class UnitCostReport:
    """Rows by falling total, what is in no finished task, the total, and what to know when reading them."""

    currency: str
    rows: tuple[UnitCost, ...]
    total: UnitCost
    notes: tuple[str, ...]
    unmatched: tuple[Outcome, ...] = ()
    """Recorded outcomes that are about no task in here."""


def unit_cost(relations: Relations) -> UnitCostReport:
    """Makes the report."""
    finished: dict[str, list[Task]] = defaultdict(list)
    unfinished: dict[str, list[Task]] = defaultdict(list)
    for task in relations.tasks.values():
        (unfinished if task.outcome == "unfinished" else finished)[task.name].append(task)
    rows = _rows("task", finished, relations) + _rows("unfinished", unfinished, relations)
    outside = [leaf for leaf in relations.leaves if not leaf.task_id]
    if outside:
        rows.append(_leaf_row(outside, relations))
    whole = _total_row(rows, relations)
    notes = tuple(_notes(whole, rows, relations))
    return UnitCostReport(relations.currency, tuple(rows), whole, notes, relations.unmatched)


def _rows(
    kind: Literal["task", "unfinished"], by_name: Mapping[str, Sequence[Task]], relations: Relations
) -> list[UnitCost]:
    rows = [_task_row(name, kind, tasks, relations) for name, tasks in by_name.items()]
    return sorted(rows, key=lambda row: (-(row.total or ZERO), row.name))


_T = TypeVar("_T")


def nearest_rank(ordered: Sequence[_T], percent: int) -> _T | None:
    """The smallest of the sorted values that at least `percent` % of them do not exceed; `None` for none."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else None


def _task_row(name: str, kind: Literal["task", "unfinished"], tasks: Sequence[Task], relations: Relations) -> UnitCost:
    outermost = [task for task in tasks if all(around.name != name for around in relations.ancestors(task))]
    outcomes = Counter(task.outcome for task in tasks)
    known = sorted((task for task in tasks if task.cost is not None), key=_cost)
    spent = total(map(_cost, outermost)) if known else None
    wasted, estimated = _parts(outermost) if known else (None, None)
    succeeded = outcomes["succeeded"]
    ranked: dict[Amount, Task | None] = {"p50": nearest_rank(known, 50), "p95": nearest_rank(known, 95)}
    at_ranks: dict[Amount, Task] = {
        amount: task for amount, task in ranked.items() if task is not None and kind == "task"
    }
    row = UnitCost(
        name=name,
        kind=kind,
        tasks=len(tasks),
        succeeded=succeeded,
        failed=outcomes["failed"],
        abandoned=outcomes["abandoned"],
        pending=outcomes["pending"],
        unfinished=outcomes["unfinished"],
        total=spent,
        late=total(task.late for task in outermost),
        cost_per_success=_quotient(spent, succeeded) if spent is not None and succeeded else None,
        p50=at_ranks["p50"].cost if at_ranks else None,
        p95=at_ranks["p95"].cost if at_ranks else None,
        calls=sum(task.calls for task in outermost),
        retries=sum(task.retries for task in outermost),
        wasted=wasted,
        wasted_share=_share(wasted, spent),
        estimated=estimated,
        estimated_share=_share(estimated, spent),
        unpriced_calls=sum(task.unpriced_calls for task in outermost),
        exposed_attempts=sum(task.exposed_attempts for task in outermost),
        human_minutes=total(task.human_minutes for task in outermost),
        value=_sum(task.value for task in tasks),
        quality=_mean(task.quality for task in tasks),
    )
    refs = {task.ref for task in outermost}
    estimates: dict[Amount, bool] = {amount: bool(task.estimated) for amount, task in at_ranks.items()}
    # A percentile can only grow with the costs that are not above it.
    bounds: dict[Amount, bool] = {
        amount: any(other.unpriced_calls and _cost(other) <= _cost(task) for other in known)
        for amount, task in at_ranks.items()
    }
    return replace(
        row,
        estimates=_marked(
            row,
            estimates,
            totals=bool(estimated),
            wasted=not refs.isdisjoint(relations.wasted_estimates),
        ),
        lower_bounds=_marked(
            row, bounds, totals=bool(row.unpriced_calls), wasted=not refs.isdisjoint(relations.wasted_bounds)
        ),
    )


def _leaf_row(leaves: Sequence[Leaf], relations: Relations) -> UnitCost:
    known = [leaf for leaf in leaves if leaf.cost is not None]
    waste = [leaf for leaf in leaves if relations.waste_of(leaf)]
    unpriced = sum(leaf.status == "unpriced" for leaf in leaves)
    spent = _costs(known) if known or not unpriced else None
    wasted = _costs(waste) if spent is not None else None
    estimated = _costs(leaf for leaf in known if leaf.status == "estimated") if spent is not None else None
    row = UnitCost(
        name="(no task)",
        kind="no_task",
        tasks=0,
        total=spent,
        calls=sum(leaf.kind == "call" for leaf in leaves),
        retries=sum(leaf.retries for leaf in leaves),
        wasted=wasted,
        wasted_share=_share(wasted, spent),
        estimated=estimated,
        estimated_share=_share(estimated, spent),
        unpriced_calls=unpriced,
        exposed_attempts=sum(leaf.exposed_attempts for leaf in leaves),
        human_minutes=total(leaf.human_minutes for leaf in leaves),
    )
    return replace(
        row,
        estimates=_marked(row, totals=bool(estimated), wasted=any(leaf.status == "estimated" for leaf in waste)),
        lower_bounds=_marked(row, totals=unpriced > 0, wasted=any(leaf.status == "unpriced" for leaf in waste)),
    )


def _total_row(rows: Sequence[UnitCost], relations: Relations) -> UnitCost:
    outermost = [task for task in relations.tasks.values() if not any(relations.ancestors(task))]
    outside = [row for row in rows if row.kind == "no_task"]
    parts: list[Task | UnitCost] = [*outermost, *outside]
    priced = any(row.total is not None for row in rows) or not rows
    own = total(task.own for task in relations.tasks.values())
    wasted, estimated = _parts(parts)
    spent = add(own, total(row.total or ZERO for row in outside))
    row = UnitCost(
        name="TOTAL",
        kind="total",
        tasks=sum(row.tasks for row in rows),
        succeeded=sum(row.succeeded for row in rows),
        failed=sum(row.failed for row in rows),
        abandoned=sum(row.abandoned for row in rows),
        pending=sum(row.pending for row in rows),
        unfinished=sum(row.unfinished for row in rows),
        total=spent if priced else None,
        late=total(task.late for task in outermost),
        calls=sum(part.calls for part in parts),
        retries=sum(part.retries for part in parts),
        wasted=wasted if priced else None,
        wasted_share=_share(wasted, spent) if priced else None,
        estimated=estimated if priced else None,
        estimated_share=_share(estimated, spent) if priced else None,
        unpriced_calls=sum(part.unpriced_calls for part in parts),
        exposed_attempts=sum(part.exposed_attempts for part in parts),
        human_minutes=total(part.human_minutes for part in parts),
        value=_sum(task.value for task in relations.tasks.values()),
    )
    return replace(
        row,
        estimates=_marked(row, totals=bool(estimated), wasted=any("wasted" in row.estimates for row in rows)),
        lower_bounds=_marked(
            row,
            totals=row.unpriced_calls > 0,
            wasted=any("wasted" in row.lower_bounds or (row.failed and row.total is None) for row in rows),
        ),
    )


def _marked(
    row: UnitCost, at_ranks: Mapping[Amount, bool] | None = None, *, totals: bool, wasted: bool
) -> tuple[Amount, ...]:
    """Which of the amounts that are known get a mark."""
    marks: dict[Amount, bool] = {"total": totals, "cost_per_success": totals, **(at_ranks or {}), "wasted": wasted}
    return tuple(amount for amount, marked in marks.items() if marked and getattr(row, amount) is not None)


def _cost(task: Task) -> Decimal:
    return task.cost or ZERO


def _parts(rows: Sequence[Task | UnitCost]) -> tuple[Decimal, Decimal]:
    """Wasted and estimated, as far as known."""
    return total(row.wasted or ZERO for row in rows), total(row.estimated or ZERO for row in rows)


def _costs(leaves: Iterable[Leaf]) -> Decimal:
    return total(leaf.cost for leaf in leaves if leaf.cost is not None)


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Of those that are known; `None` if none is."""
    known = [amount for amount in amounts if amount is not None]
    return total(known) if known else None


def _mean(scores: Iterable[Decimal | None]) -> Decimal | None:
    known = [score for score in scores if score is not None]
    return _quotient(total(known), len(known)).normalize() if known else None


def _quotient(amount: Decimal, count: int) -> Decimal:
    return divide(amount, Decimal(count)).quantize(_QUOTIENT, ROUND_HALF_EVEN, _MONEY)


def _share(part: Decimal | None, whole: Decimal | None) -> float | None:
    return round(float(divide(part, whole)), 6) if whole and part is not None else None


def _notes(whole: UnitCost, rows: Iterable[UnitCost], relations: Relations) -> Iterable[str]:
    if whole.unpriced_calls:
        yield unpriced_note(whole.unpriced_calls, reviews=bool(whole.human_minutes))
    if whole.exposed_attempts:
        yield exposed_note(whole.exposed_attempts)
    if relations.unreadable_costs:
        yield f"{_plural(relations.unreadable_costs, 'amount')} in the spool could not be read and count as unknown."
    if any(row.total is None for row in rows):
        yield "unpriced: none of the calls of these tasks could be priced."
    dark = Counter(task.name for task in relations.tasks.values() if task.cost is None and task.outcome != "unfinished")
    for row in rows:
        if row.p50 is not None and dark[row.name]:
            yield f"p50 and p95 of {plain(row.name)} leave out {_plural(dark[row.name], 'task')} without a price."
    yield from outcome_notes(relations.unmatched, relations.tasks.values(), relations.currency)
    yield from late_notes(relations.tasks.values(), relations.currency)
    yield from missing_notes(relations, relations.missing())


def unpriced_note(calls: int, *, reviews: bool) -> str:
    """What to say about what could not be priced; `reviews` if people's time may be among it."""
    what = "call or review" if reviews else "call"
    return f"{_plural(calls, what)} could not be priced: totals that include one are lower bounds."


def exposed_note(attempts: int) -> str:
    """What to say about attempts that got no answer."""
    return f"{_plural(attempts, 'HTTP request')} got no answer and may be billed all the same: not in any total."


def late_notes(tasks: Iterable[Task], currency: str) -> Iterable[str]:
    """What to say about money that came when the span of its task had ended."""
    late = [task.own_late for task in tasks if task.own_late]
    if late:
        yield (
            f"{_plural(len(late), 'task')}: {total(late):f} {currency} was booked after the task had ended, or in "
            "another process; it is in these figures."
        )


def missing_notes(relations: Relations, missing: dict[str, Decimal]) -> Iterable[str]:
    """What to say about tasks whose total is more than the sum of the spans recorded in them."""
    lost = [
        gap
        for task_id, gap in missing.items()
        if all(around.id not in missing for around in relations.ancestors(relations.tasks[task_id]))
    ]
    if lost:
        yield (
            f"{_plural(len(lost), 'task')}: the spans recorded inside add up to {total(lost):f} {relations.currency} "
            "less than the task's total (sampled, lost or not yet flushed); totals are the tasks' own."
        )


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun.replace(' or ', 's or ')}s"
