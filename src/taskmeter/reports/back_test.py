"""A forecast judged by what came: the first tasks of a pilot forecast the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from taskmeter.reports.forecast_result import BackTest
from taskmeter.reports.pilot import Pilot
from taskmeter.reports.prediction import LEAST_TASKS, predict_spend, sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Masks: TypeAlias = Sequence[NDArray[np.bool_]]


def back_test(pilot: Pilot, groups: Masks, holdout: float, *, is_free: bool) -> BackTest | None:
    """Holds out the last tasks in time, a share `holdout` of all. `groups` are the masks of what is forecast.

    How many tasks there were of each group is not forecast, unless the mix is (`is_free`). `None` where a group has too
    few tasks to be split.
    """
    import numpy as np

    asked = np.any(np.stack(groups), axis=0)
    order = np.cumsum(asked)
    is_first = order <= order[-1] - round(int(order[-1]) * holdout)
    kinds = [asked] if is_free else groups
    counts = [(int((kind & is_first).sum()), int((kind & ~is_first).sum())) for kind in kinds]
    held_out = sum(after for _, after in counts)
    if not held_out or min(before for before, _ in counts) < LEAST_TASKS:
        return None
    samples = [
        sample(pilot.cost[kind & is_first], pilot.succeeded[kind & is_first], place) for place, kind in enumerate(kinds)
    ]
    predicted = sum(after * float(one.cost.mean()) for one, (_, after) in zip(samples, counts, strict=True))
    found = predict_spend(samples, [float(after) for _, after in counts])
    actual = float(pilot.cost[asked & ~is_first].sum())
    return BackTest(
        first=sum(before for before, _ in counts),
        held_out=held_out,
        predicted=predicted,
        low=None if found is None else found.interval.low,
        high=None if found is None else found.interval.high,
        actual=actual,
        error=round(predicted / actual - 1, 6) if actual > 0 else None,
        covered=None if found is None else found.interval.low <= actual <= found.interval.high,
    )
