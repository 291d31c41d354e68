"""Recorded calls as cells: sums of calls that every hypothetical price is the same for, so that a million take as long
as a thousand.

A span says how many tokens a call had, not by which tier it was billed. What it cost tells: the terms under which the
price book makes that amount of those tokens are those it was billed under. A call that none fit stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeAlias

from taskmeter.pricing import PriceContext, Rates, rates
from taskmeter.records import SOURCES, Source
from taskmeter.reports.engine import calls, cohort
from taskmeter.reports.engine.calls import DAY_NS
from taskmeter.reports.engine.warehouse import Warehouse

LEFT: Final = {
    "unpriced": "has no price",
    "partial": "was priced in part, or by capacity",
    "stated": "has a cost that the provider stated",
    "no_tokens": "has no tokens on its span",
    "no_model": "does not say which model of which provider answered",
    "currency": "is not in USD, as the price book is",
    "not_reproduced": "costs another amount than the price book makes of its tokens: by a tier, fee, kind of token or "
    "contract that its span does not tell, or at prices that have changed since",
}
"""Why a call stays as it is -> what to say of each such call."""

Variants: TypeAlias = tuple[tuple[str, str], ...]
Interval: TypeAlias = tuple[int, int]

STANDARD: Final[Variants] = ()
BATCH: Final[Variants] = (("processing", "batch"),)
FLEX: Final[Variants] = (("service_tier", "flex"),)
_PRIORITY: Final[Variants] = (("service_tier", "priority"),)


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which calls of one model were billed."""

    provider: str
    model: str
    at_ns: int
    """A day on which they held."""
    rates: Rates
    hourly: bool
    """Whether what they wrote to a cache was to last an hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Calls of one workflow, task, step, model and range of lengths, billed under the same terms. Counts are sums."""

    workflow: str
    """The outermost task's name."""
    task: str
    """The name of the task that they are in themselves."""
    step: str
    """The step that they are in; empty outside any."""
    terms: Terms
    least_input: int
    """Input tokens that each of these calls has at least: no price steps up between this and what they have."""
    repeated: str
    """How long after the same request was sent before: `hour`, `day` (within), `later`; empty for the first."""
    calls: int
    cost: Decimal
    """As recorded."""
    estimated: Decimal
    """The part of it that is an estimate."""
    input: int
    """Plain."""
    cache_read: int
    cache_write: int
    output: int
    """Without reasoning."""
    reasoning: int
    cacheable: int
    """Of `input`: what an earlier call of the task had sent, in calls with enough of it to cache."""
    writable: int
    """Of `input`: the rest, in tasks where there is something cacheable."""
    fingerprinted: int
    """Calls whose request can be told from others."""
    measured: int
    """Calls whose input was told apart by source."""
    with_tools: int
    """Calls, of those, with definitions of tools."""
    sent: Mapping[Source, int]
    """Input tokens by source."""
    sent_cost: Mapping[Source, Decimal]
    """What those were billed at; for the sources that were asked for."""


def find_calls(warehouse: Warehouse, since_ns: int | None, until_ns: int | None) -> None:
    """Makes the table `calls`. Each says why it stays as it is, or by which of `terms_of` it was billed."""
    cohort.choose(warehouse, since_ns, until_ns)
    cohort.place_steps(warehouse)
    warehouse.run(calls.CALLS, {"since": since_ns, "until": until_ns, "usd": warehouse.currency == "USD"})


def find_terms(warehouse: Warehouse) -> Sequence[Terms]:
    """Tells by which terms each call was billed; `calls.terms` is an index into the answer."""
    found: list[Terms] = []
    for variants, writes_last_an_hour in _CANDIDATES:
        waiting = warehouse.ask(calls.WAITING.format(more="AND written > 0" if writes_last_an_hour else ""))
        if not waiting:
            continue
        first = len(found)
        rows = list(_candidates(waiting, variants, found, hourly=writes_last_an_hour))
        if len(found) > first:
            warehouse.run(calls.RATES, [list(column) for column in zip(*rows, strict=True)])
            warehouse.run(calls.MATCH)
    warehouse.run(calls.UNFIT)
    return found


_CANDIDATES: Final[tuple[tuple[Variants, bool], ...]] = (
    (STANDARD, False),
    (STANDARD, True),
    (BATCH, False),
    (FLEX, False),
    (_PRIORITY, False),
    (BATCH, True),
)
"""How calls are billed, and whether what they wrote to a cache was to last an hour."""


def _candidates(
    waiting: Iterable[Mapping[str, Any]], variants: Variants, found: list[Terms], *, hourly: bool
) -> Iterator[tuple[Any, ...]]:
    known: dict[tuple[str, str, Rates], int] = {}
    for key in waiting:
        provider, model, day = key["provider"], key["model"], key["day"]
        context = PriceContext(provider, model, day * DAY_NS, variants)
        levels = rates(context)
        if isinstance(levels, str):
            continue
        for level, (until_ns, up_to) in zip(levels, _ends(levels), strict=True):
            used = level._replace(cache_write=level.cache_write_1h) if hourly else level
            index = known.setdefault((provider, model, used), len(found))
            if index == len(found):
                found.append(Terms(provider, model, day * DAY_NS, used, hourly))
            prices = (used.input, used.cache_read, used.cache_write, used.output, used.reasoning, used.request)
            as_floats = [None if price is None else float(price) for price in prices]
            yield (provider, model, day, level.from_ns, until_ns, level.above, up_to, index, *as_floats)


def _ends(levels: Sequence[Rates]) -> Iterator[Interval]:
    """Until when after midnight, and up to which length, each of the rates of a day holds."""
    for number, level in enumerate(levels):
        after = levels[number + 1] if number + 1 < len(levels) else None
        until = next((other.from_ns for other in levels if other.from_ns > level.from_ns), DAY_NS)
        up_to = after.above if after is not None and after.from_ns == level.from_ns else 1 << 62
        yield until, up_to


def cells(
    warehouse: Warehouse, terms: Sequence[Terms], thresholds: Sequence[int], trimmed: Iterable[Source] = ()
) -> list[Cell]:
    """The calls with terms, summed. `thresholds` are lengths at which a hypothetical price steps up; what the sources
    in `trimmed` were billed at is looked up."""
    steps = sorted(set(thresholds))
    band = " + ".join([f"(whole > {int(step)})::INTEGER" for step in steps]) or "0"
    costs = [f", sum({calls.SHARE_COST.format(source=source)}) AS cost_{source}" for source in sorted(set(trimmed))]
    found = warehouse.ask(calls.CELLS.format(band=band, costs="".join(costs)))
    return [_cell(row, terms, [0, *(step + 1 for step in steps)], warehouse) for row in found]


def _cell(row: Mapping[str, Any], terms: Sequence[Terms], least: Sequence[int], warehouse: Warehouse) -> Cell:
    of_cell: Terms = terms[int(row["terms"])]
    counts = ("calls", "input", "cache_read", "cache_write", "output", "reasoning", "cacheable", "writable")
    more = ("fingerprinted", "measured", "with_tools")
    return Cell(
        workflow=row["workflow"],
        task=row["task"],
        step=row["step"],
        terms=of_cell,
        least_input=max(least[int(row["band"])], of_cell.rates.above + 1),
        repeated=row["repeated"],
        cost=warehouse.known(row["cost"]),
        estimated=warehouse.known(row["estimated"]),
        **{name: int(row[name]) for name in (*counts, *more)},
        sent={source: int(row[f"sent_{source}"]) for source in SOURCES if row[f"sent_{source}"]},
        sent_cost={
            source: Decimal(repr(row[f"cost_{source}"])) for source in SOURCES if row.get(f"cost_{source}") is not None
        },
    )
