"""What `taskmeter value` was asked with, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeAlias

from taskmeter.reports.coverage import Coverage

Verdict: TypeAlias = Literal["pays", "does not pay", "cannot be told yet", "not asked"]
"""`not asked`: nobody said how long the work, or the check of it, takes a person."""


@dataclass(frozen=True, slots=True)
class Minutes:
    """Minutes of a person for a task: `of` a name, else `otherwise`, which may be unknown."""

    otherwise: float | None = None
    of: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Work:
    """What the same work costs without an agent."""

    task: Minutes = Minutes()
    """How long a person takes for a task."""
    check: Minutes = Minutes()
    """How long the check of a result takes; where it is not said, the recorded human minutes are taken."""
    hourly: Decimal | None = None
    """What an hour of a person costs, in the report's currency."""
    harm: Decimal = Decimal(0)
    """What a failure costs besides the work that a person must do then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueRow:
    """One group. `Decimal` is exact, in the report's currency; `float` is a statistic, with 95 % intervals."""

    name: str
    tasks: int
    succeeded: int
    tried: int
    """Tasks that succeeded, failed or were abandoned."""
    total: Decimal | None
    """All that these tasks cost, people's priced time included; `None` when nothing could be priced."""
    cost_per_success: Decimal | None
    cost_per_success_low: float | None
    cost_per_success_high: float | None
    value: Decimal | None
    """What the results are worth; `None` when nobody said."""
    valued: int
    """Tasks of which somebody said it."""
    margin: Decimal | None
    """`value - total`."""
    margin_low: float | None
    margin_high: float | None
    margin_share: float | None
    """Of the value."""
    return_on_spend: float | None
    """Value over cost."""
    task_minutes: float | None
    """How long a person takes for a task."""
    check_minutes: float | None
    """How long a check takes, said or recorded."""
    agent_hourly: float | None
    """What the agent costs for each hour of a person's work that its successes replace; checks not included."""
    agent_hourly_low: float | None
    agent_hourly_high: float | None
    checked_hourly: float | None
    """The same with the checks, at what an hour of a person costs."""
    success_rate: float | None
    success_rate_low: float | None
    success_rate_high: float | None
    """By Wilson."""
    break_even: float | None
    """The success rate from which on the agent pays; more than 1: never."""
    break_even_low: float | None
    break_even_high: float | None
    verdict: Verdict
    sentence: str
    more_tasks: int | None
    """How many more tasks would tell, about, if the success rate stays; only where it cannot be told yet."""
    coverage: Coverage


@dataclass(frozen=True, slots=True)
class ValueReport:
    """Rows by falling total."""

    currency: str
    by: str
    hourly: Decimal | None
    harm: Decimal
    rows: tuple[ValueRow, ...]
    coverage: Coverage
    notes: tuple[str, ...]
