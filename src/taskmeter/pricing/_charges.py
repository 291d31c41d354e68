"""Prices the usage of one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, TypeVar

from taskmeter.pricing._card import DAY_NS, Card, Line, Variants, cards_for
from taskmeter.pricing._tables import REQUEST
from taskmeter.records import NO_USAGE, Charge, Priced, Usage, multiply

_K = TypeVar("_K", bound=str)

LONGEST_MODEL: Final = 512
"""Characters. A longer name is no model's, and is not worth remembering."""


@dataclass(frozen=True, slots=True)
class PriceContext:
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
    """What `usage` costs at list prices. Never raises, and never makes 0 of something unknown.

    A usage reported as 0 is exactly free; `NO_USAGE`, that very object, says that none was reported: `unpriced`.
    """
    if len(context.model) > LONGEST_MODEL:
        return Priced("unpriced", reason=f"no list price for a model named in {len(context.model)} characters")
    day, ns_of_day = divmod(context.at_ns, DAY_NS)
    cards = cards_for(context.provider, context.model, context.variants, day)
    if isinstance(cards, str):
        return Priced("unpriced", reason=cards)
    if usage is NO_USAGE:
        return Priced("unpriced", reason="no usage was reported")
    return _price(usage, cards.at(ns_of_day), context.model)


def _price(usage: Usage, card: Card, model: str) -> Priced:
    level = card.level(usage)
    tally = _Tally(model, bool(card.doubt))
    tally.add(usage.tokens, level.tokens)
    if usage.fees:
        tally.add(usage.fees, level.fees)
    if level.request is not None and (tally.charges or tally.missing):
        tally.add({REQUEST: 1}, {REQUEST: level.request})
    charges = tuple(tally.charges)
    if tally.missing:
        reason = "; ".join(filter(None, ("no list price for " + ", ".join(tally.missing), card.doubt, *tally.doubts)))
        return Priced("partial" if charges else "unpriced", charges, card.origin, reason)
    if charges and (card.doubt or tally.doubts):
        return Priced("estimated", charges, card.origin, "; ".join(filter(None, (card.doubt, *tally.doubts))))
    return Priced("exact", charges, card.origin)


class _Tally:
    """The charges of one call, and what is wrong with them."""

    __slots__ = ("_estimated", "_model", "charges", "doubts", "missing")

    def __init__(self, model: str, estimated: bool) -> None:  # noqa: FBT001 - private, and this is the hot path
        self._model = model
        self._estimated = estimated
        self.charges: list[Charge] = []
        self.doubts: list[str] = []
        self.missing: list[str] = []

    def add(self, counts: Mapping[_K, int], lines: Mapping[_K, Line]) -> None:
        for part, count in counts.items():
            if count == 0:
                continue
            line = lines.get(part)
            if line is None or count < 0:
                self.missing.append(f"{part} ({count})")
                continue
            estimated = self._estimated
            if line.doubt:
                self.doubts.append(line.doubt)
                estimated = True
            quantity = Decimal(count)
            price = line.unit_price
            amount = multiply(price, quantity)
            self.charges.append(
                # By position: keywords would cost a tenth of the whole.
                Charge("model", self._model, part, quantity, line.unit, price, amount, amount, "USD", "list", estimated)
            )


def as_estimate(priced: Priced, reason: str) -> Priced:
    """The same charges, flagged as estimates for `reason`. What has no price at all stays `unpriced`."""
    if priced.status == "unpriced":
        return priced
    return replace(
        priced,
        status="estimated",
        charges=tuple(replace(charge, estimated=True) for charge in priced.charges),
        reason="; ".join(each for each in (reason, priced.reason) if each),
    )
