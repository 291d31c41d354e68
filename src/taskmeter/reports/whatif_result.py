"""What the what-if report says."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

from taskmeter.reports.coverage import Coverage


class Range(NamedTuple):
    """An amount that is not known for sure: `low` <= `likely` <= `high`."""

    low: Decimal
    likely: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True)
class Left:
    """Calls that stay as they are, for one reason."""

    reason: str
    calls: int
    cost: Decimal | None
    """`None` when it is not known."""
    share: float | None
    """Of all spend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What of the spending changes can act on; the rest stays as it is."""

    spend: Decimal | None
    """All that was spent; `None` when nothing could be priced."""
    repriced: Decimal
    """The part of it that the price book makes of recorded tokens."""
    repriced_share: float | None
    estimated_share: float | None
    """Of `repriced`."""
    fees: Decimal
    """The part of `repriced` that is for searches and the like: it stays with each call that is made."""
    calls: int
    repriced_calls: int
    repriced_in_part: int
    """Calls, of these, that cost more than what could be priced."""
    left: tuple[Left, ...]
    """Calls that stay as they are, by reason."""
    other: Decimal | None
    """The part of `spend` that is for no recorded call: tools, charges, people's time, calls whose spans are lost."""
    other_share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """One row: outermost tasks of one name with all inside them, so that each dollar is in one row."""

    name: str
    kind: Literal["workflow", "no_task", "total"]
    tasks: int
    succeeded: int
    ended: int
    """That succeeded, failed or were abandoned."""
    total: Decimal | None
    """As recorded."""
    new_total: Range | None
    """`None` when nothing could be priced."""
    saving: Range
    """Less than 0 where it would cost more."""
    saving_share: float | None
    """The likely one, of `total`."""
    success_rate: float | None
    new_success_rate: float | None
    cost_per_success: Decimal | None
    """All spend over successes, to 12 decimals; `None` without one."""
    new_cost_per_success: Range | None
    break_even_success_rate: float | None
    """Below this rate of success a success would cost more than it did; `None` where no rate would do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioSaving:
    """What one change saves."""

    scenario: str
    calls: int
    """Recorded calls that it is about."""
    alone: Range
    """By itself."""
    in_turn: Range
    """After those before it; the likely ones add up to what all save together."""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The changes in the order in which they act, a row for each workflow by falling total, and what to know."""

    currency: str
    scenarios: tuple[ScenarioSaving, ...]
    rows: tuple[Workflow, ...]
    total: Workflow
    coverage: Coverage
    reach: Reach
    priced_on: str | None
    """The day of the last recorded call: models that did not answer are priced as of then."""
    notes: tuple[str, ...]
