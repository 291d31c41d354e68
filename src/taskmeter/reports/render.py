"""Result objects -> text: a table for people (needs rich), JSON and CSV with every digit for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias, cast

from taskmeter._bounds import dumps
from taskmeter.reports import layout, render_detail, render_parts, renderers
from taskmeter.reports.breakdown import BreakdownReport
from taskmeter.reports.compare_result import CompareReport
from taskmeter.reports.forecast_result import ForecastReport
from taskmeter.reports.render_coverage import coverage_columns, coverage_line
from taskmeter.reports.steps import StepsReport
from taskmeter.reports.suggestions import Suggestions
from taskmeter.reports.tables import title_of, titled
from taskmeter.reports.task_tree import TaskTree, TreeNode
from taskmeter.reports.text import cell, duration, duration_minutes, exact, line, money, plain, share
from taskmeter.reports.unit_cost_result import Amount, UnitCost, UnitCostReport
from taskmeter.reports.value_result import ValueReport
from taskmeter.reports.waste import OF_OUTCOME, in_order
from taskmeter.reports.whatif_result import WhatIf

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

_TREE_WIDTH = 36
"""Columns up to which the lines of a tree are never folded; beyond, the notes are, so that these need not."""
_NARROW_NOTES = 18
_DEEPEST = 32
"""Levels of a tree whose lines are drawn: a thousand tasks, each inside the next, would be half a million of them."""
_LEAST_WIDTH = 100
_MARKS = {"estimated": "~", "partial": "≥"}
_OUTCOME_STYLES = {"succeeded": "green", "failed": "red", "abandoned": "yellow", "pending": "cyan"}
_KIND_STYLES = {
    "task": "bold",
    "step": "",
    "call": "cyan",
    "tool": "magenta",
    "charge": "magenta",
    "attempt": "red",
    "outcome": "cyan",
}


Result: TypeAlias = (
    UnitCostReport
    | TaskTree
    | BreakdownReport
    | ForecastReport
    | ValueReport
    | CompareReport
    | StepsReport
    | WhatIf
    | Suggestions
)


def as_json(result: Result) -> str:
    """The whole result, ASCII, amounts as decimal strings, what is not known as null."""
    return dumps(asdict(result), indent=2, default=_json_value) + "\n"


def as_csv(result: Result) -> str:
    """One line per row (the total is the last) or tree node, amounts as decimal strings, what is not known empty."""
    rows = list(_csv_rows(result))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*(rows[0] if rows else ()), "currency"])
    for row in rows:
        writer.writerow([*map(_csv_value, row.values()), cell(result.currency)])
    return out.getvalue()


def _csv_rows(result: Result) -> Iterable[Mapping[str, object]]:
    if renderer := renderers.OF.get(type(result)):
        yield from renderer.csv_rows(result)
        return
    plain_result = cast("UnitCostReport | TaskTree", result)
    for row in plain_result.nodes if isinstance(plain_result, TaskTree) else (*plain_result.rows, plain_result.total):
        columns = {column.name: getattr(row, column.name) for column in fields(row)}
        cover = columns.pop("coverage", None)
        yield columns if cover is None else columns | coverage_columns(cover)


def as_table(result: Result, *, detail: bool = False, width: int | None = None) -> RenderableType:
    """What `rich` prints, in no more than `width` columns where that is possible; with `detail`, a report has two
    tables more."""
    from rich.console import Group
    from rich.text import Text

    legend: Iterable[str] = ()
    tables: list[Table] = []
    if renderer := renderers.OF.get(type(result)):
        tables = list(renderer.tables(result, _table))
        legend = renderer.legend(result)
    elif isinstance(result, TaskTree):
        tables = [_tree_table(result)]
    elif isinstance(result, UnitCostReport):
        tables, legend = [_report_table(result)], _legend(result)
        if detail:
            tables += (*_detail_tables(result), _parts_table(result))
            legend = (*legend, *render_detail.legend(), *render_parts.legend())
    if width is not None:
        tables = [part for table in tables for part in layout.fitting(table, width)]
    notes = [Text(line(note), style="dim") for note in (*legend, *(f"* {note}" for note in result.notes))]
    spaced = [part for table in tables for part in (Text(), table)][1:]
    return Group(*spaced, Text(), *notes) if notes else Group(*spaced)


def least_width(result: Result, *, detail: bool = False) -> int:
    """Columns that a table needs so that no number is cut; what is left for names is folded."""
    if renderer := renderers.OF.get(type(result)):
        tables = list(renderer.tables(result, _table))
    elif isinstance(result, UnitCostReport):
        tables = [_report_table(result), *((*_detail_tables(result), _parts_table(result)) if detail else ())]
    else:
        return _LEAST_WIDTH
    return max([_LEAST_WIDTH, *(layout.LEAST_TEXT + _width_of_numbers(table) for table in tables)])


def _width_of_numbers(table: Table) -> int:
    lines = [
        [str(cell).split("\n") for cell in (column.header, column.footer, *column.cells)]
        for column in table.columns[1:]
    ]
    return sum(1 + max(len(part) for cell in column for part in cell) for column in lines)


def _detail_tables(report: UnitCostReport) -> Iterable[Table]:
    for fill in (render_detail.fill_intervals, render_detail.fill):
        table = _table()
        fill(table, report, _row_name)
        yield table


def _parts_table(report: UnitCostReport) -> Table:
    table = _table()
    render_parts.fill(table, report, _row_name, _marked)
    return table


def _json_value(value: object) -> str:
    if isinstance(value, Decimal):
        return exact(value)
    message = f"not a value of a report: {value!r}"
    raise TypeError(message)


def _csv_value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return exact(value)
    if isinstance(value, float):
        return exact(Decimal(repr(value)))
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        parts = cast("Mapping[str, Decimal]", value)
        return cell(" ".join(f"{name}={exact(amount)}" for name, amount in in_order(parts)))
    if isinstance(value, tuple):
        return cell(" ".join(map(str, cast("tuple[object, ...]", value))))
    return cell(str(value))


def _table() -> Table:
    from rich.box import SIMPLE
    from rich.table import Table

    return Table(
        box=SIMPLE,
        show_edge=False,
        pad_edge=False,
        padding=0,
        header_style="bold",
        footer_style="bold",
        show_footer=False,
    )


def _report_table(report: UnitCostReport) -> Table:
    """The total is the footer. Columns of outcomes that no task had are left out."""
    outcomes = [("aban-\ndoned", "abandoned"), ("pend-\ning", "pending")]
    shown = [(title, name) for title, name in outcomes if getattr(report.total, name)]
    table = _table()
    table.show_footer = True
    titles = ["tasks", "ok", "fail", *(title for title, _ in shown), "total", "cost per\nsuccess", "p50", "p95"]
    human = ["human\nmin"] if report.total.human_minutes else []
    titles += ["calls", "re-\ntry", *human, "wasted", ""]
    totals = _report_cells(report.total, [name for _, name in shown], report.currency, minutes=bool(human))
    titled(table, title_of(report.by), titles, totals)
    for row in report.rows:
        cells = _report_cells(row, [name for _, name in shown], report.currency, minutes=bool(human))
        table.add_row(*cells, style="" if row.kind == "task" else "dim")
    return table


def _report_cells(row: UnitCost, outcomes: Iterable[str], currency: str, *, minutes: bool) -> list[str | Text]:
    counted = row.tasks > 0
    finished = counted and row.kind in ("task", "total")
    counts = [row.succeeded, row.failed, *(getattr(row, name) for name in outcomes)]
    per_task = ["", "", ""]
    if row.kind == "task":
        success = _marked(row, "cost_per_success", currency) if row.succeeded else "n/a"
        per_task = [success, _marked(row, "p50", currency), _marked(row, "p95", currency)]
    nothing_wasted = row.wasted == 0 and "wasted" not in row.lower_bounds
    return [
        _styled(_row_name(row), ""),
        str(row.tasks) if counted else "",
        *(str(count) if finished else "" for count in counts),
        _marked(row, "total", currency),
        *per_task,
        str(row.calls),
        str(row.retries),
        *([duration_minutes(row.human_minutes)] if minutes else []),
        "-" if nothing_wasted else _marked(row, "wasted", currency),
        share(row.wasted_share),
    ]


def _row_name(row: UnitCost) -> str:
    """A task's name, in quotes where it looks like a row of ours."""
    if row.kind not in ("task", "unfinished"):
        return row.name
    ours = row.name in ("TOTAL", "(no task)") or row.name.endswith("(unfinished)")
    name = f'"{row.name}"' if ours else row.name
    return f"{plain(name)} (unfinished)" if row.kind == "unfinished" else name


def _marked(row: UnitCost, amount: Amount, currency: str) -> str:
    """An amount with what the legend explains: `≥` a lower bound, `~` partly estimated."""
    marks = ("≥" if amount in row.lower_bounds else "") + ("~" if amount in row.estimates else "")
    return marks + money(getattr(row, amount), currency)


def _legend(report: UnitCostReport) -> Iterable[str]:
    name = "name" if report.by == "name" else title_of(report.by)
    yield f"cost per success: all spend of that {name}, failures included, over its successes"
    yield f"p50, p95: cost of a task of that {name}, nearest rank"
    rows = (*report.rows, report.total)
    estimated = [f"{share(row.estimated_share)} of {plain(_row_name(row))}" for row in rows if row.estimated_share]
    if estimated:
        yield f"~ partly estimated: {', '.join(estimated)}"
    if any(row.lower_bounds for row in rows):
        yield "≥ lower bound: a call in it could not be priced"
    yield coverage_line(report.total.coverage)


def _tree_table(tree: TaskTree) -> Table:
    guides = _guides([node.depth for node in tree.nodes])
    rows = [_tree_cells(node, guide, tree.currency) for node, guide in zip(tree.nodes, guides, strict=True)]
    table = _table()
    fits = max(what.cell_len for what, *_ in rows) <= _TREE_WIDTH
    table.add_column("what", overflow="fold", no_wrap=fits)
    for title in ("cost", "tokens\nin", "(cached)", "out", "(reason-\ning)", "time"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column(" notes", overflow="fold", max_width=None if fits else _NARROW_NOTES)
    for row in rows:
        table.add_row(*row)
    return table


def _guides(depths: Sequence[int]) -> list[str]:
    """The lines in front of each node of a depth-first listing."""
    guides: list[str] = []
    followed: list[bool] = []  # by depth: whether a later sibling follows at it
    for depth in reversed(depths):
        del followed[depth + 1 :]
        followed.extend([False] * (depth + 1 - len(followed)))
        above = followed[max(1, depth - _DEEPEST) : depth]
        stems = ("… " if depth > len(above) + 1 else "") + "".join("│ " if follows else "  " for follows in above)
        guides.append(stems + ("├ " if followed[depth] else "└ ") if depth else "")
        followed[depth] = True
    return guides[::-1]


def _tree_cells(node: TreeNode, guide: str, currency: str) -> tuple[Text, str, str, str, str, str, str, Text]:
    label = node.name if node.kind in ("call", "attempt") else f"{node.kind} {node.name}"
    what = _styled(label, _KIND_STYLES[node.kind])
    if node.key:
        what.append(f" {plain(node.key)}", style="dim")
    what = _styled(guide, "dim", trusted=True).append_text(what)
    cost = "" if not node.status else _MARKS.get(node.status, "") + money(node.cost, currency)
    return (
        what,
        cost,
        _tokens(node.input_tokens),
        _part(node.cached_tokens),
        _tokens(node.output_tokens),
        _part(node.reasoning_tokens),
        "" if node.kind == "outcome" else duration(node.seconds),
        _remarks(node, currency),
    )


def _tokens(count: int | None) -> str:
    return f" {count:,}" if count else ""


def _part(count: int | None) -> str:
    return f" ({count:,})" if count else ""


def _remarks(node: TreeNode, currency: str) -> Text:
    style = _OUTCOME_STYLES.get(node.outcome or "", "yellow")
    state = node.outcome or ("discarded" if node.discarded else "")
    if not state and node.kind in ("call", "tool", "charge") and node.status not in ("exact", "unpriced"):
        state = node.status  # the cost column says `unpriced`
    if node.kind == "call" and not node.status and node.error:
        state = "failed"  # without an answer there is nothing to pay
    remarks = [(": ".join(filter(None, (state, node.reason))), style)]
    remarks.extend((failure, "red") for failure in _failures(node))
    remarks.extend((said, style) for said in _said(node, currency))
    if node.retries:
        remarks.append(("1 retry" if node.retries == 1 else f"{node.retries} retries", "yellow"))
    if node.reasked:
        remarks.append(("re-asked", "yellow"))
    if node.wasted and not node.discarded and not node.reasked:
        remarks.append((_wasted(node, currency), "yellow"))
    if node.list_cost is not None:
        remarks.append((f"list {money(node.list_cost, currency)}", ""))
    if node.late:
        remarks.append((f"late {money(node.late, currency)}", "yellow"))
    parts = [_styled(line(text), style, trusted=True) for text, style in remarks if text]
    return _styled(" ", "", trusted=True).append_text(_styled(", ", "").join(parts))


def _wasted(node: TreeNode, currency: str) -> str:
    """How much, if not all, and why, if the outcome does not tell."""
    mark = _MARKS.get(node.wasted_status, "")
    said = "wasted" if node.wasted == node.cost else f"wasted {mark}{money(node.wasted, currency)}"
    if len(node.waste) == 1:
        name = next(iter(node.waste))
        return said if name == OF_OUTCOME.get(node.outcome or "") else f"{said}: {name}"
    parts = (f"{name} {mark}{money(amount, currency)}" for name, amount in in_order(node.waste))
    return f"{said}: {' + '.join(parts)}"


def _said(node: TreeNode, currency: str) -> Iterable[str]:
    """What was said with an outcome, and of a task how long people took."""
    if node.at is not None:
        yield node.at
    if node.kind == "outcome" and node.value is not None:
        yield f"value {money(node.value, currency)}"
    if node.human_minutes:
        yield f"human {duration_minutes(node.human_minutes)} min"
    if node.kind == "outcome" and node.quality is not None:
        yield f"quality {exact(node.quality)}"


def _failures(node: TreeNode) -> Iterable[str]:
    if node.http_status:
        yield f"HTTP {node.http_status}"
    if node.error and node.error not in (node.reason, str(node.http_status)):
        yield node.error
    if node.wait_seconds is not None:
        yield f"waited {duration(node.wait_seconds)}"


def _styled(text: str, style: str, *, trusted: bool = False) -> Text:
    from rich.text import Text

    return Text(text if trusted else plain(text), style=style)
