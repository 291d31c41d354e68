"""Input by source, reasoning and caches -> lines of the breakdown's table, and columns of its CSV."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from taskmeter.records import SOURCES
from taskmeter.reports.lines import Line
from taskmeter.reports.text import money, plain, share
from taskmeter.reports.waste_section import share_of

if TYPE_CHECKING:
    from taskmeter.reports.breakdown import BreakdownRow
    from taskmeter.reports.context_section import InputShare


def context_lines(row: BreakdownRow, currency: str) -> Iterable[Line]:
    """Input by source, with the documents below theirs; then what was sent again, reasoning and caches."""
    context = row.context
    for part in context.sources:
        yield _line(f"input: {part.source.replace('_', ' ')}", part, row, currency)
        if part.source == "documents":
            for origin in context.documents:
                yield _line(f"  from {plain(origin.source)}", origin, row, currency)
    if context.carried is not None:
        yield _line("input sent again", context.carried, row, currency)
    if context.reasoning_tokens:
        tokens = f"{context.reasoning_tokens:,} tokens, {share(context.reasoning_share)} of output"
        cost = context.reasoning_cost or None
        amount = "" if cost is None else money(cost, currency)
        yield Line("reasoning", amount, share(share_of(cost, row.total)), tokens)
    if context.cache_saved or context.cache_read_tokens:
        tokens = f"{context.cache_read_tokens:,} tokens read, {share(context.cache_read_share) or '0%'} of input"
        yield Line("saved by caches", money(context.cache_saved, currency), "", tokens)
    if context.unmeasured_calls and context.calls:
        noun = "call" if context.unmeasured_calls == 1 else "calls"
        yield Line(f"also: input of {context.unmeasured_calls} {noun} not measured")


def _line(what: str, part: InputShare, row: BreakdownRow, currency: str) -> Line:
    tokens = f"{part.tokens:,} tokens, {share(part.share) or '0%'} of input"
    if part.cost is None:
        return Line(what, "unpriced", "", tokens)
    return Line(what, f"~{money(part.cost, currency)}", share(share_of(part.cost, row.total)), tokens)


def context_columns(row: BreakdownRow) -> Mapping[str, object]:
    """All of the section but where documents are from, a pair of columns for each source."""
    context = row.context
    known = {part.source: part for part in context.sources}
    if context.carried is not None:
        known["carried"] = context.carried
    columns: dict[str, object] = {}
    for source in (*SOURCES, "carried"):
        part = known.get(source)
        columns[f"{source}_tokens"] = None if not context.calls else 0 if part is None else part.tokens
        columns[f"{source}_cost"] = None if part is None else part.cost
    return columns | {
        "measured_calls": context.calls,
        "unmeasured_calls": context.unmeasured_calls,
        "reasoning_tokens": context.reasoning_tokens,
        "reasoning_cost": context.reasoning_cost,
        "cache_read_tokens": context.cache_read_tokens,
        "cache_saved": context.cache_saved,
    }
