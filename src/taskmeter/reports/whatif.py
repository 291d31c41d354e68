"""What recorded work would have cost under other terms: each change alone, in turn, and all together, as ranges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final, Literal

from taskmeter import pricing
from taskmeter.errors import UsageError
from taskmeter.pricing import PriceContext, Rates
from taskmeter.records import ZERO, add, divide, multiply, subtract, total
from taskmeter.reports import recorded_calls
from taskmeter.reports.coverage import SUMS, Coverage, cover
from taskmeter.reports.engine import cohort
from taskmeter.reports.engine.calls import DAY_NS, NO_TASK
from taskmeter.reports.engine.warehouse import Warehouse
from taskmeter.reports.portions import ENDS, End, Portion, whole
from taskmeter.reports.price_terms import Book
from taskmeter.reports.recorded_calls import Cell, Terms
from taskmeter.reports.scenarios import Route, Scenario, Trim
from taskmeter.reports.success import Success, rate_of
from taskmeter.reports.text import line
from taskmeter.reports.whatif_notes import Effect, notes, reach_notes
from taskmeter.reports.whatif_result import Left, Range, Reach, ScenarioSaving, WhatIf, Workflow

_MONEY = Context(prec=60)
_QUOTIENT = Decimal("1e-12")
_PROVIDERS: Final = ("openai", "anthropic", "gcp.gemini")


def what_if(
    warehouse: Warehouse,
    scenarios: Sequence[Scenario],
    *,
    success: Sequence[Success] = (),
    stated: Mapping[str, Rates] | None = None,
    since_ns: int | None = None,
    until_ns: int | None = None,
) -> WhatIf:
    """Makes the report, of tasks that began at `since_ns` or later, and before `until_ns`.

    `success` holds for the workflows that a change is about, the last for each; `stated` are models with a price of
    their own. Raises `UsageError` for a model without a price, and for one with a stated price that no route leads to.
    """
    for model in stated or {}:
        if all(model != scenario.model for scenario in scenarios if isinstance(scenario, Route)):
            raise UsageError(f"--model-price {model!r} is of no use without a route to it: --route '*:*={model}'")
    terms, book = open_book(warehouse, stated or {}, since_ns, until_ns)
    recorded = recorded_calls.cells(
        warehouse,
        terms,
        _thresholds(scenarios, terms, book),
        [scenario.source for scenario in scenarios if isinstance(scenario, Trim)],
    )
    base = [whole(cell) for cell in recorded]
    alone = [_Run.of(base, [scenario], book) for scenario in scenarios]
    joint = _Run.of(base, scenarios, book)
    savings = tuple(
        ScenarioSaving(scenario=scenario.text, calls=run.calls[0], alone=run.saving(0), in_turn=joint.saving(number))
        for number, (scenario, run) in enumerate(zip(scenarios, alone, strict=True))
    )
    effects = [Effect(*each) for each in zip(scenarios, (run.calls[0] for run in alone), joint.stays, strict=True)]
    rows, successes = _rows(warehouse, joint, success, since_ns, until_ns)
    whole_row = _total(rows, successes)
    reach = reach_of(warehouse, recorded, whole_row.total)
    return WhatIf(
        warehouse.currency,
        savings,
        rows,
        whole_row,
        coverage_of(warehouse),
        reach,
        date_of(book.at_ns) if reach.calls else None,
        tuple(map(line, (*notes(effects, recorded, book, success), *reach_notes(reach, warehouse.currency)))),
    )


def open_book(
    warehouse: Warehouse, stated: Mapping[str, Rates], since_ns: int | None, until_ns: int | None
) -> tuple[Sequence[Terms], Book]:
    """Finds the calls of tasks in that time and by which terms they were billed; and the price book to ask."""
    recorded_calls.find_calls(warehouse, since_ns, until_ns)
    terms = recorded_calls.find_terms(warehouse)
    (last,) = warehouse.ask("SELECT coalesce(max(day), 0) AS day FROM calls")
    providers = tuple(dict.fromkeys((*(each.context.provider for each in terms), *_PROVIDERS)))
    return terms, Book(last["day"] * DAY_NS, stated, providers)


def _thresholds(scenarios: Iterable[Scenario], terms: Iterable[Terms], book: Book) -> Iterator[int]:
    """Lengths at which a price that may be asked for steps up."""
    asked = {each.context for each in terms} or {PriceContext(_PROVIDERS[0], "", book.at_ns)}
    for scenario in scenarios:
        asked |= {scenario.moved(context, book) for context in asked}
    for context in asked:
        levels = book.levels(context)
        if not isinstance(levels, str):
            yield from (level.above for level in levels if level.above > 0)


@dataclass(slots=True)
class _Run:
    """Some changes, one after another."""

    saved: list[dict[str, dict[End, Decimal]]]
    """By each in its turn, by workflow."""
    calls: list[int]
    """That each is about."""
    touched: set[str]
    """Workflows with such calls."""
    stays: list[Mapping[str, Decimal]]
    """Why calls of each are not as it says -> how many."""

    @staticmethod
    def of(base: Sequence[Portion], scenarios: Sequence[Scenario], book: Book) -> _Run:
        """All of them on `base`."""
        run = _Run([{} for _ in scenarios], [], set(), [])
        for end in ENDS:
            priced = [(portion, portion.cell.cost) for portion in base]
            for scenario, saved in zip(scenarios, run.saved, strict=True):
                if end == "likely":
                    run.look(scenario, (portion for portion, _ in priced), book)
                priced = list(_applied(priced, scenario, end, book, saved))
        return run

    def look(self, scenario: Scenario, portions: Iterable[Portion], book: Book) -> None:
        """Counts what `scenario` is about."""
        about = [portion for portion in portions if scenario.touches(portion)]
        cells = {id(portion.cell): portion.cell for portion in about}.values()
        self.touched |= {cell.workflow for cell in cells}
        self.calls.append(sum(cell.calls for cell in cells))
        stays: dict[str, Decimal] = {}
        for portion in about:
            if why := scenario.stays(portion, book):
                stays[why] = add(stays.get(why, ZERO), portion.counts.calls)
        self.stays.append(stays)

    def saving(self, number: int) -> Range:
        """What the change of that number saves in its turn."""
        return _range(total(saved.get(end, ZERO) for saved in self.saved[number].values()) for end in ENDS)

    def saving_of(self, workflow: str) -> Range:
        """What all of them save there."""
        found = [saved[workflow] for saved in self.saved if workflow in saved]
        return _range(total(saved.get(end, ZERO) for saved in found) for end in ENDS)


def _applied(
    priced: Iterable[tuple[Portion, Decimal]],
    scenario: Scenario,
    end: End,
    book: Book,
    saved: dict[str, dict[End, Decimal]],
) -> Iterator[tuple[Portion, Decimal]]:
    """Portions, each with what it costs, as `scenario` makes them; adds up in `saved` what that saves."""
    for portion, cost in priced:
        if not scenario.touches(portion):
            yield portion, cost
            continue
        became = [(each, each.cost) for each in scenario.apply(portion, end, book)]
        yield from became
        of_workflow = saved.setdefault(portion.cell.workflow, {})
        off = subtract(cost, total(each for _, each in became))
        of_workflow[end] = add(of_workflow.get(end, ZERO), off)


def _range(ends: Iterable[Decimal]) -> Range:
    """From what holds at each of `ENDS`."""
    _, likely, _ = found = tuple(amount.normalize(_MONEY) for amount in ends)
    return Range(min(found), likely, max(found))


_LEFT = """
SELECT stays, sum(n)::BIGINT AS calls, sum(cost) AS cost FROM calls
WHERE stays IS NOT NULL GROUP BY stays ORDER BY stays
"""
_COVERED = f"SELECT {SUMS} FROM chosen WHERE parent IS NULL"
_OUTERMOST = """
SELECT name, count(*) AS tasks, count(*) FILTER (outcome = 'succeeded') AS succeeded,
    count(*) FILTER (outcome IN ('succeeded', 'failed', 'abandoned')) AS ended, sum(cost) AS spent
FROM chosen WHERE parent IS NULL GROUP BY name
"""


def _rows(
    warehouse: Warehouse, run: _Run, success: Sequence[Success], since_ns: int | None, until_ns: int | None
) -> tuple[tuple[Workflow, ...], Decimal]:
    """And how many tasks would succeed."""
    rows: list[Workflow] = []
    successes = ZERO
    for found in warehouse.ask(_OUTERMOST):
        name, tried = found["name"], Decimal(found["ended"])
        rate = divide(Decimal(found["succeeded"]), tried) if tried else None
        new_rate = rate if rate is None or name not in run.touched else rate_of(success, name, rate)
        successes = add(successes, ZERO if new_rate is None else multiply(new_rate, tried))
        spent, saving = warehouse.amount(found["spent"]), run.saving_of(name)
        rows.append(_compared(name, "workflow", found, spent, saving, (rate, new_rate, tried)))
    rows.sort(key=lambda row: (-(row.total or ZERO), row.name))
    (outside,) = warehouse.ask(cohort.OUTSIDE, {"since": since_ns, "until": until_ns})
    if outside["leaves"]:
        none = {"tasks": 0, "succeeded": 0, "ended": 0}
        spent, saving = warehouse.amount(outside["spent"]), run.saving_of(NO_TASK)
        rows.append(_compared(NO_TASK, "no_task", none, spent, saving, (None, None, ZERO)))
    return tuple(rows), successes


def outermost_spend(warehouse: Warehouse, since_ns: int | None, until_ns: int | None) -> Decimal | None:
    """All that was spent; `None` when nothing could be priced."""
    (outside,) = warehouse.ask(cohort.OUTSIDE, {"since": since_ns, "until": until_ns})
    known = [warehouse.amount(found["spent"]) for found in (*warehouse.ask(_OUTERMOST), outside)]
    priced = [amount for amount in known if amount is not None]
    return total(priced) if priced else None


def _compared(
    name: str,
    kind: Literal["workflow", "no_task", "total"],
    found: Mapping[str, Any],
    spent: Decimal | None,
    saving: Range,
    success: tuple[Decimal | None, Decimal | None, Decimal],
) -> Workflow:
    rate, new_rate, tried = success
    new = None if spent is None else _range(subtract(spent, saved) for saved in reversed(saving))
    successes = multiply(rate, tried) if rate is not None else ZERO
    new_successes = multiply(new_rate, tried) if new_rate is not None else ZERO
    least, most = min(successes, new_successes), max(successes, new_successes)
    each = None
    if new is not None and least:
        each = Range(_quotient(new.low, most), _quotient(new.likely, new_successes), _quotient(new.high, least))
    even = divide(multiply(new.likely, rate), spent) if new is not None and spent and rate else None
    return Workflow(
        name=name,
        kind=kind,
        tasks=found["tasks"],
        succeeded=found["succeeded"],
        ended=found["ended"],
        total=spent,
        new_total=new,
        saving=saving,
        saving_share=share_of(saving.likely, spent),
        success_rate=_rounded(rate),
        new_success_rate=_rounded(new_rate),
        cost_per_success=_quotient(spent, Decimal(found["succeeded"])) if spent is not None and successes else None,
        new_cost_per_success=each,
        break_even_success_rate=_rounded(even) if even is not None and even <= 1 else None,
    )


def _total(rows: Sequence[Workflow], successes: Decimal) -> Workflow:
    """The sum of the rows, with so many successes."""
    counts = {name: sum(getattr(row, name) for row in rows) for name in ("tasks", "succeeded", "ended")}
    known = [row.total for row in rows if row.total is not None]
    spent = total(known) if known or not rows else None
    saving = Range(*(total(row.saving[end] for row in rows) for end in range(3)))
    tried = Decimal(counts["ended"])
    rates = [divide(count, tried) if tried else None for count in (Decimal(counts["succeeded"]), successes)]
    return _compared("TOTAL", "total", counts, spent, saving, (rates[0], rates[1], tried))


def coverage_of(warehouse: Warehouse) -> Coverage:
    """Of the outermost tasks, and the prices that changes are reckoned with: those that are installed."""
    (found,) = warehouse.ask(_COVERED)
    return cover([found], warehouse, f"genai-prices {pricing.data_version()}")


def reach_of(warehouse: Warehouse, recorded: Sequence[Cell], spend: Decimal | None) -> Reach:
    """Of all calls that were found, those in `recorded` could be repriced."""
    left = tuple(
        Left(found["stays"], found["calls"], amount, None if amount is None else share_of(amount, spend))
        for found in warehouse.ask(_LEFT)
        for amount in [warehouse.amount(found["cost"])]
    )
    repriced, count = total(cell.cost for cell in recorded), sum(cell.calls for cell in recorded)
    known = add(repriced, total(each.cost for each in left if each.cost is not None))
    other = None if spend is None else subtract(spend, known).normalize(_MONEY)
    return Reach(
        spend=spend,
        repriced=repriced,
        repriced_share=share_of(repriced, spend),
        estimated_share=share_of(total(cell.estimated for cell in recorded), repriced),
        fees=total(whole(cell).counts.fees for cell in recorded).normalize(_MONEY),
        calls=count + sum(each.calls for each in left),
        repriced_calls=count,
        repriced_in_part=sum(cell.in_part for cell in recorded),
        left=left,
        other=other,
        other_share=None if other is None else share_of(other, spend),
    )


def date_of(at_ns: int) -> str:
    """The UTC day."""
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).date().isoformat()


def _quotient(amount: Decimal, count: Decimal) -> Decimal:
    return divide(amount, count).quantize(_QUOTIENT, ROUND_HALF_EVEN, _MONEY)


def share_of(part: Decimal, whole_amount: Decimal | None) -> float | None:
    """0 to 1; `None` when there is nothing to have a share of."""
    return round(float(divide(part, whole_amount)), 6) if whole_amount else None


def _rounded(rate: Decimal | None) -> float | None:
    return None if rate is None else round(float(rate), 6)
