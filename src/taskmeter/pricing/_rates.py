"""The prices of a model as rates for one token, for sums over calls that were made already."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from taskmeter.pricing import _book
from taskmeter.pricing._card import DAY_NS, Level, cards_for
from taskmeter.pricing._charges import LONGEST_MODEL, PriceContext
from taskmeter.pricing._sheet import both
from taskmeter.pricing._tables import REQUEST
from taskmeter.records import ZERO


class Rates(NamedTuple):
    """What holds for the calls of one range of input lengths, in USD: for one token of each part, under the user's
    contract; `None` for what has no price."""

    from_ns: int
    """After midnight UTC: from then on, until the next rates with another `from_ns`."""
    above: int
    """Input tokens, cached included, that a call must exceed; -1 for the first range."""
    input: Decimal | None
    cache_read: Decimal | None
    cache_write: Decimal | None
    cache_write_1h: Decimal | None
    output: Decimal | None
    reasoning: Decimal | None
    request: Decimal
    """For a call, whatever its tokens."""
    doubt: str
    """Why the price of input or output is an estimate; empty when it is not."""


def rates(context: PriceContext) -> tuple[Rates, ...] | str:
    """The rates of the UTC day of `context`, by time and then by length; for what has no price, why.

    Tokens times rates are, to the last digit, what `price` says of a usage of these parts and no other.
    """
    provider, model, at_ns, variants = context
    if len(model) > LONGEST_MODEL:
        return f"no list price for a model named in {len(model)} characters"
    day = cards_for(_book.current(), provider, model, variants, at_ns // DAY_NS)
    if isinstance(day, str):
        return day
    return tuple(
        _rates(from_ns, above, level)
        for from_ns, card in zip(day.starts, day.cards, strict=True)
        for above, level in zip((-1, *card.thresholds), card.levels, strict=True)
    )


def _rates(from_ns: int, above: int, level: Level) -> Rates:
    request = level[REQUEST]
    doubt = ""
    for part in ("input", "output"):
        line = level[part]
        doubt = both(doubt, line.doubt if line is not None else "")
    return Rates(
        from_ns,
        above,
        input=_price(level, "input"),
        cache_read=_price(level, "cache_read"),
        cache_write=_price(level, "cache_write"),
        cache_write_1h=_price(level, "cache_write_1h"),
        output=_price(level, "output"),
        reasoning=_price(level, "reasoning"),
        request=ZERO if request is None else request.effective,
        doubt=doubt,
    )


def _price(level: Level, part: str) -> Decimal | None:
    line = level[part]
    return None if line is None else line.effective
