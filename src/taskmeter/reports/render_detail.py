"""How often tasks succeed, and how the costs of single tasks lie -> a second table below the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from taskmeter.reports.tables import title_of, titled
from taskmeter.reports.text import money, plain, share
from taskmeter.reports.unit_cost import UnitCost, UnitCostReport

if TYPE_CHECKING:
    from rich.table import Table

_TITLES = ("success rate\n[95 %]", "mean", "p99", "max", "top\n1 %", "calls", "tokens\nin", "out", "x one\ncall")


def fill(table: Table, report: UnitCostReport, name: Callable[[UnitCost], str]) -> None:
    """Puts a row for each group of finished tasks into an empty table."""
    titled(table, title_of(report.by), _TITLES)
    for row in report.rows:
        if row.kind == "task":
            table.add_row(plain(name(row)), *_cells(row, report.currency))


def legend() -> Iterable[str]:
    """What the columns are."""
    yield "success rate: of the tasks that succeeded, failed or were abandoned, with its 95 % Wilson interval"
    yield "calls, tokens: of a task; top 1 %: their part of what all cost; x one call: a task over its first call"


def _cells(row: UnitCost, currency: str) -> list[str]:
    rate = "n/a"
    if row.success_rate is not None and row.success_rate_low is not None and row.success_rate_high is not None:
        rate = f"{row.success_rate:.1%} [{row.success_rate_low:.1%}, {row.success_rate_high:.1%}]"
    amounts = (row.mean, row.p99, row.max)
    multiple = row.single_call_multiple
    return [
        rate,
        *("" if amount is None else f" {money(amount, currency)}" for amount in amounts),
        f" {share(row.tail_share)}",
        *(_per_task(count, row) for count in (row.calls, row.input_tokens, row.output_tokens)),
        "" if multiple is None else f" {multiple:.1f}",
    ]


def _per_task(count: int, row: UnitCost) -> str:
    each = count / row.tasks
    return f" {each:,.1f}" if each < 100 else f" {each:,.0f}"  # noqa: PLR2004 - what has three digits needs no more
