"""How often tasks would succeed."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from taskmeter.records import ZERO, add

_ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Success:
    """A stated rate of success, or a change of the recorded one by percentage points."""

    text: str
    """As it was asked for."""
    share: Decimal
    is_change: bool

    def of(self, rate: Decimal) -> Decimal:
        """What becomes of `rate`; 0 to 1 like it."""
        return min(_ONE, max(ZERO, add(rate, self.share))) if self.is_change else self.share
