"""What could be changed about recorded calls: each scenario turns calls into what they would have been, and is pure.

They act on `Portion`s, calls of one cell or a share of them, at one of three ends: the least they might cost, the most,
and what is likely. Fees (searches, containers) stay with each call that is made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from taskmeter.pricing import PriceContext
from taskmeter.records import ZERO, Part, Source, add, divide, multiply, subtract, total
from taskmeter.reports.portions import ONE, End, Names, Portion, around, between, input_bill
from taskmeter.reports.price_terms import Book, Variants

SHARES_SPREAD: Final = Decimal("0.25")
"""Input is told apart by length, not by tokens: what was trimmed may have been that much more or less."""
_SHARE_DIGITS: Final = Decimal("1e-12")


@dataclass(frozen=True, slots=True)
class Scenario(ABC):
    """One change."""

    text: str
    """As it was asked for."""

    def touches(self, portion: Portion) -> bool:
        """Whether it is about these calls: about all, if nothing else is said."""
        return True

    def stays(self, portion: Portion, book: Book) -> str:
        """Why calls that it touches are not, or not all, as it says; empty where they are."""
        return ""

    def moved(self, context: PriceContext, book: Book) -> PriceContext:
        """By what calls would be priced that were by `context`, if it is about them."""
        return context

    @abstractmethod
    def apply(self, portion: Portion, end: End, book: Book) -> Iterable[Portion]:
        """What would become of calls that it touches."""


@dataclass(frozen=True, slots=True)
class Route(Scenario):
    """Another model answers."""

    names: Names
    model: str
    share: Decimal = ONE
    """Of these calls."""
    token_spread: Decimal = ZERO
    """How many more or fewer tokens another provider's tokeniser may make of the same text, as a share."""
    length_spread: Decimal = ZERO
    """How much longer or shorter another model's answers may be."""

    def touches(self, portion: Portion) -> bool:
        """By name."""
        return self.names.match(portion)

    def stays(self, portion: Portion, book: Book) -> str:
        """Sound and images become other tokens in a model without a price for them; a tier may be missing there."""
        context, is_alike = book.answered(portion.terms.context, self.model)
        if book.lacks(context, portion.cell):
            return "as before: the model has no price for their sound or images"
        ways = ", ".join(f"{name}={value}" for name, value in portion.terms.context.variants)
        return "" if is_alike else f"at the standard price: none is published for {ways}"

    def moved(self, context: PriceContext, book: Book) -> PriceContext:
        """To the other model, at the prices of the book's day."""
        return book.answered(context, self.model)[0]

    def apply(self, portion: Portion, end: End, book: Book) -> Iterable[Portion]:
        """A share goes to the other model."""
        context = self.moved(portion.terms.context, book)
        if book.lacks(context, portion.cell):
            yield portion
            return
        if self.share != ONE:
            yield replace(portion, counts=portion.counts.times(subtract(ONE, self.share)))
        is_same = context.provider == portion.terms.context.provider
        tokens = around(end, ZERO if is_same else self.token_spread)
        longer = multiply(tokens, around(end, self.length_spread))
        counts = portion.counts.times(self.share, given=tokens, made=longer)
        yield replace(portion, terms=book.terms(context, portion.cell), counts=counts, factor=ONE)


@dataclass(frozen=True, slots=True)
class Processing(Scenario):
    """Calls that can wait go by batch or flex."""

    names: Names
    variants: Variants
    share: Decimal = ONE
    """Of these calls."""

    def touches(self, portion: Portion) -> bool:
        """By name."""
        return self.names.match(portion)

    def stays(self, portion: Portion, book: Book) -> str:
        """Where there is no such price."""
        found = book.processed(portion.terms.context, self.variants)
        return "as before: no such price is published for the model" if found is None else ""

    def moved(self, context: PriceContext, book: Book) -> PriceContext:
        """At that price; as before where there is none."""
        return book.processed(context, self.variants) or context

    def apply(self, portion: Portion, end: End, book: Book) -> Iterable[Portion]:
        """A share goes that way."""
        context = self.moved(portion.terms.context, book)
        if context == portion.terms.context:
            yield portion
            return
        if self.share != ONE:
            yield replace(portion, counts=portion.counts.times(subtract(ONE, self.share)))
        yield replace(portion, terms=book.terms(context, portion.cell), counts=portion.counts.times(self.share))


@dataclass(frozen=True, slots=True)
class PricesOf(Scenario):
    """Every call at the prices of one day."""

    at_ns: int

    def stays(self, portion: Portion, book: Book) -> str:
        """Where that day has no price for the model."""
        found = book.at(portion.terms.context, self.at_ns)
        return "as before: no such price of that day is known" if found is None else ""

    def moved(self, context: PriceContext, book: Book) -> PriceContext:
        """To that day."""
        return book.at(context, self.at_ns) or context

    def apply(self, portion: Portion, end: End, book: Book) -> Iterable[Portion]:
        """The same calls."""
        context = self.moved(portion.terms.context, book)
        is_same = context == portion.terms.context
        yield portion if is_same else replace(portion, terms=book.terms(context, portion.cell))


@dataclass(frozen=True, slots=True)
class PriceChange(Scenario):
    """The same calls at other prices of tokens."""

    names: Names
    factor: Decimal

    def touches(self, portion: Portion) -> bool:
        """By model."""
        return self.names.match(portion)

    def apply(self, portion: Portion, end: End, book: Book) -> Iterable[Portion]:
        """All prices of theirs times `factor`."""
        yield replace(portion, factor=multiply(portion.factor, self.factor))


@dataclass(frozen=True, slots=True)
class PromptCache(Scenario):
    """What an earlier call of the task had sent is read from a cache where it was not, and the rest written to one."""

    low: Decimal
    """The share of it that is found there, at worst."""
    high: Decimal

    def touches(self, portion: Portion) -> bool:
        """Where there is something to cache."""
        return portion.cell.cacheable + portion.cell.writable > 0

    def apply(self, portion: Portion, end: End, book: Book) -> Iterable[Portion]:
        """What is not found is written again; all else in such tasks is written for the call to come."""
        counts = portion.counts
        read = multiply(counts.cacheable, between(end, self.low, self.high))
        written = add(subtract(counts.cacheable, read), counts.writable)
        rest = subtract(subtract(ZERO, read), written)
        more: dict[Part, Decimal] = {"cache_read": read, "cache_write": written, "input": rest}
        tokens = {**counts.tokens, **{part: add(counts.tokens.get(part, ZERO), count) for part, count in more.items()}}
        yield replace(portion, counts=replace(counts, tokens=tokens, cacheable=ZERO, writable=ZERO))


@dataclass(frozen=True, slots=True)
class ExactCache(Scenario):
    """A request that was sent before is answered from what was said then."""

    def touches(self, portion: Portion) -> bool:
        """By fingerprint."""
        return portion.cell.repeated != ""

    def apply(self, portion: Portion, end: End, book: Book) -> Iterable[Portion]:
        """At best whenever it was sent before, likely within a day, at worst within an hour."""
        kept = {"low": ("hour", "day", "later"), "likely": ("hour", "day"), "high": ("hour",)}[end]
        if portion.cell.repeated not in kept:
            yield portion


@dataclass(frozen=True, slots=True)
class SemanticCache(Scenario):
    """A share of all calls is answered from what was said to others like them."""

    low: Decimal
    """The least share."""
    high: Decimal

    def apply(self, portion: Portion, end: End, book: Book) -> Iterable[Portion]:
        """The rest is made."""
        made = subtract(ONE, between(end, self.low, self.high))
        yield replace(portion, counts=portion.counts.times(made))


@dataclass(frozen=True, slots=True)
class Trim(Scenario):
    """Less of one source of the input is sent."""

    source: Source
    share: Decimal
    """Of it that is left out."""

    def touches(self, portion: Portion) -> bool:
        """Where it was sent."""
        return portion.cell.sent.get(self.source, 0) > 0

    def apply(self, portion: Portion, end: End, book: Book) -> Iterable[Portion]:
        """The bill for input falls by that share of what the source was billed at, cached or not."""
        cell, bill = portion.cell, input_bill(portion.cell)
        cost, given = cell.sent_cost.get(self.source), cell.input_tokens
        if cost is not None and bill:
            part = divide(cost, bill)
        else:
            part = divide(Decimal(cell.sent[self.source]), Decimal(given)) if given else ZERO
        off = multiply(multiply(self.share, part), subtract(Decimal(2), around(end, SHARES_SPREAD)))
        off = off.quantize(_SHARE_DIGITS)
        # Sources are parts of one bill: what two of them take away adds up, and no more than all can go.
        before = subtract(ONE, total(portion.left.values()))
        after = max(ZERO, subtract(before, off))
        given_share = divide(after, before) if before else ZERO
        yield replace(
            portion,
            counts=portion.counts.times(given=given_share),
            left={**portion.left, self.source: subtract(before, after)},
        )
