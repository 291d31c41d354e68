"""The waste of a group of tasks: by class, in money and share, with what was lost besides money."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from taskmeter.records import divide, subtract
from taskmeter.reports.waste import CLASSES, plus, wasted

if TYPE_CHECKING:
    from taskmeter.reports.breakdown import Group
    from taskmeter.reports.rows import Leaf, Task


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


def waste_section(group: Group) -> WasteSection:
    """Makes the section."""
    tasks, leaves, relations = group.outermost, group.leaves, group.relations
    in_leaves = [(leaf, waste) for leaf in leaves if (waste := relations.waste_of(leaf)) is not None]
    by_class = plus(
        *(task.waste for task in tasks),
        *({waste: leaf.cost} for leaf, waste in in_leaves if leaf.cost is not None),
    )
    spent, lost = group.total, wasted(by_class)
    refs = {task.ref for task in tasks}
    parts: list[Task | Leaf] = [*tasks, *leaves]
    useful = None if spent is None else subtract(spent, lost)
    return WasteSection(
        useful=useful,
        useful_share=share_of(useful, spent),
        wasted=None if spent is None else lost,
        wasted_share=share_of(lost, spent),
        estimated=not refs.isdisjoint(relations.wasted_estimates)
        or any(leaf.status == "estimated" for leaf, _ in in_leaves),
        lower_bound=not refs.isdisjoint(relations.wasted_bounds)
        or any(leaf.status == "unpriced" for leaf, _ in in_leaves),
        classes=tuple(
            WasteShare(waste=name, amount=by_class[name], share=share_of(by_class[name], spent))
            for name in CLASSES
            if name in by_class
        ),
        retries=sum(part.retries for part in parts),
        retry_seconds=sum(part.retry_seconds for part in parts),
        exposed_attempts=sum(part.exposed_attempts for part in parts),
        reasks=sum(task.reasks for task in tasks),
        duplicate_calls=sum(task.duplicate_calls for task in tasks),
        looped_tool_runs=sum(task.looped_tool_runs for task in tasks),
        growing_turns=max((task.growing_turns for task in tasks), default=0),
    )


def share_of(part: Decimal | None, whole: Decimal | None) -> float | None:
    """`part` of `whole`, 0 to 1, to 6 digits; `None` where either is not known, or there is nothing."""
    return round(float(divide(part, whole)), 6) if whole and part is not None else None
