"""Recorded calls at the prices of the book, as the capture room records them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from taskmeter import _semconv as names
from taskmeter.pricing import PriceContext, price
from taskmeter.records import Part, Priced, Usage, total
from taskmeter.reports.engine.warehouse import open_spool
from taskmeter.reports.scenario_texts import scenarios
from taskmeter.reports.success import Success
from taskmeter.reports.whatif import what_if
from taskmeter.reports.whatif_result import WhatIf
from taskmeter.spool.read import SpoolReading
from taskmeter.telemetry.attributes import cost_attributes
from tests.reports.spans import START, Recorder

MODELS = (
    ("openai", "gpt-5"),
    ("openai", "gpt-5-mini"),
    ("openai", "gpt-5.4"),
    ("anthropic", "claude-sonnet-5"),
    ("anthropic", "claude-opus-5"),
)
TIERS: Mapping[str, Sequence[tuple[tuple[str, str], ...]]] = {
    "openai": ((), (), (("service_tier", "flex"),), (("service_tier", "priority"),), (("processing", "batch"),)),
    "anthropic": ((), (), (("processing", "batch"),)),
}


@dataclass(frozen=True, slots=True)
class Call:
    """A call at the book's price of its tokens."""

    tokens: Mapping[Part, int]
    model: str = "gpt-5"
    provider: str = "openai"
    variants: tuple[tuple[str, str], ...] = ()
    step: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])

    fees: Mapping[str, int] = field(default_factory=dict[str, int])

    def price(self, model: str | None = None, variants: tuple[tuple[str, str], ...] | None = None) -> Priced:
        """What the price book makes of it, or of another model's."""
        asked = PriceContext(self.provider, model or self.model, START, self.variants if variants is None else variants)
        return price(Usage(self.tokens, self.fees), asked)

    def cost(self, model: str | None = None, variants: tuple[tuple[str, str], ...] | None = None) -> Decimal:
        """The amount of that."""
        amount = self.price(model, variants).amount
        assert amount is not None
        return amount


def record_task(recorder: Recorder, name: str, task_id: str, calls: Sequence[Call], outcome: str = "succeeded") -> None:
    """A task with these calls, each in its step."""
    spent = str(total(call.cost() for call in calls))
    with recorder.task(name, task_id, spent, OUTCOME=outcome, CALLS=len(calls)):
        for call in calls:
            if call.step is None:
                _record(recorder, call)
            else:
                with recorder.span(f"step {call.step}", "step", STEP_NAME=call.step):
                    _record(recorder, call)


def _record(recorder: Recorder, call: Call) -> None:
    usage = Usage(call.tokens)
    recorder.call(
        str(call.cost()),
        call.model,
        PROVIDER=call.provider,
        RESPONSE_MODEL=call.model,
        INPUT_TOKENS=usage.input_tokens,
        CACHE_READ_TOKENS=usage.cache_read_tokens,
        CACHE_WRITE_TOKENS=usage.cache_write_tokens,
        OUTPUT_TOKENS=usage.output_tokens,
        REASONING_TOKENS=usage.reasoning_tokens,
        **{**cost_attributes(call.price()), **call.more},
    )


def sent(source: str, tokens: int, cost: str) -> Mapping[str, Any]:
    """Attributes of a call of whose input so much was from `source`."""
    shares = json.dumps({f"{source}/crm": [tokens, cost]})
    return {names.CONTEXT_TOKENS.format(source=source): tokens, names.CONTEXT_SHARES: shares}


def random_calls(seed: int, count: int = 60) -> list[Call]:
    """Short and long calls, on both sides of where prices step up, of all tiers, cached and not."""
    random = Random(seed)
    found: list[Call] = []
    for _ in range(count):
        provider, model = random.choice(MODELS)
        parts: dict[Part, int] = {
            "input": random.choice((0, 7, 2_000, 199_000, 272_000, 272_001, 400_000)),
            "cache_read": random.choice((0, 0, 1_000, 3)),
            "cache_write_5m" if provider == "anthropic" else "input_image": 0,
            "output": random.randint(1, 900),
            "reasoning": random.choice((0, 50)),
        }
        if provider == "anthropic":
            parts[random.choice(("cache_write_5m", "cache_write_1h"))] = random.choice((0, 500))
        variants = random.choice(TIERS[provider])
        found.append(Call({part: n for part, n in parts.items() if n}, model, provider, variants, step="work"))
    return found


def try_changes(directory: Path, success: Sequence[Success] = (), stated: Any = None, **changes: Any) -> WhatIf:
    """The report on the spool."""
    with open_spool(SpoolReading(directory)) as warehouse:
        return what_if(warehouse, scenarios(**changes), success=success, stated=stated)
