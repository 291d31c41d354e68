"""Our words against those of genai-prices: which of its prices a part of a `Usage` is charged at, and its names.

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
    """Where genai-prices keeps the price of a part or fee: under the first of these keys that the model has."""

    own: tuple[str, ...]
    """Keys whose price is that of the part by the providers' own rules."""
    stand_in: tuple[str, ...] = ()
    """Keys of something else, used when there is none of `own`: the charge is then an estimate."""
    unit: str = "token"
    per: int = 1_000_000
    """How many units the price in the data is for."""


TOKENS: Final[Mapping[Part, PriceKeys]] = MappingProxyType(
    {
        "input": PriceKeys(("input_mtok",)),
        "input_audio": PriceKeys(("input_audio_mtok",), stand_in=("input_mtok",)),
        "input_image": PriceKeys(("input_image_mtok", "input_mtok")),
        "cache_read": PriceKeys(("cache_read_mtok", "input_mtok")),
        "cache_read_audio": PriceKeys(
            ("cache_audio_read_mtok", "input_audio_mtok"), stand_in=("cache_read_mtok", "input_mtok")
        ),
        "cache_read_image": PriceKeys(
            ("cache_image_read_mtok", "input_image_mtok"), stand_in=("cache_read_mtok", "input_mtok")
        ),
        "cache_write": PriceKeys(("cache_write_mtok", "input_mtok")),
        "cache_write_5m": PriceKeys(("cache_write_5m_mtok", "cache_write_mtok", "input_mtok")),
        "cache_write_1h": PriceKeys(("cache_write_1h_mtok",), stand_in=("cache_write_mtok", "input_mtok")),
        "cache_write_12h": PriceKeys(("cache_write_12h_mtok",), stand_in=("cache_write_mtok", "input_mtok")),
        "output": PriceKeys(("output_mtok",)),
        "output_audio": PriceKeys(("output_audio_mtok",), stand_in=("output_mtok",)),
        "output_image": PriceKeys(("output_image_mtok", "output_mtok")),
        "reasoning": PriceKeys(("output_reasoning_mtok", "output_mtok")),
    }
)

REQUEST: Final = "request"
"""The fee that some models (Perplexity's) take for every call, whatever its tokens; no `Usage` reports it."""

FEES: Final[Mapping[str, PriceKeys]] = MappingProxyType(
    {
        "web_search": PriceKeys(("web_searches_kcount",), unit="search", per=1000),
        "file_search": PriceKeys(("storage_searches_kcount",), unit="search", per=1000),
        "input_audio_ms": PriceKeys(("input_audio_hours", "audio_hours"), unit="millisecond", per=3_600_000),
        "input_characters": PriceKeys(("input_mchars",), unit="character", per=1_000_000),
        REQUEST: PriceKeys(("requests_kcount",), unit="request", per=1000),
    }
)

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
