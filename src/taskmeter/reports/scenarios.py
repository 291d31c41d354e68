"""What could be changed about recorded calls: each scenario turns calls into what they would have been, and is pure.

They act on `Portion`s, calls of one cell or a share of them, at one of three ends: the least they might cost, the most,
and what is likely.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Final, Literal, Protocol, TypeAlias

from taskmeter.errors import UsageError
from taskmeter.pricing import PriceContext, Rates, rates
from taskmeter.records import ZERO, Source, add, divide, multiply, subtract, total
from taskmeter.reports.recorded_calls import Cell, Variants

End: TypeAlias = Literal["low", "likely", "high"]
ENDS: Final[tuple[End, ...]] = ("low", "likely", "high")
"""Of what it would cost."""
ONE: Final = Decimal(1)
SHARES_SPREAD: Final = Decimal("0.25")
"""Input is told apart by length, not by tokens: what was trimmed may have been that much more or less."""

_SHARE_DIGITS: Final = Decimal("1e-12")
_PARTS: Final = ("input", "cache_read", "cache_write", "output", "reasoning")
_INPUT: Final = ("input", "cache_read", "cache_write")


@dataclass(frozen=True, slots=True)
class Counts:
    """Of some calls; not whole when they are a share of a cell, or may be more or less."""

    calls: Decimal
    input: Decimal
    cache_read: Decimal
    cache_write: Decimal
    output: Decimal
    reasoning: Decimal
    cacheable: Decimal
    writable: Decimal

    @staticmethod
    def of(cell: Cell) -> Counts:
        """All that a cell has."""
        return Counts(**{each.name: Decimal(getattr(cell, each.name)) for each in fields(Counts)})

    def times(self, every: Decimal = ONE, *, given: Decimal = ONE, made: Decimal = ONE) -> Counts:
        """So many times as many calls, with so many times the input and output each."""
        of_input, of_output = multiply(every, given), multiply(every, made)
        factors = {"calls": every, "output": of_output, "reasoning": of_output}
        return Counts(
            **{each.name: multiply(getattr(self, each.name), factors.get(each.name, of_input)) for each in fields(self)}
        )


@dataclass(frozen=True, slots=True)
class Portion:
    """Calls that one price is the same for."""

    cell: Cell
    provider: str
    model: str
    at_ns: int
    """The day whose prices these are."""
    rates: Rates
    counts: Counts
    factor: Decimal = ONE
    """What prices were multiplied by."""

    @property
    def cost(self) -> Decimal:
        """What they come to."""
        prices = [getattr(self.rates, part) for part in _PARTS]
        tokens = [getattr(self.counts, part) for part in _PARTS]
        paid = total(multiply(count, price) for count, price in zip(tokens, prices, strict=True) if count and price)
        return multiply(self.factor, add(paid, multiply(self.counts.calls, self.rates.request)))

    @property
    def input_bill(self) -> Decimal:
        """What their input comes to, by the prices that the cell was billed at."""
        prices = self.cell.terms.rates
        return total(multiply(Decimal(getattr(self.cell, part)), getattr(prices, part) or ZERO) for part in _INPUT)


def whole(cell: Cell) -> Portion:
    """A cell as it was."""
    terms = cell.terms
    return Portion(cell, terms.provider, terms.model, terms.at_ns, terms.rates, Counts.of(cell))


@dataclass(slots=True)
class Book:
    """The price book as scenarios ask it, with models that were stated to it."""

    at_ns: int
    """The day whose prices a model has that did not answer these calls."""
    stated: Mapping[str, Rates] = field(default_factory=dict[str, Rates])
    providers: Sequence[str] = ()
    """In whose lists a model is looked for, after that of who answered."""
    doubts: dict[str, str] = field(default_factory=dict[str, str])
    """Model -> why its price is an estimate."""
    _known: dict[tuple[str, str, int, Variants], tuple[Rates, ...] | str] = field(
        default_factory=dict[tuple[str, str, int, Variants], "tuple[Rates, ...] | str"]
    )

    def rates(self, provider: str, model: str, at_ns: int, variants: Variants) -> tuple[Rates, ...] | str:
        """Of a day, by time and length; for what has no price, why."""
        key = (provider, model, at_ns, variants)
        if key not in self._known:
            self._known[key] = rates(PriceContext(provider, model, at_ns, variants))
        return self._known[key]

    def find(self, provider: str, model: str) -> tuple[str, str, tuple[Rates, ...]]:
        """Who has `model`, under which name, and at which rates. Raises `UsageError` when nobody has."""
        if model in self.stated:
            return provider, model, (self.stated[model],)
        named, _, rest = model.partition("/")
        tries = [(named, rest)] if rest and named in self.providers else []
        tries += [(each, model) for each in (provider, *self.providers)]
        for who, name in tries:
            found = self.rates(who, name, self.at_ns, ())
            if not isinstance(found, str) and found[0].input is not None and found[0].output is not None:
                if found[0].doubt:
                    self.doubts[model] = found[0].doubt
                return who, name, found
        raise UsageError(
            f"{model!r} is in no price list. Name a model as its provider does (gpt-5-mini, "
            f"anthropic/claude-haiku-4-5), or state its price: --model-price '{model}=INPUT/OUTPUT', in USD per "
            "million tokens"
        )

    def variant(self, portion: Portion, variants: Variants) -> Rates | None:
        """What its model costs when so processed; `None` where no such price is published."""
        if portion.model in self.stated:
            return None
        plain = self.rates(portion.provider, portion.model, portion.at_ns, ())
        found = self.rates(portion.provider, portion.model, portion.at_ns, variants)
        if isinstance(found, str) or isinstance(plain, str) or found[0].doubt != plain[0].doubt:
            return None
        return level_of(found, portion.cell)


def level_of(levels: Sequence[Rates], cell: Cell) -> Rates:
    """Those at midnight for calls as long as these, which write to caches for as long as they did."""
    found = next(each for each in reversed(levels) if each.from_ns == 0 and cell.least_input > each.above)
    return found._replace(cache_write=found.cache_write_1h) if cell.terms.hourly else found


@dataclass(frozen=True, slots=True)
class Names:
    """Which calls: by the step or the task that they are in, and by their model, with or without provider."""

    place: str = "*"
    model: str = "*"

    def match(self, portion: Portion) -> bool:
        """Whether these are some of them."""
        places = [place for place in (portion.cell.step, portion.cell.task) if place]
        models = (portion.model, f"{portion.provider}/{portion.model}")
        return any(fnmatchcase(place, self.place) for place in places) and any(
            fnmatchcase(model, self.model) for model in models
        )


class Scenario(Protocol):
    """One change."""

    @property
    def text(self) -> str:
        """As it was asked for."""
        ...

    def touches(self, portion: Portion) -> bool:
        """Whether it is about these calls."""
        ...

    def apply(self, portion: Portion, end: End, book: Book) -> Iterable[Portion]:
        """What would become of calls that it touches."""
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """Another model answers."""

    text: str
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

    def apply(self, portion: Portion, end: End, book: Book) -> Iterable[Portion]:
        """A share goes to the other model, at the prices of the book's day."""
        provider, model, levels = book.find(portion.provider, self.model)
        if self.share != ONE:
            yield replace(portion, counts=portion.counts.times(subtract(ONE, self.share)))
        tokens = _at(end, ZERO if provider == portion.provider else self.token_spread)
        longer = multiply(tokens, _at(end, self.length_spread))
        yield replace(
            portion,
            provider=provider,
            model=model,
            at_ns=book.at_ns,
            rates=level_of(levels, portion.cell),
            counts=portion.counts.times(self.share, given=tokens, made=longer),
            factor=ONE,
        )


@dataclass(frozen=True, slots=True)
class Processing:
    """Calls that can wait go by batch or flex."""

    text: str
    names: Names
    variants: Variants

    def touches(self, portion: Portion) -> bool:
        """By name."""
        return self.names.match(portion)

    def apply(self, portion: Portion, end: End, book: Book) -> Iterable[Portion]:
        """At that price; as before where there is none."""
        found = book.variant(portion, self.variants)
        yield portion if found is None else replace(portion, rates=found)


@dataclass(frozen=True, slots=True)
class PriceChange:
    """The same calls at other prices."""

    text: str
    names: Names
    factor: Decimal

    def touches(self, portion: Portion) -> bool:
        """By model."""
        return self.names.match(portion)

    def apply(self, portion: Portion, end: End, book: Book) -> Iterable[Portion]:
        """All prices of theirs times `factor`."""
        yield replace(portion, factor=multiply(portion.factor, self.factor))


@dataclass(frozen=True, slots=True)
class PromptCache:
    """What an earlier call of the task had sent is read from a cache where it was not, and the rest written to one."""

    text: str
    low: Decimal
    """The share of it that is found there, at worst."""
    high: Decimal

    def touches(self, portion: Portion) -> bool:
        """Where there is enough to cache."""
        return portion.cell.cacheable > 0

    def apply(self, portion: Portion, end: End, book: Book) -> Iterable[Portion]:
        """What is not found is written again; all else in such tasks is written for the call to come."""
        half = divide(add(self.low, self.high), Decimal(2))
        rate = {"low": self.high, "likely": half, "high": self.low}[end]
        counts = portion.counts
        read = multiply(counts.cacheable, rate)
        written = add(subtract(counts.cacheable, read), counts.writable)
        yield replace(
            portion,
            counts=replace(
                counts,
                input=subtract(counts.input, add(read, written)),
                cache_read=add(counts.cache_read, read),
                cache_write=add(counts.cache_write, written),
                cacheable=ZERO,
                writable=ZERO,
            ),
        )


@dataclass(frozen=True, slots=True)
class ExactCache:
    """A request that was sent before is answered from what was said then."""

    text: str

    def touches(self, portion: Portion) -> bool:
        """By fingerprint."""
        return portion.cell.repeated != ""

    def apply(self, portion: Portion, end: End, book: Book) -> Iterable[Portion]:
        """At best whenever it was sent before, likely within a day, at worst within an hour."""
        kept = {"low": ("hour", "day", "later"), "likely": ("hour", "day"), "high": ("hour",)}[end]
        if portion.cell.repeated not in kept:
            yield portion


@dataclass(frozen=True, slots=True)
class SemanticCache:
    """A share of all calls is answered from what was said to others like them."""

    text: str
    low: Decimal
    """The least share."""
    high: Decimal

    def touches(self, portion: Portion) -> bool:
        """All."""
        return True

    def apply(self, portion: Portion, end: End, book: Book) -> Iterable[Portion]:
        """The rest is made."""
        half = divide(add(self.low, self.high), Decimal(2))
        rate = {"low": self.high, "likely": half, "high": self.low}[end]
        yield replace(portion, counts=portion.counts.times(subtract(ONE, rate)))


@dataclass(frozen=True, slots=True)
class Trim:
    """Less of one source of the input is sent."""

    text: str
    source: Source
    share: Decimal
    """Of it that is left out."""

    def touches(self, portion: Portion) -> bool:
        """Where it was sent."""
        return portion.cell.sent.get(self.source, 0) > 0

    def apply(self, portion: Portion, end: End, book: Book) -> Iterable[Portion]:
        """The bill for input falls by that share of what the source was billed at, cached or not."""
        cell, bill = portion.cell, portion.input_bill
        tokens = cell.input + cell.cache_read + cell.cache_write
        cost = cell.sent_cost.get(self.source)
        if cost is not None and bill:
            part = divide(cost, bill)
        else:
            part = divide(Decimal(cell.sent[self.source]), Decimal(tokens)) if tokens else ZERO
        off = multiply(multiply(self.share, part), _at(_OTHER[end], SHARES_SPREAD)).quantize(_SHARE_DIGITS)
        yield replace(portion, counts=portion.counts.times(given=max(ZERO, subtract(ONE, off))))


_OTHER: Final[Mapping[End, End]] = {"low": "high", "likely": "likely", "high": "low"}


def _at(end: End, spread: Decimal) -> Decimal:
    return {"low": subtract(ONE, spread), "likely": ONE, "high": add(ONE, spread)}[end]
