"""Measures small costs on a noisy machine: baseline and candidate alternate, and each pair is judged by itself.

A pair is one block of the baseline and one of the candidate, next to each other in time, in an order that flips from
pair to pair; a block repeats the operation often enough to last `Plan.block_seconds`. Slow drift of the machine
(frequency, neighbours) then hits both sides of a pair alike and leaves its ratio alone. The result is the median of
the ratios with a 95% bootstrap interval.

The interval speaks for one process only. Where the interpreter happened to put its objects moves a ratio by a few
percent from run to run: take a smaller difference seriously only when several runs agree on it.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from statistics import median
from time import perf_counter_ns

Operation = Callable[[], object]

_RESAMPLES = 2_000
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure."""

    pairs: int
    block_seconds: float


FULL = Plan(pairs=60, block_seconds=0.02)
QUICK = Plan(pairs=15, block_seconds=0.005)


@dataclass(frozen=True, slots=True)
class Interval:
    """A median and its 95% bootstrap interval."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """`candidate` against `baseline`, per operation."""

    name: str
    ratio: Interval
    """Time of the candidate by that of the baseline; 1.0 is no difference."""
    added_ns: Interval
    """Candidate minus baseline, in nanoseconds."""
    baseline_ns: float
    candidate_ns: float
    pairs: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """One operation by itself."""

    name: str
    time_ns: Interval
    blocks: int


Result = Comparison | Measurement


def compare(name: str, baseline: Operation, candidate: Operation, plan: Plan) -> Comparison:
    """Times `baseline` and `candidate` in alternating blocks, each with its own number of repetitions."""
    counts = _calibrate(baseline, plan), _calibrate(candidate, plan)
    pairs: list[tuple[float, float]] = []
    for number in range(plan.pairs):
        if number % 2:
            second = _time(candidate, counts[1])
            first = _time(baseline, counts[0])
        else:
            first = _time(baseline, counts[0])
            second = _time(candidate, counts[1])
        pairs.append((first, second))
    return Comparison(
        name=name,
        ratio=_interval([second / first for first, second in pairs]),
        added_ns=_interval([second - first for first, second in pairs]),
        baseline_ns=median(first for first, _ in pairs),
        candidate_ns=median(second for _, second in pairs),
        pairs=plan.pairs,
    )


def measure(name: str, operation: Operation, plan: Plan) -> Measurement:
    """Times `operation` by itself. Compare instead where there is something to compare with: it is steadier."""
    count = _calibrate(operation, plan)
    return Measurement(name, _interval([_time(operation, count) for _ in range(plan.pairs)]), plan.pairs)


def _calibrate(operation: Operation, plan: Plan) -> int:
    """How many repetitions fill a block. The first one only warms `operation` up: it may import half a library."""
    operation()
    count = 1
    while True:
        spent = _time(operation, count) * count / _NS
        if spent >= plan.block_seconds / 2:
            return max(1, round(count * plan.block_seconds / spent))
        count *= 2


def _time(operation: Operation, count: int) -> float:
    """Nanoseconds per operation, over `count` in a row, garbage collection included: the host pays for that too."""
    gc.collect()
    repetitions = repeat(None, count)
    began = perf_counter_ns()
    for _ in repetitions:
        operation()
    return (perf_counter_ns() - began) / count


def _interval(samples: Sequence[float]) -> Interval:
    generator = random.Random(0)
    medians = sorted(median(generator.choices(samples, k=len(samples))) for _ in range(_RESAMPLES))
    return Interval(median(samples), medians[round(_RESAMPLES * 0.025)], medians[round(_RESAMPLES * 0.975) - 1])
