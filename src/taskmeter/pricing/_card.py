"""Rate cards: the prices of one model for one UTC day, compiled once, so that pricing a call is a few look-ups."""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from taskmeter.pricing._book import PriceBook, price_per_one
from taskmeter.pricing._catalog import Listing, data_id, data_name, find, gateway_name, lenders
from taskmeter.pricing._rules import Rule
from taskmeter.pricing._sheet import Price, Sheet, both, keys_of, thresholds
from taskmeter.pricing._tables import AND, FEES, GENAI_KEYS, OTEL_NAMES, STANDARD_VALUES, TOKEN, TOKENS
from taskmeter.records import INPUT_PARTS, Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

Variants: TypeAlias = tuple[tuple[str, str], ...]

DAY_NS: Final = 86_400_000_000_000
_EPOCH: Final = date(1970, 1, 1).toordinal()
_MIDNIGHT: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_ALIASES: Final = 8


class Line(NamedTuple):
    """The price of one of a part or fee, in USD."""

    unit: str
    unit_price: Decimal
    """At list."""
    contracted: Decimal
    effective: Decimal
    basis: str
    """`contract` if the user's contract changed it, else `list`."""
    doubt: str
    """Why it is an estimate; empty when it is not."""
    origin: str
    """The price data's entry and the rules that made these prices, in order. The same object for the same text."""


class Level(dict[str, "Line | None"]):
    """The prices that hold for one range of input lengths, by part and fee; `None` for what has none.

    Worked out when first asked for: most calls use three of some twenty.
    """

    __slots__ = ("_asked", "_input_tokens", "_origin", "_sheets")

    def __init__(self, sheets: Sequence[Sheet], input_tokens: int, asked: Mapping[str, str], origin: str) -> None:
        """`sheets` are list, contract and commitments; `asked` are the variants without the standard ones."""
        super().__init__()
        self._sheets = sheets
        self._input_tokens = input_tokens
        self._asked = asked
        self._origin = origin

    def has_own(self, part: str) -> bool:
        """Whether there is a price under its very name."""
        return part in self._sheets[-1].prices

    def __missing__(self, name: str) -> Line | None:
        line = self._line(name)
        if line is not None or name in TOKENS or name in FEES:  # bounded, whatever fees there are said to be
            self[name] = line
        return line

    def _line(self, name: str) -> Line | None:
        keys = keys_of(name)
        found: list[tuple[str, Price]] = []
        for sheet in self._sheets:
            key = next((key for key in (*keys.own, *keys.stand_in) if key in sheet.prices), None)
            if key is None:
                return None
            found.append((key, sheet.prices[key]))
        key, last = found[-1]
        doubt = last.doubt
        if key in keys.stand_in:
            doubt = both(doubt, f"no list price for {name}, charged as {key}")
        if name in TOKENS:
            for variant, value in self._asked.items():
                if variant not in last.accounts_for:
                    doubt = both(doubt, f"no list price for {variant}={value}")
        listed, contracted, effective = (price_per_one(price, self._input_tokens) for _, price in found)
        basis = "list" if last is found[0][1] else "contract"
        rules = dict.fromkeys(rule for _, price in found for rule in price.rules)
        origin = sys.intern(AND.join(filter(None, (self._origin, *rules)))) if rules else self._origin
        return Line(last.unit.name, listed, contracted, effective, basis, doubt, origin)


@dataclass(frozen=True, slots=True)
class Card:
    """The prices of one model at one time."""

    thresholds: tuple[int, ...]
    """Input tokens, cached included, that a call must exceed to be on the next of `levels`. One fewer than those."""
    levels: tuple[Level, ...]
    origin: str
    """The price data's entry; empty where it has none."""
    unknown: Mapping[str, str]
    """Fees whose quantity no response states -> what it is that is billed."""
    terms: Variants
    """The variants without the standard ones."""

    def level(self, usage: Usage) -> Level:
        """The prices for a call of that many input tokens. A longer one is charged at them from its first token on."""
        if not self.thresholds:
            return self.levels[0]
        input_tokens = 0
        for part, count in usage.tokens.items():
            if part in INPUT_PARTS:
                input_tokens += count
        return self.levels[bisect_left(self.thresholds, input_tokens)]


@dataclass(frozen=True, slots=True)
class DayOfCards:
    """The cards of one model for one UTC day: a single one, unless its price depends on the time of day."""

    starts: tuple[int, ...]
    """When each of `cards` begins, in ns since midnight; the first is 0."""
    cards: tuple[Card, ...]

    def at(self, ns_of_day: int) -> Card:
        """The card that holds `ns_of_day` after midnight UTC."""
        return self.cards[bisect_right(self.starts, ns_of_day) - 1]


@dataclass(frozen=True, slots=True)
class _Target:
    """A model whose prices are asked for, and all that does not depend on the day or on how a call is processed."""

    listing: Listing | None
    models: frozenset[str]
    """Its names: as asked for, without a gateway's prefix, and as the price data know it."""
    lent: str
    """Why the listing's prices are estimates here; empty when they are not."""
    rules: tuple[tuple[Rule, str], ...]
    """(rule, why what it sets is an estimate here)."""


@lru_cache(maxsize=2048)
def cards_for(book: PriceBook, provider: str, model: str, variants: Variants, day: int) -> DayOfCards | str:
    """The cards for `day`, counted from 1970-01-01; for what has no price, why. Remembers both, and is bounded."""
    ordinal = min(max(day + _EPOCH, date.min.toordinal()), date.max.toordinal())
    asked = dict(variants)
    resolved = _resolved(book, provider, model, asked, ordinal)
    if resolved is None:
        return f"the aliases of model {model!r} go round in circles"
    target = _target(book, *resolved)
    midnight = datetime.combine(date.fromordinal(ordinal), time(), UTC)
    starts = tuple(sorted({timedelta(), *(_changes(target.listing.model) if target.listing else ())}))
    contract = [
        [rule for rule in rules if rule.match.concerns(_names(provider), {model, *target.models})]
        for rules in (book.contract, book.commitment)
    ]
    origin = sys.intern(_origin(target, resolved if resolved != (provider, model) else None, ordinal))
    cards: list[Card] = []
    for start in starts:
        sheet = _list_sheet(target, asked, midnight + start, ordinal)
        if not sheet.has_main_prices():
            if target.listing is None:
                return f"no list price for model {model!r} of provider {provider!r}"
            return f"the list of {target.listing.provider_id} has no price per token for model {model!r}"
        sheets = [sheet]
        for rules in contract:
            if rules:
                sheet = sheet.copy()
                _apply([(rule, "") for rule in rules], sheet, asked, ordinal)
            sheets.append(sheet)
        cards.append(_card(sheets, asked, origin))
    return DayOfCards(tuple(start // timedelta(microseconds=1) * 1000 for start in starts), tuple(cards))


def forget_cards() -> None:
    """Drops what was compiled from a book that is no longer in force."""
    cards_for.cache_clear()
    _target.cache_clear()
    _rules_about.cache_clear()


def _resolved(
    book: PriceBook, provider: str, model: str, variants: Mapping[str, str], ordinal: int
) -> tuple[str, str] | None:
    """Under which provider and name the price is found; `None` if the aliases never end."""
    for _ in range(_MOST_ALIASES):
        names = _names(provider)
        for alias in book.aliases:
            if alias.match.holds(variants, ordinal) and (other := alias.resolve(names, model)) is not None:
                found = (alias.provider or provider, other)
                break
        else:
            return provider, model
        if found == (provider, model):
            return found
        provider, model = found
    return None


@lru_cache(maxsize=2048)
def _target(book: PriceBook, provider: str, model: str) -> _Target:
    listing = find(provider, model)
    names, lender_names = _names(provider), set[str]()
    if listing is not None:
        lender_names = _names(listing.provider_id) - names
    else:
        lender_names = {name for each in lenders(provider) for name in _names(each)} - names
    lent = f"list price of {listing.provider_id}, for want of one of {provider}" if lender_names and listing else ""
    models = {model} if (named := gateway_name(model)) is None else {model, named[1]}
    if listing is not None:
        models.add(listing.model.id)
    if listing is None and named is not None:
        lender_names |= _names(named[0]) - names
    borrowed = lent or f"list price of another, for want of one of {provider}"
    rules = tuple(
        (rule, "" if own else borrowed)
        for rule, own in _rules_about(book, frozenset(names), frozenset(lender_names))
        if any(rule.match.models.fullmatch(each) for each in models)
    )
    return _Target(listing, frozenset(models), lent, rules)


@lru_cache(maxsize=128)
def _rules_about(book: PriceBook, names: frozenset[str], lenders: frozenset[str]) -> tuple[tuple[Rule, bool], ...]:
    """The list rules about a provider or those whose prices stand in for its own, and whether it is about itself."""
    return tuple(
        (rule, own) for rule in book.list_rules if (own := rule.match.is_about(names)) or rule.match.is_about(lenders)
    )


def _names(provider: str) -> set[str]:
    """Every name that a rule may call a provider by."""
    found = data_id(provider)
    return {provider.strip().lower(), found, OTEL_NAMES.get(found, found)}


def _changes(model: ModelInfo) -> Iterator[timedelta]:
    """When, after midnight UTC, the model's price may change on any day."""
    from genai_prices.types import TimeOfDateConstraint

    conditional = model.prices if isinstance(model.prices, list) else ()
    for constraint in (each.constraint for each in (*conditional, *(model.price_variants or ()))):
        if isinstance(constraint, TimeOfDateConstraint):
            for moment in (constraint.start_time, constraint.end_time):
                aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
                yield (datetime.combine(_MIDNIGHT.date(), aware) - _MIDNIGHT) % timedelta(days=1)


def _list_sheet(target: _Target, asked: Mapping[str, str], instant: datetime, ordinal: int) -> Sheet:
    sheet = Sheet()
    if target.listing is not None:
        model = target.listing.model
        sheet.prices = dict(_prices(model.get_prices(instant), target.lent))
        # The first variant that names a price wins, as genai-prices has it.
        for variant in reversed(model.price_variants or ()):
            if variant.when.items() <= asked.items() and (not variant.constraint or variant.constraint.active(instant)):
                sheet.prices |= _prices(variant.prices, target.lent, frozenset(variant.when))
    _apply(target.rules, sheet, asked, ordinal)
    return sheet


def _prices(data: ModelPrice, doubt: str, keys: frozenset[str] = frozenset()) -> Iterator[tuple[str, Price]]:
    for key, price in vars(data).items():
        if price is not None and (name := GENAI_KEYS.get(key)):
            unit = TOKEN if name in TOKENS else FEES[name]
            if isinstance(price, Decimal):
                yield name, Price(price, unit, (), doubt, keys)
            else:
                steps = tuple((tier.start, tier.price) for tier in price.tiers)
                yield name, Price(price.base, unit, steps, doubt, keys)


def _apply(rules: Sequence[tuple[Rule, str]], sheet: Sheet, asked: Mapping[str, str], ordinal: int) -> None:
    for rule, lent in rules:
        if rule.match.holds(asked, ordinal):
            rule.apply(sheet, lent)


def _card(sheets: list[Sheet], asked: Mapping[str, str], origin: str) -> Card:
    special = {key: value for key, value in asked.items() if value.lower() not in STANDARD_VALUES}
    steps = thresholds(sheets)
    levels = tuple(Level(sheets, length, special, origin) for length in (0, *[above + 1 for above in steps]))
    return Card(steps, levels, origin, {**sheets[0].unknown, **sheets[-1].unknown}, tuple(special.items()))


def _origin(target: _Target, resolved: tuple[str, str] | None, ordinal: int) -> str:
    sources = [] if resolved is None else ["alias of {}/{}".format(*resolved)]
    if target.listing is not None:
        sources.append(f"{data_name(ordinal)} {target.listing.provider_id}/{target.listing.model.id}")
    return AND.join(sources)
