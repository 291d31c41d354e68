"""Intervals of means, ratios and quantiles of skewed costs, by the bootstrap. Needs numpy (the extra `report`).

Costs of tasks have long tails, on which the plain percentile bootstrap promises too much: of 200 tasks, its 95 %
interval holds the true mean about nine times in ten. So ratios are studentised: each resample is judged by its own
standard error, on a logarithmic scale, so that the ends are positive. A report says the same each time: seeds are fixed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, log, sqrt
from typing import TYPE_CHECKING, TypeAlias

from taskmeter.reports.intervals import Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats: TypeAlias = NDArray[np.float64]

RESAMPLES = 4_000
LEVEL = 0.95
_LEAST = 2
"""Fewer tasks tell nothing about how tasks differ."""
_BLOCKS = 1_000
"""More tasks than this are dealt into so many hands first: sums of equal hands vary as the tasks do."""
_SEED = 20_26_11


def resampled_sums(columns: ArrayLike, *, resamples: int = RESAMPLES, seed: int = _SEED) -> Floats:
    """Sums of each column over tasks drawn with replacement: rows are resamples.

    `columns` has a row for each task. Figures that are compared within the same tasks (paired) come from one call, as
    columns; those of different tasks (unpaired) from one call each, with different seeds.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    rows = _in_hands(np.asarray(columns, dtype=np.float64), random)
    count = len(rows)
    sums = np.empty((resamples, rows.shape[1]))
    at_once = max(1, 1_000_000 // max(1, count))
    for first in range(0, resamples, at_once):
        last = min(first + at_once, resamples)
        drawn = random.integers(count, size=(last - first, count), dtype=np.int32)
        drawn += np.arange(last - first, dtype=np.int32)[:, None] * count  # a range of its own for each resample
        times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        sums[first:last] = times @ rows
    return sums


def _in_hands(rows: Floats, random: np.random.Generator) -> Floats:
    import numpy as np

    if len(rows) <= _BLOCKS:
        return rows
    dealt = random.permutation(len(rows)) % _BLOCKS
    return np.stack([np.bincount(dealt, column, _BLOCKS) for column in rows.T], axis=1).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of sums over tasks, as cost per success is, with how it varies from sample to sample."""

    log: float
    """Of the ratio."""
    error: float
    """Standard error of `log`."""
    logs: Floats
    errors: Floats
    """The same of each resample in which there is a ratio."""

    def interval(self, level: float = LEVEL) -> Interval:
        """Holds the true ratio with probability `level`."""
        low, high = _ends((self.logs - self.log) / self.errors, level)
        return Interval(exp(self.log - high * self.error), _exp(self.log - low * self.error))


def ratio(numerators: ArrayLike, denominators: ArrayLike | None = None, *, seed: int = _SEED) -> Ratio | None:
    """The ratio of two sums over the same tasks, both not negative; without denominators, the mean.

    `None` when there is none, or too little to tell how sure it is: fewer than two tasks, a sum that is nothing.
    """
    import numpy as np

    above = np.asarray(numerators, dtype=np.float64)
    below = np.ones_like(above) if denominators is None else np.asarray(denominators, dtype=np.float64)
    if len(above) < _LEAST or not above.sum() > 0 or not below.sum() > 0:
        return None
    hands = _in_hands(np.stack([above, below], axis=1), np.random.default_rng(seed))
    above, below = hands[:, 0], hands[:, 1]
    squares = np.stack([above, below, above**2, above * below, below**2], axis=1)
    whole = squares.sum(axis=0)[None, :]
    sums = resampled_sums(squares, seed=seed)
    sums = sums[(sums[:, 0] > 0) & (sums[:, 1] > 0)]
    error = _errors(whole)[0]
    errors = _errors(sums)
    usable = errors > 0
    if not error > 0 or usable.sum() < RESAMPLES / 2:
        return None
    logs = np.log(sums[:, 0] / sums[:, 1])
    return Ratio(log(whole[0, 0] / whole[0, 1]), float(error), logs[usable], errors[usable])


def _errors(sums: Floats) -> Floats:
    """Standard errors of the logarithms of ratios, by the delta method: of x/y, that of x - ratio * y, over x."""
    import numpy as np

    above, below, above_2, product, below_2 = sums.T
    rate = above / below
    residual = above_2 - 2 * rate * product + rate**2 * below_2
    errors: Floats = np.sqrt(np.maximum(residual, 0)) / above
    return errors


@dataclass(frozen=True, slots=True)
class Change:
    """How much larger or smaller a figure is, with its interval and how surely it is not the same."""

    change: float
    interval: Interval
    p_value: float
    """How often the difference would be as large if there were none."""


def relative_change(before: Ratio, after: Ratio, level: float = LEVEL) -> Change:
    """`after / before - 1`, of ratios of different tasks drawn with different seeds."""
    count = min(len(before.logs), len(after.logs))
    moved = after.log - before.log
    error = sqrt(before.error**2 + after.error**2)
    shifts = after.logs[:count] - before.logs[:count] - moved
    pivots = shifts / (before.errors[:count] ** 2 + after.errors[:count] ** 2) ** 0.5
    low, high = _ends(pivots, level)
    interval = Interval(exp(moved - high * error) - 1, _exp(moved - low * error) - 1)
    return Change(exp(moved) - 1, interval, _p_value(pivots, moved / error))


def quantiles(values: ArrayLike, percent: float, *, seed: int = _SEED) -> Floats:
    """The nearest-rank quantile of each resample, without resampling: its rank is a beta variate."""
    import numpy as np

    ordered = np.sort(np.asarray(values, dtype=np.float64))
    count = len(ordered)
    rank = max(1, ceil(count * percent / 100))
    at = np.random.default_rng(seed).beta(rank, count - rank + 1, RESAMPLES)
    return ordered[np.minimum(count - 1, (at * count).astype(np.int64))]


def percentile_interval(draws: Floats, level: float = LEVEL) -> Interval:
    """The middle part of resampled figures."""
    return Interval(*_ends(draws, level))


def mean_interval(values: ArrayLike, level: float = LEVEL, *, seed: int = _SEED) -> Interval | None:
    """Of a mean of values that may be negative: studentised, on their own scale; `None` for fewer than two."""
    import numpy as np

    given = np.asarray(values, dtype=np.float64)
    if len(given) < _LEAST:
        return None
    given = _in_hands(np.stack([given, np.ones_like(given)], axis=1), np.random.default_rng(seed))
    each, counts = given[:, 0], given[:, 1]
    columns = np.stack([each, counts, each**2, each * counts, counts**2], axis=1)
    whole = columns.sum(axis=0)[None, :]
    mean, error = whole[0, 0] / whole[0, 1], _mean_errors(whole)[0]
    sums = resampled_sums(columns, seed=seed)
    errors = _mean_errors(sums)
    usable = errors > 0
    if not error > 0 or usable.sum() < RESAMPLES / 2:
        return Interval(float(mean), float(mean)) if error == 0 else None
    low, high = _ends(((sums[:, 0] / sums[:, 1] - mean) / np.where(usable, errors, 1))[usable], level)
    return Interval(float(mean - high * error), float(mean - low * error))


def _mean_errors(sums: Floats) -> Floats:
    import numpy as np

    each, counts, squares, product, counts_2 = sums.T
    mean = each / counts
    errors: Floats = np.sqrt(np.maximum(squares - 2 * mean * product + mean**2 * counts_2, 0)) / counts
    return errors


def _ends(draws: Floats, level: float) -> tuple[float, float]:
    import numpy as np

    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _p_value(pivots: Floats, at: float) -> float:
    """Two-sided, by the smaller tail; never 0, as there are only so many resamples."""
    beyond = min(int((pivots >= at).sum()), int((pivots <= at).sum()))
    return min(1.0, 2 * (beyond + 1) / (len(pivots) + 1))


def _exp(logarithm: float) -> float:
    return exp(min(logarithm, 700.0))
