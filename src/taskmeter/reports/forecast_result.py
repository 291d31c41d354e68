"""What `taskmeter forecast` is asked, and what it answers.

Spends are sums, in Decimal. Ends of intervals, shares and coefficients are statistics, in float.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from taskmeter.errors import UsageError
from taskmeter.reports.coverage import Coverage
from taskmeter.reports.volumes import NO_GROWTH, Growth, Horizon, Shares, Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class BackTest:
    """The first tasks of the pilot forecast the others: statistics, in the report's currency."""

    first: int
    held_out: int
    predicted: float
    low: float | None
    high: float | None
    actual: float
    error: float | None
    """`predicted / actual - 1`; `None` where the others cost nothing."""
    covered: bool | None
    """Whether the interval held what they cost; `None` where there is no interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked: volumes of single groups, or one of all with the pilot's mix or another."""

    volumes: tuple[Volume, ...]
    horizon: Horizon
    start: date
    growth: Growth = NO_GROWTH
    mix: Shares | None = None
    holdout: float = 0.3
    """The share of the pilot's tasks, the last in time, that the others forecast."""

    def __post_init__(self) -> None:
        """Raises `UsageError` for volumes that cannot be told apart, and for a mix of what has volumes of its own."""
        names = [volume.name for volume in self.volumes]
        if len(set(names)) < len(names) or (None in names and len(names) > 1):
            given = ", ".join("of all" if name is None else repr(name) for name in names)
            raise UsageError(f"--volume was given {given}; give one number for all, or one for each name")
        if self.mix is not None and names != [None]:
            raise UsageError("--mix shares out a --volume without a name, such as 5000/day; give that, or no --mix")


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastRow:
    """A month, a group, or the total. Amounts are in the report's currency; intervals hold 95 of 100 truths."""

    kind: Literal["month", "group", "total"]
    name: str
    """A month as in `2026-12`."""
    days: int | None = None
    """Of the month."""
    tasks: Decimal
    """To come; not a whole number where a volume does not divide by the days."""
    spend: Decimal | None = None
    """`None` where no call of the pilot could be priced."""
    spend_low: float | None = None
    spend_high: float | None = None
    per_success: Decimal | None = None
    """All spend, failures included, over the successes to come; `None` without any in the pilot."""
    per_success_low: float | None = None
    per_success_high: float | None = None
    pilot_tasks: int | None = None
    mean: Decimal | None = None
    """Cost of a task: in the total, with the mix of the forecast."""
    variation: float | None = None
    """Standard deviation of a task's cost over the mean."""
    mean_within: float | None = None
    """By what share of itself the mean may be wrong: its further end, at 95 %."""
    tasks_needed: int | None = None
    """To know the mean within 20 %: the larger of what the variation and the bootstrap's interval ask for."""
    more_tasks: int | None = None
    """Of these, how many the pilot lacks."""
    tail_share: float | None = None
    """Of the spend: what rests on the costliest 1 % of the pilot's tasks of each group, at least one."""
    estimated: bool = False
    lower_bound: bool = False
    """Whether a call in it has no price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastReport:
    """The forecast by month and by group, its total, how far it is to be trusted, and what to know when reading it."""

    currency: str
    by: str
    start: str
    end: str
    """The first and the last day: `2026-12-01`."""
    horizon: str
    volumes: tuple[str, ...]
    growth: str | None
    mix: Literal["pilot", "stated"]
    """Where the shares of the groups are from; a stated one is taken as it is, that of the pilot is uncertain too."""
    months: tuple[ForecastRow, ...]
    rows: tuple[ForecastRow, ...]
    total: ForecastRow
    from_mean: float | None
    """What the total would be uncertain by if only the mean were: half its interval's width, over the total."""
    from_future: float | None
    """The same, if the mean were known and only future tasks differed."""
    without_tail: Decimal | None
    """The total if the costliest 1 % of the pilot's tasks cost nothing."""
    above_pilot: float
    """Tasks to come that are expected to cost more than each of the pilot's: one in (pilot's tasks + 1)."""
    back_test: BackTest | None
    coverage: Coverage
    sentence: str
    notes: tuple[str, ...]
