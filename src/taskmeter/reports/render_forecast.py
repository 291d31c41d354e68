"""The forecast -> tables for people, and the rows of its CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from decimal import Decimal
from typing import TYPE_CHECKING

from taskmeter.reports.forecast_result import ForecastReport, ForecastRow
from taskmeter.reports.render_coverage import coverage_columns, coverage_line
from taskmeter.reports.tables import title_of, titled
from taskmeter.reports.text import money, plain, share

if TYPE_CHECKING:
    from rich.table import Table

_MONTHS = ("days", "tasks", "spend", "95 % from", "to")
_ROWS = (
    "tasks",
    "spend",
    "95 % from",
    "to",
    "per\nsuccess",
    " pilot\n tasks",
    "mean",
    "within",
    "top\n1 %",
    "more\ntasks",
)


def csv_rows(report: ForecastReport) -> Iterable[Mapping[str, object]]:
    """Months, groups, and the total last; each with what is said of the whole forecast."""
    test = report.back_test
    whole = {
        "start": report.start,
        "end": report.end,
        "growth": report.growth or "",
        "mix": report.mix,
        "from_mean": report.from_mean,
        "from_future": report.from_future,
        "without_tail": report.without_tail,
        "back_test_error": test.error if test else None,
        "back_test_covered": test.covered if test else None,
        **coverage_columns(report.coverage),
    }
    for row in (*report.months, *report.rows, report.total):
        yield {column.name: getattr(row, column.name) for column in fields(row)} | whole


def tables(report: ForecastReport, make: Callable[[], Table]) -> Iterable[Table]:
    """By month, then by group with what is known of it."""
    table = make()
    table.show_footer = len(report.months) > 1
    days = sum(month.days or 0 for month in report.months)
    footer = ["TOTAL", str(days), *_spend(report.total, report.currency)]
    titled(table, "month", _MONTHS, footer)
    for month in report.months:
        table.add_row(month.name, str(month.days), *_spend(month, report.currency))
    yield table
    table = make()
    table.show_footer = len(report.rows) > 1
    titled(table, title_of(report.by), _ROWS, ["TOTAL", *_cells(report.total, report.currency)])
    for row in report.rows:
        table.add_row(plain(f'"{row.name}"' if row.name == "TOTAL" else row.name), *_cells(row, report.currency))
    yield table


def legend(report: ForecastReport) -> Iterable[str]:
    """The sentence, and what the columns and marks mean."""
    yield report.sentence
    yield ""
    yield "mean: of a pilot task; within: how far off it may be, at 95 %; top 1 %: what rests on the costliest tasks"
    yield "more tasks: that the pilot lacks to know the mean within 20 %"
    if report.total.estimated:
        yield "~ partly estimated"
    if report.total.lower_bound:
        yield "≥ lower bound: a call in it could not be priced"
    yield coverage_line(report.coverage)


def _spend(row: ForecastRow, currency: str) -> list[str]:
    return [
        f" {row.tasks:,.0f}",
        f" {_marked(row, row.spend, currency)}",
        f" {_end(row.spend_low, currency)}",
        f" {_end(row.spend_high, currency)}",
    ]


def _cells(row: ForecastRow, currency: str) -> list[str]:
    per_success = (
        "n/a" if row.per_success is None and row.spend is not None else _marked(row, row.per_success, currency)
    )
    within = "" if row.mean_within is None else f"{row.mean_within:.0%}" if row.mean_within < 10 else ">999%"  # noqa: PLR2004
    more = "" if row.more_tasks is None else f"{row.more_tasks:,}"
    return [
        *_spend(row, currency),
        f" {per_success}",
        f" {row.pilot_tasks:,}",
        f" {_marked(row, row.mean, currency)}",
        f" {within}",
        f" {share(row.tail_share)}",
        f" {more}",
    ]


def _marked(row: ForecastRow, amount: Decimal | None, currency: str) -> str:
    marks = ("≥" if row.lower_bound else "") + ("~" if row.estimated else "")
    return (marks if amount is not None else "") + money(amount, currency)


def _end(amount: float | None, currency: str) -> str:
    return "" if amount is None else money(Decimal(repr(amount)), currency)
