"""What-if and suggestions -> tables for people, and the columns of their CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from decimal import Decimal
from typing import TYPE_CHECKING

from taskmeter.records import total
from taskmeter.reports.suggestions import Suggestions
from taskmeter.reports.tables import titled
from taskmeter.reports.text import money, plain
from taskmeter.reports.whatif_result import Range, WhatIf, Workflow

if TYPE_CHECKING:
    from rich.table import Table


def tables(report: WhatIf, make: Callable[[], Table]) -> Iterator[Table]:
    """Tables of the changes, where there are any, of what each workflow costs, and of what a success costs."""
    if report.scenarios:
        table = make()
        _columns(table, "change", ("calls", "saves alone", "range", "saves in turn", "range"))
        for each in report.scenarios:
            alone, turn = each.alone, each.in_turn
            table.add_row(
                plain(each.scenario),
                str(each.calls),
                *_cells(alone, report.currency),
                *_cells(turn, report.currency),
            )
        yield table
    table = make()
    _columns(table, "workflow", ("was", "would be", "range", "saves", ""))
    for row in (*report.rows, report.total):
        table.add_row(_name(row), *_spend_cells(row, report.currency), style=_style(row))
    yield table
    table = make()
    _columns(table, "workflow", (*("per success", "would be", "range"), "success rate", "would be", "breaks even"))
    for row in (*report.rows, report.total):
        if row.kind != "no_task":
            table.add_row(_name(row), *_success_cells(row, report.currency), style=_style(row))
    yield table


def tables_of_suggestions(report: Suggestions, make: Callable[[], Table]) -> Iterator[Table]:
    """One table, if there is anything to suggest."""
    if not report.rows:
        return
    table = make()
    _columns(table, "step", ("model", "might be", "calls", "cost", "of all", "saves", "because"))
    table.columns[-1].no_wrap = False
    for row in report.rows:
        amounts = (money(row.cost, report.currency), _percent(row.share), money(row.saving, report.currency))
        reasons = "; ".join(row.reasons)
        table.add_row(plain(row.place), plain(row.model), row.new_model, str(row.calls), *amounts, reasons)
    yield table


def legend(report: WhatIf) -> Iterable[str]:
    """What the columns are."""
    yield _prices(report)
    yield "in turn: after the changes above it; ranges are of what is assumed below, chance is not in them"
    yield "breaks even: the success rate at which a success costs what it did"


def legend_of_suggestions(report: Suggestions) -> Iterable[str]:
    """Where the prices are from."""
    if not report.rows:
        yield "Nothing to suggest."
    yield _prices(report)


def _prices(report: WhatIf | Suggestions) -> str:
    day = "" if report.priced_on is None else f", other models as of {report.priced_on}"
    return f"prices: {report.coverage.price_data}{day}"


def csv_rows(report: WhatIf) -> Iterable[Mapping[str, object]]:
    """A line for each change, each workflow, and the total; each with what the report covers."""
    cover = _cover(report)
    for each in report.scenarios:
        known = {"calls": each.calls, "saving": each.alone, "in_turn": each.in_turn}
        yield {**_csv_row("scenario", each.scenario, known), **cover}
    for row in (*report.rows, report.total):
        known = {name.name: getattr(row, name.name) for name in fields(row)}
        yield {**_csv_row(row.kind, row.name, known), **cover}


def csv_rows_of_suggestions(report: Suggestions) -> Iterable[Mapping[str, object]]:
    """A line for each, with what the report covers."""
    for row in report.rows:
        columns = {column.name: getattr(row, column.name) for column in fields(row)}
        yield {**columns, "reasons": "; ".join(row.reasons), **_cover(report)}


_RANGES = ("saving", "in_turn", "new_total", "new_cost_per_success")
_PLAIN = (
    "calls",
    "tasks",
    "succeeded",
    "ended",
    "total",
    "saving_share",
    "success_rate",
    "new_success_rate",
    "cost_per_success",
    "break_even_success_rate",
)


def _cover(report: WhatIf | Suggestions) -> Mapping[str, object]:
    coverage, reach = report.coverage, report.reach
    return {
        "priced_share": coverage.priced_share,
        "estimated_share": coverage.estimated_share,
        "pending_share": coverage.pending_share,
        "spend": reach.spend,
        "repriced": reach.repriced,
        "repriced_share": reach.repriced_share,
        "repriced_estimated_share": reach.estimated_share,
        "recorded_calls": reach.calls,
        "repriced_calls": reach.repriced_calls,
        "repriced_in_part": reach.repriced_in_part,
        "fees": reach.fees,
        "left_calls": sum(each.calls for each in reach.left),
        "left_cost": total(each.cost for each in reach.left if each.cost is not None),
        "left": " ".join(f"{each.reason}={each.calls}" for each in reach.left),
        "other": reach.other,
        "price_data": coverage.price_data,
        "priced_on": report.priced_on,
    }


def _csv_row(kind: str, name: str, known: Mapping[str, object]) -> Mapping[str, object]:
    row: dict[str, object] = {"kind": kind, "name": name, **{column: known.get(column) for column in _PLAIN}}
    for column in _RANGES:
        found = known.get(column)
        ends = found if isinstance(found, Range) else (None, None, None)
        row |= zip((f"{column}_low", column, f"{column}_high"), ends, strict=True)
    return row


def _columns(table: Table, first: str, others: Iterable[str]) -> None:
    titled(table, first, [f" {title}" for title in others])


def _style(row: Workflow) -> str:
    return "bold" if row.kind == "total" else ""


def _spend_cells(row: Workflow, currency: str) -> list[str]:
    if row.new_total is None:
        return [_padded("unpriced"), *[""] * 4]
    saving = (money(_near(row.saving.likely), currency), _percent(row.saving_share))
    return [_padded(money(row.total, currency)), *_cells(row.new_total, currency), *map(_padded, saving)]


def _success_cells(row: Workflow, currency: str) -> list[str]:
    was = "n/a" if row.cost_per_success is None else money(row.cost_per_success, currency)
    new = row.new_cost_per_success
    rates = (row.success_rate, row.new_success_rate, row.break_even_success_rate)
    return [
        _padded(was),
        *([_padded("n/a"), ""] if new is None else _cells(new, currency)),
        *(_padded(_percent(rate)) for rate in rates),
    ]


def _cells(amounts: Range, currency: str) -> list[str]:
    """The likely amount, and the range where there is one."""
    is_sure = amounts.low == amounts.high
    low, high = money(_near(amounts.low), currency), money(_near(amounts.high), currency)
    return [_padded(money(_near(amounts.likely), currency)), "" if is_sure else _padded(f"{low}..{high}")]


def _near(amount: Decimal) -> Decimal:
    return amount or Decimal(0)


def _padded(text: str) -> str:
    return f" {text}" if text else ""


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:z.1%}"


def _name(row: Workflow) -> str:
    """A workflow's name, in quotes where it reads like a row of ours."""
    ours = row.kind == "workflow" and row.name in ("TOTAL", "(no task)")
    return plain(f'"{row.name}"' if ours else row.name)
