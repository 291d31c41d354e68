"""What is done once: reading the price data and files, and putting them in force."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from taskmeter.pricing import _book
from taskmeter.pricing._card import forget_cards
from taskmeter.pricing._catalog import provider_at, warm


def load() -> None:
    """Reads the price data now (about half a second, once), so that the first call does not pay for it."""
    warm()
    _book.current()


def use(prices: Path | Mapping[str, object] | None) -> None:
    """Puts a user's price file, or its content, in force after the shipped overlay; `None` for that alone.

    Raises `ConfigurationError`, and changes nothing, for a file that is missing or makes no sense.
    """
    _book.use(prices)
    forget_cards()
    provider_of.cache_clear()


@lru_cache(maxsize=256)
def provider_of(base_url: str) -> str | None:
    """Who answers at `base_url`: whom the price file says bills for its host, else whose host it is known to be, by
    OpenTelemetry's name where there is one, else the data's; `None` if unknown."""
    try:
        host = urlsplit(base_url).hostname or ""
    except ValueError:
        host = ""
    stated = next((provider for pattern, provider in _book.current().hosts if fnmatchcase(host, pattern.lower())), None)
    return stated or provider_at(base_url)
