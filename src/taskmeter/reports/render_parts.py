"""What the money of a report's rows was for, and how far the costliest tasks lie off -> a third table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from taskmeter.reports.tables import title_of, titled
from taskmeter.reports.text import plain, share
from taskmeter.reports.unit_cost_result import Amount, UnitCost, UnitCostReport
from taskmeter.reports.waste_section import share_of

if TYPE_CHECKING:
    from rich.table import Table

_TITLES = (
    *("context\ntax", "", "reason-\ning", "", "saved by\ncaches", "outside\nmodels", ""),
    *("max /\nmedian", "50 x\nmedian", ""),
)


def fill(
    table: Table,
    report: UnitCostReport,
    name: Callable[[UnitCost], str],
    marked: Callable[[UnitCost, Amount, str], str],
) -> None:
    """Puts a row for each row of the report and its total into an empty table."""
    titled(table, title_of(report.by), _TITLES)
    table.add_column(" wasted\n most as", no_wrap=True, vertical="bottom")
    rows = (*report.rows, report.total) if len(report.rows) > 1 else report.rows
    for row in rows:
        table.add_row(plain(name(row)), *_cells(row, report.currency, marked), _waste(row))


def legend() -> Iterable[str]:
    """What the columns are."""
    yield "context tax: input that an earlier call of the same task had sent already, as it was billed"
    yield "saved by caches: net of what writing to them cost more; it is no part of the total"
    yield "outside models: on no model provider's invoice, such as tools, retrieval and people's time"
    yield "50 x median: tasks that cost 50 times the median or more, and their part of what all cost"


def _cells(row: UnitCost, currency: str, marked: Callable[[UnitCost, Amount, str], str]) -> Iterable[str]:
    amounts: tuple[tuple[Amount, float | None], ...] = (
        ("context_tax", row.context_tax_share),
        ("reasoning_cost", row.reasoning_share),
    )
    for amount, part in amounts:
        yield _known(row, amount, currency, marked)
        yield f" {share(part)}"
    yield _known(row, "cache_saved", currency, marked)
    yield _known(row, "outside_model", currency, marked)
    yield f" {share(row.outside_model_share)}"
    yield "" if row.max_over_median is None else f" {row.max_over_median:,.1f}"
    yield "" if row.over_50x_median is None else f" {row.over_50x_median}"
    yield f" {share(row.over_50x_share)}"


def _known(row: UnitCost, amount: Amount, currency: str, marked: Callable[[UnitCost, Amount, str], str]) -> str:
    value = getattr(row, amount)
    if value is None:
        return " n/a"
    return " -" if not value and amount not in row.lower_bounds else f" {marked(row, amount, currency)}"


def _waste(row: UnitCost) -> str:
    """The class that cost most."""
    if not row.waste:
        return ""
    name, amount = max(row.waste.items(), key=lambda part: part[1])
    return f" {plain(name)} {share(share_of(amount, row.total))}"
