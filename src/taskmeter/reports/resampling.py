"""Intervals of means, ratios and quantiles of skewed costs, by the bootstrap. Needs numpy (the extra `report`).

Costs of tasks have long tails, on which the plain percentile bootstrap promises too much: of 200 tasks, its 95 %
interval holds the true mean about nine times in ten. So ratios are studentised: each resample is judged by its own
standard error, on a logarithmic scale, so that the ends are positive. And either end is that of the sample with more of
its most extreme task on that side (`intervals.more_of_the_tail`). Seeds are fixed: a report always says the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, erfc, exp, log, sqrt
from typing import TYPE_CHECKING, TypeAlias

from taskmeter.reports.intervals import Interval, more_of_the_tail

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats: TypeAlias = NDArray[np.float64]

RESAMPLES = 2_000
LEVEL = 0.95
_LEAST = 2
"""Fewer tasks tell nothing about how tasks differ."""
_BLOCKS = 500
"""More tasks than this are dealt into so many hands first: sums of equal hands vary as the tasks do."""
SEED = 2_026
_ROUNDING = 1e-12
_FARTHEST = 100.0
_LARGEST_FACTOR = 1e6


def resampled_sums(columns: ArrayLike, *, resamples: int = RESAMPLES, seed: int = SEED) -> Floats:
    """Sums of each column over tasks drawn with replacement: rows are resamples.

    `columns` has a row for each task. Figures that are compared within the same tasks (paired) come from one call, as
    columns; those of different tasks (unpaired) from one call each, with different seeds.
    """
    import numpy as np

    rows = np.asarray(columns, dtype=np.float64)
    if len(rows) <= _BLOCKS:
        return _times_drawn(len(rows), resamples, seed) @ rows
    random = np.random.default_rng(seed)
    rows = _in_hands(rows, random)
    return _drawn(len(rows), resamples, random) @ rows


@lru_cache(maxsize=128)
def _times_drawn(count: int, resamples: int, seed: int) -> NDArray[np.uint16]:
    """The same for all groups of so many tasks, of which there may be thousands."""
    import numpy as np

    return _drawn(count, resamples, np.random.default_rng(seed)).astype(np.uint16)


def _drawn(count: int, resamples: int, random: np.random.Generator) -> Floats:
    """How often each of `count` tasks is in each resample."""
    import numpy as np

    drawn = random.integers(count, size=(resamples, count), dtype=np.int32)
    drawn += np.arange(resamples, dtype=np.int32)[:, None] * count  # a range of its own for each resample
    return np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)


def _in_hands(rows: Floats, random: np.random.Generator) -> Floats:
    import numpy as np

    if len(rows) <= _BLOCKS:
        return rows
    dealt = random.permutation(len(rows)) % _BLOCKS
    return np.stack([np.bincount(dealt, column, _BLOCKS) for column in rows.T], axis=1).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A ratio of sums over tasks, as cost per success or a mean is, with how it varies from sample to sample."""

    at: float
    """The ratio, or its logarithm."""
    error: float
    """Standard error of `at`."""
    draws: Floats
    errors: Floats
    """The same of each resample in which there is a ratio."""
    lowest: tuple[float, float]
    """`at` and `error` with more of the task that pulls the ratio down most."""
    highest: tuple[float, float]
    is_log: bool

    def interval(self, level: float = LEVEL) -> Interval:
        """Holds the true ratio with probability `level`."""
        low, high = self.at, self.at
        if self.error > 0:
            usable = self.errors > 0
            first, last = _pivots((self.draws - self.at)[usable] / self.errors[usable], level)
            low, high = self.lowest[0] - last * self.lowest[1], self.highest[0] - first * self.highest[1]
            low, high = _within(self.at, low, high) if self.is_log else (low, high)
        return Interval(_exp(low), _exp(high)) if self.is_log else Interval(low, high)


def ratio(numerators: ArrayLike, denominators: ArrayLike | None = None, *, seed: int = SEED) -> Estimate | None:
    """The ratio of two sums over the same tasks, both not negative; without denominators, the mean.

    `None` when there is none, or too little to tell how sure it is: fewer than two tasks, a sum that is nothing.
    """
    import numpy as np

    found = linear_ratio(numerators, denominators, seed=seed)
    if found is None or not found.at > 0:
        return None
    usable = found.draws > 0
    if usable.sum() < RESAMPLES / 2:
        return None
    draws, errors = found.draws[usable], found.errors[usable]
    return Estimate(
        log(found.at),
        found.error / found.at,
        np.log(draws),
        errors / draws,
        lowest=(log(found.lowest[0]), found.lowest[1] / found.lowest[0]),
        highest=(log(found.highest[0]), found.highest[1] / found.highest[0]),
        is_log=True,
    )


def linear_ratio(numerators: ArrayLike, denominators: ArrayLike | None = None, *, seed: int = SEED) -> Estimate | None:
    """The same on its own scale: for shares, and for what may be negative."""
    import numpy as np

    above = np.asarray(numerators, dtype=np.float64)
    below = np.ones_like(above) if denominators is None else np.asarray(denominators, dtype=np.float64)
    if len(above) < _LEAST or not below.sum() > 0:
        return None
    hands = _in_hands(np.stack([above, below], axis=1), np.random.default_rng(seed))
    squares = _squares(hands[:, 0], hands[:, 1])
    whole = squares.sum(axis=0)[None, :]
    sums = resampled_sums(squares, seed=seed)
    sums = sums[sums[:, 1] > 0]
    if len(sums) < RESAMPLES / 2:
        return None
    at, error = float(whole[0, 0] / whole[0, 1]), float(_errors(whole)[0])
    lowest, highest = _with_extremes(above, below, at, whole)
    return Estimate(at, error, sums[:, 0] / sums[:, 1], _errors(sums), lowest, highest, is_log=False)


def _with_extremes(above: Floats, below: Floats, at: float, whole: Floats) -> Iterable[tuple[float, float]]:
    """Ratio and standard error with more of the task that pulls it down most, and with more of that which pulls it up.
    `whole` are the sums over all tasks."""
    residuals = above - at * below
    spread = float((residuals**2).sum())
    for place in (int(residuals.argmin()), int(residuals.argmax())):
        weight = more_of_the_tail(float(residuals[place]) ** 2 / spread) if spread > 0 else 0.0
        sums = whole + weight * _squares(above[[place]], below[[place]])
        yield float(sums[0, 0] / sums[0, 1]), float(_errors(sums)[0])


def _squares(above: Floats, below: Floats) -> Floats:
    """What standard errors are made of, by column."""
    import numpy as np

    return np.stack([above, below, above**2, above * below, below**2], axis=1)


def mean_interval(values: ArrayLike, level: float = LEVEL, *, seed: int = SEED) -> Interval | None:
    """Of a mean of values that may be negative; `None` for fewer than two."""
    found = linear_ratio(values, seed=seed)
    return None if found is None else found.interval(level)


def _errors(sums: Floats) -> Floats:
    """Standard errors of ratios, by the delta method: of x/y, that of x - ratio * y, over y. What rounding leaves of a
    spread that is none counts as none."""
    import numpy as np

    above, below, above_2, product, below_2 = sums.T
    rate = above / below
    residual = above_2 - 2 * rate * product + rate**2 * below_2
    errors: Floats = np.sqrt(np.where(residual > _ROUNDING * above_2, residual, 0.0)) / below
    return errors


@dataclass(frozen=True, slots=True)
class Change:
    """How much larger or smaller a figure is, with its interval and how surely it is not the same."""

    change: float
    """`after / before - 1`, or `after - before`."""
    interval: Interval
    error: float
    """Standard error: of the logarithm of `after / before`, or of the difference."""
    p_value: float
    """How often the difference would be as large if there were none."""


def change_of(before: Estimate, after: Estimate, level: float = LEVEL) -> Change | None:
    """From one to the other, of different tasks, drawn with different seeds: relative if both are logarithms, else the
    difference. `None` where neither varies."""
    count = min(len(before.draws), len(after.draws))
    errors = (before.errors[:count] ** 2 + after.errors[:count] ** 2) ** 0.5
    moved, error = after.at - before.at, sqrt(before.error**2 + after.error**2)
    usable = errors > 0
    if not error > 0 or not usable.any():
        return None
    pivots = (after.draws[:count] - before.draws[:count] - moved)[usable] / errors[usable]
    first, last = _pivots(pivots, level)
    low, high = moved - last * error, moved - first * error
    p_value = _p_value(pivots, moved / error)
    if before.is_log:
        low, high = _within(moved, low, high)
        return Change(_exp(moved) - 1, Interval(_exp(low) - 1, _exp(high) - 1), error, p_value)
    return Change(moved, Interval(low, high), error, p_value)


def quantile_change(before: ArrayLike, after: ArrayLike, percent: float) -> Change | None:
    """Relative, of a nearest-rank quantile of positive values of different tasks."""
    import numpy as np

    from_, to = quantiles(before, percent, seed=SEED), quantiles(after, percent, seed=SEED + 1)
    if not len(from_) or not len(to) or not (from_ > 0).all() or not (to > 0).all():
        return None
    moves = np.log(to / from_)
    moved = log(quantile(after, percent) / quantile(before, percent))
    error = float(moves.std())
    if not error > 0:
        return None
    low, high = _ends(moves, LEVEL)
    return Change(exp(moved) - 1, Interval(_exp(low) - 1, _exp(high) - 1), error, _p_value(-moves / error, 0.0))


def quantile(values: ArrayLike, percent: float) -> float:
    """Nearest rank, of at least one value."""
    import numpy as np

    ordered = np.sort(np.asarray(values, dtype=np.float64))
    return float(ordered[max(1, ceil(len(ordered) * percent / 100)) - 1])


def quantiles(values: ArrayLike, percent: float, *, seed: int = SEED) -> Floats:
    """The nearest-rank quantile of each resample, without resampling: its rank is a beta variate."""
    import numpy as np

    ordered = np.sort(np.asarray(values, dtype=np.float64))
    count = len(ordered)
    if not count:
        return ordered
    rank = max(1, ceil(count * percent / 100))
    at = np.random.default_rng(seed).beta(rank, count - rank + 1, RESAMPLES)
    return ordered[np.minimum(count - 1, (at * count).astype(np.int64))]


def percentile_interval(draws: Floats, level: float = LEVEL) -> Interval:
    """The middle part of resampled figures."""
    return Interval(*_ends(draws, level))


def _ends(draws: Floats, level: float) -> tuple[float, float]:
    import numpy as np

    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _pivots(pivots: Floats, level: float) -> tuple[float, float]:
    """Their middle part. What of a few tasks would be a hundred standard errors away is said to be that far."""
    first, last = _ends(pivots, level)
    return max(first, -_FARTHEST), min(last, _FARTHEST)


def _within(at: float, low: float, high: float) -> tuple[float, float]:
    """Ends of a logarithm: those beyond a factor of a million say nothing, and stay there."""
    return max(low, at - log(_LARGEST_FACTOR)), min(high, at + log(_LARGEST_FACTOR))


def _p_value(pivots: Floats, at: float) -> float:
    """Two-sided, by the smaller tail; what is farther out than any resample, by the normal distribution."""
    beyond = min(int((pivots >= at).sum()), int((pivots <= at).sum()))
    if not beyond and at:
        return min(erfc(abs(at) / sqrt(2)), 2 / len(pivots))
    return min(1.0, 2 * (beyond + 1) / (len(pivots) + 1))


def _exp(logarithm: float) -> float:
    return exp(min(logarithm, 700.0))
