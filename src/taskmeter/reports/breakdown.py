"""`taskmeter breakdown`: where the money of the tasks of each name went, a section for each way to divide it.

A section is a record and a function that makes it of sums; a row has one of each. Like those of `taskmeter report`, a
row's money is that of its tasks with all that is nested in them, counted once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Literal, TypeAlias

from taskmeter.errors import SpoolError
from taskmeter.records import ZERO, add
from taskmeter.reports.context_section import ContextSection, context_section
from taskmeter.reports.coverage import Coverage, coverage_of, read_price_data
from taskmeter.reports.engine import cohort
from taskmeter.reports.engine.spending import Spending, spendings
from taskmeter.reports.engine.warehouse import Warehouse
from taskmeter.reports.notes import exposed_note, late_note, missing_note, unpriced_note
from taskmeter.reports.waste import CLASSES
from taskmeter.reports.waste_section import WasteSection, waste_section

Kind: TypeAlias = Literal["task", "unfinished", "no_task", "total"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakdownRow:
    """One row. Amounts are exact, in the report's currency."""

    name: str
    kind: Kind
    """`unfinished`: tasks of which only what is inside is recorded. `no_task`: outside any."""
    tasks: int
    total: Decimal | None
    """`None` when nothing could be priced; a lower bound if there are `unpriced_calls`."""
    estimated: bool
    """Whether a part of `total` is an estimate."""
    unpriced_calls: int
    waste: WasteSection
    context: ContextSection
    coverage: Coverage


@dataclass(frozen=True, slots=True)
class BreakdownReport:
    """Rows by falling total, what is in no finished task, the total, and what to know when reading them."""

    currency: str
    rows: tuple[BreakdownRow, ...]
    total: BreakdownRow
    notes: tuple[str, ...]


def breakdown(
    warehouse: Warehouse,
    wanted: Collection[str] = (),
    *,
    since_ns: int | None = None,
    until_ns: int | None = None,
) -> BreakdownReport:
    """Makes the report, of the tasks of the names `wanted` only if there are any, that began at `since_ns` or later,
    and before `until_ns`, with those nested in them.

    Raises `SpoolError` for a name that no task has, with what comes close.
    """
    _check(wanted, warehouse)
    cohort.make_cohort(warehouse, "name", since_ns, until_ns)
    price_data = read_price_data(warehouse, since_ns, until_ns)
    if wanted:
        cohort.narrow(warehouse, wanted)
    spent = spendings(warehouse, "name", since_ns, until_ns, outside=not wanted, parts=True)
    rows = [
        _row(
            found["grouped"],
            "unfinished" if found["is_open"] else "task",
            _read(found, warehouse),
            spent.of(found["grouped"], is_open=found["is_open"]),
            price_data,
        )
        for found in warehouse.ask(cohort.DIVIDED)
    ]
    rows.sort(key=lambda row: (row.kind != "task", -(row.total or ZERO), row.name))
    whole, outside = (
        _read(warehouse.ask(query, window)[0], warehouse)
        for query, window in ((cohort.DIVIDED_TOTAL, None), (cohort.OUTSIDE, {"since": since_ns, "until": until_ns}))
    )
    if outside["leaves"] and not wanted:
        rows.append(_row("(no task)", "no_task", outside, spent.outside, price_data))
        whole = _plus(whole, outside)
    row = _row("TOTAL", "total", whole, spent.total, price_data)
    notes = tuple(_notes(row, bool(whole["minutes"]), warehouse))
    return BreakdownReport(warehouse.currency, tuple(rows), row, notes)


def _check(wanted: Collection[str], warehouse: Warehouse) -> None:
    if not wanted:
        return
    known = {row["name"] for row in warehouse.ask("SELECT DISTINCT name FROM tasks")}
    for name in wanted:
        if name not in known:
            raise SpoolError(_not_found(name, known))


def _read(found: Mapping[str, Any], warehouse: Warehouse) -> dict[str, Any]:
    """Sums of an answer, with their amounts as such."""
    return {**found, **{name: warehouse.amount(found[name]) for name in _AMOUNTS}}


def _plus(sums: Mapping[str, Any], outside: Mapping[str, Any]) -> dict[str, Any]:
    """Sums of tasks, with those of what is in none."""
    amounts = {name: _add(sums[name], outside[name]) for name in _AMOUNTS}
    counts = {name: sums[name] + outside[name] for name in _COUNTS}
    marks = {name: sums[name] or outside[name] for name in _MARKS}
    return {**sums, **amounts, **counts, **marks}


def _add(left: Decimal | None, right: Decimal | None) -> Decimal | None:
    return left if right is None else right if left is None else add(left, right)


_AMOUNTS = ("spent", "estimated", "retry_seconds", "minutes", *(f"waste_{name}" for name in CLASSES))
_COUNTS = ("retries", "unpriced_calls", "exposed_attempts")
_MARKS = ("wasted_estimate", "wasted_bound")


def _row(name: str, kind: Kind, found: Mapping[str, Any], spent: Spending, price_data: str | None) -> BreakdownRow:
    total: Decimal | None = found["spent"]
    if total is None and not found["unpriced_calls"]:
        total = ZERO
    by_class = {waste: amount for waste in CLASSES if (amount := found[f"waste_{waste}"])}
    return BreakdownRow(
        name=name,
        kind=kind,
        tasks=found.get("tasks", 0),
        total=total,
        estimated=bool(found["estimated"]),
        unpriced_calls=int(found["unpriced_calls"]),
        waste=waste_section(found, by_class, total),
        context=context_section(spent),
        coverage=coverage_of(
            tasks=found.get("tasks", 0),
            unpriced=found.get("unpriced", 0),
            pending=found.get("pending", 0) + found.get("unfinished", 0),
            spent=total,
            estimated=found["estimated"] or ZERO,
            price_data=price_data,
        ),
    )


def _not_found(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, known) or sorted(known)[:_SUGGESTIONS]
    hint = f" Closest: {', '.join(map(repr, close))}." if close else " The spool holds no task."
    return f"No task is named {name!r}.{hint}"


_SUGGESTIONS = 5


def _notes(whole: BreakdownRow, reviews: bool, warehouse: Warehouse) -> Iterable[str]:  # noqa: FBT001
    if whole.unpriced_calls:
        yield unpriced_note(whole.unpriced_calls, reviews=reviews)
    if whole.waste.exposed_attempts:
        yield exposed_note(whole.waste.exposed_attempts)
    for query, note in ((cohort.LATE, late_note), (cohort.MISSING, missing_note)):
        (found,) = warehouse.ask(query)
        if found["tasks"]:
            yield note(found["tasks"], warehouse.known(found["spent"]), warehouse.currency)
