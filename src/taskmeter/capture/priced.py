"""From what a response says to what it cost."""

from __future__ import annotations

from taskmeter.capture.reading import Reading
from taskmeter.pricing import PriceContext, as_estimate, price
from taskmeter.records import Priced


def price_reading(reading: Reading, *, provider: str, at_ns: int, model: str = "") -> Priced:
    """What `reading` costs; `model` is the one that was asked for, if the response does not say which answered."""
    if reading.usage is None:
        return Priced("unpriced", reason=reading.doubt or "the response states no usage")
    context = PriceContext(
        provider=provider, model=reading.model or model, at_ns=at_ns, variants=tuple(sorted(reading.variants))
    )
    priced = price(reading.usage, context)
    return as_estimate(priced, reading.doubt) if reading.doubt else priced
