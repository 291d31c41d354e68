"""The waste of a group of tasks: by class, in money and share, with what was lost besides money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from taskmeter.records import divide, subtract
from taskmeter.records import total as sum_of
from taskmeter.reports.waste import CLASSES

if TYPE_CHECKING:
    from taskmeter.reports.engine.warehouse import Warehouse


@dataclass(frozen=True, slots=True, kw_only=True)
class WasteShare:
    """What one class of waste cost."""

    waste: str
    """The class."""
    amount: Decimal
    share: float | None
    """Of all that was spent, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WasteSection:
    """Useful and wasted money, which add up to all that was spent. `None` where that is not known."""

    useful: Decimal | None
    useful_share: float | None
    wasted: Decimal | None
    wasted_share: float | None
    estimated: bool
    """Whether a part of `wasted` is an estimate."""
    lower_bound: bool
    """Whether `wasted` leaves out calls that could not be priced."""
    classes: tuple[WasteShare, ...]
    """Those that are not 0; they add up to `wasted`."""
    retries: int
    retry_seconds: float
    """Time lost in attempts that were repeated, and in the waits after them."""
    exposed_attempts: int
    """HTTP requests without an answer that may be billed all the same: nothing of theirs is in any amount."""
    reasks: int
    duplicate_calls: int
    looped_tool_runs: int
    growing_turns: int
    """The most calls in a row in one task, each with more input than the one before, where they are too many."""


def waste_section(found: Mapping[str, Any], by_class: Mapping[str, Decimal], spent: Decimal | None) -> WasteSection:
    """Makes the section of the sums `found` of tasks that cost `spent`; what they wasted is in order."""
    lost = sum_of(by_class.values())
    useful = None if spent is None else subtract(spent, lost)
    return WasteSection(
        useful=useful,
        useful_share=share_of(useful, spent),
        wasted=None if spent is None else lost,
        wasted_share=share_of(lost, spent),
        estimated=found["wasted_estimate"],
        lower_bound=found["wasted_bound"],
        classes=tuple(
            WasteShare(waste=name, amount=amount, share=share_of(amount, spent)) for name, amount in by_class.items()
        ),
        retries=int(found["retries"]),
        retry_seconds=float(found["retry_seconds"] or 0),
        exposed_attempts=int(found["exposed_attempts"]),
        reasks=int(found.get("reasks") or 0),
        duplicate_calls=int(found.get("duplicate_calls") or 0),
        looped_tool_runs=int(found.get("looped_tool_runs") or 0),
        growing_turns=int(found.get("growing_turns") or 0),
    )


def waste_of(found: Mapping[str, Any], warehouse: Warehouse) -> dict[str, Decimal]:
    """The classes of waste among sums of tasks or leaves that are not 0, in the order in which they are shown."""
    return {name: amount for name in CLASSES if (amount := warehouse.known(found[f"waste_{name}"]))}


def share_of(part: Decimal | None, whole: Decimal | None) -> float | None:
    """`part` of `whole`, 0 to 1, to 6 digits; `None` where either is not known, or there is nothing."""
    return round(float(divide(part, whole)), 6) if whole and part is not None else None
