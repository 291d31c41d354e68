"""How sure a share is."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

_Z = 1.959963984540054
"""Two standard errors, all but: 95 %."""


def wilson(successes: int, tried: int) -> tuple[float, float]:
    """The 95 % interval of a share by Wilson: sound for few tasks, and for all or none of them. `tried` is not 0."""
    share, spread = successes / tried, _Z**2 / tried
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * sqrt(share * (1 - share) / tried + spread / (4 * tried)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`."""

    low: float
    high: float
