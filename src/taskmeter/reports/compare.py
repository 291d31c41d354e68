"""`taskmeter compare A B`: what changed from one cohort of tasks to another, by the name of the task, and how surely.

Costs are compared by ratios, with a studentised bootstrap; quantiles of latency by one of their ranks; success rates by
Newcombe and a score test. Holm's correction is over all figures and names of the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, erfc, log, sqrt
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from taskmeter._bounds import shown
from taskmeter.errors import UsageError
from taskmeter.reports import resampling
from taskmeter.reports.compare_result import MORE_IS_BETTER, CompareReport, Comparison, Metric, Side, Threshold, Verdict
from taskmeter.reports.coverage import SUMS, cover, read_price_data_of
from taskmeter.reports.engine import cohort
from taskmeter.reports.engine.warehouse import Warehouse
from taskmeter.reports.intervals import holm, newcombe
from taskmeter.reports.notes import pending_gap, price_gaps
from taskmeter.reports.resampling import Change, change_of, linear_ratio, quantile, quantile_change, ratio
from taskmeter.reports.selectors import Selector
from taskmeter.reports.text import plain
from taskmeter.reports.thresholds import judge

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

LEAST: Final = 10
"""Fewer tasks in a cohort say nothing that a test could be built on."""
_ALPHA = 0.05
_POWER = 1.959963984540054 + 0.8416212335729143
"""Standard errors that a difference must be, to be found at 5 % four times of five."""
_WORTH_SEEING = {"success": 0.05, "waste": 0.05}
_RELATIVE_WORTH_SEEING = log(1.1)

_SIDES = """
CREATE OR REPLACE TEMP TABLE sides AS
SELECT *, {before} AS is_before, {after} AS is_after FROM cohort
WHERE NOT is_open AND is_outer AND coalesce(name = getvariable('only_name'), true)
"""
_COUNTS = f"""
SELECT name, is_after, {SUMS} FROM sides WHERE is_before OR is_after GROUP BY name, is_after
ORDER BY sum(sum(cost)) OVER (PARTITION BY name) DESC NULLS LAST, name, is_after
"""
# What is unknown of a cost is left out of it: the coverage says so.
_TASKS = """
SELECT name, is_after, coalesce(cost, zero())::DOUBLE AS cost, coalesce(wasted, zero())::DOUBLE AS wasted,
    (outcome = 'succeeded')::DOUBLE AS succeeded, outcome <> 'pending' AS tried,
    greatest(0, end_ns - start_ns) / 1e9 AS seconds, coalesce(quality, zero())::DOUBLE AS quality,
    quality IS NOT NULL AS scored, cost IS NOT NULL AS priced
FROM sides WHERE is_before OR is_after ORDER BY name, start_ns, id
"""


def compare(
    warehouse: Warehouse,
    before: Selector,
    after: Selector,
    *,
    name: str | None = None,
    thresholds: Sequence[Threshold] = (),
    by_estimate: bool = False,
    since_ns: int | None = None,
    until_ns: int | None = None,
) -> CompareReport:
    """Makes the report, of tasks that have ended, of one `name` or of all that are in both cohorts.

    Raises `UsageError` when a cohort is empty, a task is in both, or they have no name in common.
    """
    cohort.make_cohort(warehouse, "name", since_ns, until_ns)
    warehouse.run("SET VARIABLE only_name = ?::VARCHAR", [name])
    conditions = {"before": before.condition(warehouse, "before"), "after": after.condition(warehouse, "after")}
    warehouse.run(_SIDES.format(**conditions))
    _check(warehouse, before, after, name)
    counts = warehouse.ask(_COUNTS)
    price_data = {
        side: read_price_data_of(warehouse, f"SELECT id FROM sides WHERE is_{side}") for side in ("before", "after")
    }
    sides = tuple(_side(found, warehouse, price_data) for found in counts)
    cohorts = Counter(side.name for side in sides)
    shared = [one for one, count in cohorts.items() if count > 1]
    if not shared:
        raise UsageError(f"{before.text!r} and {after.text!r} have tasks of no name in common")
    tasks = _tasks(warehouse)
    rows = _corrected([row for one in shared for row in _compare_name(one, *tasks[one])])
    return CompareReport(
        currency=warehouse.currency,
        before=before.text,
        after=after.text,
        rows=tuple(rows),
        sides=sides,
        coverage=cover(counts, warehouse, _joined(price_data)),
        gates=judge(rows, thresholds, by_estimate=by_estimate),
        notes=tuple(_notes(rows, sides, [one for one, count in cohorts.items() if count == 1], price_data)),
    )


def _check(warehouse: Warehouse, before: Selector, after: Selector, name: str | None) -> None:
    (found,) = warehouse.ask(
        "SELECT count(*) FILTER (is_before) AS before, count(*) FILTER (is_after) AS after, "
        "count(*) FILTER (is_before AND is_after) AS both FROM sides"
    )
    for side, selector in (("before", before), ("after", after)):
        if not found[side]:
            values = selector.values(warehouse)
            there = "" if selector.value in values else ", ".join(f"{selector.group}={plain(each)}" for each in values)
            of = "" if name is None else f" of the name {shown(name)}"
            raise UsageError(
                f"No task{of} that has ended is in {selector.text!r}" + (f"; there is {there}" if there else "")
            )
    if found["both"]:
        raise UsageError(
            f"{found['both']:,} tasks are in both {before.text!r} and {after.text!r}: choose cohorts apart"
        )


def _side(found: Mapping[str, Any], warehouse: Warehouse, price_data: Mapping[str, str | None]) -> Side:
    side: Literal["before", "after"] = "after" if found["is_after"] else "before"
    return Side(found["name"], side, found["tasks"], cover([found], warehouse, price_data[side]))


def _joined(price_data: Mapping[str, str | None]) -> str | None:
    before, after = (price_data[side] or "" for side in ("before", "after"))
    return before or None if before == after else f"A {before or 'not recorded'}; B {after or 'not recorded'}"


@dataclass(frozen=True, slots=True)
class _Tasks:
    """Of one name and cohort, one element a task."""

    cost: Floats
    wasted: Floats
    succeeded: Floats
    tried: NDArray[np.bool_]
    seconds: Floats
    quality: Floats
    scored: NDArray[np.bool_]
    priced: NDArray[np.bool_]

    def rate(self) -> tuple[int, int]:
        """How many succeeded, of those that have an outcome."""
        return int(self.succeeded.sum()), int(self.tried.sum())


@dataclass(frozen=True, slots=True)
class _Found:
    """A figure of both cohorts, how many tasks of each it is of, and its change, if one can be told."""

    before: float | None
    after: float | None
    tasks: tuple[int, int]
    change: Change | None


def _tasks(warehouse: Warehouse) -> Mapping[str, tuple[_Tasks, _Tasks]]:
    """Of each name, before and after."""
    found = warehouse.arrays(_TASKS)
    for amount in ("cost", "wasted", "quality"):
        found[amount] = warehouse.floats(found[amount])
    names, is_after = found.pop("name"), found.pop("is_after")
    starts = [0, *(place for place in range(1, len(names)) if names[place] != names[place - 1]), len(names)]
    return {
        str(names[start]): (_chosen(found, ~is_after, start, end), _chosen(found, is_after, start, end))
        for start, end in pairwise(starts)
    }


def _chosen(found: Mapping[str, Any], which: NDArray[np.bool_], start: int, end: int) -> _Tasks:
    return _Tasks(**{key: values[start:end][which[start:end]] for key, values in found.items()})


def _compare_name(name: str, before: _Tasks, after: _Tasks) -> Iterable[Comparison]:
    for metric, figure in _figures(before, after).items():
        yield _comparison(name, metric, figure)


def _figures(before: _Tasks, after: _Tasks) -> dict[Metric, _Found]:
    both = (before, after)
    counts = (len(before.cost), len(after.cost))
    known = [tasks.cost[tasks.priced] for tasks in both]
    scores = [tasks.quality[tasks.scored] for tasks in both]
    return {
        "cost": _ratios([(tasks.cost, tasks.succeeded) for tasks in both], counts),
        "task_cost": _ratios([(costs, None) for costs in known], (len(known[0]), len(known[1]))),
        "latency_p50": _latency(before, after, 50),
        "latency_p95": _latency(before, after, 95),
        "success": _success(before.rate(), after.rate()),
        "quality": _ratios([(score, None) for score in scores], (len(scores[0]), len(scores[1]))),
        "waste": _ratios([(tasks.wasted, tasks.cost) for tasks in both], counts, is_share=True),
    }


def _ratios(pairs: Sequence[tuple[Floats, Floats | None]], tasks: tuple[int, int], *, is_share: bool = False) -> _Found:
    make = linear_ratio if is_share else ratio
    figures = [_quotient(above, below) for above, below in pairs]
    before, after = (make(*pair, seed=resampling.SEED + side) for side, pair in enumerate(pairs))
    change = None if before is None or after is None else change_of(before, after)
    return _Found(figures[0], figures[1], tasks, change)


def _quotient(above: Floats, below: Floats | None) -> float | None:
    divisor = len(above) if below is None else float(below.sum())
    return float(above.sum()) / divisor if divisor else None


def _latency(before: _Tasks, after: _Tasks, percent: float) -> _Found:
    counts = (len(before.seconds), len(after.seconds))
    ends = quantile(before.seconds, percent), quantile(after.seconds, percent)
    return _Found(*ends, counts, quantile_change(before.seconds, after.seconds, percent))


def _success(before: tuple[int, int], after: tuple[int, int]) -> _Found:
    tried = before[1], after[1]
    if not all(tried):
        rates = [one[0] / one[1] if one[1] else None for one in (before, after)]
        return _Found(rates[0], rates[1], tried, None)
    first, last = before[0] / before[1], after[0] / after[1]
    pooled = (before[0] + after[0]) / sum(tried)
    error = sqrt(pooled * (1 - pooled) * (1 / tried[0] + 1 / tried[1]))
    p_value = erfc(abs(last - first) / error / sqrt(2)) if error else 1.0
    return _Found(first, last, tried, Change(last - first, newcombe(before, after), error, p_value))


def _comparison(name: str, metric: Metric, found: _Found) -> Comparison:
    change, least = found.change, min(found.tasks)
    is_known = found.before is not None and found.after is not None
    is_enough = least >= LEAST and change is not None
    verdict: Verdict = "unknown" if not is_known else "no detectable difference" if is_enough else "too few tasks"
    if is_known and least >= LEAST and change is None and found.before == found.after:
        verdict = "no detectable difference"  # neither varies, and they are the same
    shown = change if is_enough else None
    return Comparison(
        name=name,
        metric=metric,
        before=_rounded(found.before),
        after=_rounded(found.after),
        change=_rounded(shown.change) if shown else None,
        low=_rounded(shown.interval.low) if shown else None,
        high=_rounded(shown.interval.high) if shown else None,
        p_value=shown.p_value if shown else None,
        adjusted=None,
        verdict=verdict,
        tasks_needed=_needed(metric, shown, least) if shown else None,
    )


def _needed(metric: Metric, change: Change, tasks: int) -> int | None:
    worth_seeing = _WORTH_SEEING.get(metric, _RELATIVE_WORTH_SEEING)
    return ceil(tasks * (change.error * _POWER / worth_seeing) ** 2) if change.error else None


def _corrected(rows: Sequence[Comparison]) -> list[Comparison]:
    """With p-values by Holm, and the verdicts that follow."""
    tested = [row.p_value for row in rows if row.p_value is not None]
    adjusted = iter(holm(tested))
    return [row if row.p_value is None else _judged(row, next(adjusted)) for row in rows]


def _judged(row: Comparison, adjusted: float) -> Comparison:
    p_value = float(f"{row.p_value:.3g}")
    row = replace(row, p_value=p_value, adjusted=float(f"{adjusted:.3g}"))
    if adjusted >= _ALPHA or not row.change:
        return row
    is_better = (row.change > 0) == (row.metric in MORE_IS_BETTER)
    return replace(row, verdict="better" if is_better else "worse", tasks_needed=None)


def _notes(
    rows: Sequence[Comparison], sides: Sequence[Side], apart: Sequence[str], price_data: Mapping[str, str | None]
) -> Iterable[str]:
    tested = sum(row.p_value is not None for row in rows)
    if tested:
        yield f"{tested} comparisons were made, and Holm's correction is for all of them; intervals are without it."
    if any(row.verdict == "too few tasks" for row in rows):
        yield f"Too few tasks: less than {LEAST} in a cohort, or all alike."
    for name in apart:
        yield f"{plain(name)} is in one cohort only, and not compared."
    if price_data["before"] != price_data["after"]:
        yield "A and B were not priced by the same data: a difference in cost may be one of prices."
    for side in sides:
        what = f"{plain(side.name)}, {side.cohort}"
        yield from price_gaps(what, side.coverage)
        yield from pending_gap(what, side.coverage)


def _rounded(statistic: float | None) -> float | None:
    return None if statistic is None else round(statistic, 9)
