"""The prices of a model as rates for one token, for sums over calls that were made already."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

from taskmeter.pricing import _book
from taskmeter.pricing._card import DAY_NS, Level, cards_for
from taskmeter.pricing._charges import LONGEST_MODEL, PriceContext
from taskmeter.pricing._sheet import both
from taskmeter.pricing._tables import REQUEST
from taskmeter.records import ZERO, Part


class Rates(NamedTuple):
    """What holds for the calls of one range of input lengths, in USD: for one token of each part, under the user's
    contract; `None` for what has no price."""

    from_ns: int
    """After midnight UTC: from then on, until the next rates with another `from_ns`."""
    above: int
    """Input tokens, cached included, that a call must exceed; -1 for the first range."""
    input: Decimal | None
    input_audio: Decimal | None
    input_image: Decimal | None
    cache_read: Decimal | None
    cache_read_audio: Decimal | None
    cache_read_image: Decimal | None
    cache_write: Decimal | None
    """For five minutes, or as long as the provider keeps what nothing was said of."""
    cache_write_1h: Decimal | None
    cache_write_12h: Decimal | None
    output: Decimal | None
    output_audio: Decimal | None
    output_image: Decimal | None
    reasoning: Decimal | None
    request: Decimal
    """For a call, whatever its tokens."""
    doubt: str
    """Why the price of input or output is an estimate; empty when it is not."""
    kinds: frozenset[Part]
    """Parts of sound and images that have a price of their own, not that of text."""


PARTS: Final[tuple[Part, ...]] = (
    "input",
    "input_audio",
    "input_image",
    "cache_read",
    "cache_read_audio",
    "cache_read_image",
    "cache_write",
    "cache_write_1h",
    "cache_write_12h",
    "output",
    "output_audio",
    "output_image",
    "reasoning",
)
"""What `Rates` has a price of: every class of tokens, with writes for five minutes among those of no stated time."""
MEDIA: Final[tuple[Part, ...]] = (
    "input_audio",
    "input_image",
    "cache_read_audio",
    "cache_read_image",
    "output_audio",
    "output_image",
)


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
    lines = {part: level[part] for part in PARTS}
    doubt = ""
    for part in ("input", "output"):
        line = lines[part]
        doubt = both(doubt, line.doubt if line is not None else "")
    request = level[REQUEST]
    return Rates(
        from_ns,
        above,
        **{part: None if line is None else line.effective for part, line in lines.items()},
        request=ZERO if request is None else request.effective,
        doubt=doubt,
        kinds=frozenset(part for part in MEDIA if level.has_own(part)),
    )
