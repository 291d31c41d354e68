"""What tasks are worth -> tables for people, and the rows of its CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from decimal import Decimal
from typing import TYPE_CHECKING

from taskmeter.reports.render_coverage import coverage_columns, coverage_line
from taskmeter.reports.tables import title_of, titled
from taskmeter.reports.text import money, plain
from taskmeter.reports.value_result import ValueReport, ValueRow

if TYPE_CHECKING:
    from rich.table import Table

_MONEY = ("ok", "cost per success\n[95 %]", "value", "margin", "of\nvalue", "return\non spend")
_TIME = (
    "success rate\n[95 %]",
    "break-\neven",
    "work\nmin",
    "check\nmin",
    "agent/h\nreplaced",
    "with\nchecks",
    "verdict",
)


def csv_rows(report: ValueReport) -> Iterable[Mapping[str, object]]:
    """Rows, each with what people's time was taken to cost."""
    for row in report.rows:
        columns = {column.name: getattr(row, column.name) for column in fields(row) if column.name != "coverage"}
        yield columns | coverage_columns(row.coverage) | {"hourly": report.hourly, "harm": report.harm}


def tables(report: ValueReport, make: Callable[[], Table]) -> Iterable[Table]:
    """Money, then people's time."""
    for titles, cells in ((("tasks", *_MONEY), _money_cells), (_TIME, _time_cells)):
        table = make()
        titled(table, title_of(report.by), titles)
        for row in report.rows:
            table.add_row(plain(row.name), *(f" {cell}" for cell in cells(row, report.currency)))
        yield table


def legend(report: ValueReport) -> Iterable[str]:
    """A verdict in a sentence for each row, and what the columns are."""
    yield from (row.sentence for row in report.rows)
    yield "cost per success: all spend, failures included, over its successes; margin: value less cost"
    yield "break-even: the success rate from which on the agent pays"
    if any(row.agent_hourly is not None for row in report.rows):
        yield "agent/h replaced: what the agent costs for an hour of a person's work that it saves"
    yield coverage_line(report.coverage)


def _money_cells(row: ValueRow, currency: str) -> list[str]:
    worth = "n/a" if row.value is None else money(row.value, currency)
    success = "n/a" if row.cost_per_success is None else money(row.cost_per_success, currency)
    if row.cost_per_success_low is not None and row.cost_per_success_high is not None:
        ends = (money(_decimal(end), currency) for end in (row.cost_per_success_low, row.cost_per_success_high))
        success = f"{success} [{', '.join(ends)}]"
    return [
        f"{row.tasks:,}",
        f"{row.succeeded:,}",
        success,
        worth,
        "n/a" if row.margin is None else money(row.margin, currency),
        "" if row.margin_share is None else f"{row.margin_share:.0%}",
        "" if row.return_on_spend is None else f"{row.return_on_spend:,.1f}x",
    ]


def _time_cells(row: ValueRow, currency: str) -> list[str]:
    rate = "n/a"
    if row.success_rate is not None:
        rate = f"{row.success_rate:.1%} [{row.success_rate_low:.1%}, {row.success_rate_high:.1%}]"
    return [
        rate,
        "n/a" if row.break_even is None else f"{row.break_even:.1%}",
        *("" if minutes is None else f"{minutes:,.1f}" for minutes in (row.task_minutes, row.check_minutes)),
        *("" if rate is None else money(_decimal(rate), currency) for rate in (row.agent_hourly, row.checked_hourly)),
        "" if row.verdict == "not asked" else row.verdict,
    ]


def _decimal(statistic: float) -> Decimal:
    return Decimal(repr(statistic))
