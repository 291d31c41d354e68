"""The breakdown -> a table for people, and the columns of its CSV. Each section has one function for either."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from taskmeter.records import ZERO
from taskmeter.reports.breakdown import BreakdownReport, BreakdownRow
from taskmeter.reports.lines import Line
from taskmeter.reports.render_context import context_columns, context_lines
from taskmeter.reports.render_coverage import coverage_columns, coverage_line
from taskmeter.reports.text import duration, money, plain, share
from taskmeter.reports.waste import CLASSES

if TYPE_CHECKING:
    from rich.table import Table


def waste_lines(row: BreakdownRow, currency: str) -> Iterable[Line]:
    """Useful and wasted money, and what was lost besides."""
    waste = row.waste
    if waste.useful is not None:
        # Which part of the estimates is useful is not known: rather too many marks than too few.
        unsure = ("≥" if row.unpriced_calls else "") + ("~" if row.estimated else "")
        yield Line("useful", unsure + money(waste.useful, currency), share(waste.useful_share))
    mark = ("≥" if waste.lower_bound else "") + ("~" if waste.estimated else "")
    counts = {"reask": (waste.reasks, "re-ask"), "duplicate": (waste.duplicate_calls, "call")}
    counts["loop"] = (waste.looped_tool_runs, "tool run")
    for part in waste.classes:
        count, noun = counts.get(part.waste, (0, ""))
        remark = _counted(count, noun) if count else ""
        yield Line(f"wasted: {plain(part.waste)}", mark + money(part.amount, currency), share(part.share), remark)
    free = {name: counts[name] for name in counts if all(part.waste != name for part in waste.classes)}
    lost = [_counted(count, f"{name} {noun}" if name != "reask" else noun) for name, (count, noun) in free.items()]
    if waste.growing_turns:
        lost.append(f"{waste.growing_turns} calls in a row with ever more input")
    if waste.retries:
        lost.append(f"{_counted(waste.retries, 'retry')}, {duration(waste.retry_seconds)} lost")
    yield from (Line(f"also: {each}") for each in lost if each)


def waste_columns(row: BreakdownRow) -> Mapping[str, object]:
    """All of the section, a column for each class."""
    waste = row.waste
    by_class = {part.waste: part.amount for part in waste.classes}
    return {
        "useful": waste.useful,
        "wasted": waste.wasted,
        "wasted_share": waste.wasted_share,
        **{name: None if waste.wasted is None else by_class.get(name, ZERO) for name in CLASSES},
        "retries": waste.retries,
        "retry_seconds": waste.retry_seconds,
        "exposed_attempts": waste.exposed_attempts,
        "reasks": waste.reasks,
        "duplicate_calls": waste.duplicate_calls,
        "looped_tool_runs": waste.looped_tool_runs,
        "growing_turns": waste.growing_turns,
    }


LINES: Sequence[Callable[[BreakdownRow, str], Iterable[Line]]] = (waste_lines, context_lines)
"""Of each section, in the order they are shown."""
COLUMNS: Sequence[Callable[[BreakdownRow], Mapping[str, object]]] = (waste_columns, context_columns)


def csv_rows(report: BreakdownReport) -> Iterable[Mapping[str, object]]:
    """By column; the total is the last."""
    for row in (*report.rows, report.total):
        columns: dict[str, object] = {
            "name": row.name,
            "kind": row.kind,
            "tasks": row.tasks,
            "total": row.total,
            "estimated": row.estimated,
            "unpriced_calls": row.unpriced_calls,
        }
        for section in COLUMNS:
            columns |= section(row)
        yield columns | coverage_columns(row.coverage)


def tables(report: BreakdownReport, make: Callable[[], Table]) -> Iterable[Table]:
    """All rows in one."""
    table = make()
    table.add_column("task", overflow="fold")
    for title in ("tasks", "amount", "share"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column(" notes", overflow="fold")
    rows = (*report.rows, report.total) if len(report.rows) > 1 else report.rows
    for row in rows:
        mark = ("≥" if row.unpriced_calls else "") + ("~" if row.estimated else "")
        name = f"{plain(row.name)} (unfinished)" if row.kind == "unfinished" else plain(row.name)
        amount = money(row.total, report.currency)
        table.add_row(name, str(row.tasks or ""), (mark if row.total is not None else "") + amount, style="bold")
        for section in LINES:
            for line in section(row, report.currency):
                table.add_row(f"  {line.what}", "", line.amount, line.share, f" {line.remark}" if line.remark else "")
    yield table


def legend(report: BreakdownReport) -> Iterable[str]:
    """What the marks mean that are in the table."""
    rows = (*report.rows, report.total)
    if any(row.estimated or row.context.sources for row in rows):
        yield "~ partly estimated"
    if any(row.unpriced_calls for row in rows):
        yield "≥ lower bound: a call in it could not be priced"
    yield coverage_line(report.total.coverage)


def _counted(count: int, noun: str) -> str:
    if not count:
        return ""
    many = "retries" if noun == "retry" else f"{noun}s"
    return f"{count} {noun if count == 1 else many}"
