"""What many tasks to come will cost, from few that are known: an interval for a sum that is not there yet.

Two things are uncertain. The mean, as the pilot has only so many tasks: each resample of the pilot is off by something,
in its own standard errors and on a logarithmic scale, and by so much the pilot may be off. And the sum, as future tasks
differ however well the mean is known: futures are drawn from the pilot. Both together are the interval. As in
`resampling`, either end is that of a pilot with more of its most extreme task on that side.

Futures of thousands of tasks are not drawn one by one. Their sum has the mean, the variance and the skew that the costs
of the pilot give it, and the law with these three is a gamma's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from taskmeter.reports.intervals import Interval, more_of_the_tail
from taskmeter.reports.resampling import percentile_interval, resampled_sums

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

LEAST_TASKS = 5
"""Fewer say too little about how tasks differ."""
_LEAST_SUCCESSES = 5
_SEED = 20_26_12
_FEW = 1_000
"""Tasks to come of one sample that are drawn one by one."""
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
    value, _, error = _moments(known, counts, future, is_ratio=is_ratio)
    if not error[0] > 0:
        exact = Interval(float(value[0]), float(value[0]))
        return Prediction(float(value[0]), exact, exact, exact)
    drift = _drift(samples, future, float(value[0]) if is_ratio else 0.0)
    again, usable, errors = _moments([one.again for one in samples], counts, future, is_ratio=is_ratio)
    usable &= (errors > 0) & (again > 0)
    if usable.sum() < len(usable) / 2:
        return None
    missed = np.log(value[0] / again[usable]) / errors[usable]

    def around(logs: Floats, at: float = float(value[0])) -> Interval:
        ends = percentile_interval(logs)
        return Interval(float(at * np.exp(ends.low)), float(at * np.exp(ends.high)))

    (lowest, low_error), (highest, high_error) = (
        _moments(sums, counts, future, is_ratio=is_ratio)[::2]
        for sums in _with_extremes(samples, known, future, float(value[0]) if is_ratio else None)
    )
    return Prediction(
        float(value[0]),
        interval=Interval(
            around(drift[usable] + missed * low_error[0], float(lowest[0])).low,
            around(drift[usable] + missed * high_error[0], float(highest[0])).high,
        ),
        if_mean_known=around(drift),
        if_future_known=around(missed * error[0]),
    )


def _with_extremes(
    samples: Sequence[Sample], known: Sequence[Floats], future: Sequence[float], rate: float | None
) -> Iterable[Sequence[Floats]]:
    """The sums of each sample with more of the task that pulls what is predicted down most, and up most: as much more
    as that task makes of the spread of the whole prediction."""
    import numpy as np

    pulls: list[Floats] = []
    for one, tasks in zip(samples, future, strict=True):
        residuals = one.cost - (rate or 0.0) * one.succeeded
        pulls.append((residuals - residuals.mean()) * tasks / len(residuals))
    spread = sum(float((pull**2).sum()) for pull in pulls)
    for most in (np.argmin, np.argmax):
        places = [int(most(pull)) for pull in pulls]
        yield [
            sums + more_of_the_tail(float(pull[place]) ** 2 / spread) * one.columns[place]
            for one, sums, pull, place in zip(samples, known, pulls, places, strict=True)
        ]


def _moments(
    sums: Sequence[Floats], counts: Sequence[int], future: Sequence[float], *, is_ratio: bool
) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """By row of `sums`: what is predicted, whether it can be, and its standard error over it."""
    import numpy as np

    means = [each[:, 1:] / each[:, :1] for each in sums]
    spent = sum((tasks * mean[:, 0] for mean, tasks in zip(means, future, strict=True)), np.zeros(len(sums[0])))
    successes = sum((tasks * mean[:, 2] for mean, tasks in zip(means, future, strict=True)), np.zeros(len(sums[0])))
    usable = (spent > 0) & (successes > 0) if is_ratio else spent > 0
    rate = spent / np.where(successes > 0, successes, 1.0) if is_ratio else np.zeros(len(spent))
    squared = np.zeros(len(spent))
    for mean, count, tasks in zip(means, counts, future, strict=True):
        cost, square, success, both = mean.T
        variance = square - 2 * rate * both + rate**2 * success - (cost - rate * success) ** 2
        variance = np.where(variance > square * 1e-12, variance, 0.0)  # of equal costs it is none, but for rounding
        squared += tasks**2 / count * variance
    return (rate if is_ratio else spent), usable, np.sqrt(squared) / np.where(usable, spent, 1.0)


def _drift(samples: Sequence[Sample], future: Sequence[float], rate: float) -> Floats:
    """Logarithms of drawn futures over what is expected, where the pilot's costs are the true ones."""
    import numpy as np

    random, spent = np.random.default_rng(_SEED), 0.0
    missed = np.zeros(len(samples[0].again))
    for one, tasks in zip(samples, future, strict=True):
        residual = one.cost - rate * one.succeeded
        missed += _sums(residual - residual.mean(), tasks, len(missed), random)
        spent += tasks * float(one.cost.mean())
    found: Floats = np.log(np.maximum(1 + missed / spent, _SMALLEST))
    return found


def _sums(residual: Floats, tasks: float, count: int, random: np.random.Generator) -> Floats:
    """Sums of that many `residual`, whose mean is 0: drawn one by one, or where they are many from the gamma law."""
    import numpy as np

    if tasks <= _FEW:
        whole = max(1, round(tasks))
        few: Floats = random.choice(residual, size=(count, whole)).sum(axis=1) * np.sqrt(tasks / whole)
        return few
    variance, skew = tasks * float((residual**2).mean()), tasks * float((residual**3).mean())
    gamma = skew / variance**1.5 if variance > 0 else 0.0
    drawn: Floats
    if abs(gamma) < _STRAIGHT:
        drawn = np.sqrt(variance) * random.standard_normal(count)
    else:
        shape = 4 / gamma**2
        drawn = np.sqrt(variance / shape) * np.sign(gamma) * (random.gamma(shape, size=count) - shape)
    return drawn


def _columns(cost: Floats, succeeded: Floats) -> Floats:
    import numpy as np

    return np.stack([np.ones_like(cost), cost, cost**2, succeeded, cost * succeeded], axis=1)
