# ruff: noqa: INP001 - a script, not a package
"""Compares every list price that both litellm's map and taskmeter know, and fails on a difference without a verdict.

`tools/check_prices.sh` fetches the map and runs this; litellm is no dependency of the project. Only prices that we call
exact need a verdict: an estimate says itself that it may be wrong. Verdicts are in `price_verdicts.toml`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

from taskmeter.pricing import PriceContext, price
from taskmeter.records import Part, Usage, divide

VERDICTS = Path(__file__).with_name("price_verdicts.toml")
PROVIDERS = {
    "anthropic": "anthropic",
    "azure": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "cerebras": "cerebras",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "deepseek": "deepseek",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "groq": "groq",
    "mistral": "mistral",
    "moonshot": "moonshotai",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together_ai": "together",
    "vertex_ai-anthropic_models": "google",
    "vertex_ai-language-models": "google",
    "voyage": "voyageai",
    "xai": "x-ai",
}
"""litellm's provider -> the id in our price data."""
PARTS: dict[str, Part] = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "cache_creation_input_token_cost_above_12hr": "cache_write_12h",
    "input_cost_per_audio_token": "input_audio",
    "output_cost_per_audio_token": "output_audio",
    "input_cost_per_image_token": "input_image",
    "output_cost_per_image_token": "output_image",
    "output_cost_per_reasoning_token": "reasoning",
}
TIERS = {
    "batches": ("processing", "batch"),
    "flex": ("service_tier", "flex"),
    "priority": ("service_tier", "priority"),
    "ultrafast": ("service_tier", "ultrafast"),
}
_KEY = re.compile(
    rf"(?P<part>{'|'.join(sorted(PARTS, key=len, reverse=True))})"
    rf"(?:_above_(?P<above>\d+)k_tokens)?(?:_(?P<tier>{'|'.join(TIERS)}))?"
)
_TOLERANCE = Decimal("0.000001")
"""Of a ratio: litellm's prices are floats."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One price, per million, that the two do not agree on."""

    name: str
    """`openai/gpt-5 input batches`."""
    ours: Decimal | None
    theirs: Decimal
    status: str


def main() -> int:
    """Prints every difference with its verdict; 1 if one has none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("map", type=Path, help="litellm's model_prices_and_context_window_backup.json")
    parser.add_argument("--date", default="2026-11-22", help="the UTC day to compare the prices of")
    arguments = parser.parse_args()
    at_ns = int(datetime.fromisoformat(f"{arguments.date}T12:00+00:00").astimezone(UTC).timestamp()) * 10**9
    verdicts = cast("list[dict[str, str]]", tomllib.loads(VERDICTS.read_text(encoding="utf-8"))["verdict"])
    compared = Counter[str]()
    unjudged = 0
    used = set[int]()
    for difference in _differences(json.loads(arguments.map.read_text(encoding="utf-8")), at_ns, compared):
        number, verdict = _verdict(difference, verdicts)
        used.add(number)
        unjudged += verdict is None
        compared[f"differ: {verdict['verdict'] if verdict else 'NO VERDICT'}"] += 1
        why = f"{verdict['verdict']}: {verdict['why']}" if verdict else "NO VERDICT"
        print(f"{difference.name}: ours {difference.ours} ({difference.status}), theirs {difference.theirs}; {why}")
    stale = [verdict["name"] for number, verdict in enumerate(verdicts) if number not in used]
    print("\n" + "\n".join(f"{count:6} {what}" for what, count in sorted(compared.items())))
    if stale:
        print(f"verdicts on no difference any more, to be removed: {', '.join(stale)}")
    return 1 if unjudged or stale else 0


def _verdict(difference: Difference, verdicts: list[dict[str, str]]) -> tuple[int, dict[str, str] | None]:
    for number, verdict in enumerate(verdicts):
        if fnmatchcase(difference.name, verdict["name"]):
            return number, verdict
    if difference.status != "exact":
        return -1, {"verdict": "labelled", "why": "ours says that it is no exact price"}
    return -1, None


def _differences(models: dict[str, dict[str, Any]], at_ns: int, compared: Counter[str]) -> Iterator[Difference]:
    for name, entry in models.items():
        provider = PROVIDERS.get(entry.get("litellm_provider", ""))
        if provider is None or not entry.get("input_cost_per_token"):
            continue
        model = name.partition("/")[2] if "/" in name else name
        if price(Usage({"input": 1}), PriceContext(provider, model, at_ns)).status == "unpriced":
            compared["models that only litellm knows"] += 1
            continue
        compared["models that both know"] += 1
        for key, value in entry.items():
            if (found := _KEY.fullmatch(key)) and isinstance(value, int | float) and value:
                compared["prices compared"] += 1
                if difference := _compare(f"{provider}/{model}", found, Decimal(repr(value)), at_ns):
                    yield difference


def _compare(name: str, key: re.Match[str], theirs: Decimal, at_ns: int) -> Difference | None:
    """One price of theirs, for a single token, against ours for a call of that length and tier."""
    part = PARTS[key["part"]]
    provider, _, model = name.partition("/")
    variants = (TIERS[key["tier"]],) if key["tier"] else ()
    usage = Usage({part: 1})
    if key["above"] and part.startswith(("input", "cache")):
        usage = Usage({part: int(key["above"]) * 1000 + 1})
    elif key["above"]:
        usage = Usage({"input": int(key["above"]) * 1000 + 1, part: 1})
    priced = price(usage, PriceContext(provider, model, at_ns, variants))
    charge = next((charge for charge in priced.charges if charge.part == part), None)
    ours = None if charge is None else divide(charge.list_amount, charge.quantity)
    if ours is not None and abs(ours - theirs) <= theirs * _TOLERANCE:
        return None
    status = "none" if charge is None else "estimated" if charge.estimated else "exact"
    words = [
        name,
        part,
        *(f">{key['above']}k" for _ in (1,) if key["above"]),
        *(key["tier"] for _ in (1,) if key["tier"]),
    ]
    million = 1_000_000
    return Difference(" ".join(words), None if ours is None else (ours * million).normalize(), theirs * million, status)


if __name__ == "__main__":
    sys.exit(main())
