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
from taskmeter.reports.intervals import Interval, wilson
from taskmeter.reports.render_coverage import price_gaps
from taskmeter.reports.text import money, plain

_RUNS: Final = f"""
WITH runs AS (
    SELECT t.id, t.name, coalesce(s.step, s.span_name) AS step, t.outcome, s.start_ns - t.start_ns AS begins,
        coalesce(s.discarded, false) OR s.error IS NOT NULL AS failed
    FROM spans s JOIN chosen t ON t.id = s.task_id WHERE s.what = 'step' AND t.outcome <> 'unfinished'
), spent AS (
    SELECT t.name, c.grouped AS step, sum(c.cost) AS cost
    FROM cohort c JOIN chosen t USING (id) WHERE NOT c.is_open GROUP BY ALL
), tasks_of AS (
    SELECT name, {SUMS}, count(*) FILTER (outcome = 'succeeded') AS succeeded,
        count(*) FILTER (outcome IN ('succeeded', 'failed', 'abandoned')) AS tried
    FROM chosen WHERE outcome <> 'unfinished' GROUP BY name
)
SELECT r.name, r.step, count(*) AS runs, count(*) FILTER (r.failed) AS failed,
    count(*) FILTER (NOT r.failed AND r.outcome = 'succeeded') AS passes, any_value(s.cost) AS cost,
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
    lost_per_usd: float | None
    """`lost` over `cost_per_task`: where reliability is lost for little money, it may be bought for little."""


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
    names = dict.fromkeys(row["name"] for row in found)
    steps_of = {one: [row for row in found if row["name"] == one] for one in names}
    for runs in steps_of.values():
        of_name = _of_name([_row(row, warehouse) for row in runs])
        rows += of_name
        workflows.append(_workflow(runs[0], of_name, warehouse, price_data))
    whole = cover([runs[0] for runs in steps_of.values()], warehouse, price_data)
    return StepsReport(warehouse.currency, tuple(rows), tuple(workflows), whole, tuple(_notes(workflows)))


def end_to_end(steps: Sequence[tuple[float, Interval, float]]) -> tuple[float, Interval | None]:
    """The product of success rates, each with its interval and to the power of how often a task runs the step.

    No interval where a rate is 0. Distances to the ends add up by their squares, on a logarithmic scale.
    """
    if any(not rate and times for rate, _, times in steps):
        return 0.0, None
    steps = [step for step in steps if step[2]]
    middle = sum(times * log(rate) for rate, _, times in steps)
    below = sqrt(sum((times * (log(rate) - log(ends.low))) ** 2 for rate, ends, times in steps))
    above = sqrt(sum((times * (log(ends.high) - log(rate))) ** 2 for rate, ends, times in steps))
    return exp(middle), Interval(exp(middle - below), min(1.0, exp(middle + above)))


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
        lost_per_usd=None,
    )


def _of_name(rows: Sequence[StepRow]) -> list[StepRow]:
    """With what each step loses of the whole."""
    whole = _product(rows)
    return [row if whole is None else _with_loss(row, rows, whole[0]) for row in rows]


def _with_loss(row: StepRow, rows: Sequence[StepRow], whole: float) -> StepRow:
    without = _product([other for other in rows if other is not row])
    lost = None if without is None else without[0] - whole
    per_usd = lost / row.cost_per_task if lost is not None and row.cost_per_task else None
    return replace(
        row,
        lost=None if lost is None else round(lost, 6),
        lost_per_usd=None if per_usd is None else round(per_usd, 6),
    )


def _product(rows: Sequence[StepRow]) -> tuple[float, Interval | None] | None:
    known = [
        (row.success_rate, Interval(row.success_rate_low, row.success_rate_high), row.passes)
        for row in rows
        if row.passes is not None
    ]
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
