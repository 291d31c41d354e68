"""What many tasks to come will cost, from few that are known: an interval for a sum that is not there yet.

Two things are uncertain. The mean, as the pilot has only so many tasks; and the sum, as future tasks differ however
well the mean is known. A bootstrap has both: each resample of the pilot predicts, and a future drawn from the pilot
itself tells how far off it was, in standard errors of that resample, on a logarithmic scale. So far may the pilot be
off.

Futures are too long to be drawn task by task. Their sum has the mean, the variance and the skew that the costs of the
pilot give it, and the law with these three is a gamma's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from taskmeter.reports.intervals import Interval
from taskmeter.reports.resampling import percentile_interval, resampled_sums

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

LEAST_TASKS = 5
"""Fewer say too little about how tasks differ."""
_LEAST_SUCCESSES = 5
_SEED = 20_26_12
_STRAIGHT = 1e-4
"""With less skew a gamma is a normal law."""
_SMALLEST = 0.01
"""No drawn future costs less than this part of what is expected."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Known tasks that stand for tasks to come."""

    cost: Floats
    """Of each task; 0 where the task is not of the kind that is asked about."""
    succeeded: Floats
    """1 or 0."""
    again: Floats
    """Sums of (1, cost, cost^2, success, cost of successes) in each resample."""

    @property
    def columns(self) -> Floats:
        """What is resampled."""
        return _columns(self.cost, self.succeeded)


@dataclass(frozen=True, slots=True)
class Prediction:
    """An amount to come, and where 95 % of such predictions have the truth."""

    value: float
    interval: Interval
    if_mean_known: Interval
    """Only what future tasks differ by."""
    if_future_known: Interval
    """Only how unsure the mean is."""

    def half(self, of: Interval) -> float:
        """Half the width of one of these, over the amount."""
        return round((of.high - of.low) / 2 / self.value, 6)


def sample(cost: Floats, succeeded: Floats, number: int) -> Sample:
    """Resamples the tasks. Samples that are predicted from together have different `number`s."""
    return Sample(cost, succeeded, resampled_sums(_columns(cost, succeeded), seed=_SEED + number))


def predict_spend(samples: Sequence[Sample], future: Sequence[float]) -> Prediction | None:
    """The sum of the costs of `future` tasks of each sample; `None` where the samples are too small to say."""
    return _predict(samples, future, is_ratio=False)


def predict_per_success(samples: Sequence[Sample], future: Sequence[float]) -> Prediction | None:
    """That sum over the successes among these tasks; `None` where there are too few."""
    if sum(float(one.succeeded.sum()) for one in samples) < _LEAST_SUCCESSES:
        return None
    return _predict(samples, future, is_ratio=True)


def _predict(samples: Sequence[Sample], future: Sequence[float], *, is_ratio: bool) -> Prediction | None:
    import numpy as np

    if not samples or min(len(one.cost) for one in samples) < LEAST_TASKS:
        return None
    known = [one.columns.sum(axis=0)[None, :] for one in samples]
    if not any(float(sums[0, 1]) > 0 for sums in known):
        return None
    counts = [len(one.cost) for one in samples]
    value, _, of_mean, of_sum = _moments(known, counts, future, is_ratio=is_ratio)
    error = float(np.hypot(of_mean, of_sum)[0])
    if not error:
        exact = Interval(float(value[0]), float(value[0]))
        return Prediction(float(value[0]), exact, exact, exact)
    drift = _drift(samples, future, float(value[0]) if is_ratio else 0.0)
    again, usable, mean_again, sum_again = _moments([one.again for one in samples], counts, future, is_ratio=is_ratio)
    usable &= (mean_again > 0) & (again > 0)
    if usable.sum() < len(usable) / 2:
        return None
    missed = np.log(value[0] / again[usable])
    by_mean, by_both = mean_again[usable], np.hypot(mean_again, sum_again)[usable]

    def around(pivots: Floats, spread: float) -> Interval:
        ends = percentile_interval(pivots)
        return Interval(float(value[0] * np.exp(ends.low * spread)), float(value[0] * np.exp(ends.high * spread)))

    return Prediction(
        float(value[0]),
        around((drift[usable] + missed) / by_both, error),
        around(drift, 1.0),
        around(missed / by_mean, float(of_mean[0])),
    )


def _moments(
    sums: Sequence[Floats], counts: Sequence[int], future: Sequence[float], *, is_ratio: bool
) -> tuple[Floats, NDArray[np.bool_], Floats, Floats]:
    """By row of `sums`: what is predicted, whether it can be, and its relative errors: of the mean, of the sum."""
    import numpy as np

    means = [each[:, 1:] / each[:, :1] for each in sums]
    spent = sum((tasks * mean[:, 0] for mean, tasks in zip(means, future, strict=True)), np.zeros(len(sums[0])))
    successes = sum((tasks * mean[:, 2] for mean, tasks in zip(means, future, strict=True)), np.zeros(len(sums[0])))
    usable = (spent > 0) & (successes > 0) if is_ratio else spent > 0
    rate = spent / np.where(successes > 0, successes, 1.0) if is_ratio else np.zeros(len(spent))
    of_mean, of_sum = np.zeros(len(spent)), np.zeros(len(spent))
    for mean, count, tasks in zip(means, counts, future, strict=True):
        cost, square, success, both = mean.T
        variance = square - 2 * rate * both + rate**2 * success - (cost - rate * success) ** 2
        variance = np.where(variance > square * 1e-12, variance, 0.0)  # of equal costs it is none, but for rounding
        of_mean += tasks**2 / count * variance
        of_sum += tasks * variance
    safe = np.where(usable, spent, 1.0)
    return (rate if is_ratio else spent), usable, np.sqrt(of_mean) / safe, np.sqrt(of_sum) / safe


def _drift(samples: Sequence[Sample], future: Sequence[float], rate: float) -> Floats:
    """Logarithms of drawn futures over what is expected, where the pilot's costs are the true ones."""
    import numpy as np

    variance = skew = spent = 0.0
    for one, tasks in zip(samples, future, strict=True):
        residual = one.cost - rate * one.succeeded
        residual = residual - residual.mean()
        variance += tasks * float((residual**2).mean())
        skew += tasks * float((residual**3).mean())
        spent += tasks * float(one.cost.mean())
    random = np.random.default_rng(_SEED)
    gamma = skew / variance**1.5
    count = len(samples[0].again)
    if abs(gamma) < _STRAIGHT:
        drawn = random.standard_normal(count)
    else:
        shape = 4 / gamma**2
        drawn = np.sign(gamma) * (random.gamma(shape, size=count) - shape) / np.sqrt(shape)
    found: Floats = np.log(np.maximum(1 + np.sqrt(variance) * drawn / spent, _SMALLEST))
    return found


def _columns(cost: Floats, succeeded: Floats) -> Floats:
    import numpy as np

    return np.stack([np.ones_like(cost), cost, cost**2, succeeded, cost * succeeded], axis=1)
