"""How well the mean cost of a task is known, and how many tasks it takes to know it better."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log
from typing import TYPE_CHECKING, Final, TypeAlias

from taskmeter.reports.prediction import LEAST_TASKS
from taskmeter.reports.resampling import ratio

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

WITHIN: Final = 0.2
"""How well a mean is to be known: within 20 %."""
_Z: Final = 1.959963984540054
_NOTHING: Final = 1e-12
_TOP: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """Of the mean of some costs, at 95 %."""

    variation: float
    """Standard deviation of the costs over their mean."""
    mean_within: float | None
    """By what share of itself the mean may be wrong: the further end of its interval."""
    tasks_needed: int
    """To know the mean within 20 %: the larger of what the variation and the interval ask for."""
    more_tasks: int
    """Of these, how many are lacking."""


def precision(cost: Floats) -> Precision | None:
    """How well the mean of these is known; `None` for fewer than five, or no cost.

    Errors fall with the root of the tasks: twice as sure takes four times as many.
    The variation alone asks for (1.96 * variation / 0.2)^2. Where costs are skewed, the interval asks for more: until
    it is as narrow as that from 0.8 to 1.2.
    """
    count = len(cost)
    mean = float(cost.mean()) if count else 0.0
    if count < LEAST_TASKS or mean <= 0:
        return None
    variation = float(cost.std(ddof=1)) / mean
    needed, within = ceil((_Z * variation / WITHIN) ** 2), None
    if variation < _NOTHING:
        needed, within = 1, 0.0
    elif found := ratio(cost):
        ends = found.interval()
        within = max(ends.high / mean - 1, 1 - ends.low / mean)
        wide = log(ends.high / ends.low) / log((1 + WITHIN) / (1 - WITHIN))
        needed = max(needed, ceil(count * wide**2))
    return Precision(
        variation=round(variation, 6),
        mean_within=None if within is None else round(within, 6),
        tasks_needed=needed,
        more_tasks=max(0, needed - count),
    )


def tail_share(cost: Floats) -> float | None:
    """Of all costs: the part of the largest 1 % of them, at least one; `None` where there is no cost."""
    import numpy as np

    top = -(-len(cost) // _TOP)
    whole = float(cost.sum())
    return round(float(np.partition(cost, len(cost) - top)[-top:].sum()) / whole, 6) if whole > 0 else None
