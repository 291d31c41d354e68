"""What a call cost by the word of whoever bills it, where that word is known to be dollars.

| who | where | what it is |
| --- | --- | --- |
| OpenRouter | `usage.cost`; on one's own key also `usage.cost_details.upstream_inference_cost` | credits of 1 USD |
| xAI | `usage.cost_in_usd_ticks` | 10,000,000,000 to the USD |
| Perplexity | `usage.cost.total_cost`, `usage.cost.currency` | USD |
| LiteLLM's proxy, on any host | the header `x-litellm-response-cost`, not for streams | USD |

Nobody else's word is taken: the same field means other things elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from taskmeter.capture.reading import field
from taskmeter.records import add, divide, multiply

HEADER: Final = "x-litellm-response-cost"
_WRITTEN: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,40})?(e[+-]?[0-9]{1,2})?", re.ASCII | re.IGNORECASE)
_TICKS: Final = Decimal(10**10)
_MOST: Final = Decimal(10_000)
"""USD. No single call costs more."""
_LEAST: Final = -18
"""Power of ten. Nothing is billed in smaller pieces."""


def stated_cost(provider: str, usage: Mapping[str, object], header: str | None) -> tuple[Decimal | None, str]:
    """The cost in USD, or `None`; and why what is stated was refused, empty if nothing was."""
    if header is not None:
        cost = _within(Decimal(header), _MOST) if _WRITTEN.fullmatch(header) else None
        if cost == 0:  # which LiteLLM also says of a model that it has no price for
            return None, f"{HEADER} is 0"
        return (cost, "") if cost is not None else (None, f"{HEADER} is no amount")
    if provider == "openrouter":
        return _openrouter(usage)
    if provider == "x_ai":
        ticks = usage.get("cost_in_usd_ticks")
        number = _number(ticks, multiply(_MOST, _TICKS))
        return _judged(None if number is None else divide(number, _TICKS), ticks)
    if provider == "perplexity":
        stated = field(usage, "cost", "total_cost")
        if field(usage, "cost", "currency") not in (None, "USD"):
            return None, "the stated cost is not in USD"
        return _judged(_number(stated), stated)
    return None, ""


def _openrouter(usage: Mapping[str, object]) -> tuple[Decimal | None, str]:
    """Of a call on one's own key, `cost` is only OpenRouter's part of it."""
    stated = usage.get("cost")
    cost = _number(stated)
    if cost is None or usage.get("is_byok") is not True:
        return _judged(cost, stated)
    upstream = field(usage, "cost_details", "upstream_inference_cost")
    own = _number(upstream)
    return _judged(None if own is None else add(cost, own), upstream)


def _judged(cost: Decimal | None, stated: object) -> tuple[Decimal | None, str]:
    if cost is not None or stated is None:
        return cost, ""
    # A number may be shown; a text may be anything.
    said = repr(stated)[:20] if type(stated) in (int, float) else type(stated).__name__
    return None, f"a cost of {said} is stated, which is no amount"


def _number(stated: object, most: Decimal = _MOST) -> Decimal | None:
    """An amount from 0 to `most`, to the digits that it was written with."""
    if isinstance(stated, bool) or not isinstance(stated, int | float):
        return None
    return _within(Decimal(repr(stated)), most)


def _within(number: Decimal, most: Decimal) -> Decimal | None:
    possible = number.is_finite() and 0 <= number <= most and (not number or number.adjusted() >= _LEAST)
    return number if possible else None
