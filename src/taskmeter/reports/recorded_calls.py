"""Recorded calls as cells: sums of calls that every hypothetical price is the same for, so that a million take as long
as a thousand.

A span says which tokens a call had, how it was processed and which fees were in it. Where the price book makes the
recorded amount of that, it can make hypothetical ones; any other call stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeAlias, cast

from taskmeter.pricing import PARTS, PriceContext, Rates, rates
from taskmeter.records import INPUT_PARTS, SOURCES, Part, Source
from taskmeter.reports.engine import calls, cohort
from taskmeter.reports.engine.calls import DAY_NS
from taskmeter.reports.engine.warehouse import Warehouse

LEFT: Final = {
    "unpriced": "has no price",
    "partial": "was priced in part, and the price book does not make that part of its tokens",
    "provisioned": "was paid for as capacity",
    "stated": "has a cost that the provider stated",
    "no_tokens": "has no tokens on its span",
    "no_model": "does not say which model of which provider answered",
    "currency": "is not in USD, as the price book is",
    "contract": "was billed by a contract that the price file in force does not have (TASKMETER_CONFIG names the file)",
    "not_reproduced": "costs another amount than the price book makes of its tokens: several models answered it, or "
    "prices have changed since",
}
"""Why a call stays as it is -> what to say of each such call."""

Interval: TypeAlias = tuple[int, int]


class Terms(NamedTuple):
    """By which calls are billed."""

    context: PriceContext
    """Of one day on which they hold."""
    rates: Rates


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
    """Requests: each item of a batch is one."""
    cost: Decimal
    """As recorded."""
    estimated: Decimal
    """The part of it that is an estimate."""
    in_part: int
    """Calls, of these, that cost more than that: some of it has no price."""
    tokens: Mapping[Part, int]
    """Of each part that there is any of."""
    cacheable: int
    """Of plain input: what an earlier call of the task had sent, where the model had a call of that task before, in
    calls with enough of it to cache."""
    writable: int
    """Of plain input: the rest, where the model has calls in that task with something cacheable."""
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

    @property
    def input_tokens(self) -> int:
        """All of them, cached included."""
        return sum(count for part, count in self.tokens.items() if part in INPUT_PARTS)


def find_calls(warehouse: Warehouse, since_ns: int | None, until_ns: int | None) -> None:
    """Makes the table `calls`. Each says why it stays as it is, or by which of `find_terms` it was billed."""
    cohort.choose(warehouse, since_ns, until_ns)
    cohort.place_steps(warehouse)
    warehouse.run(calls.CALLS, {"since": since_ns, "until": until_ns, "usd": warehouse.currency == "USD"})


def find_terms(warehouse: Warehouse) -> Sequence[Terms]:
    """Tells by which terms each call was billed; `calls.terms` is an index into the answer."""
    found: list[Terms] = []
    rows = list(_offers(warehouse.ask(calls.WAITING), found))
    if rows:
        warehouse.run(calls.RATES, [list(column) for column in zip(*rows, strict=True)])
        warehouse.run(calls.MATCH)
    warehouse.run(calls.UNFIT)
    return found


def _offers(waiting: Iterable[Mapping[str, Any]], found: list[Terms]) -> Iterator[tuple[Any, ...]]:
    """The rates by which such calls would be billed: one row for each time of day and range of lengths."""
    known: dict[tuple[PriceContext, Rates], int] = {}
    for key in waiting:
        provider, model, day, variants = key["provider"], key["model"], key["day"], key["variants"]
        context = PriceContext(provider, model, day * DAY_NS, _variants(variants))
        levels = rates(context)
        if isinstance(levels, str):
            continue
        for level, (until_ns, up_to) in zip(levels, _ends(levels), strict=True):
            index = known.setdefault((context._replace(at_ns=0), level), len(found))
            if index == len(found):
                found.append(Terms(context, level))
            prices = [getattr(level, part) for part in (*PARTS, "request")]
            as_floats = [None if price is None else float(price) for price in prices]
            yield (provider, model, day, variants, level.from_ns, until_ns, level.above, up_to, index, *as_floats)


def _variants(text: str) -> tuple[tuple[str, str], ...]:
    """From `taskmeter.price.terms`; none from what is no such thing, whose amount will then not be made either."""
    try:
        found: object = json.loads(text) if text else None
    except ValueError:
        return ()
    pairs = cast("dict[str, object]", found).items() if isinstance(found, dict) else ()
    return tuple(sorted((name, value) for name, value in pairs if isinstance(value, str)))


def _ends(levels: Sequence[Rates]) -> Iterator[Interval]:
    """Until when after midnight, and up to which length, each of the rates of a day holds."""
    for number, level in enumerate(levels):
        after = levels[number + 1] if number + 1 < len(levels) else None
        until = next((other.from_ns for other in levels if other.from_ns > level.from_ns), DAY_NS)
        up_to = after.above if after is not None and after.from_ns == level.from_ns else 1 << 62
        yield until, up_to


def cells(
    warehouse: Warehouse, terms: Sequence[Terms], thresholds: Iterable[int] = (), trimmed: Iterable[Source] = ()
) -> list[Cell]:
    """The calls with terms, summed. `thresholds` are lengths at which a hypothetical price steps up; what the sources
    in `trimmed` were billed at is looked up."""
    steps = sorted(set(thresholds))
    band = " + ".join([f"(length > {int(step)})::INTEGER" for step in steps]) or "0"
    costs = [f", sum({calls.SHARE_COST.format(source=source)}) AS cost_{source}" for source in sorted(set(trimmed))]
    found = warehouse.ask(calls.CELLS.format(band=band, costs="".join(costs)))
    return [_cell(row, terms, [0, *(step + 1 for step in steps)], warehouse) for row in found]


_COUNTS: Final = ("calls", "in_part", "cacheable", "writable", "fingerprinted", "measured", "with_tools")


def _cell(row: Mapping[str, Any], terms: Sequence[Terms], least: Sequence[int], warehouse: Warehouse) -> Cell:
    of_cell: Terms = terms[int(row["terms"])]
    return Cell(
        workflow=row["workflow"],
        task=row["task"],
        step=row["step"],
        terms=of_cell,
        least_input=max(least[int(row["band"])], of_cell.rates.above + 1),
        repeated=row["repeated"],
        cost=warehouse.known(row["cost"]),
        estimated=warehouse.known(row["estimated"]),
        **{name: int(row[name]) for name in _COUNTS},
        tokens={part: int(row[part]) for part in PARTS if row[part]},
        sent={source: int(row[f"sent_{source}"]) for source in SOURCES if row[f"sent_{source}"]},
        sent_cost={
            source: Decimal(repr(row[f"cost_{source}"])) for source in SOURCES if row.get(f"cost_{source}") is not None
        },
    )
