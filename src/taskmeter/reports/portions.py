"""Recorded calls as changes see them: shares of a cell's calls, and the terms by which they would be billed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Final, Literal, TypeAlias

from taskmeter.pricing import Rates
from taskmeter.records import INPUT_PARTS, OUTPUT_PARTS, ZERO, Part, Source, add, divide, multiply, subtract, total
from taskmeter.reports.recorded_calls import Cell, Terms

End: TypeAlias = Literal["low", "likely", "high"]
ENDS: Final[tuple[End, ...]] = ("low", "likely", "high")
"""Of what it would cost."""
ONE: Final = Decimal(1)


@dataclass(frozen=True, slots=True)
class Counts:
    """Of some calls; not whole when they are a share of a cell, or may be more or less."""

    calls: Decimal
    tokens: Mapping[Part, Decimal]
    cacheable: Decimal
    """Of plain input, as `Cell` has it."""
    writable: Decimal
    fees: Decimal
    """What their searches, containers and the like cost, whoever answers."""

    def times(self, every: Decimal = ONE, *, given: Decimal = ONE, made: Decimal = ONE) -> Counts:
        """So many times as many calls, with so many times the input and output each."""
        of_input, of_output = multiply(every, given), multiply(every, made)
        tokens: dict[Part, Decimal] = {
            part: multiply(count, of_output if part in OUTPUT_PARTS else of_input)
            for part, count in self.tokens.items()
        }
        return Counts(
            multiply(self.calls, every),
            tokens,
            multiply(self.cacheable, of_input),
            multiply(self.writable, of_input),
            multiply(self.fees, every),
        )


@dataclass(frozen=True, slots=True)
class Portion:
    """Calls that one price is the same for."""

    cell: Cell
    terms: Terms
    counts: Counts
    factor: Decimal = ONE
    """What prices of tokens were multiplied by."""
    left: Mapping[Source, Decimal] = field(default_factory=dict[Source, Decimal])
    """Sources that less is sent of -> the share of the bill for input that this took away."""

    @property
    def cost(self) -> Decimal:
        """What they come to."""
        rates = self.terms.rates
        return add(multiply(self.factor, _of_tokens(self.counts.tokens, rates, self.counts.calls)), self.counts.fees)


def whole(cell: Cell) -> Portion:
    """A cell as it was; what no price of tokens explains are its fees."""
    tokens: dict[Part, Decimal] = {part: Decimal(count) for part, count in cell.tokens.items()}
    calls = Decimal(cell.calls)
    fees = subtract(cell.cost, _of_tokens(tokens, cell.terms.rates, calls))
    return Portion(cell, cell.terms, Counts(calls, tokens, Decimal(cell.cacheable), Decimal(cell.writable), fees))


def input_bill(cell: Cell) -> Decimal:
    """What the input of a cell was billed at."""
    tokens: dict[Part, Decimal] = {part: Decimal(n) for part, n in cell.tokens.items() if part in INPUT_PARTS}
    return _of_tokens(tokens, cell.terms.rates)


def _of_tokens(tokens: Mapping[Part, Decimal], rates: Rates, calls: Decimal = ZERO) -> Decimal:
    prices = ((count, getattr(rates, part)) for part, count in tokens.items())
    return add(total(multiply(count, price) for count, price in prices if price), multiply(calls, rates.request))


@dataclass(frozen=True, slots=True)
class Names:
    """Which calls: by the step or the task that they are in, and by their model, with or without provider."""

    place: str = "*"
    model: str = "*"

    def match(self, portion: Portion) -> bool:
        """Whether these are some of them."""
        cell, context = portion.cell, portion.terms.context
        return (
            self.place == "*"
            or (cell.step != "" and fnmatchcase(cell.step, self.place))
            or fnmatchcase(cell.task, self.place)
        ) and (
            self.model == "*"
            or fnmatchcase(context.model, self.model)
            or fnmatchcase(f"{context.provider}/{context.model}", self.model)
        )


def between(end: End, low: Decimal, high: Decimal) -> Decimal:
    """A share that makes calls cheaper the higher it is, at that end of what they would cost."""
    return {"low": high, "likely": divide(add(low, high), Decimal(2)), "high": low}[end]


def around(end: End, spread: Decimal) -> Decimal:
    """A factor that makes calls dearer the higher it is."""
    return {"low": subtract(ONE, spread), "likely": ONE, "high": add(ONE, spread)}[end]
