"""Which steps a cheaper model of the same provider might do, by what their calls look like, and what it would save."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from typing import Final

from taskmeter import pricing
from taskmeter.pricing import PriceContext
from taskmeter.records import OUTPUT_PARTS, add, subtract, total
from taskmeter.reports import recorded_calls
from taskmeter.reports.coverage import Coverage
from taskmeter.reports.engine.warehouse import Warehouse
from taskmeter.reports.portions import Names, whole
from taskmeter.reports.price_terms import Book
from taskmeter.reports.recorded_calls import Cell
from taskmeter.reports.scenarios import Route
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
    contexts = {each.context for each in terms}
    candidates = {(each.provider, each.model): _models(each, book) for each in contexts}
    recorded = recorded_calls.cells(warehouse, terms, _thresholds(contexts, candidates, book))
    spend = outermost_spend(warehouse, since_ns, until_ns)
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in recorded:
        answered = cell.terms.context
        groups.setdefault((cell.step or cell.task, answered.provider, answered.model), []).append(cell)
    rows: list[Suggestion] = []
    unlike = 0
    for (place, provider, model), cells in groups.items():
        cheaper = _cheaper(candidates[provider, model], cells, book)
        if cheaper is None:
            continue
        found = _suggestion((place, provider, model), cells, cheaper, spend)
        if len(found.reasons) >= LEAST_SIGNS:
            rows.append(found)
        else:
            unlike += 1
    rows.sort(key=lambda row: (-row.saving, row.place, row.model))
    reach = reach_of(warehouse, recorded, spend)
    at = date_of(book.at_ns) if reach.calls else None
    notes = tuple(_notes(unlike, reach, warehouse.currency))
    return Suggestions(warehouse.currency, tuple(rows), coverage_of(warehouse), reach, at, notes)


def _notes(unlike: int, reach: Reach, currency: str) -> Iterator[str]:
    yield (
        f"Suggested are calls with {LEAST_SIGNS} of 4 signs: at most {SMALL_OUTPUT} tokens of output, no tools, "
        f"at most {LOW_REASONING:.0%} reasoning, {HIGH_VOLUME} calls or more. Whether the cheaper model succeeds as "
        "often is for a test to say."
    )
    if unlike:
        yield f"{unlike} more could be cheaper, but do not look like work for a smaller model."
    yield from reach_notes(reach, currency)


def _suggestion(
    which: tuple[str, str, str], cells: Sequence[Cell], cheaper: tuple[Decimal, str], spend: Decimal | None
) -> Suggestion:
    (place, provider, model), (new_cost, new_model) = which, cheaper
    cost = total(cell.cost for cell in cells)
    calls, measured = sum(cell.calls for cell in cells), sum(cell.measured for cell in cells)
    thinking = sum(cell.tokens.get("reasoning", 0) for cell in cells)
    made = sum(count for cell in cells for part, count in cell.tokens.items() if part in OUTPUT_PARTS)
    output, thought = made / calls, thinking / made if made else 0.0
    tools = sum(cell.with_tools for cell in cells) / measured if measured else None
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


def _reasons(output: float, thought: float, tools: float | None, calls: int) -> Iterable[str]:
    if output <= SMALL_OUTPUT:
        yield f"small output: {output:.0f} tokens"
    if tools == 0:
        yield "no tools"
    if thought <= LOW_REASONING:
        yield f"little reasoning: {thought:.0%} of output"
    if calls >= HIGH_VOLUME:
        yield f"many calls: {calls}"


def _cheaper(models: Iterable[str], cells: Sequence[Cell], book: Book) -> tuple[Decimal, str] | None:
    """What they would cost with the newest model that would at most cost half, of those the dearest."""
    cost = total(cell.cost for cell in cells)
    for _, names in groupby(models, key=_generation):
        found = [(_cost_with(name, cells, book), name) for name in names]
        enough = [each for each in found if add(each[0], each[0]) <= cost]
        if enough:
            return max(enough)
    return None


def _cost_with(model: str, cells: Iterable[Cell], book: Book) -> Decimal:
    route = Route("", Names(), model)
    return total(portion.cost for cell in cells for portion in route.apply(whole(cell), "likely", book))


def _models(context: PriceContext, book: Book) -> Sequence[str]:
    """Other models of the provider for text with a sure price, as new as that of `context` or newer, the newest
    first."""
    own = _generation(context.model)
    if own is None:
        return ()
    known = ((_generation(name), name) for name in pricing.models_of(context.provider) if name != context.model)
    newer = sorted(((generation, name) for generation, name in known if generation and generation >= own), reverse=True)
    return [name for _, name in newer if _is_sure(PriceContext(context.provider, name, book.at_ns), book)]


def _is_sure(context: PriceContext, book: Book) -> bool:
    levels = book.levels(context)
    return not isinstance(levels, str) and None not in (levels[0].input, levels[0].output) and not levels[0].doubt


def _thresholds(
    contexts: Iterable[PriceContext], candidates: Mapping[tuple[str, str], Sequence[str]], book: Book
) -> Iterator[int]:
    """Lengths at which the price of a model that may be suggested steps up."""
    for context in contexts:
        for name in candidates[context.provider, context.model]:
            levels = book.levels(book.answered(context, name)[0])
            if not isinstance(levels, str):
                yield from (level.above for level in levels if level.above > 0)


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
