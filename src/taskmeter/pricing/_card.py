"""Rate cards: the prices of one model for one UTC day, compiled once, so that pricing a call is a few look-ups."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from taskmeter.pricing._catalog import Listing, data_id, data_version, find
from taskmeter.pricing._tables import FEES, REQUEST, STANDARD_VALUES, TOKENS, PriceKeys
from taskmeter.records import Part, Usage, divide

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, TieredPrices

Variants: TypeAlias = tuple[tuple[str, str], ...]

DAY_NS: Final = 86_400_000_000_000
_EPOCH: Final = date(1970, 1, 1).toordinal()
_MIDNIGHT: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Line:
    """The price of a part or fee."""

    unit_price: Decimal
    """USD for one `unit`."""
    unit: str
    doubt: str = ""
    """Why it is an estimate; empty when it is not."""


@dataclass(frozen=True, slots=True)
class Level:
    """The prices that hold for one range of input lengths."""

    tokens: Mapping[Part, Line]
    fees: Mapping[str, Line]
    request: Line | None
    """What every call costs before its first token; nearly always nothing."""


@dataclass(frozen=True, slots=True)
class Card:
    """The prices of one model at one time."""

    origin: str
    doubt: str
    """Why everything on the card is an estimate; empty when it is not."""
    thresholds: tuple[int, ...]
    """Input tokens, cached included, that a call must exceed to be on the next of `levels`. One fewer than those."""
    levels: tuple[Level, ...]

    def level(self, usage: Usage) -> Level:
        """The prices for a call of that many input tokens. A longer one is charged at them from its first token on."""
        if not self.thresholds:
            return self.levels[0]
        return self.levels[bisect_left(self.thresholds, usage.input_tokens)]


@dataclass(frozen=True, slots=True)
class DayOfCards:
    """The cards of one model for one UTC day: a single one, unless its price depends on the time of day."""

    starts: tuple[int, ...]
    """When each of `cards` begins, in ns since midnight; the first is 0."""
    cards: tuple[Card, ...]

    def at(self, ns_of_day: int) -> Card:
        """The card that holds `ns_of_day` after midnight UTC."""
        return self.cards[bisect_right(self.starts, ns_of_day) - 1]


@lru_cache(maxsize=2048)
def cards_for(provider: str, model: str, variants: Variants, day: int) -> DayOfCards | str:
    """The cards for `day`, counted from 1970-01-01; for what has no price, why. Remembers both, and is bounded."""
    listing = find(provider, model)
    if listing is None:
        return f"no list price for model {model!r} of provider {provider!r}"
    ordinal = min(max(day + _EPOCH, date.min.toordinal()), date.max.toordinal())
    midnight = datetime.combine(date.fromordinal(ordinal), time(), UTC)
    starts = tuple(sorted({timedelta(), *_changes(listing.model)}))
    cards = tuple(_compile(listing, provider, variants, midnight + start) for start in starts)
    if not any(level.tokens or level.fees or level.request for card in cards for level in card.levels):
        return f"the list of {listing.provider_id} has no price per token for model {model!r}"
    return DayOfCards(tuple(start // timedelta(microseconds=1) * 1000 for start in starts), cards)


def _changes(model: ModelInfo) -> Iterator[timedelta]:
    """When, after midnight UTC, the model's price may change on any day."""
    from genai_prices.types import TimeOfDateConstraint

    conditional = model.prices if isinstance(model.prices, list) else ()
    for constraint in (each.constraint for each in (*conditional, *(model.price_variants or ()))):
        if isinstance(constraint, TimeOfDateConstraint):
            for moment in (constraint.start_time, constraint.end_time):
                aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
                yield (datetime.combine(_MIDNIGHT.date(), aware) - _MIDNIGHT) % timedelta(days=1)


def _compile(listing: Listing, provider: str, variants: Variants, instant: datetime) -> Card:
    wanted = {key: value for key, value in variants if value.lower() not in STANDARD_VALUES}
    overrides, uncovered = _overrides(listing.model, wanted, instant)
    standard = {key: price for key, price in vars(listing.model.get_prices(instant)).items() if price is not None}
    prices = standard | overrides
    tiers = (tier.start for price in prices.values() if not isinstance(price, Decimal) for tier in price.tiers)
    thresholds = tuple(sorted(set(tiers)))
    lengths = (0, *(start + 1 for start in thresholds))
    doubts = [f"no list price for {key}={value}" for key, value in uncovered.items()]
    if listing.provider_id != data_id(provider):
        doubts.append(f"list price of {listing.provider_id}, for want of one of {provider}")
    return Card(
        origin=f"genai-prices {data_version()} {listing.provider_id}/{listing.model.id}",
        doubt="; ".join(doubts),
        thresholds=thresholds,
        levels=tuple(
            _level({key: _at(price, length) for key, price in prices.items()}, overrides) for length in lengths
        ),
    )


def _overrides(
    model: ModelInfo, wanted: Mapping[str, str], instant: datetime
) -> tuple[dict[str, Decimal | TieredPrices], dict[str, str]]:
    """What the variants `wanted` change, the first that names a price winning, and those that change nothing."""
    prices: dict[str, Decimal | TieredPrices] = {}
    uncovered = dict(wanted)
    for variant in model.price_variants or () if wanted else ():
        if variant.when.items() <= wanted.items() and (not variant.constraint or variant.constraint.active(instant)):
            named = {key: price for key, price in vars(variant.prices).items() if price is not None}
            if named.keys() - prices.keys():
                prices = named | prices
                uncovered = {key: value for key, value in uncovered.items() if key not in variant.when}
    return prices, uncovered


def _at(price: Decimal | TieredPrices, input_tokens: int) -> Decimal:
    if isinstance(price, Decimal):
        return price
    tier = bisect_left([tier.start for tier in price.tiers], input_tokens)
    return price.tiers[tier - 1].price if tier else price.base


def _level(prices: Mapping[str, Decimal], overrides: Collection[str]) -> Level:
    tokens: dict[Part, Line] = {}
    for part, keys in TOKENS.items():
        if line := _line(part, keys, prices, overrides):
            tokens[part] = line
    fees = {fee: line for fee, keys in FEES.items() if (line := _line(fee, keys, prices, ()))}
    return Level(tokens, request=fees.pop(REQUEST, None), fees=fees)


def _line(name: str, keys: PriceKeys, prices: Mapping[str, Decimal], overrides: Collection[str]) -> Line | None:
    """The price of the part or fee `name`; a variant (`overrides`) changes tokens, and fees only where it says so."""
    key = next((key for key in (*keys.own, *keys.stand_in) if key in prices), None)
    if key is None:
        return None
    doubts = [f"no list price for {name}, charged as {key}"] if key in keys.stand_in else []
    if overrides and key not in overrides:
        doubts.append(f"no list price for {name} in this tier, charged at the standard one")
    return Line(divide(prices[key], Decimal(keys.per)), keys.unit, "; ".join(doubts))
