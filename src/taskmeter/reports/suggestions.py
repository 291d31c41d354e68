"""Which steps a cheaper model of the same provider might do, by what their calls look like, and what it would save."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Final

from taskmeter import pricing
from taskmeter.errors import UsageError
from taskmeter.records import add, subtract, total
from taskmeter.reports import recorded_calls
from taskmeter.reports.coverage import Coverage
from taskmeter.reports.engine.warehouse import Warehouse
from taskmeter.reports.recorded_calls import Cell
from taskmeter.reports.scenarios import Book, Names, Route, whole
from taskmeter.reports.whatif import coverage_of, date_of, open_book, outermost_spend, reach_of, share_of
from taskmeter.reports.whatif_notes import reach_notes
from taskmeter.reports.whatif_result import Reach

SMALL_OUTPUT: Final = 300
"""Tokens of an answer, on average, reasoning included."""
LOW_REASONING: Final = 0.2
"""Share of output."""
HIGH_VOLUME: Final = 100
"""Calls."""
LEAST_SIGNS: Final = 3
"""Of the four."""

_GENERATION: Final = re.compile(r"(?:gpt|claude|gemini)-(?:[a-z]+-)?(\d+(?:[.-]\d+)?)(?![\d-]*\d{3})")
_OTHER_KINDS: Final = re.compile(
    r"audio|image|realtime|transcribe|tts|search|live|embedding|codex|instruct|vision|preview|research|cyber|oss|^ft:|turbo"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """Calls of one step and model that a cheaper one might answer."""

    place: str
    """The step, else the task."""
    provider: str
    model: str
    new_model: str
    """The newest of the provider's models that would halve the bill, the dearest of those."""
    calls: int
    cost: Decimal
    new_cost: Decimal
    """Of the same tokens."""
    saving: Decimal
    share: float | None
    """What `cost` is of all spend."""
    output_tokens: float
    """Of a call, on average."""
    reasoning_share: float
    """Of output."""
    tool_share: float | None
    """Of the calls: with definitions of tools; `None` where input was not measured."""
    reasons: tuple[str, ...]
    """What speaks for it."""
    route: str
    """The scenario to try next."""


@dataclass(frozen=True, slots=True)
class Suggestions:
    """By falling saving, and what to know."""

    currency: str
    rows: tuple[Suggestion, ...]
    coverage: Coverage
    reach: Reach
    priced_on: str | None
    notes: tuple[str, ...]


def suggest(warehouse: Warehouse, *, since_ns: int | None = None, until_ns: int | None = None) -> Suggestions:
    """Makes them, of tasks that began at `since_ns` or later, and before `until_ns`."""
    terms, book = open_book(warehouse, {}, since_ns, until_ns)
    recorded = recorded_calls.cells(warehouse, terms, [])
    spend = outermost_spend(warehouse, since_ns, until_ns)
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in recorded:
        groups.setdefault((cell.step or cell.task, cell.terms.provider, cell.terms.model), []).append(cell)
    rows: list[Suggestion] = []
    unlike = 0
    for (place, provider, model), cells in groups.items():
        found = _suggestion(place, provider, model, cells, book, spend)
        if found is None:
            continue
        if len(found.reasons) >= LEAST_SIGNS:
            rows.append(found)
        else:
            unlike += 1
    rows.sort(key=lambda row: (-row.saving, row.place, row.model))
    reach = reach_of(warehouse, recorded, spend)
    at = date_of(book.at_ns) if reach.calls else None
    notes = tuple(_notes(unlike, reach))
    return Suggestions(warehouse.currency, tuple(rows), coverage_of(warehouse), reach, at, notes)


def _notes(unlike: int, reach: Reach) -> Iterator[str]:
    yield (
        f"Suggested are calls with {LEAST_SIGNS} of 4 signs: at most {SMALL_OUTPUT} tokens of output, no tools, "
        f"at most {LOW_REASONING:.0%} reasoning, {HIGH_VOLUME} calls or more. Whether the cheaper model succeeds as "
        "often is for a test to say."
    )
    if unlike:
        yield f"{unlike} more could be cheaper, but do not look like work for a smaller model."
    yield from reach_notes(reach)


def _suggestion(
    place: str, provider: str, model: str, cells: Sequence[Cell], book: Book, spend: Decimal | None
) -> Suggestion | None:
    cost = total(cell.cost for cell in cells)
    candidates = [
        (_generation(name), found, name)
        for name in _models(provider, model)
        if (found := _cost_with(name, provider, cells, book)) is not None and add(found, found) <= cost
    ]
    if not candidates:
        return None
    _, new_cost, new_model = max(candidates)
    counts = {name: sum(getattr(cell, name) for cell in cells) for name in _COUNTED}
    made, calls = counts["output"] + counts["reasoning"], counts["calls"]
    output, thought = made / calls, counts["reasoning"] / made if made else 0.0
    tools = counts["with_tools"] / counts["measured"] if counts["measured"] else None
    return Suggestion(
        place=place,
        provider=provider,
        model=model,
        new_model=new_model,
        calls=calls,
        cost=cost,
        new_cost=new_cost,
        saving=subtract(cost, new_cost),
        share=share_of(cost, spend),
        output_tokens=round(output, 1),
        reasoning_share=round(thought, 6),
        tool_share=None if tools is None else round(tools, 6),
        reasons=tuple(_reasons(output, thought, tools, calls)),
        route=f"{_literal(place)}:{_literal(model)}={new_model}",
    )


_COUNTED: Final = ("calls", "output", "reasoning", "measured", "with_tools")


def _reasons(output: float, thought: float, tools: float | None, calls: int) -> Iterable[str]:
    if output <= SMALL_OUTPUT:
        yield f"small output: {output:.0f} tokens"
    if tools == 0:
        yield "no tools"
    if thought <= LOW_REASONING:
        yield f"little reasoning: {thought:.0%} of output"
    if calls >= HIGH_VOLUME:
        yield f"many calls: {calls}"


def _cost_with(model: str, provider: str, cells: Iterable[Cell], book: Book) -> Decimal | None:
    try:
        who, _, levels = book.find(provider, model)
    except UsageError:
        return None
    if who != provider or levels[0].doubt:
        return None
    route = Route("", Names(), model)
    return total(portion.cost for cell in cells for portion in route.apply(whole(cell), "likely", book))


def _models(provider: str, model: str) -> Iterator[str]:
    """Other models for text, as new as `model` or newer."""
    own = _generation(model)
    if own is None:
        return
    for name in pricing.models_of(provider):
        generation = _generation(name)
        if name != model and generation is not None and generation >= own:
            yield name


@lru_cache(maxsize=1024)
def _generation(model: str) -> tuple[int, ...] | None:
    """(5, 4) of gpt-5.4-mini and (4, 5) of claude-haiku-4-5; `None` for what is no model for text, or has none."""
    if _OTHER_KINDS.search(model):
        return None
    found = _GENERATION.match(model)
    return tuple(int(each) for each in re.split(r"[.-]", found[1])) if found else None


def _literal(name: str) -> str:
    """A glob for that name alone."""
    return re.sub(r"([*?\[])", r"[\1]", name).replace(":", "?")
