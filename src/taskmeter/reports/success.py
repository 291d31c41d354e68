"""How often tasks would succeed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase

from taskmeter.records import ZERO, add

_ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Success:
    """A stated rate of success, or a change of the recorded one by percentage points."""

    text: str
    """As it was asked for."""
    share: Decimal
    is_change: bool
    workflow: str = "*"
    """A glob of the names of those that it holds for."""

    def of(self, rate: Decimal) -> Decimal:
        """What becomes of `rate`; 0 to 1 like it."""
        return min(_ONE, max(ZERO, add(rate, self.share))) if self.is_change else self.share


def rate_of(stated: Iterable[Success], workflow: str, rate: Decimal) -> Decimal:
    """What becomes of the rate of `workflow`: the last that holds for it counts."""
    about = [each for each in stated if fnmatchcase(workflow, each.workflow)]
    return about[-1].of(rate) if about else rate
