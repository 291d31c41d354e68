"""`taskmeter value`: what tasks are worth, what is left of it, and whether an agent pays against people doing the work.

A row's tasks are the outermost ones of its group, with all that is nested in them: units of work, each once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from taskmeter._bounds import shown
from taskmeter.errors import UsageError
from taskmeter.records import divide
from taskmeter.reports import resampling
from taskmeter.reports.coverage import SUMS, Coverage, cover, read_price_data
from taskmeter.reports.engine import cohort
from taskmeter.reports.engine.warehouse import Warehouse
from taskmeter.reports.intervals import Interval, rounded, wilson
from taskmeter.reports.notes import heavy_note, pending_gap, price_gaps
from taskmeter.reports.text import plain
from taskmeter.reports.unit_cost_intervals import HEAVY
from taskmeter.reports.value_result import Minutes, ValueReport, ValueRow, Verdict, Work
from taskmeter.reports.worth import break_even, judge, more_tasks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

GROUPS: Final = ("name", "customer", "version")
"""What a row can be for each of, besides values of a label."""

# People's time that is priced is in the cost of tasks, and of those around them.
_PEOPLE = """
CREATE OR REPLACE TEMP TABLE people AS
WITH RECURSIVE booked AS (
    SELECT task_id, cost FROM leaves WHERE minutes <> zero() AND task_id IS NOT NULL
    UNION ALL
    SELECT meant, cost FROM outcomes WHERE minutes <> zero() AND meant IS NOT NULL
), above(id, around, cost) AS (
    SELECT t.id, t.parent, b.cost FROM booked b JOIN tasks t ON t.id = b.task_id WHERE b.cost IS NOT NULL
    UNION ALL
    SELECT t.id, t.parent, a.cost FROM above a JOIN tasks t ON t.id = a.around
)
SELECT id, sum(cost) AS cost FROM above GROUP BY id
"""
_UNITS = """
CREATE OR REPLACE TEMP VIEW units AS
SELECT c.*, coalesce(p.cost, zero()) AS people FROM cohort c LEFT JOIN people p ON p.id = c.id
WHERE c.is_outer AND NOT c.is_open
"""
_GROUPS = f"""
CREATE OR REPLACE TEMP TABLE value_groups AS
SELECT grouped, row_number() OVER (ORDER BY sum(cost) DESC NULLS LAST, grouped) - 1 AS number, {SUMS},
    count(*) FILTER (outcome = 'succeeded') AS succeeded, count(cost) AS priced, sum(value) AS value,
    count(value) AS valued
FROM units GROUP BY grouped
"""
# What is unknown of a cost is left out of it, here and in the sums: the coverage says so.
_TASKS = """
SELECT number, coalesce(cost, zero())::DOUBLE AS cost,
    greatest(zero(), coalesce(cost, zero()) - people)::DOUBLE AS agent,
    coalesce(units.value, zero())::DOUBLE AS value, minutes::DOUBLE AS minutes,
    (outcome = 'succeeded')::DOUBLE AS succeeded, outcome <> 'pending' AS tried,
    coalesce(w.minutes_of, $work)::DOUBLE AS work, coalesce(k.minutes_of, $check)::DOUBLE AS said_check
FROM units JOIN value_groups g USING (grouped)
LEFT JOIN said_work w ON w.task = units.name LEFT JOIN said_check k ON k.task = units.name
ORDER BY number, start_ns, id
"""


def value(
    warehouse: Warehouse,
    by: str = "name",
    work: Work | None = None,
    *,
    since_ns: int | None = None,
    until_ns: int | None = None,
) -> ValueReport:
    """Makes the report: a row for each `name`, `customer` or `version`, or value of `label:NAME`, of tasks that ended.

    Raises `UsageError` for another group, and for a cost of failures that cannot be compared to people's time.
    """
    work = Work() if work is None else work
    if by not in GROUPS and not by.startswith(cohort.LABEL):
        raise UsageError(f"--by {by!r} has no value of its own; there are {', '.join(GROUPS)} and label:NAME")
    if work.harm and work.hourly is None:
        raise UsageError(f"--harm {work.harm} cannot be weighed against people's time: say what it costs by --hourly")
    cohort.make_cohort(warehouse, by, since_ns, until_ns)
    for statement in (_PEOPLE, _UNITS, _GROUPS):
        warehouse.run(statement)
    for table, minutes in (("said_work", work.task), ("said_check", work.check)):
        warehouse.run(
            f"CREATE OR REPLACE TEMP TABLE {table} AS "
            "SELECT unnest($names::VARCHAR[]) AS task, unnest($minutes::DOUBLE[]) AS minutes_of",
            {"names": list(minutes.of), "minutes": list(minutes.of.values())},
        )
    units = _read_units(warehouse, work)
    found = warehouse.ask("SELECT * FROM value_groups ORDER BY number")
    if not found:
        raise UsageError("No task has ended in this window, so there is nothing to value")
    price_data = read_price_data(warehouse, since_ns, until_ns)
    top_shares = {group["grouped"]: units.of(group["number"]).top_share for group in found}
    rows = tuple(
        _row(group, units.of(group["number"]), warehouse, work, cover([group], warehouse, price_data))
        for group in found
    )
    return ValueReport(
        currency=warehouse.currency,
        by=by,
        hourly=work.hourly,
        harm=work.harm,
        rows=rows,
        coverage=cover(found, warehouse, price_data),
        notes=tuple(_notes(rows, work, warehouse, top_shares)),
    )


@dataclass(frozen=True, slots=True)
class _Units:
    """One element a task; minutes that nobody said are not a number."""

    number: NDArray[np.int64]
    cost: Floats
    agent: Floats
    """Of `cost` what is not people's time."""
    value: Floats
    minutes: Floats
    succeeded: Floats
    tried: NDArray[np.bool_]
    work: Floats
    said_check: Floats

    def of(self, number: int) -> _Units:
        """Of one group: they are in order."""
        first, end = self.number.searchsorted((number, number + 1))
        return _Units(*(getattr(self, name)[first:end] for name in _Units.__slots__))

    @property
    def top_share(self) -> float:
        """Of all cost: the part of the costliest task."""
        return float(self.cost.max() / self.cost.sum()) if self.cost.any() else 0.0

    def where(self, which: NDArray[np.bool_]) -> _Units:
        return _Units(*(getattr(self, name)[which] for name in _Units.__slots__))


def _read_units(warehouse: Warehouse, work: Work) -> _Units:
    def unless_unknown(minutes: Minutes) -> float:
        return float("nan") if minutes.otherwise is None else minutes.otherwise

    found = warehouse.arrays(_TASKS, {"work": unless_unknown(work.task), "check": unless_unknown(work.check)})
    amounts = {name: warehouse.floats(found[name]) for name in ("cost", "agent", "value", "minutes")}
    return _Units(**(found | amounts))


def _row(found: Mapping[str, Any], units: _Units, warehouse: Warehouse, work: Work, coverage: Coverage) -> ValueRow:
    total = warehouse.known(found["spent"]) if found["priced"] else None
    worth = warehouse.amount(found["value"])
    margin = worth - total if worth is not None and total is not None else None
    per_success = resampling.ratio(units.cost, units.succeeded)
    success = None if per_success is None else per_success.interval()
    spread = resampling.mean_interval(units.value - units.cost) if margin is not None else None
    return ValueRow(
        name=found["grouped"],
        tasks=found["tasks"],
        succeeded=found["succeeded"],
        total=total,
        cost_per_success=_quotient(total, found["succeeded"]) if total is not None and found["succeeded"] else None,
        cost_per_success_low=_low(success),
        cost_per_success_high=_high(success),
        value=worth,
        valued=found["valued"],
        margin=margin,
        margin_low=None if spread is None else rounded(spread.low * found["tasks"]),
        margin_high=None if spread is None else rounded(spread.high * found["tasks"]),
        margin_share=_share(margin, worth),
        return_on_spend=_share(worth, total),
        coverage=coverage,
        **_worth(plain(found["grouped"]), units.where(units.tried), work, is_priced=total is not None),
    )


def _worth(name: str, units: _Units, work: Work, *, is_priced: bool) -> dict[str, Any]:
    """What the row says of people's time, of tasks that have an outcome."""
    import numpy as np

    tried, succeeded = len(units.cost), int(units.succeeded.sum())
    rate = Interval(*wilson(succeeded, tried)) if tried else None
    takes = float(units.work.mean()) if tried and not np.isnan(units.work).any() else None
    checks = np.where(np.isnan(units.said_check), units.minutes, units.said_check)
    is_checked = tried > 0 and (bool(checks.any()) or not np.isnan(units.said_check).any())
    told: dict[str, Any] = {
        "tried": tried,
        "success_rate": round(succeeded / tried, 6) if tried else None,
        "success_rate_low": _low(rate),
        "success_rate_high": _high(rate),
        "task_minutes": takes,
        "check_minutes": float(checks.mean()) if is_checked else None,
    }
    hourly = None if work.hourly is None else float(work.hourly)
    spent = checks if hourly is None else units.agent + checks * hourly / 60
    replaced = units.succeeded * units.work / 60
    told |= _hourly(units, replaced, takes, is_priced=is_priced)
    is_weighed = takes is not None and is_checked and is_priced
    told["checked_hourly"] = (
        round(float(spent.sum() / replaced.sum()), 6) if is_weighed and hourly is not None and succeeded else None
    )
    if takes is None or not is_weighed or rate is None:
        needed, at, verdict = None, None, "not asked"
    else:
        saved = takes if hourly is None else takes * hourly / 60
        spread = resampling.mean_interval(spent)
        at = break_even(float(spent.mean()), saved, float(work.harm))
        ends = (spread.low, spread.high) if spread else ()
        needed = Interval(*(break_even(max(0.0, end), saved, float(work.harm)) for end in ends)) if ends else None
        verdict = "cannot be told yet" if needed is None else judge(rate, needed)
    more = None
    if verdict == "cannot be told yet" and needed is not None and at is not None:
        more = more_tasks(succeeded, tried, at, needed)
    told |= {"break_even": None if at is None else round(at, 6), "more_tasks": more, "verdict": verdict}
    told |= {"break_even_low": _low(needed), "break_even_high": _high(needed)}
    told["sentence"] = _sentence(name, told, is_priced=is_priced)
    return told


def _hourly(units: _Units, replaced: Floats, takes: float | None, *, is_priced: bool) -> dict[str, float | None]:
    """What an hour of work that the agent replaces costs of agent."""
    found = resampling.ratio(units.agent, replaced) if takes is not None and is_priced else None
    ends = None if found is None else found.interval()
    is_known = takes is not None and is_priced and replaced.sum() > 0
    return {
        "agent_hourly": round(float(units.agent.sum() / replaced.sum()), 6) if is_known else None,
        "agent_hourly_low": _low(ends),
        "agent_hourly_high": _high(ends),
    }


def _sentence(name: str, told: Mapping[str, Any], *, is_priced: bool) -> str:
    verdict: Verdict = told["verdict"]
    if verdict == "not asked":
        return f"{name}: whether it pays cannot be said: {_missing(told, is_priced=is_priced)}."
    low, high = told["success_rate_low"], told["success_rate_high"]
    measured = f"it succeeds in {told['success_rate']:.1%} of tasks [{low:.1%}, {high:.1%}]"
    needed = told["break_even"]
    if verdict == "pays":
        return f"{name} pays: {measured}, and {needed:.1%} would be enough."
    if verdict == "does not pay":
        if needed >= 1:
            return f"{name} does not pay: the agent and the check cost more than the work that a success saves."
        return f"{name} does not pay: {measured}, and would have to in {needed:.1%}."
    more = told["more_tasks"]
    enough = f"about {more:,} more tasks would tell" if more else "more tasks are needed than can be said"
    return f"{name}: whether it pays cannot be told yet: {measured}, and {needed:.1%} are needed; {enough}."


def _missing(told: Mapping[str, Any], *, is_priced: bool) -> str:
    if not told["tried"]:
        return "no task has an outcome yet"
    if not is_priced:
        return "none of its calls could be priced"
    if told["task_minutes"] is None:
        return "say how long a person takes, --task-minutes"
    return "no human minutes are recorded: say how long a check takes, --check-minutes"


def _notes(
    rows: Sequence[ValueRow], work: Work, warehouse: Warehouse, top_shares: Mapping[str, float]
) -> Iterable[str]:
    if work.hourly is None and any(row.break_even is not None for row in rows):
        yield "Break-even counts time only, not what the agent costs: say what an hour of a person costs, --hourly."
    for row in rows:
        if row.value is not None and row.valued < row.succeeded:
            yield f"{plain(row.name)}: the value is known of {row.valued:,} tasks, and {row.succeeded:,} succeeded."
        yield from price_gaps(plain(row.name), row.coverage)
        yield from pending_gap(plain(row.name), row.coverage)
        if row.cost_per_success_low is not None and (share := top_shares[row.name]) >= HEAVY:
            yield heavy_note(plain(row.name), share)
    known = {found["name"] for found in warehouse.ask("SELECT DISTINCT name FROM units")}
    for option, minutes in (("--task-minutes", work.task), ("--check-minutes", work.check)):
        for name in sorted(minutes.of.keys() - known):
            yield f"{option} of {shown(name)} is for no task here."
    (unfinished,) = warehouse.ask("SELECT count(*) AS tasks FROM cohort WHERE is_open")
    if unfinished["tasks"]:
        yield f"Tasks that have not ended are left out: {unfinished['tasks']:,}."


def _low(interval: Interval | None) -> float | None:
    return None if interval is None else rounded(interval.low)


def _high(interval: Interval | None) -> float | None:
    return None if interval is None else rounded(interval.high)


def _quotient(amount: Decimal, count: int) -> Decimal:
    return divide(amount, Decimal(count)).quantize(Decimal("1e-12"), ROUND_HALF_EVEN, Context(prec=60))


def _share(part: Decimal | None, whole: Decimal | None) -> float | None:
    return round(float(divide(part, whole)), 6) if whole and part is not None else None
