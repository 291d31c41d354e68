"""How sure a share is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

_Z = 1.959963984540054
"""Two standard errors, all but: 95 %."""


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`."""

    low: float
    high: float


def wilson(successes: int, tried: int) -> tuple[float, float]:
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


def holm(p_values: Sequence[float]) -> list[float]:
    """Each adjusted for how many there are: one below 0.05 is a finding, and all of these together are wrong in at most
    one of 20 such tables, however they hang together."""
    adjusted, floor = [1.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        floor = max(floor, min(1.0, p_values[index] * (len(p_values) - place)))
        adjusted[index] = floor
    return adjusted
