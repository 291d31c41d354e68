"""How sure a share or a mean is, from counts and sums alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cbrt, exp, sqrt

_Z = 1.959963984540054
"""Two standard errors, all but: 95 %."""
_ROUNDING = 1e-12
"""Of sums of squares: what is left of a spread that is none."""
_FARTHEST = 50.0


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`."""

    low: float
    high: float


def wilson(successes: float, tried: float) -> tuple[float, float]:
    """The 95 % interval of a share by Wilson: sound for few tasks, and for all or none of them. `tried` is not 0."""
    share, spread = successes / tried, _Z**2 / tried
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * sqrt(share * (1 - share) / tried + spread / (4 * tried)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def newcombe(before: tuple[int, int], after: tuple[int, int]) -> Interval:
    """The 95 % interval of the difference of two shares, each so many successes of so many tried, by Newcombe."""
    (low, high), (low_after, high_after) = wilson(*before), wilson(*after)
    share, share_after = before[0] / before[1], after[0] / after[1]
    difference = share_after - share
    return Interval(
        difference - sqrt((share_after - low_after) ** 2 + (high - share) ** 2),
        difference + sqrt((high_after - share_after) ** 2 + (share - low) ** 2),
    )


@dataclass(frozen=True, slots=True)
class Sums:
    """Over tasks: of an amount, of its square and cube, of 1 where a task counts and else 0, and of the amount and its
    square where it does."""

    count: float
    above: float
    above_2: float
    above_3: float
    below: float
    both: float
    both_2: float

    @property
    def spread(self) -> float:
        """Sum of squares of what each task differs by from `above / below`; what rounding leaves of none is 0."""
        rate = self.above / self.below
        squares = self.above_2 - 2 * rate * self.both + rate**2 * self.below
        return squares if squares > _ROUNDING * self.above_2 else 0.0

    def with_part_of(self, amount: float, *, counts: bool, weight: float) -> Sums:
        """Of these tasks and a part of one more."""
        below = weight * counts
        return Sums(
            self.count + weight,
            self.above + weight * amount,
            self.above_2 + weight * amount**2,
            self.above_3 + weight * amount**3,
            self.below + below,
            self.both + below * amount,
            self.both_2 + below * amount**2,
        )


def skewed_ratio(sums: Sums, largest: float, *, largest_counts: bool) -> Interval | None:
    """The 95 % interval of `above / below`, such as cost per success, of amounts that are not negative and skewed.

    The ratio in its standard errors is no normal variate: the skew of the amounts bends it, the count below varies with
    them, and so does the logarithm that keeps the ends positive. Hall's cubic takes the bend out (On the removal of
    skewness by transformation, 1992, here with the terms of a ratio and of its logarithm), and Student's t stands for
    the normal law. The upper end is that of the same tasks with the costliest once `more_of_the_tail`.

    From 20 tasks of the simulator's heaviest tails on this holds the truth 88 times of 100, from 50 on 89 to 93 times,
    from 200 on and with lighter tails 93 to 97 times: as the bootstrap of `resampling`, from sums alone. Two standard
    errors to either side do so 73, 80 and 87 times. `None` where there is no ratio; an interval without width where
    nothing varies.
    """
    if not sums.below or not sums.above > 0:
        return None
    found = _skewed(sums)
    spread = sums.spread
    if found.low == found.high or not spread:
        return found
    residual = largest - sums.above / sums.below * largest_counts
    weight = more_of_the_tail(residual**2 / spread)
    more = _skewed(sums.with_part_of(largest, counts=largest_counts, weight=weight))
    return Interval(found.low, max(found.high, more.high))


def more_of_the_tail(share: float) -> float:
    """How much of its most extreme task is added to a sample, to find how far the truth may be on that side.

    A sample of a long tail more often lacks one of its tasks than has one too many. Where the most extreme task makes a
    quarter of the spread or more (`share`), the next could be as extreme; of an even spread hardly any is added. Over
    the simulator's workflows intervals of the bootstrap hold the truth 93 to 97 instead of 87 to 95 times of 100, at 50
    tasks and more, and are wider by 5 % where tails are light and by 25 % where they are heavy.
    """
    return min(1.0, 4 * share)


def _skewed(sums: Sums) -> Interval:
    rate, spread = sums.above / sums.below, sums.spread
    if not spread:
        return Interval(rate, rate)
    cubes = sums.above_3 - 3 * rate * sums.both_2 + 3 * rate**2 * sums.both - rate**3 * sums.below
    relative, skew = sqrt(spread) / sums.above, cubes / spread**1.5
    with_count = (sums.both - rate * sums.below) / (sums.below * sqrt(spread))
    bend, far = skew / 3 - with_count - relative / 2, _student(sums.count - 1)
    first, last = (_unbent(end, bend, skew / 6) for end in (-far, far))
    return Interval(rate * exp(-relative * last), rate * exp(min(-relative * first, _FARTHEST)))


def _unbent(straight: float, bend: float, shift: float) -> float:
    """Solves t + bend * t^2 + bend^2 * t^3 / 3 + shift = straight."""
    return (cbrt(1 + 3 * bend * (straight - shift)) - 1) / bend if abs(bend) > _ROUNDING else straight - shift


def _student(freedom: float) -> float:
    """The 97.5 % quantile of Student's t, to three digits from 9 degrees of freedom on: the expansion of Fisher."""
    z = _Z
    terms = ((z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384)
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))


def rounded(statistic: float) -> float:
    """To six digits: parallel sums make no more of them the same each time, and no more of an interval say anything."""
    return float(f"{statistic:.6g}")


def holm(p_values: Sequence[float]) -> list[float]:
    """Each adjusted for how many there are: one below 0.05 is a finding, and all of these together are wrong in at most
    one of 20 such tables, however they hang together."""
    adjusted, floor = [1.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        floor = max(floor, min(1.0, p_values[index] * (len(p_values) - place)))
        adjusted[index] = floor
    return adjusted
