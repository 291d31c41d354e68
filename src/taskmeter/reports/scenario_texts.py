"""How scenarios are written, as in `classify:*=gpt-6-luna@70%`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from taskmeter.errors import UsageError
from taskmeter.pricing import Rates
from taskmeter.records import SOURCES, ZERO, divide
from taskmeter.reports.recorded_calls import BATCH, FLEX
from taskmeter.reports.scenarios import (
    ONE,
    ExactCache,
    Names,
    PriceChange,
    Processing,
    PromptCache,
    Route,
    Scenario,
    SemanticCache,
    Trim,
)
from taskmeter.reports.success import Success

_NUMBER: Final = r"\d{1,9}(?:\.\d{1,9})?"
_MILLION: Final = Decimal(1_000_000)
CACHE_RATES: Final = "50%-95%"
"""How often a prompt cache has what it is asked for, if nothing else is said."""
SPREAD: Final = "20%"
"""How many more or fewer tokens there may be, if nothing else is said."""


def scenarios(
    *,
    response_cache: str | None = None,
    trim: Iterable[str] = (),
    route: Iterable[str] = (),
    cache: str | None = None,
    batch: Iterable[str] = (),
    flex: Iterable[str] = (),
    price: Iterable[str] = (),
    spreads: tuple[str, str] = (SPREAD, SPREAD),
) -> Sequence[Scenario]:
    """Reads them, in the order in which they act: calls that are not made, input that is not sent, who answers, what
    is cached, what can wait, and prices. `spreads` are of tokens and of the length of answers.

    Raises `UsageError` for one that cannot be read.
    """
    tokens, length = percent("--token-spread", spreads[0]), percent("--length-spread", spreads[1])
    found: list[Scenario] = []
    if response_cache is not None:
        found.append(_response_cache(response_cache))
    found += map(_trim, trim)
    found += [_route(text, tokens, length) for text in route]
    if cache is not None:
        found.append(PromptCache(f"--cache {cache}", *_interval("--cache", cache)))
    found += [Processing(f"--batch {text}", _names("--batch", text), BATCH) for text in batch]
    found += [Processing(f"--flex {text}", _names("--flex", text), FLEX) for text in flex]
    found += map(_price, price)
    return found


def percent(option: str, text: str) -> Decimal:
    """A share of 0 to 1, from `20%`."""
    match = re.fullmatch(rf"({_NUMBER})%", text)
    share = divide(Decimal(match[1]), Decimal(100)) if match else None
    if share is None or share > ONE:
        raise UsageError(f"{option} {text!r} is no share. Write a percentage of 0% to 100%, as in 20%")
    return share


def success(text: str) -> Success:
    """From `-5%` or `+2%`, percentage points more or less, or `85%`, the rate itself."""
    match = re.fullmatch(rf"([+-]?)({_NUMBER})%", text)
    share = divide(Decimal(match[2]), Decimal(100)) if match else None
    if match is None or share is None or share > ONE:
        raise UsageError(
            f"--success {text!r} is no rate. Write -5% for five percentage points less, or the rate itself: 85%"
        )
    return Success(text, -share if match[1] == "-" else share, is_change=bool(match[1]))


def model_prices(texts: Iterable[str]) -> Mapping[str, Rates]:
    """From `NAME=INPUT/OUTPUT` or `NAME=INPUT/OUTPUT/CACHED`, in USD per million tokens."""
    found: dict[str, Rates] = {}
    for text in texts:
        match = re.fullmatch(rf"(.{{1,512}})=({_NUMBER})/({_NUMBER})(?:/({_NUMBER}))?", text)
        if match is None:
            raise UsageError(
                f"--model-price {text!r} is no price. Write NAME=INPUT/OUTPUT or NAME=INPUT/OUTPUT/CACHED, in USD per "
                "million tokens, as in small=0.10/0.40"
            )
        given, made, cached = (None if each is None else divide(Decimal(each), _MILLION) for each in match.groups()[1:])
        found[match[1]] = Rates(0, -1, given, given if cached is None else cached, given, given, made, made, ZERO, "")
    return found


def _names(option: str, text: str) -> Names:
    place, _, model = text.partition(":")
    if not place:
        raise UsageError(f"{option} {text!r} names no step or task. Write its name or a glob, as in 'classify' or '*'")
    return Names(place, model or "*")


def _route(text: str, token_spread: Decimal, length_spread: Decimal) -> Route:
    names, equals, model = text.rpartition("=")
    share = ONE
    if match := re.fullmatch(rf"(.+)@({_NUMBER}%)", model):
        model, share = match[1], percent("--route ...@", match[2])
    if not equals or not names or not model:
        raise UsageError(
            f"--route {text!r} is no route. Write 'STEP:MODEL=NEW_MODEL', as in 'classify:*=gpt-5-nano', with "
            "@70% at its end for a share of these calls"
        )
    return Route(f"--route {text}", _names("--route", names), model, share, token_spread, length_spread)


def _price(text: str) -> PriceChange:
    model, _, change = text.rpartition("=")
    times = re.fullmatch(rf"x({_NUMBER})", change)
    part = re.fullmatch(rf"([+-])({_NUMBER})%", change)
    if not model or not (times or part):
        raise UsageError(f"--price {text!r} is no change. Write 'MODEL=x5', 'anthropic/*=-20%' or 'gpt-5=+10%'")
    if times:
        factor = Decimal(times[1])
    else:
        assert part is not None  # noqa: S101 - one of the two matched
        share = divide(Decimal(part[2]), Decimal(100))
        factor = ONE - share if part[1] == "-" else ONE + share
    if factor < 0:
        raise UsageError(f"--price {text!r} makes prices less than nothing. Write at most -100%")
    return PriceChange(f"--price {text}", Names("*", model), factor)


def _response_cache(text: str) -> Scenario:
    option = f"--response-cache {text}"
    return ExactCache(option) if text == "exact" else SemanticCache(option, *_interval("--response-cache", text))


def _interval(option: str, text: str) -> tuple[Decimal, Decimal]:
    low, dash, high = text.partition("-")
    ends = percent(option, low if low.endswith("%") or not dash else f"{low}%"), percent(option, high or low)
    if ends[0] > ends[1]:
        raise UsageError(f"{option} {text!r} begins with the higher rate. Write the lower one first: 20%-30%")
    return ends


def _trim(text: str) -> Trim:
    source, _, change = text.partition("=-")
    for known in SOURCES:
        if source == known and change:
            return Trim(f"--trim {text}", known, percent("--trim", change))
    raise UsageError(
        f"--trim {text!r} is no cut. Write SOURCE=-60%, with a source of {', '.join(SOURCES)}, as in documents=-60%"
    )
