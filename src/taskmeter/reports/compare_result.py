"""What `taskmeter compare` was asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from taskmeter.reports.coverage import Coverage

Metric: TypeAlias = Literal["cost", "task_cost", "latency_p50", "latency_p95", "success", "quality", "waste"]
Verdict: TypeAlias = Literal["better", "worse", "no detectable difference", "too few tasks", "unknown"]
"""`unknown`: a side has nothing of this, as quality that nobody scored."""

MORE_IS_BETTER = ("success", "quality")
IN_POINTS = ("success", "waste")
"""Shares: their change is a difference, of others it is relative."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A change that is not accepted, 0.1 for +10 %, or for 10 points of a share."""

    metric: Metric
    change: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One figure of the tasks of one name. All are statistics, and `float`."""

    name: str
    metric: Metric
    before: float | None
    """Of the first cohort: an amount, seconds, a share of 0 to 1, or a score."""
    after: float | None
    change: float | None
    """Relative, 0.1 for 10 % more; of a share the difference."""
    low: float | None
    high: float | None
    """Ends of its 95 % interval, not adjusted for the number of comparisons."""
    p_value: float | None
    adjusted: float | None
    """`p_value` by Holm, for all comparisons of the report."""
    verdict: Verdict
    tasks_needed: int | None
    """In each cohort, about, to see a change of 10 % (of a share 5 points) four times of five; where none is seen."""


@dataclass(frozen=True, slots=True)
class Side:
    """The tasks of one name in one cohort."""

    name: str
    cohort: Literal["before", "after"]
    tasks: int
    coverage: Coverage


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A threshold, and whether a name has passed it."""

    name: str
    metric: Metric
    threshold: float
    failed: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class CompareReport:
    """Comparisons by name, those that cost most first."""

    currency: str
    before: str
    """How the first cohort was chosen."""
    after: str
    rows: tuple[Comparison, ...]
    sides: tuple[Side, ...]
    coverage: Coverage
    """Of both cohorts; `price_data` of each is with its sides."""
    gates: tuple[Gate, ...]
    notes: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Whether any threshold was passed."""
        return any(gate.failed for gate in self.gates)
