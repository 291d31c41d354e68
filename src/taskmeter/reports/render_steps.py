"""How reliable steps are -> a table for people, and the rows of its CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from decimal import Decimal
from typing import TYPE_CHECKING

from taskmeter.reports.render_coverage import coverage_columns, coverage_line
from taskmeter.reports.steps import StepRow, StepsReport
from taskmeter.reports.tables import titled
from taskmeter.reports.text import money, plain

if TYPE_CHECKING:
    from rich.table import Table

_TITLES = (
    "runs",
    "failed",
    "success of a run\n[95 %]",
    "passes\na task",
    "cost\na task",
    "points lost\n[95 %]",
    "lost\nper $",
)


def csv_rows(report: StepsReport) -> Iterable[Mapping[str, object]]:
    """Steps, each with what its workflow comes to."""
    of = {workflow.name: workflow for workflow in report.workflows}
    for row in report.rows:
        whole = of[row.name]
        yield {column.name: getattr(row, column.name) for column in fields(row)} | {
            "tasks": whole.tasks,
            "end_to_end": whole.end_to_end,
            "end_to_end_low": whole.end_to_end_low,
            "end_to_end_high": whole.end_to_end_high,
            "task_success_rate": whole.success_rate,
            **coverage_columns(whole.coverage),
        }


def tables(report: StepsReport, make: Callable[[], Table]) -> Iterable[Table]:
    """One for each name."""
    of: dict[str, list[StepRow]] = {}
    for row in report.rows:
        of.setdefault(row.name, []).append(row)
    for workflow in report.workflows:
        table = make()
        titled(table, plain(workflow.name), _TITLES)
        for row in of.get(workflow.name, ()):
            table.add_row(plain(row.step), *(f" {cell}" for cell in _cells(row, report.currency)))
        yield table


def legend(report: StepsReport) -> Iterable[str]:
    """A sentence for each name, and what the columns are."""
    yield from (workflow.sentence for workflow in report.workflows)
    yield "a run failed: it was discarded, or ended with an error; points lost: of end-to-end success, by this step"
    yield coverage_line(report.coverage)


def _cells(row: StepRow, currency: str) -> list[str]:
    return [
        f"{row.runs:,}",
        f"{row.failed:,}",
        f"{row.success_rate:.1%} [{row.success_rate_low:.1%}, {row.success_rate_high:.1%}]",
        "n/a" if row.passes is None else f"{row.passes:,.2f}",
        "n/a" if row.cost_per_task is None else money(Decimal(repr(row.cost_per_task)), currency),
        _lost(row),
        "" if row.lost_per_usd is None else f"{row.lost_per_usd * 100:,.0f}",
    ]


def _lost(row: StepRow) -> str:
    if row.lost is None:
        return "n/a"
    if row.lost_low is None or row.lost_high is None:
        return f"{row.lost * 100:.1f}"
    return f"{row.lost * 100:.1f} [{row.lost_low * 100:.1f}, {row.lost_high * 100:.1f}]"
