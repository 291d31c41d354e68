"""What a ledger adds up: amounts with their waste by class, and counts. Mutated under the lock of the ledger's tree."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from taskmeter.account.context import ContextSums
from taskmeter.records import CATEGORIES, ZERO, Category, Part, WasteClass, add, subtract, total

if TYPE_CHECKING:
    from taskmeter.account.ledger import Entry


class Pot:
    """An amount, and the disjoint parts of it that are waste, by class; no part is 0."""

    __slots__ = ("amount", "waste")

    def __init__(self) -> None:
        self.amount = ZERO
        self.waste: dict[WasteClass, Decimal] = {}

    @property
    def wasted(self) -> Decimal:
        """All waste."""
        return total(self.waste.values())

    def add(self, amount: Decimal, waste: WasteClass | None) -> None:
        """Adds `amount`, which is waste if that names a class."""
        self.amount = add(self.amount, amount)
        if waste is not None:
            self.waste_more(amount, waste)

    def waste_more(self, amount: Decimal, waste: WasteClass) -> None:
        """Makes `amount` of what is here waste."""
        if amount:
            self.waste[waste] = add(self.waste.get(waste, ZERO), amount)

    def waste_rest(self, waste: WasteClass) -> Decimal:
        """Makes waste of what is not; returns how much that was."""
        rest = subtract(self.amount, self.wasted)
        self.waste_more(rest, waste)
        return rest

    def wasted_with(self, rest: WasteClass) -> dict[WasteClass, Decimal]:
        """The waste, if all were; nothing changes."""
        left = subtract(self.amount, self.wasted)
        return {**self.waste, rest: add(self.waste.get(rest, ZERO), left)} if left else dict(self.waste)

    def move(self, amount: Decimal, before: WasteClass, after: WasteClass) -> None:
        """Gives `amount` of the waste `before` the class `after`."""
        if not amount:
            return
        left = subtract(self.waste.pop(before, ZERO), amount)
        self.waste_more(left, before)
        self.waste_more(amount, after)


class Sums:
    """The inclusive totals of a ledger."""

    __slots__ = (
        "all",
        "attempts",
        "by_category",
        "cache_saved",
        "calls",
        "context",
        "contracted",
        "duplicate_calls",
        "estimated",
        "exposed_attempts",
        "fees",
        "growing_turns",
        "human_minutes",
        "list",
        "looped_tool_runs",
        "reasks",
        "reasoning",
        "retry_ns",
        "tokens",
        "tool_runs",
        "unpriced_calls",
    )

    def __init__(self) -> None:
        self.all = Pot()
        self.estimated = self.list = self.contracted = ZERO
        self.by_category: dict[Category, Decimal] = dict.fromkeys(CATEGORIES, ZERO)
        self.tokens: dict[Part, int] = {}
        self.fees: dict[str, int] = {}
        self.calls = self.attempts = self.tool_runs = self.unpriced_calls = 0
        self.exposed_attempts = self.retry_ns = 0
        self.reasks = self.duplicate_calls = self.looped_tool_runs = self.growing_turns = 0
        self.human_minutes = self.reasoning = self.cache_saved = ZERO
        self.context = ContextSums()

    def add(self, entry: Entry, waste: WasteClass | None) -> None:
        """Adds `entry`, which is waste here if that names a class."""
        self.calls += entry.calls
        self.attempts += entry.attempts
        self.exposed_attempts += entry.exposed_attempts
        self.retry_ns += entry.retry_ns
        self.tool_runs += entry.tool_runs
        self.unpriced_calls += entry.unpriced_calls
        if entry.waste == "duplicate":
            self.duplicate_calls += entry.calls
        elif entry.waste == "loop":
            self.looped_tool_runs += entry.tool_runs
        if entry.human_minutes:
            self.human_minutes = add(self.human_minutes, entry.human_minutes)
        self.context.add(entry.context, entry.usage)
        if entry.cache_saved:
            self.cache_saved = add(self.cache_saved, entry.cache_saved)
        for part, count in entry.usage.tokens.items():
            self.tokens[part] = self.tokens.get(part, 0) + count
        for fee, count in entry.usage.fees.items():
            self.fees[fee] = self.fees.get(fee, 0) + count
        for charge in entry.charges:
            amount = charge.amount
            self.all.add(amount, waste)
            self.list = add(self.list, charge.list_amount)
            self.contracted = add(self.contracted, charge.contracted_amount)
            self.by_category[charge.category] = add(self.by_category[charge.category], amount)
            if charge.part == "reasoning":
                self.reasoning = add(self.reasoning, amount)
            if charge.estimated:
                self.estimated = add(self.estimated, amount)
