"""How sure rates and means are, and how the costs of single tasks lie -> two tables below the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from taskmeter.reports.tables import title_of, titled
from taskmeter.reports.text import money, plain, share
from taskmeter.reports.unit_cost_result import UnitCost, UnitCostReport

if TYPE_CHECKING:
    from rich.table import Table

_SURE = ("success rate\n[95 %]", "cost per success\n[95 %]", "mean\n[95 %]")
_SPREAD = ("p99", "max", "top\n1 %", "calls", "tokens\nin", "out", "x one\ncall")


def fill_intervals(table: Table, report: UnitCostReport, name: Callable[[UnitCost], str]) -> None:
    """Puts a row for each group of finished tasks into an empty table."""
    _fill(table, report, name, _SURE, _sure)


def fill(table: Table, report: UnitCostReport, name: Callable[[UnitCost], str]) -> None:
    """The same for what single tasks are like."""
    _fill(table, report, name, _SPREAD, _spread)


def _fill(
    table: Table,
    report: UnitCostReport,
    name: Callable[[UnitCost], str],
    titles: Sequence[str],
    cells: Callable[[UnitCost, str], list[str]],
) -> None:
    titled(table, title_of(report.by), titles)
    for row in report.rows:
        if row.kind == "task":
            table.add_row(plain(name(row)), *cells(row, report.currency))


def legend() -> Iterable[str]:
    """What the columns are."""
    yield "success rate: of the tasks that succeeded, failed or were abandoned, with its 95 % Wilson interval"
    yield "cost per success, mean: with their 95 % intervals, from 10 tasks and 5 successes on"
    yield "calls, tokens: of a task; top 1 %: their part of what all cost; x one call: a task over its first call"


def _sure(row: UnitCost, currency: str) -> list[str]:
    rate = "n/a"
    if row.success_rate is not None and row.success_rate_low is not None and row.success_rate_high is not None:
        rate = f"{row.success_rate:.1%} [{row.success_rate_low:.1%}, {row.success_rate_high:.1%}]"
    return [
        f" {rate}",
        _with_interval(row.cost_per_success, row.cost_per_success_low, row.cost_per_success_high, currency),
        _with_interval(row.mean, row.mean_low, row.mean_high, currency),
    ]


def _spread(row: UnitCost, currency: str) -> list[str]:
    multiple = row.single_call_multiple
    return [
        *("" if amount is None else f" {money(amount, currency)}" for amount in (row.p99, row.max)),
        f" {share(row.tail_share)}",
        *(_per_task(count, row) for count in (row.calls, row.input_tokens, row.output_tokens)),
        "" if multiple is None else f" {multiple:.1f}",
    ]


def _with_interval(amount: Decimal | None, low: float | None, high: float | None, currency: str) -> str:
    if amount is None:
        return ""
    if low is None or high is None:
        return f" {money(amount, currency)}"
    ends = ", ".join(money(Decimal(repr(end)), currency) for end in (low, high))
    return f" {money(amount, currency)} [{ends}]"


def _per_task(count: int, row: UnitCost) -> str:
    each = count / row.tasks
    return f" {each:,.1f}" if each < 100 else f" {each:,.0f}"  # noqa: PLR2004 - what has three digits needs no more
