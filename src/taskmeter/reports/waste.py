"""Waste by class, and its arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final, TypeAlias

from taskmeter.records import WASTE_CLASSES, ZERO, WasteClass, add, subtract, total

UNCLASSIFIED: Final = "unclassified"
"""What a span says was wasted, and not why."""
CLASSES: Final[tuple[str, ...]] = (*WASTE_CLASSES, UNCLASSIFIED)
"""In the order in which they are shown."""

Waste: TypeAlias = Mapping[str, Decimal]
"""By class, what is not 0."""

NO_WASTE: Final[Waste] = {}
OF_OUTCOME: Final[Mapping[str, WasteClass]] = {"failed": "failed_task", "abandoned": "abandoned_task"}


def plus(*wastes: Waste) -> Waste:
    """The sum, class by class."""
    found: dict[str, Decimal] = {}
    for waste in wastes:
        for name, amount in waste.items():
            found[name] = add(found.get(name, ZERO), amount)
    return {name: amount for name, amount in found.items() if amount}


def minus(left: Waste, right: Waste) -> Waste:
    """The difference, class by class; parts of it may be negative."""
    return plus(left, {name: amount.copy_negate() for name, amount in right.items()})


def wasted(waste: Waste) -> Decimal:
    """All of it."""
    return total(waste.values())


def in_order(waste: Waste) -> Iterable[tuple[str, Decimal]]:
    """Its classes, as they are shown."""
    return sorted(waste.items(), key=lambda part: _place(part[0]))


def filled(waste: Waste, cost: Decimal, name: str) -> Waste:
    """All of `cost` as waste: what is not yet is of the class `name`."""
    waste = capped(waste, cost)
    return plus(waste, {name: subtract(cost, wasted(waste))})


def capped(waste: Waste, cost: Decimal) -> Waste:
    """No more waste than there is cost, and none that is negative: what is too much is taken off the last classes."""
    left, found = cost, dict[str, Decimal]()
    for name in sorted(waste, key=_place):
        found[name] = max(ZERO, min(waste[name], left))
        left = subtract(left, found[name])
    return {name: amount for name, amount in found.items() if amount}


def _place(name: str) -> int:
    return CLASSES.index(name) if name in CLASSES else len(CLASSES)


def without_verdict(waste: Waste, outcome: str, nested: Iterable[Waste]) -> Waste:
    """The waste of a task that said `outcome` as it would be without that; `nested` is what the tasks in it said."""
    name = OF_OUTCOME.get(outcome)
    if name is None:
        return waste
    in_nested = total(each.get(name, ZERO) for each in nested)
    kept = {**waste, name: min(waste.get(name, ZERO), in_nested), UNCLASSIFIED: ZERO}
    return {each: amount for each, amount in kept.items() if amount}
