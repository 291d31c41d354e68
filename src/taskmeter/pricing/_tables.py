"""The vocabulary of prices: which price a part of a `Usage` is charged at, in which unit, and the names that
genai-prices has for them.

A part that a model has no price of its own for is charged at the price of the wider class it belongs to, because
that is how providers publish: no cache price means that cached tokens are ordinary input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from taskmeter.records import Part


@dataclass(frozen=True, slots=True)
class PriceKeys:
    """Where the price of a part is found: under the first of these names that the model has a price for."""

    own: tuple[str, ...]
    """Names whose price is that of the part by the providers' own rules."""
    stand_in: tuple[str, ...] = ()
    """Names of something else, used when there is none of `own`: the charge is then an estimate."""


TOKENS: Final[Mapping[Part, PriceKeys]] = MappingProxyType(
    {
        "input": PriceKeys(("input",)),
        "input_audio": PriceKeys(("input_audio",), stand_in=("input",)),
        "input_image": PriceKeys(("input_image", "input")),
        "cache_read": PriceKeys(("cache_read", "input")),
        "cache_read_audio": PriceKeys(("cache_read_audio", "input_audio"), stand_in=("cache_read", "input")),
        "cache_read_image": PriceKeys(("cache_read_image", "input_image"), stand_in=("cache_read", "input")),
        "cache_write": PriceKeys(("cache_write", "input")),
        "cache_write_5m": PriceKeys(("cache_write_5m", "cache_write", "input")),
        "cache_write_1h": PriceKeys(("cache_write_1h",), stand_in=("cache_write", "input")),
        "cache_write_12h": PriceKeys(("cache_write_12h",), stand_in=("cache_write", "input")),
        "output": PriceKeys(("output",)),
        "output_audio": PriceKeys(("output_audio",), stand_in=("output",)),
        "output_image": PriceKeys(("output_image", "output")),
        "reasoning": PriceKeys(("reasoning", "output")),
    }
)
"""Every class of tokens. Its price is per million."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What a price is for: `per` of `name`."""

    name: str
    per: int


TOKEN: Final = Unit("token", 1_000_000)

REQUEST: Final = "request"
"""The fee that some models (Perplexity's) take for every call, whatever its tokens; no `Usage` reports it."""

FEES: Final[Mapping[str, Unit]] = MappingProxyType(
    {
        "web_search": Unit("search", 1000),
        "file_search": Unit("search", 1000),
        "input_audio_ms": Unit("millisecond", 3_600_000),
        "input_characters": Unit("character", 1_000_000),
        REQUEST: Unit("request", 1000),
    }
)
"""Fees whose unit is known to all; a rule may bring others."""

GENAI_KEYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "input_mtok": "input",
        "input_audio_mtok": "input_audio",
        "input_image_mtok": "input_image",
        "cache_read_mtok": "cache_read",
        "cache_audio_read_mtok": "cache_read_audio",
        "cache_image_read_mtok": "cache_read_image",
        "cache_write_mtok": "cache_write",
        "cache_write_5m_mtok": "cache_write_5m",
        "cache_write_1h_mtok": "cache_write_1h",
        "output_mtok": "output",
        "output_audio_mtok": "output_audio",
        "output_image_mtok": "output_image",
        "output_reasoning_mtok": "reasoning",
        "web_searches_kcount": "web_search",
        "storage_searches_kcount": "file_search",
        "audio_hours": "input_audio_ms",
        "input_audio_hours": "input_audio_ms",
        "input_mchars": "input_characters",
        "requests_kcount": REQUEST,
    }
)
"""genai-prices' name of a price -> ours. Of two that mean the same the last counts."""

STANDARD_VALUES: Final = frozenset({"", "auto", "default", "global", "not_available", "standard"})
"""What a response says of its tier, speed or region when it was billed at the standard price."""

DATA_IDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "aws.bedrock": "aws",
        "azure.ai.inference": "azure",
        "azure.ai.openai": "azure",
        "gcp.gemini": "google",
        "gcp.gen_ai": "google",
        "gcp.vertex_ai": "google",
        "mistral_ai": "mistral",
        "x_ai": "x-ai",
    }
)
"""OpenTelemetry's name of a provider (`gen_ai.provider.name`) -> its id in the data, where they differ."""

OTEL_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "aws": "aws.bedrock",
        "azure": "azure.ai.openai",
        "google": "gcp.vertex_ai",
        "mistral": "mistral_ai",
        "x-ai": "x_ai",
    }
)
"""A provider's id in the data -> OpenTelemetry's name of it, where they differ."""

AND: Final = " + "
"""Between the sources of a price."""
