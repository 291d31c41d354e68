"""`taskmeter steps`: how reliable each step of a workflow is, and what comes of all of them in a row.

A run of a step failed when it was discarded or ended with an error. Ten steps that succeed in 95 % of their runs each
succeed together in 60 %: the product is the success rate of a task whose steps nobody tries again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from math import exp, log, sqrt
from typing import Any, Final

from taskmeter.errors import UsageError
from taskmeter.records import divide
from taskmeter.reports.coverage import SUMS, Coverage, cover, read_price_data
from taskmeter.reports.engine import cohort
from taskmeter.reports.engine.warehouse import Warehouse
from taskmeter.reports.intervals import Interval, Sums, rounded, skewed_ratio, wilson
from taskmeter.reports.render_coverage import price_gaps
from taskmeter.reports.text import money, plain
from taskmeter.reports.unit_cost_intervals import LEAST

_RUNS: Final = f"""
WITH runs AS (
    SELECT t.id, t.name, coalesce(s.step, s.span_name) AS step, t.outcome, s.start_ns - t.start_ns AS begins,
        coalesce(s.discarded, false) OR s.error IS NOT NULL AS failed
    FROM spans s JOIN chosen t ON t.id = s.task_id WHERE s.what = 'step' AND t.outcome <> 'unfinished'
), spent AS (
    SELECT t.name, c.grouped AS step, sum(c.cost) AS cost, sum(c.cost::DOUBLE) AS c,
        sum(c.cost::DOUBLE ** 2) AS c2, sum(c.cost::DOUBLE ** 3) AS c3, max(c.cost::DOUBLE) AS top
    FROM cohort c JOIN chosen t USING (id) WHERE NOT c.is_open GROUP BY ALL
), tasks_of AS (
    SELECT name, {SUMS}, count(*) FILTER (outcome = 'succeeded') AS succeeded,
        count(*) FILTER (outcome IN ('succeeded', 'failed', 'abandoned')) AS tried
    FROM chosen WHERE outcome <> 'unfinished' GROUP BY name
)
SELECT r.name, r.step, count(*) AS runs, count(*) FILTER (r.failed) AS failed,
    count(*) FILTER (NOT r.failed AND r.outcome = 'succeeded') AS passes, any_value(s.cost) AS cost,
    any_value(s.c) AS c, any_value(s.c2) AS c2, any_value(s.c3) AS c3, any_value(s.top) AS top,
    any_value(o.tasks) AS tasks, any_value(o.succeeded) AS succeeded, any_value(o.tried) AS tried,
    any_value(o.pending) AS pending, any_value(o.unpriced) AS unpriced, any_value(o.spent) AS spent,
    any_value(o.estimated) AS estimated
FROM runs r JOIN tasks_of o USING (name) LEFT JOIN spent s ON s.name = r.name AND s.step = r.step
WHERE coalesce(r.name = $name, true)
GROUP BY r.name, r.step ORDER BY any_value(o.spent) DESC NULLS LAST, r.name, avg(r.begins), r.step
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One step of the tasks of one name."""

    name: str
    step: str
    runs: int
    failed: int
    success_rate: float
    success_rate_low: float
    success_rate_high: float
    """Of a run, 0 to 1, with the 95 % interval by Wilson."""
    passes: float | None
    """How often a task that succeeded got through this step; `None` where none did."""
    cost: Decimal | None
    """What was spent in the step itself, not in steps or tasks within; `None` where nothing could be priced."""
    cost_per_task: float | None
    """Over all tasks of that name."""
    lost: float | None
    """By how much the end-to-end success would be higher if this step never failed."""
    lost_low: float | None
    lost_high: float | None
    """Ends of its 95 % interval; `None` where another step always fails."""
    lost_per_usd: float | None
    """`lost` over `cost_per_task`: where reliability is lost for little money, it may be bought for little."""
    lost_per_usd_low: float | None
    lost_per_usd_high: float | None
    """Ends of its 95 % interval; `None` also for fewer than 10 tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """All steps of the tasks of one name."""

    name: str
    tasks: int
    end_to_end: float | None
    """The product of the success rates of the steps, each as often as a succeeded task gets through it."""
    end_to_end_low: float | None
    end_to_end_high: float | None
    success_rate: float | None
    """What the tasks came to in fact, by their outcomes."""
    sentence: str
    coverage: Coverage


@dataclass(frozen=True, slots=True)
class StepsReport:
    """Steps in the order in which tasks reach them, by name; names by what they cost."""

    currency: str
    rows: tuple[StepRow, ...]
    workflows: tuple[Workflow, ...]
    coverage: Coverage
    notes: tuple[str, ...] = ()


def steps(
    warehouse: Warehouse, name: str | None = None, *, since_ns: int | None = None, until_ns: int | None = None
) -> StepsReport:
    """Makes the report, of tasks that have ended, of one `name` or all. Raises `UsageError` if none has steps."""
    cohort.make_cohort(warehouse, "step", since_ns, until_ns)
    found = warehouse.ask(_RUNS, {"name": name})
    if not found:
        whose = "No task that has ended" if name is None else f"No task of the name {name!r} that has ended"
        raise UsageError(f"{whose} has steps; open them with track_step")
    rows: list[StepRow] = []
    workflows: list[Workflow] = []
    price_data = read_price_data(warehouse, since_ns, until_ns)
    steps_of: dict[str, list[Mapping[str, Any]]] = {}
    for row in found:
        steps_of.setdefault(row["name"], []).append(row)
    for runs in steps_of.values():
        of_name = _of_name([_row(row, warehouse) for row in runs], [_cost_ends(row, warehouse) for row in runs])
        rows += of_name
        workflows.append(_workflow(runs[0], of_name, warehouse, price_data))
    whole = cover([runs[0] for runs in steps_of.values()], warehouse, price_data)
    return StepsReport(warehouse.currency, tuple(rows), tuple(workflows), whole, tuple(_notes(workflows)))


def end_to_end(steps: Sequence[tuple[int, int, float]]) -> tuple[float, Interval | None]:
    """The product of success rates, each of so many runs that passed of all, to the power of how often a task runs the
    step, with its 95 % interval; none where a rate is 0.

    The product is known as well as a share of so many tasks would be: those for which its logarithm has the variance
    that the logarithms of the rates have together. Their share has Wilson's interval; of one step, its own.
    """
    steps = [step for step in steps if step[2]]
    if any(not passed for passed, _, _ in steps):
        return 0.0, None
    product = exp(sum(times * log(passed / runs) for passed, runs, times in steps))
    # Half a failure more in each: a step that never failed is not sure never to.
    rates = [((passed + 0.5) / (runs + 1), runs, times) for passed, runs, times in steps]
    variance = sum(times**2 * (1 - rate) / (runs * rate) for rate, runs, times in rates)
    if not variance:
        return product, Interval(product, product)
    expected = exp(sum(times * log(rate) for rate, _, times in rates))
    tasks = (1 - expected) / (expected * variance)
    return product, Interval(*wilson(product * tasks, tasks))


def loss(without: tuple[float, Interval | None], step: tuple[int, int, float]) -> tuple[float, Interval | None]:
    """What a step takes from the product `without` it: what it fails, of what the others let through.

    Both are uncertain, and independently so: distances to the ends add up by their squares, each times what the other
    is. That holds for a step that never failed too, of which the upper end is what it may lose unseen.
    """
    (rest, rest_ends), (passed, runs, times) = without, step
    low, high = wilson(passed, runs)
    failed, least, most = (1 - rate**times for rate in (passed / runs, high, low))
    lost = rest * failed
    if rest_ends is None:
        return lost, None
    below = sqrt((rest * (failed - least)) ** 2 + (failed * (rest - rest_ends.low)) ** 2)
    above = sqrt((rest * (most - failed)) ** 2 + (failed * (rest_ends.high - rest)) ** 2)
    return lost, Interval(max(0.0, lost - below), min(1.0, lost + above))


def per_cost(
    lost: tuple[float, Interval | None], cost: float, cost_ends: Interval | None
) -> tuple[float, Interval | None]:
    """A loss over what the step costs, likewise."""
    per, ends = lost[0] / cost, lost[1]
    if ends is None or cost_ends is None or not cost_ends.low:
        return per, None
    below = sqrt(((lost[0] - ends.low) / cost) ** 2 + (lost[0] * (1 / cost - 1 / cost_ends.high)) ** 2)
    above = sqrt(((ends.high - lost[0]) / cost) ** 2 + (lost[0] * (1 / cost_ends.low - 1 / cost)) ** 2)
    return per, Interval(max(0.0, per - below), per + above)


def _row(found: Mapping[str, Any], warehouse: Warehouse) -> StepRow:
    runs, passed = found["runs"], found["runs"] - found["failed"]
    low, high = wilson(passed, runs)
    cost = warehouse.amount(found["cost"])
    return StepRow(
        name=found["name"],
        step=found["step"],
        runs=runs,
        failed=found["failed"],
        success_rate=round(passed / runs, 6),
        success_rate_low=round(low, 6),
        success_rate_high=round(high, 6),
        passes=round(found["passes"] / found["succeeded"], 6) if found["succeeded"] else None,
        cost=cost,
        cost_per_task=None if cost is None else round(float(divide(cost, Decimal(found["tasks"]))), 9),
        lost=None,
        lost_low=None,
        lost_high=None,
        lost_per_usd=None,
        lost_per_usd_low=None,
        lost_per_usd_high=None,
    )


def _cost_ends(found: Mapping[str, Any], warehouse: Warehouse) -> Interval | None:
    """Of what the step costs a task; where a task does not get to it, nothing."""
    tasks, unit = found["tasks"], float(warehouse.floats(1.0))
    if found["c"] is None or tasks < LEAST:
        return None
    above, above_2, above_3 = (found[name] * unit**power for power, name in enumerate(("c", "c2", "c3"), 1))
    sums = Sums(tasks, above, above_2, above_3, tasks, above, above_2)
    return skewed_ratio(sums, found["top"] * unit, largest_counts=True)


def _of_name(rows: Sequence[StepRow], costs: Sequence[Interval | None]) -> list[StepRow]:
    """With what each step loses of the whole."""
    if _product(rows) is None:
        return list(rows)
    return [_with_loss(row, rows, cost) for row, cost in zip(rows, costs, strict=True)]


def _with_loss(row: StepRow, rows: Sequence[StepRow], cost: Interval | None) -> StepRow:
    without = _product([other for other in rows if other is not row])
    if without is None or row.passes is None:
        return row
    found = loss(without, (row.runs - row.failed, row.runs, row.passes))
    row = replace(row, lost=round(found[0], 6), **_ends("lost", found[1]))
    if not row.cost_per_task:
        return row
    per_usd, ends = per_cost(found, row.cost_per_task, cost)
    return replace(row, lost_per_usd=round(per_usd, 6), **_ends("lost_per_usd", ends))


def _ends(name: str, interval: Interval | None) -> dict[str, Any]:
    return {} if interval is None else {f"{name}_low": rounded(interval.low), f"{name}_high": rounded(interval.high)}


def _product(rows: Sequence[StepRow]) -> tuple[float, Interval | None] | None:
    known = [(row.runs - row.failed, row.runs, row.passes) for row in rows if row.passes is not None]
    return end_to_end(known) if len(known) == len(rows) else None


def _workflow(
    found: Mapping[str, Any], rows: Sequence[StepRow], warehouse: Warehouse, price_data: str | None
) -> Workflow:
    product = _product(rows)
    ends = None if product is None else product[1]
    measured = found["succeeded"] / found["tried"] if found["tried"] else None
    return Workflow(
        name=found["name"],
        tasks=found["tasks"],
        end_to_end=None if product is None else round(product[0], 6),
        end_to_end_low=None if ends is None else round(ends.low, 6),
        end_to_end_high=None if ends is None else round(ends.high, 6),
        success_rate=None if measured is None else round(measured, 6),
        sentence=_sentence(found["name"], rows, product, measured, warehouse.currency),
        coverage=cover([found], warehouse, price_data),
    )


def _sentence(
    name: str,
    rows: Sequence[StepRow],
    product: tuple[float, Interval | None] | None,
    measured: float | None,
    currency: str,
) -> str:
    if product is None:
        return f"{plain(name)}: no task has succeeded, so what a success takes is not known."
    said = f"{plain(name)}: all steps in a row succeed in {product[0]:.1%}"
    if product[1] is not None:
        said += f" [{product[1].low:.1%}, {product[1].high:.1%}]"
    if measured is not None:
        said += f", its tasks in {measured:.1%}"
    costly = [row for row in rows if row.lost and row.lost_per_usd]
    if not costly:
        return f"{said}."
    worst = max(costly, key=lambda row: row.lost_per_usd or 0.0)
    spent = money(Decimal(repr(worst.cost_per_task)), currency)
    return (
        f"{said}. {plain(worst.step)} loses most for its money: "
        f"{(worst.lost or 0) * 100:.1f} points of success, at {spent} a task."
    )


def _notes(workflows: Iterable[Workflow]) -> Iterable[str]:
    for one in workflows:
        yield from price_gaps(plain(one.name), one.coverage)
