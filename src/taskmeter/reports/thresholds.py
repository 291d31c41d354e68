"""`--fail-on cost=+10%`: which changes are not accepted, and whether one is shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from taskmeter.errors import UsageError
from taskmeter.reports.compare_result import IN_POINTS, MORE_IS_BETTER, Comparison, Gate, Metric, Threshold
from taskmeter.reports.text import plain

NAMES: Final[dict[str, Metric]] = {
    "cost": "cost",
    "task_cost": "task_cost",
    "latency": "latency_p95",
    "latency_p50": "latency_p50",
    "latency_p95": "latency_p95",
    "success": "success",
    "quality": "quality",
    "waste": "waste",
}
WORDS: Final[dict[Metric, str]] = {
    "cost": "cost per success",
    "task_cost": "cost per task",
    "latency_p50": "latency p50",
    "latency_p95": "latency p95",
    "success": "success rate",
    "quality": "quality",
    "waste": "wasted share",
}


def read_threshold(text: str) -> Threshold:
    """Raises `UsageError` for what is none, and for a change that is for the better."""
    match = re.fullmatch(r"([a-z_0-9]+)=([+-])(\d{1,5}(?:\.\d{1,4})?)%", text)
    if match is None or match[1] not in NAMES:
        raise UsageError(f"--fail-on {text!r} is no threshold; write cost=+10% or success=-5%, of {', '.join(NAMES)}")
    metric = NAMES[match[1]]
    worse = "-" if metric in MORE_IS_BETTER else "+"
    if match[2] != worse:
        raise UsageError(f"--fail-on {text!r} is for the better; write {match[1]}={worse}{match[3]}%")
    return Threshold(metric, float(match[2] + match[3]) / 100)


def judge(rows: Sequence[Comparison], thresholds: Iterable[Threshold], *, by_estimate: bool) -> tuple[Gate, ...]:
    """Each threshold, of each name. One is passed when the whole interval is beyond, or by the estimate alone."""
    return tuple(
        _gate(row, threshold, by_estimate=by_estimate)
        for threshold in thresholds
        for row in rows
        if row.metric == threshold.metric
    )


def _gate(row: Comparison, threshold: Threshold, *, by_estimate: bool) -> Gate:
    limit = threshold.change
    near = row.change if by_estimate else row.high if row.metric in MORE_IS_BETTER else row.low
    failed = near is not None and (near < limit if row.metric in MORE_IS_BETTER else near > limit)
    what = f"{WORDS[row.metric]} of {plain(row.name)}"
    accepted = signed(row.metric, limit)
    if row.change is None or near is None:
        sentence = f"{what}: nothing can be said, so it is not judged by {accepted}"
    else:
        sentence = f"{'FAILED' if failed else 'passed'}: {what} {with_interval(row)}, accepted up to {accepted}"
    return Gate(name=row.name, metric=row.metric, threshold=limit, failed=failed, sentence=sentence)


def signed(metric: Metric, change: float) -> str:
    """`+4.2%`, or of a share `+4.2 points`."""
    return f"{change * 100:+.1f} points" if metric in IN_POINTS else f"{change:+.1%}"


def with_interval(row: Comparison) -> str:
    """The change of a figure, `+4.2% [-1.0%, +9.9%]`; empty for none."""
    if row.change is None or row.low is None or row.high is None:
        return ""
    unit = " points" if row.metric in IN_POINTS else ""
    ends = (signed(row.metric, end).removesuffix(unit) for end in (row.low, row.high))
    return f"{signed(row.metric, row.change)} [{', '.join(ends)}]"
