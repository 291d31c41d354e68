"""Rate cards: the prices of one model for one UTC day, compiled once, so that pricing a call is a few look-ups."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from taskmeter.pricing._book import PriceBook, price_per_one
from taskmeter.pricing._catalog import Listing, data_id, data_version, find, gateway_name, lenders
from taskmeter.pricing._rules import Rule
from taskmeter.pricing._sheet import Price, Sheet, both, keys_of, thresholds
from taskmeter.pricing._tables import FEES, GENAI_KEYS, OTEL_NAMES, STANDARD_VALUES, TOKEN, TOKENS
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
    rules: tuple[str, ...]
    """The rules of the overlay that made these prices."""


@dataclass(frozen=True, slots=True)
class Card:
    """The prices of one model at one time."""

    origin: str
    """The price data's entry; empty where it has none."""
    thresholds: tuple[int, ...]
    """Input tokens, cached included, that a call must exceed to be on the next of `levels`. One fewer than those."""
    levels: tuple[Mapping[str, Line], ...]
    """The prices that hold for each range of input lengths, by part and fee."""
    unknown: Mapping[str, str]
    """Fees whose quantity no response states -> what it is that is billed."""

    def level(self, usage: Usage) -> Mapping[str, Line]:
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

    provider: str
    listing: Listing | None
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
        [rule for rule in rules if rule.match.concerns(_names(provider), {model, resolved[1]})]
        for rules in (book.contract, book.commitment)
    ]
    cards: list[Card] = []
    for start in starts:
        sheet = _list_sheet(target, asked, midnight + start, ordinal)
        if not sheet.has_main_prices():
            if target.listing is None:
                return f"no list price for model {model!r} of provider {provider!r}"
            return f"the list of {target.listing.provider_id} has no price per token for model {model!r}"
        sheets = [sheet]
        for rules in contract:
            sheets.append(sheets[-1].copy())
            _apply([(rule, "") for rule in rules], sheets[-1], asked, ordinal)
        cards.append(_card(target, sheets, asked, resolved if resolved != (provider, model) else None))
    return DayOfCards(tuple(start // timedelta(microseconds=1) * 1000 for start in starts), tuple(cards))


def forget_cards() -> None:
    """Drops what was compiled from a book that is no longer in force."""
    cards_for.cache_clear()
    _target.cache_clear()


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
    if listing is None and named is not None:
        lender_names |= _names(named[0]) - names
    rules: list[tuple[Rule, str]] = []
    for rule in book.list_rules:
        if rule.match.concerns(names, models):
            rules.append((rule, ""))
        elif lender_names and rule.match.concerns(lender_names, models):
            rules.append((rule, lent or f"list price of another, for want of one of {provider}"))
    return _Target(provider, listing, lent, tuple(rules))


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


def _apply(
    rules: tuple[tuple[Rule, str], ...] | list[tuple[Rule, str]], sheet: Sheet, asked: Mapping[str, str], ordinal: int
) -> None:
    for rule, lent in rules:
        if rule.match.holds(asked, ordinal):
            rule.apply(sheet, lent)


def _card(target: _Target, sheets: list[Sheet], asked: Mapping[str, str], resolved: tuple[str, str] | None) -> Card:
    special = {key: value for key, value in asked.items() if value.lower() not in STANDARD_VALUES}
    steps = thresholds(sheets)
    names = {*TOKENS, *(name for sheet in sheets for name in sheet.prices)}
    levels = tuple(
        {name: line for name in names if (line := _line(name, sheets, length, special))}
        for length in (0, *(above + 1 for above in steps))
    )
    return Card(_origin(target, resolved), steps, levels, {**sheets[0].unknown, **sheets[-1].unknown})


def _line(name: str, sheets: list[Sheet], input_tokens: int, special: Mapping[str, str]) -> Line | None:
    """What `name` costs at list, under the contract and after commitments; `None` without a list price."""
    keys = keys_of(name)
    found: list[Price] = []
    doubt = ""
    for sheet in sheets:
        key = next((key for key in (*keys.own, *keys.stand_in) if key in sheet.prices), None)
        if key is None:
            return None
        found.append(sheet.prices[key])
        doubt = f"no list price for {name}, charged as {key}" if key in keys.stand_in else ""
    last = found[-1]
    doubt = both(last.doubt, doubt)
    if name in TOKENS:
        for key, value in special.items():
            if key not in last.accounts_for:
                doubt = both(doubt, f"no list price for {key}={value}")
    listed, contracted, effective = (price_per_one(price, input_tokens) for price in found)
    basis = "list" if all(price is found[0] for price in found) else "contract"
    rules = tuple(dict.fromkeys(rule for price in found for rule in price.rules))
    return Line(last.unit.name, listed, contracted, effective, basis, doubt, rules)


def _origin(target: _Target, resolved: tuple[str, str] | None) -> str:
    sources = [] if resolved is None else ["alias of {}/{}".format(*resolved)]
    if target.listing is not None:
        sources.append(f"genai-prices {data_version()} {target.listing.provider_id}/{target.listing.model.id}")
    return " + ".join(sources)
