"""How scenarios are written, as in `classify:*=gpt-6-luna@70%`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Final

from taskmeter.errors import UsageError
from taskmeter.pricing import PARTS, Rates
from taskmeter.records import SOURCES, ZERO, Source, divide
from taskmeter.reports.engine.calls import DAY_NS
from taskmeter.reports.portions import ONE, Names
from taskmeter.reports.price_terms import BATCH, FLEX, Variants
from taskmeter.reports.scenarios import (
    ExactCache,
    PriceChange,
    PricesOf,
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
_EPOCH: Final = date(1970, 1, 1)
CACHE_RATES: Final = "50%-95%"
"""How often a prompt cache has what it is asked for, if nothing else is said."""
SPREAD: Final = "20%"
"""How many more or fewer tokens there may be, if nothing else is said."""


def scenarios(  # noqa: PLR0913 - a change each
    *,
    response_cache: str | None = None,
    context: Iterable[str] = (),
    route: Iterable[str] = (),
    cache: str | None = None,
    batch: Iterable[str] = (),
    flex: Iterable[str] = (),
    prices_of: str | None = None,
    price: Iterable[str] = (),
    spreads: tuple[str, str] = (SPREAD, SPREAD),
) -> Sequence[Scenario]:
    """Reads them, in the order in which they act: calls that are not made, input that is not sent, who answers, what
    is cached, what can wait, and prices: of which day, and changes. `spreads` are of tokens and of the length of
    answers.

    Raises `UsageError` for one that cannot be read.
    """
    tokens, length = percent("--token-spread", spreads[0]), percent("--length-spread", spreads[1])
    found: list[Scenario] = []
    if response_cache is not None:
        found.append(_response_cache(response_cache))
    found += _trims(context)
    found += [_route(text, tokens, length) for text in route]
    if cache is not None:
        found.append(PromptCache(f"--cache {cache}", *_interval("--cache", cache)))
    found += [_processing("--batch", text, BATCH) for text in batch]
    found += [_processing("--flex", text, FLEX) for text in flex]
    if prices_of is not None:
        found.append(_prices_of(prices_of))
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
    """From `-5%` or `+2%`, percentage points more or less, or `85%`, the rate itself; with the name or a glob of the
    workflows that it is of before it: `classify=85%`."""
    match = re.fullmatch(rf"(?:(.+)=)?([+-]?)({_NUMBER})%", text, re.DOTALL)
    share = divide(Decimal(match[3]), Decimal(100)) if match else None
    if match is None or share is None or share > ONE:
        raise UsageError(
            f"--success {text!r} is no rate. Write -5% for five percentage points less, or the rate itself: 85%; "
            "for one workflow, classify=85%"
        )
    return Success(text, -share if match[2] == "-" else share, bool(match[2]), match[1] or "*")


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
        found[match[1]] = _rates(given, given if cached is None else cached, made)
    return found


def _rates(given: Decimal | None, cached: Decimal | None, made: Decimal | None) -> Rates:
    """Of a model for text that asks no more for what is written to a cache."""
    prices: dict[str, Decimal | None] = {"input": given, "cache_read": cached, "output": made, "reasoning": made}
    prices |= dict.fromkeys(("cache_write", "cache_write_1h", "cache_write_12h"), given)
    return Rates(0, -1, **{part: prices.get(part) for part in PARTS}, request=ZERO, doubt="", kinds=frozenset())


def _names(option: str, text: str) -> Names:
    place, _, model = text.partition(":")
    if not place:
        raise UsageError(f"{option} {text!r} names no step or task. Write its name or a glob, as in 'classify' or '*'")
    return Names(place, model or "*")


def _route(text: str, token_spread: Decimal, length_spread: Decimal) -> Route:
    names, equals, model = text.rpartition("=")
    model, share = _share("--route", model)
    if not equals or not names or not model:
        raise UsageError(
            f"--route {text!r} is no route. Write 'STEP:MODEL=NEW_MODEL', as in 'classify:*=gpt-5-nano', with "
            "@70% at its end for a share of these calls"
        )
    return Route(f"--route {text}", _names("--route", names), model, share, token_spread, length_spread)


def _share(option: str, text: str) -> tuple[str, Decimal]:
    """`summarise@70%` is 70 % of these calls."""
    match = re.fullmatch(rf"(.+)@({_NUMBER}%)", text, re.DOTALL)
    return (match[1], percent(f"{option} ...@", match[2])) if match else (text, ONE)


def _processing(option: str, text: str, way: Variants) -> Processing:
    names, share = _share(option, text)
    return Processing(f"{option} {text}", _names(option, names), way, share)


def _prices_of(text: str) -> PricesOf:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--prices-of {text!r} is no day. Write it as in 2026-11-01") from None
    return PricesOf(f"--prices-of {text}", (day - _EPOCH).days * DAY_NS)


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


def _trims(texts: Iterable[str]) -> Iterator[Trim]:
    found: set[Source] = set()
    for text in texts:
        trim = _trim(text)
        if trim.source in found:
            raise UsageError(f"--context {text!r} is the second cut of {trim.source}. Write one for both")
        found.add(trim.source)
        yield trim


def _trim(text: str) -> Trim:
    source, _, change = text.partition("=-")
    for known in SOURCES:
        if source == known and change:
            return Trim(f"--context {text}", known, percent("--context", change))
    raise UsageError(
        f"--context {text!r} is no cut. Write SOURCE=-60%, with a source of {', '.join(SOURCES)}, as in documents=-60%"
    )
