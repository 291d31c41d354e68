"""From what a response says to what it cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from taskmeter.capture.reading import Reading
from taskmeter.capture.stated import stated_cost
from taskmeter.capture.terms import NO_TERMS, Terms, Variants
from taskmeter.pricing import PriceContext, as_estimate, price
from taskmeter.records import ZERO, Charge, CostStatus, Priced, total

RANK: Final[Mapping[CostStatus, int]] = {"exact": 0, "provisioned": 0, "estimated": 1, "partial": 2, "unpriced": 3}
"""How unsure a cost is."""


def price_reading(
    reading: Reading,
    *,
    provider: str,
    at_ns: int | None,
    model: str = "",
    terms: Terms = NO_TERMS,
    header: str | None = None,
) -> Priced:
    """What `reading` costs.

    `model` is the one that was asked for, if the response does not say which answered; `header` is the cost that a
    gateway stated in one. Without `at_ns`, the Unix time whose prices it has, only a stated cost is known.
    """
    refused = ""
    if reading.costs or header is not None:
        cost, refused = stated_cost(provider, reading.costs, header)
        if cost is not None:
            listed = _listed(reading, provider, at_ns, model, terms)
            return _stated(cost, reading.model or model, listed)
    priced = _listed(reading, provider, at_ns, model, terms)
    return as_estimate(priced, refused) if refused else priced


def _stated(cost: Decimal, model: str, listed: Priced) -> Priced:
    """The provider's own word, beside the list amount where all of it is known."""
    amount = listed.amount if listed.status in ("exact", "estimated") else None
    charge = Charge(
        category="model",
        item=model,
        part="call",
        quantity=Decimal(1),
        unit="call",
        unit_price=cost,
        list_amount=cost if amount is None else amount,
        amount=cost,
        basis="provider",
    )
    # What a gateway would have asked for the same without its cache, nobody says.
    return Priced("exact", (charge,), "stated in the response", cache_saved=None if listed.cache_saved else ZERO)


def _listed(reading: Reading, provider: str, at_ns: int | None, model: str, terms: Terms) -> Priced:
    if reading.free:
        return Priced("exact", reason=reading.free)
    if reading.usage is None:
        return Priced("unpriced", reason=reading.doubt or reading.gap or "the response states no usage")
    if at_ns is None:
        return Priced("unpriced", reason="the clock failed")
    model = reading.model or model
    variants, unserved = _variants(reading.variants, terms)
    if not reading.portions:
        priced = price(reading.usage, PriceContext(provider, model, at_ns, variants))
    else:
        untiered = tuple(pair for pair in variants if pair[0] != "service_tier")
        priced = _merged(
            [
                price(
                    portion.usage,
                    PriceContext(provider, portion.model or model, at_ns, variants if portion.tiered else untiered),
                )
                for portion in reading.portions
            ]
        )
    doubt = "; ".join(filter(None, (reading.doubt, unserved)))
    if doubt:
        priced = as_estimate(priced, doubt)
    if reading.gap and priced.status != "unpriced":
        priced = priced._replace(status="partial", reason="; ".join(filter(None, (reading.gap, priced.reason))))
    return priced


def _variants(served: Variants, terms: Terms) -> tuple[Variants, str]:
    """All that the price depends on; and why that is an estimate, if only the request tells."""
    if not terms.variants and not terms.asked:
        return tuple(sorted(served)) if len(served) > 1 else served, ""
    names = {name for name, _ in served}
    unserved = tuple((name, value) for name, value in terms.asked if name not in names)
    variants = tuple(sorted((*served, *unserved, *terms.variants)))
    return variants, "; ".join(
        f"{name}={value} was asked for, what was served is not stated" for name, value in unserved
    )


def _merged(parts: Sequence[Priced]) -> Priced:
    """One account of what several models did. It is no surer than the least sure of them, nor all unpriced for one."""
    statuses: list[CostStatus] = [part.status for part in parts]
    status = max(statuses, key=lambda each: RANK[each])
    charges = tuple(charge for part in parts for charge in part.charges)
    if status == "unpriced" and any(part.status != "unpriced" for part in parts):
        status = "partial"
    saved = [part.cache_saved for part in parts]
    known = [each for each in saved if each is not None]
    return Priced(
        status,
        charges,
        _joined(part.origin for part in parts),
        _joined(part.reason for part in parts),
        total(known) if len(known) == len(saved) else None,
        parts[0].terms,
    )


def _joined(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(filter(None, texts)))
