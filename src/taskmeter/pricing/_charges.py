"""Prices the usage of one call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from taskmeter.pricing import _book
from taskmeter.pricing._card import DAY_NS, Card, Level, Line, Variants, cards_for
from taskmeter.pricing._tables import AND, REQUEST
from taskmeter.records import (
    CACHE_READ_PARTS,
    CACHE_WRITE_PARTS,
    NO_USAGE,
    ZERO,
    Charge,
    Priced,
    Usage,
    add,
    multiply,
    subtract,
)

LONGEST_MODEL: Final = 512
"""Characters. A longer name is no model's, and is not worth remembering."""

_UNCACHED: Final[Mapping[str, str]] = {
    **dict.fromkeys((*CACHE_READ_PARTS, *CACHE_WRITE_PARTS), "input"),
    "cache_read_audio": "input_audio",
    "cache_read_image": "input_image",
}
"""A class of tokens in a cache -> what they would have been without one."""


class PriceContext(NamedTuple):
    """What decides the price of a call's usage."""

    provider: str
    """Who answered: OpenTelemetry's name (`azure.ai.openai`) or the price data's id (`groq`)."""
    model: str
    """The model that answered, as the response names it."""
    at_ns: int
    """Start of the call, Unix time in ns."""
    variants: Variants = ()
    """Sorted pairs such as `("service_tier", "flex")`, `("processing", "batch")`, `("speed", "fast")`: how the
    response says it was processed."""


def price(usage: Usage, context: PriceContext) -> Priced:
    """What `usage` costs, at list prices and under the user's contract. Never raises, and never makes 0 of something
    unknown.

    A usage reported as 0 is exactly free; `NO_USAGE`, that very object, says that none was reported: `unpriced`.
    """
    provider, model, at_ns, variants = context
    if len(model) > LONGEST_MODEL:
        return Priced("unpriced", reason=f"no list price for a model named in {len(model)} characters")
    day, ns_of_day = divmod(at_ns, DAY_NS)
    cards = cards_for(_book.current(), provider, model, variants, day)
    if isinstance(cards, str):
        return Priced("unpriced", reason=cards)
    if usage is NO_USAGE:
        return Priced("unpriced", reason="no usage was reported")
    card = cards.at(ns_of_day)
    priced = _price(usage, card, model)
    return priced._replace(terms=card.terms) if card.terms else priced


def _price(usage: Usage, card: Card, model: str) -> Priced:
    level = card.level(usage)
    charges: list[Charge] = []
    missing: list[str] = []
    origin, plain, cached = "", True, False
    for counts in (usage.tokens, usage.fees) if usage.fees else (usage.tokens,):
        for part, count in counts.items():
            if count:
                cached = cached or part in _UNCACHED
                line = level[part]
                if line is None or count < 0:
                    missing.append(f"{part} ({count})")
                else:
                    origin = origin or line.origin
                    plain = plain and line.origin is origin and not line.doubt
                    charges.append(_charge(model, part, count, line))
    if (line := level[REQUEST]) is not None and (charges or missing):
        plain = False
        charges.append(_charge(model, REQUEST, 1, line))
    saved = _cache_saved(charges, missing, level) if cached else ZERO
    if plain and not missing:
        return Priced("exact", tuple(charges), origin or card.origin, "", saved)
    used = [line for charge in charges if (line := level[charge.part])]
    origins = dict.fromkeys(source for line in used for source in line.origin.split(AND))
    doubts = "; ".join(dict.fromkeys(line.doubt for line in used if line.doubt))
    if missing:
        return _lacking(tuple(charges), missing, card.unknown, AND.join(origins), doubts)._replace(cache_saved=saved)
    return Priced("estimated" if doubts else "exact", tuple(charges), AND.join(origins), doubts, saved)


def _cache_saved(charges: Iterable[Charge], missing: Iterable[str], level: Level) -> Decimal | None:
    """By how much plain input would have cost more; `None` where a price of either is not known."""
    if any(each.partition(" ")[0] in _UNCACHED for each in missing):
        return None
    saved = ZERO
    for charge in charges:
        if uncached := _UNCACHED.get(charge.part):
            line = level[uncached]
            if line is None:
                return None
            saved = add(saved, subtract(multiply(line.effective, charge.quantity), charge.amount))
    return saved


def _lacking(
    charges: tuple[Charge, ...], missing: list[str], unknown: Mapping[str, str], origin: str, doubts: str
) -> Priced:
    """What comes of a call some of which has no price: `missing`, some of it for reasons that are known."""
    reasons = {each: unknown.get(each.partition(" ")[0]) for each in missing}
    unlisted = ", ".join(each for each, reason in reasons.items() if reason is None)
    known = dict.fromkeys(reason for reason in reasons.values() if reason)
    reason = "; ".join(filter(None, (unlisted and f"no list price for {unlisted}", *known, doubts)))
    return Priced("partial" if charges else "unpriced", charges, origin, reason)


def _charge(model: str, part: str, count: int, line: Line) -> Charge:
    unit, unit_price, contracted_price, effective_price, basis, doubt, _ = line
    quantity = Decimal(count)
    listed = amount = multiply(unit_price, quantity)
    contracted = None
    if basis != "list":
        amount = multiply(effective_price, quantity)
        if contracted_price != effective_price:
            contracted = multiply(contracted_price, quantity)
    estimated = doubt != ""
    fields = ("model", model, part, quantity, unit, unit_price, listed, amount, "USD", basis, estimated, contracted)
    # Half the time of `Charge(...)`, and a call makes several.
    return tuple.__new__(Charge, fields)  # pyright: ignore[reportUnknownMemberType]


def as_estimate(priced: Priced, reason: str) -> Priced:
    """The same charges, flagged as estimates for `reason`. What has no price at all stays `unpriced`."""
    if priced.status == "unpriced":
        return priced
    return priced._replace(
        status="partial" if priced.status == "partial" else "estimated",
        charges=tuple(charge._replace(estimated=True) for charge in priced.charges),
        reason="; ".join(each for each in (reason, priced.reason) if each),
    )
