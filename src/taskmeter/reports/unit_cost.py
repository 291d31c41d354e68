"""`taskmeter report`: what a task of each name costs, and what a succeeded one does.

A row's money is that of its tasks with all that is nested in them, counted once where a task of the same name is
nested in another. The total adds own costs, so that each dollar is in it once. Percentiles are nearest-rank: the
cost of a task there really was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Literal, cast

from taskmeter._bounds import shown
from taskmeter.records import ZERO, add, divide, total
from taskmeter.reports.coverage import read_price_data, with_coverage
from taskmeter.reports.engine import cohort
from taskmeter.reports.engine.cohort import PERCENTS
from taskmeter.reports.engine.matching import read_unmatched
from taskmeter.reports.engine.spending import Spending, spendings
from taskmeter.reports.engine.warehouse import Warehouse
from taskmeter.reports.intervals import wilson
from taskmeter.reports.notes import exposed_note, late_note, missing_note, plural, unpriced_note
from taskmeter.reports.outcomes import Outcome, pending_note, unmatched_notes
from taskmeter.reports.parts import estimated_parts, lacking_parts, parts_of
from taskmeter.reports.text import plain
from taskmeter.reports.unit_cost_intervals import RowIntervals, doubts, read_intervals
from taskmeter.reports.unit_cost_result import Amount, UnitCost, UnitCostReport
from taskmeter.reports.waste import in_order, plus
from taskmeter.reports.waste_section import waste_of

_MONEY = Context(prec=60)
_QUOTIENT = Decimal("1e-12")


def unit_cost(
    warehouse: Warehouse, by: str = "name", *, since_ns: int | None = None, until_ns: int | None = None
) -> UnitCostReport:
    """Makes the report: a row for each `name`, `customer`, `version`, `model` or `step`, or value of `label:NAME`, of
    the tasks that began at `since_ns` or later, and before `until_ns`, with those nested in them.

    By `model` and by `step`, each row has what tasks spent in it themselves. Raises `UsageError` for another group.
    """
    cohort.make_cohort(warehouse, by, since_ns, until_ns)
    spent = spendings(warehouse, by, since_ns, until_ns)
    price_data, intervals = read_price_data(warehouse, since_ns, until_ns), read_intervals(warehouse)
    rows = [
        _task_row(found, spent.of(found["grouped"], is_open=found["is_open"]), warehouse, price_data, intervals)
        for found in warehouse.ask(cohort.ROWS)
    ]
    rows.sort(key=lambda row: (row.kind != "task", -(row.total or ZERO), row.name))
    (found,) = warehouse.ask(cohort.OUTSIDE, {"since": since_ns, "until": until_ns})
    outside = _leaf_row(found, spent.outside, warehouse, price_data)
    if outside is not None:
        rows.append(outside)
    whole = _total_row(rows, spent.total, warehouse, price_data)
    unmatched = tuple(
        outcome
        for outcome in read_unmatched(warehouse)
        if (since_ns is None or outcome.at_ns >= since_ns) and (until_ns is None or outcome.at_ns < until_ns)
    )
    notes = (
        *_unlabelled(by, rows),
        *_notes(whole, rows, unmatched, warehouse),
        *doubts((row.name for row in rows if row.mean_high is not None), intervals),
    )
    return UnitCostReport(warehouse.currency, tuple(rows), whole, notes, unmatched, by)


def _task_row(
    found: Mapping[str, Any],
    parts: Spending,
    warehouse: Warehouse,
    price_data: str | None,
    intervals: Mapping[str, RowIntervals],
) -> UnitCost:
    kind: Literal["task", "unfinished"] = "unfinished" if found["is_open"] else "task"
    is_known, is_ranked = bool(found["priced"]), bool(found["priced"]) and kind == "task"
    spent = warehouse.known(found["spent"]) if is_known else None
    succeeded = found["succeeded"]
    row = UnitCost(
        name=found["grouped"],
        kind=kind,
        **_counts(found),
        **with_coverage(found, _amounts(found, spent, warehouse), price_data),
        cost_per_success=_quotient(spent, succeeded) if spent is not None and succeeded else None,
        **(_spread(found, warehouse) | intervals[found["grouped"]].ends() if is_ranked else {}),
        **(_success_rate(found) if kind == "task" else {}),
        **parts_of(parts, spent, found["calls"]),
        value=warehouse.amount(found["value"]),
        quality=_mean(warehouse.amount(found["quality"]), found["scored"]),
    )
    estimates = {"p50": found["p50_estimated"], "p95": found["p95_estimated"]}
    # A percentile can only grow with the costs that are not above it.
    bounds = {"p50": found["p50_bound"], "p95": found["p95_bound"]}
    return _with_marks(
        row,
        parts,
        found,
        wasted_estimate=found["wasted_estimate"],
        wasted_bound=found["wasted_bound"],
        estimates=estimates,
        bounds=bounds,
    )


def _spread(found: Mapping[str, Any], warehouse: Warehouse) -> dict[str, Any]:
    """How the costs of single tasks lie."""
    ranks = {f"p{percent}" if percent < 100 else "max": warehouse.amount(found[f"p{percent}"]) for percent in PERCENTS}  # noqa: PLR2004
    each, first = warehouse.known(found["spent_of_each"]), warehouse.amount(found["first_calls"])
    return {
        **ranks,
        "mean": _quotient(each, found["priced"]),
        **_over_median(found, ranks["p50"], ranks["max"], warehouse),
        "tail_share": _share(warehouse.known(found["top"]), each),
        "single_call_multiple": round(float(divide(warehouse.known(found["compared"]), first)), 3) if first else None,
    }


def _over_median(
    found: Mapping[str, Any], median: Decimal | None, most: Decimal | None, warehouse: Warehouse
) -> dict[str, Any]:
    if not median or most is None or median < 0:
        return {}
    return {
        "max_over_median": round(float(divide(most, median)), 3),
        "over_50x_median": found["over_50x_median"],
        "over_50x_share": _share(warehouse.known(found["spent_over"]), warehouse.known(found["spent_of_each"])),
    }


def _success_rate(found: Mapping[str, Any]) -> dict[str, Any]:
    tried = found["succeeded"] + found["failed"] + found["abandoned"]
    if not tried:
        return {}
    low, high = wilson(found["succeeded"], tried)
    rates = {"success_rate": found["succeeded"] / tried, "success_rate_low": low, "success_rate_high": high}
    return {name: round(rate, 6) for name, rate in rates.items()}


def _leaf_row(
    found: Mapping[str, Any], parts: Spending, warehouse: Warehouse, price_data: str | None
) -> UnitCost | None:
    if not found["leaves"]:
        return None
    is_known = bool(found["priced"]) or not found["unpriced_calls"]
    spent = warehouse.known(found["spent"]) if is_known else None
    none = {**found, **dict.fromkeys((*_COUNTED, "unpriced"), 0)}
    row = UnitCost(
        name="(no task)",
        kind="no_task",
        **_counts(none),
        **with_coverage(none, _amounts(found, spent, warehouse), price_data),
        **parts_of(parts, spent, found["calls"]),
    )
    return _with_marks(row, parts, found, wasted_estimate=found["wasted_estimate"], wasted_bound=found["wasted_bound"])


def _total_row(rows: Sequence[UnitCost], parts: Spending, warehouse: Warehouse, price_data: str | None) -> UnitCost:
    """Of outermost tasks and of what is outside any; the spending adds what each task spent itself."""
    (found,) = warehouse.ask(cohort.TOTAL)
    outside = [row for row in rows if row.kind == "no_task"]
    priced = any(row.total is not None for row in rows) or not rows
    own = add(warehouse.known(found["own"]), total(row.total or ZERO for row in outside))
    summed = dict(found)
    for count in _SPENT:
        summed[count] += sum(getattr(row, count) for row in outside)
    row = UnitCost(
        name="TOTAL",
        kind="total",
        **_counts(summed),
        **with_coverage(found, _amounts(summed, own if priced else None, warehouse, outside), price_data),
        **_success_rate(found),
        **parts_of(parts, own if priced else None, summed["calls"]),
        value=warehouse.amount(found["value"]),
    )
    return _with_marks(
        row,
        parts,
        found,
        wasted_estimate=any("wasted" in row.estimates for row in rows),
        wasted_bound=any("wasted" in row.lower_bounds or (row.failed and row.total is None) for row in rows),
    )


_COUNTED = ("tasks", "succeeded", "failed", "abandoned", "pending", "unfinished")
_SPENT = ("calls", "retries", "unpriced_calls", "exposed_attempts", "input_tokens", "output_tokens")


def _counts(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: int(found[name]) for name in (*_COUNTED, *_SPENT)}


def _amounts(
    found: Mapping[str, Any], spent: Decimal | None, warehouse: Warehouse, besides: Sequence[UnitCost] = ()
) -> dict[str, Any]:
    """The amounts of a row, with those of rows `besides`; what of them is wasted is known where they are."""
    parts = {
        name: add(warehouse.known(found[name]), total(getattr(row, name) or ZERO for row in besides))
        for name in ("wasted", "estimated")
    }
    known: dict[str, Decimal | None] = dict(parts) if spent is not None else dict.fromkeys(parts)
    return {
        "total": spent,
        "late": warehouse.known(found.get("late")),
        **known,
        "waste": None if spent is None else _waste(found, warehouse, besides),
        "wasted_share": _share(known["wasted"], spent),
        "estimated_share": _share(known["estimated"], spent),
        "human_minutes": add(warehouse.known(found["minutes"]), total(row.human_minutes for row in besides)),
    }


def _waste(found: Mapping[str, Any], warehouse: Warehouse, besides: Sequence[UnitCost]) -> Mapping[str, Decimal]:
    known = plus(waste_of(found, warehouse), *(row.waste or {} for row in besides))
    return dict(in_order(known))


def _with_marks(
    row: UnitCost,
    parts: Spending,
    found: Mapping[str, Any],
    *,
    wasted_estimate: bool,
    wasted_bound: bool,
    estimates: Mapping[str, bool] | None = None,
    bounds: Mapping[str, bool] | None = None,
) -> UnitCost:
    """The row, with which of the amounts that are known get a mark; of percentiles by `estimates` and `bounds`."""
    guessed, lacking = bool(row.estimated), row.unpriced_calls > 0
    marks = {"total": guessed, "cost_per_success": guessed, **(estimates or {}), "wasted": wasted_estimate}
    least = {"total": lacking, "cost_per_success": lacking, **(bounds or {}), "wasted": wasted_bound}
    return replace(
        row,
        estimates=_marked(row, marks | estimated_parts(parts)),
        lower_bounds=_marked(row, least | lacking_parts(parts, lacks_leaves=found["lacks_leaves"])),
    )


def _marked(row: UnitCost, marks: Mapping[str, bool]) -> tuple[Amount, ...]:
    return tuple(
        cast("Amount", amount) for amount, marked in marks.items() if marked and getattr(row, amount) is not None
    )


def _mean(scores: Decimal | None, count: int) -> Decimal | None:
    return _quotient(scores, count).normalize() if scores is not None else None


def _quotient(amount: Decimal, count: int) -> Decimal:
    return divide(amount, Decimal(count)).quantize(_QUOTIENT, ROUND_HALF_EVEN, _MONEY)


def _share(part: Decimal | None, whole: Decimal | None) -> float | None:
    return round(float(divide(part, whole)), 6) if whole and part is not None else None


def _unlabelled(by: str, rows: Iterable[UnitCost]) -> Iterable[str]:
    """A label that is spelt otherwise makes one row of all tasks."""
    label = by.removeprefix(cohort.LABEL)
    names = {row.name for row in rows if row.kind == "task"}
    if by.startswith(cohort.LABEL) and names == {f"(no {label})"}:
        yield f"No task here has a label {shown(label)}."


def _notes(
    whole: UnitCost, rows: Iterable[UnitCost], unmatched: Sequence[Outcome], warehouse: Warehouse
) -> Iterable[str]:
    if whole.unpriced_calls:
        yield unpriced_note(whole.unpriced_calls, reviews=bool(whole.human_minutes))
    if whole.exposed_attempts:
        yield exposed_note(whole.exposed_attempts)
    if warehouse.unreadable:
        yield f"{plural(warehouse.unreadable, 'amount')} in the spool could not be read and count as unknown."
    if any(row.total is None for row in rows):
        yield "unpriced: none of the calls of these tasks could be priced."
    without_price = {found["grouped"]: found["tasks"] for found in warehouse.ask(cohort.DARK)}
    for row in rows:
        if row.p50 is not None and without_price.get(row.name):
            count = plural(without_price[row.name], "task")
            yield f"p50 and p95 of {plain(row.name)} leave out {count} without a price."
    for query, note in ((cohort.PENDING, pending_note), (cohort.LATE, late_note), (cohort.MISSING, missing_note)):
        (found,) = warehouse.ask(query)
        if note is late_note:
            yield from unmatched_notes(unmatched)
        if found["tasks"]:
            yield note(found["tasks"], warehouse.known(found["spent"]), warehouse.currency)
