"""A comparison of two cohorts -> tables for people, and the rows of its CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from taskmeter.reports.compare_result import CompareReport, Comparison, Metric, Side
from taskmeter.reports.render_coverage import coverage_columns, coverage_line
from taskmeter.reports.tables import titled
from taskmeter.reports.text import duration, money, plain
from taskmeter.reports.thresholds import WORDS, with_interval

if TYPE_CHECKING:
    from rich.table import Table

_TITLES = ("A", "B", "change\n[95 %]", " verdict", "tasks to\nsee 10 %")
_VERDICT = 4


def csv_rows(report: CompareReport) -> Iterable[Mapping[str, object]]:
    """Comparisons, each with how its cohorts were chosen and what is known of them."""
    sides = _sides(report)
    failed: dict[tuple[str, Metric], bool] = {}
    for gate in report.gates:
        failed[gate.name, gate.metric] = gate.failed or failed.get((gate.name, gate.metric), False)
    for row in report.rows:
        columns = {column.name: getattr(row, column.name) for column in fields(row)}
        columns |= {"before_is": report.before, "after_is": report.after}
        for side in sides[row.name]:
            columns |= {
                f"{side.cohort}_tasks": side.tasks,
                **{f"{side.cohort}_{name}": known for name, known in coverage_columns(side.coverage).items()},
            }
        yield columns | {"failed": failed.get((row.name, row.metric))}


def tables(report: CompareReport, make: Callable[[], Table]) -> Iterable[Table]:
    """One for each name."""
    sides = _sides(report)
    for name, rows in groupby(report.rows, key=attrgetter("name")):
        table = make()
        titled(table, plain(name), _TITLES)
        table.columns[0].min_width = max(map(len, WORDS.values()))
        table.columns[_VERDICT].justify = "left"
        tasks = {side.cohort: side.tasks for side in sides[name]}
        table.add_row("tasks", f" {tasks['before']:,}", f" {tasks['after']:,}")
        for row in rows:
            if row.verdict != "unknown":
                table.add_row(WORDS[row.metric], *(f" {cell}" for cell in _cells(row, report.currency)))
        yield table


def _sides(report: CompareReport) -> Mapping[str, Sequence[Side]]:
    found: dict[str, list[Side]] = {}
    for side in report.sides:
        found.setdefault(side.name, []).append(side)
    return found


def legend(report: CompareReport) -> Iterable[str]:
    """What of the thresholds was passed, and what the columns are."""
    yield from (gate.sentence for gate in report.gates)
    yield f"A: {plain(report.before)}; B: {plain(report.after)}"
    if any(row.tasks_needed for row in report.rows):
        yield "tasks to see 10 %: in each of A and B, about, to detect such a change (5 points of a share) 4 times of 5"
    yield coverage_line(report.coverage)


def _cells(row: Comparison, currency: str) -> list[str]:
    return [
        _figure(row, row.before, currency),
        _figure(row, row.after, currency),
        with_interval(row),
        row.verdict,
        "" if row.tasks_needed is None else f"{row.tasks_needed:,}",
    ]


def _figure(row: Comparison, figure: float | None, currency: str) -> str:
    if figure is None:
        return "n/a"
    match row.metric:
        case "cost" | "task_cost":
            return money(Decimal(repr(figure)), currency)
        case "latency_p50" | "latency_p95":
            return duration(figure)
        case "success" | "waste":
            return f"{figure:.1%}"
        case "quality":
            return f"{figure:.3g}"
