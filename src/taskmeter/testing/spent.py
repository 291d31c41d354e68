"""What was spent in a stretch of a test, and the sentences about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Literal, Self

from taskmeter.account import Ledger
from taskmeter.errors import UsageError
from taskmeter.records import ZERO, Cost, Usage, add
from taskmeter.reports.text import exact
from taskmeter.scopes import Task

Unpriced = Literal["fail", "allow"]
"""Whether spending at a price that is not known breaks a limit: it may be any amount."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Amounts in USD."""

    usd: Decimal = ZERO
    """What could be priced."""
    estimated: Decimal = ZERO
    """The part of `usd` that is an estimate."""
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    unpriced: int = 0
    """Calls, tool runs and human minutes without a known price: `usd` is a lower bound if there are any."""

    @classmethod
    def by(cls, task: Task) -> Self:
        """By a task."""
        return cls._of(task.cost, task.usage, task.calls, task.unpriced_calls)

    @classmethod
    def on(cls, ledger: Ledger) -> Self:
        """All that is booked to `ledger`."""
        return cls._of(ledger.cost(), ledger.usage(), ledger.calls, ledger.unpriced_calls)

    @classmethod
    def _of(cls, cost: Cost, usage: Usage, calls: int, unpriced: int) -> Self:
        return cls(cost.total, cost.estimated, calls, usage.input_tokens, usage.output_tokens, unpriced)

    @classmethod
    def from_text(cls, figures: Mapping[str, str]) -> Self:
        """What `as_text` wrote; a figure that is missing is 0."""
        return cls(
            usd=Decimal(figures.get("usd", 0)),
            estimated=Decimal(figures.get("estimated", 0)),
            calls=int(figures.get("calls", 0)),
            input_tokens=int(figures.get("input_tokens", 0)),
            output_tokens=int(figures.get("output_tokens", 0)),
            unpriced=int(figures.get("unpriced", 0)),
        )

    def as_text(self) -> dict[str, str]:
        """The figures that are not 0, by name, with every digit."""
        named = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: exact(value) if isinstance(value, Decimal) else str(value) for name, value in named if value}

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            add(self.usd, other.usd),
            add(self.estimated, other.estimated),
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.unpriced + other.unpriced,
        )

    def __bool__(self) -> bool:
        return self != Spent()

    def __str__(self) -> str:
        words = [
            counted(self.calls, "call"),
            f"{self.input_tokens:,} tokens in, {self.output_tokens:,} out",
        ]
        if self.estimated:
            words.append(f"{dollars(self.estimated)} of it is an estimate")
        if self.unpriced:
            words.append(f"{self.unpriced:,} unpriced")
        return "; ".join(words)


def counted(number: int, noun: str) -> str:
    """`1 call`, `2 calls`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def dollars(amount: Decimal) -> str:
    """Every digit that says something: a limit and a figure that breaks it never look the same."""
    digits = exact(amount)
    return f"${digits.rstrip('0').rstrip('.') if '.' in digits else digits}"


def checked_unpriced(value: object) -> Unpriced:
    """`value` if it is one of the words. Raises `UsageError` otherwise."""
    if value in ("fail", "allow"):
        return value
    msg = f"unpriced={value!r} is not 'fail' or 'allow'"
    raise UsageError(msg)


@dataclass(frozen=True, slots=True)
class Limit:
    """What a stretch of a test may cost."""

    usd: Decimal
    unpriced: Unpriced
    inclusive: bool
    """Whether it may cost just that much."""

    def broken_by(self, what: str, spent: Spent) -> str | None:
        """Why `what`, which spent that, breaks it; `None` if it does not."""
        over = spent.usd > self.usd if self.inclusive else spent.usd >= self.usd
        if over:
            relation = "is more than" if self.inclusive else "is not below"
            least = "at least " if spent.unpriced else ""
            return f"{what} cost {least}{dollars(spent.usd)}, which {relation} {dollars(self.usd)} ({spent})"
        if spent.unpriced and self.unpriced == "fail":
            return (
                f"what {what} cost is not known: {spent.unpriced:,} of its calls, tool runs and reviews could not be "
                f"priced, and unknown is not 0; the rest cost {dollars(spent.usd)} ({spent}). "
                "Give the missing price in your price file, or pass unpriced='allow'"
            )
        return None
