"""The only reader of genai-prices: its data, imported on first use and never changed.

Its process-wide snapshot is left alone, because other libraries in the process share it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from taskmeter.pricing._tables import DATA_IDS, OTEL_NAMES

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider


@dataclass(frozen=True, slots=True)
class Listing:
    """A model in some provider's price list."""

    model: ModelInfo
    provider_id: str
    """Whose list it stands in; not always who answered: Azure's prices for OpenAI's models are OpenAI's."""


def warm() -> None:
    """Imports the data, about half a second."""
    _providers()


@cache
def data_version() -> str:
    """The installed version of the price data."""
    return version("genai-prices")


def data_name(ordinal: int) -> str:
    """The price data with their version and how recent they are, on the day of that ordinal: `genai-prices 0.2.3
    (2026-11-09)`."""
    newest = newest_price(date.fromordinal(ordinal))
    return f"genai-prices {data_version()}" + (f" ({newest})" if newest is not None else "")


def newest_price(today: date) -> date | None:
    """The last day up to `today` from which some price in the data holds: it is at least that recent."""
    earlier = bisect_right(_dates(), today)
    return _dates()[earlier - 1] if earlier else None


@cache
def _dates() -> tuple[date, ...]:
    """From which some price holds, in order."""
    dates = {
        getattr(getattr(price, "constraint", None), "start_date", None)
        for provider in _providers().values()
        for model in provider.models
        for price in (model.prices if isinstance(model.prices, list) else ())
    }
    return tuple(sorted(day for day in dates if isinstance(day, date)))


@cache
def _providers() -> Mapping[str, Provider]:
    """Provider id -> provider, in the data's order."""
    from genai_prices.data import providers

    return {provider.id: provider for provider in providers}


def data_id(provider: str) -> str:
    """The id under which the data would know `provider`, given OpenTelemetry's name or that id itself."""
    name = provider.strip().lower()
    return DATA_IDS.get(name, name)


def provider_at(base_url: str) -> str | None:
    """Who answers at `base_url`, by OpenTelemetry's name where there is one, else the data's; `None` if unknown."""
    for provider in _providers().values():
        if re.match(provider.api_pattern, base_url):
            if provider.id == "google" and "generativelanguage." in base_url:
                return "gcp.gemini"
            return OTEL_NAMES.get(provider.id, provider.id)
    return None


def find(provider: str, model: str) -> Listing | None:
    """The price list entry for `model` as `provider` names it, or as a gateway does: `anthropic/claude-opus-5`."""
    own = _providers().get(data_id(provider))
    listing = _listing(own, model) if own else None
    if listing is None and (named := gateway_name(model)):
        listing = _listing(_providers()[named[0]], named[1])
    return listing


def gateway_name(model: str) -> tuple[str, str] | None:
    """(provider id, model) of a name that a gateway gives: `openai/gpt-5`; `None` for any other."""
    prefix, slash, rest = model.partition("/")
    named = _named_by(prefix) if slash else None
    return (named.id, rest) if named else None


def models_of(provider: str) -> Sequence[str]:
    """The models in the list of `provider`, in the data's order."""
    own = _providers().get(data_id(provider))
    return [model.id for model in own.models] if own else ()


def lenders(provider: str) -> Sequence[str]:
    """Ids of those whose prices stand in for models that the list of `provider` has not."""
    own = _providers().get(data_id(provider))
    return own.fallback_model_providers or () if own else ()


def _listing(provider: Provider, model: str) -> Listing | None:
    providers = _providers()
    found = provider.find_model(model, all_providers=list(providers.values()))
    if found is None:
        return None
    lenders = [providers[name] for name in provider.fallback_model_providers or () if name in providers]
    source = next(owner for owner in (provider, *lenders) if any(found is entry for entry in owner.models))
    return Listing(found, source.id)


def _named_by(prefix: str) -> Provider | None:
    """The provider a gateway means by `prefix`: an id (`azure`), or what the data takes for one (`vertex_ai`)."""
    if provider := _providers().get(data_id(prefix)):
        return provider
    name = prefix.lower()
    matching = (each for each in _providers().values() if each.provider_match and each.provider_match.is_match(name))
    return next(matching, None)
