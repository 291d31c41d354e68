"""What it costs to price a call, from its parsed usage to its charges."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from bench.harness import Plan, Result, measure
from taskmeter.pricing import PriceContext, load, price, use
from taskmeter.records import Part, Usage

NOW_NS = 1_795_348_800_000_000_000
DAY_NS = 86_400_000_000_000
CHAT: dict[Part, int] = {"input": 1200, "cache_read": 400, "output": 150}
MESSAGE: dict[Part, int] = {"input": 12, "cache_read": 9000, "cache_write_5m": 400, "output": 350}
EU_FLEX = (("region", "eu"), ("service_tier", "flex"))


def run(plan: Plan) -> Iterator[Result]:
    """On a warm card: plain, with length tiers, with rules, under a contract; then the making of a card."""
    load()
    chat, message = Usage(CHAT), Usage(MESSAGE)
    yield measure("price: gpt-4o, 3 parts", lambda: price(chat, PriceContext("openai", "gpt-4o", NOW_NS)), plan)
    yield measure(
        "price: gpt-6-sol, length tiers", lambda: price(chat, PriceContext("openai", "gpt-6-sol", NOW_NS)), plan
    )
    eu_flex = PriceContext("openai", "gpt-6-sol", NOW_NS, EU_FLEX)
    yield measure("price: gpt-6-sol, flex, EU host", lambda: price(chat, eu_flex), plan)
    claude = PriceContext("anthropic", "claude-opus-5", NOW_NS)
    yield measure("price: claude-opus-5, 4 parts", lambda: price(message, claude), plan)
    use({"contract": [{"multiply": {"tokens": "0.85"}}]})
    yield measure("price: claude-opus-5 under a contract", lambda: price(message, claude), plan)
    use(None)

    days = count()

    def another_day() -> None:
        price(chat, PriceContext("openai", "gpt-6-sol", NOW_NS - next(days) % 100_000 * DAY_NS, EU_FLEX))

    yield measure("price: first of a day (makes a card)", another_day, plan)
    names = count()

    def another_model() -> None:
        price(chat, PriceContext("openai", f"gpt-6-sol-{next(names) % 10_000:04}-01-01", NOW_NS))

    yield measure("price: first of a model (makes a card)", another_model, plan)

    def unknown_model() -> None:
        price(chat, PriceContext("openai", f"nonsense-{next(names)}", NOW_NS))

    yield measure("price: an unknown model, first time", unknown_model, plan)
