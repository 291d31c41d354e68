"""Laws of the shares: they add up to what was billed, to the last digit, whatever the prompt, model and usage."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskmeter.account import Entry, Ledger, Prompt, Segment, share_out
from taskmeter.pricing import PriceContext, price
from taskmeter.records import CACHE_READ_PARTS, INPUT_PARTS, SOURCES, Part, Usage, total

AT_NS = 1_795_000_000_000_000_000
"""November 2026."""

models = st.sampled_from(
    [
        ("openai", "gpt-5-mini"),
        ("openai", "gpt-4o-audio-preview"),
        ("openai", "gpt-realtime"),
        ("openai", "gpt-6-sol"),
        ("anthropic", "claude-sonnet-5"),
        ("anthropic", "claude-opus-5"),
        ("anthropic", "claude-sonnet-4-5"),
        ("gcp.gemini", "gemini-2.5-pro"),
        ("deepseek", "deepseek-chat"),
        ("openai", "nobody-knows-it"),
    ]
)
variants = st.sampled_from(
    [(), (("service_tier", "flex"),), (("service_tier", "priority"),), (("processing", "batch"),)]
)
counts = st.one_of(st.integers(1, 50), st.integers(1, 10**6), st.just(10**9 + 7))
inputs: st.SearchStrategy[dict[Part, int]] = st.dictionaries(st.sampled_from(sorted(INPUT_PARTS)), counts, max_size=6)
segments = st.builds(
    Segment,
    source=st.sampled_from(SOURCES),
    weight=st.one_of(st.integers(0, 20), st.integers(0, 10**7)),
    carried=st.booleans(),
    label=st.sampled_from(["", "kb", "web"]),
)
prompts = st.builds(
    lambda pieces, unseen: Prompt(tuple(pieces), b"", None if unseen is None else min(unseen, len(pieces))),
    st.lists(segments, max_size=12),
    st.one_of(st.none(), st.integers(0, 12)),
)


def priced(usage: Usage, model: tuple[str, str], variant: Any) -> Any:
    """At real prices."""
    return price(usage, PriceContext(*model, AT_NS, variant))


def check_shares(prompt: Prompt, tokens: dict[Part, int], model: tuple[str, str], variant: Any) -> None:
    """The law, of one call."""
    usage = Usage({**tokens, "output": 7})
    found = priced(usage, model, variant)
    shares = share_out(prompt, usage, found.charges)
    billed = [charge for charge in found.charges if charge.part in INPUT_PARTS]
    if not tokens:
        assert shares is None
        return
    assert shares is not None
    parts = list(shares.by_source.values())
    assert sum(part.tokens for part in parts) == usage.input_tokens
    assert all(part.tokens > 0 for part in parts)
    assert 0 <= shares.carried.tokens <= usage.input_tokens
    if not billed:
        assert all(part.cost is None for part in parts)
        return
    costs = [part.cost for part in parts if part.cost is not None]
    assert len(costs) == len(parts)
    assert total(costs) == total(charge.amount for charge in billed)
    assert all(cost >= 0 for cost in costs)
    assert shares.carried.cost is not None
    assert 0 <= shares.carried.cost <= total(costs)


@settings(max_examples=150)
@given(prompts, inputs, models, variants)
def test_shares_add_up_to_the_billed_input(prompt: Prompt, tokens: Any, model: Any, variant: Any) -> None:
    """Tokens to the billed tokens, money to the billed money, to the last digit."""
    check_shares(prompt, tokens, model, variant)


@pytest.mark.fuzz
@settings(max_examples=5000)
@given(prompts, inputs, models, variants)
def test_shares_add_up_to_the_billed_input_in_many_cases(prompt: Prompt, tokens: Any, model: Any, variant: Any) -> None:
    """The same law, thousands of times."""
    check_shares(prompt, tokens, model, variant)


@settings(max_examples=100)
@given(st.lists(st.integers(1, 1000), min_size=2, max_size=7), st.integers(0, 7))
def test_a_cached_beginning_is_at_the_price_of_the_cache(weights: list[int], cached: int) -> None:
    """As many bytes as tokens, and the cache holds the first few pieces: these cost its price, and the others the
    plain one."""
    cached = min(cached, len(weights))
    sources = SOURCES[: len(weights)]
    read, plain = sum(weights[:cached]), sum(weights[cached:])
    tokens: dict[Part, int] = {"cache_read": read, "input": plain}
    usage = Usage({part: count for part, count in tokens.items() if count})
    prompt = Prompt(tuple(Segment(source, weight) for source, weight in zip(sources, weights, strict=True)), b"")
    shares = share_out(prompt, usage, priced(usage, ("openai", "gpt-5-mini"), ()).charges)
    assert shares is not None
    for at, (source, weight) in enumerate(zip(sources, weights, strict=True)):
        rate = Decimal("0.000000025") if at < cached else Decimal("0.00000025")
        share = shares.by_source[source, ""]
        assert (share.tokens, share.cost) == (weight, weight * rate)


@settings(max_examples=60)
@given(st.lists(st.tuples(prompts, inputs, models, st.booleans()), max_size=8))
def test_an_account_adds_up_what_its_calls_were_billed(calls: list[Any]) -> None:
    """Of a task and one nested in it; what was not measured is counted."""
    outer = Ledger()
    inner = Ledger(outer)
    tokens, costs, unmeasured = 0, Decimal(0), 0
    for prompt, parts, model, measured in calls:
        usage = Usage(parts)
        charges = priced(usage, model, ()).charges
        context = share_out(prompt, usage, charges) if measured else None
        inner.book(Entry(charges=charges, usage=usage, calls=1, context=context))
        if context is None:
            unmeasured += bool(parts)
        else:
            tokens += usage.input_tokens
            costs += total(charge.amount for charge in charges if charge.part in INPUT_PARTS)
    for ledger in (outer, inner):
        context = ledger.context()
        assert context.tokens == tokens
        assert total(share.cost for share in context.by_source.values() if share.cost is not None) == costs
        assert context.unmeasured_calls == unmeasured
        assert sum(share.tokens for share in context.documents.values()) == (
            context.by_source["documents"].tokens if "documents" in context.by_source else 0
        )


@settings(max_examples=100)
@given(inputs, models, variants)
def test_caches_save_what_plain_input_would_cost_more(tokens: Any, model: Any, variant: Any) -> None:
    """Priced once more as if there were no cache, a call costs what it does plus what caches saved."""
    usage = Usage(tokens)
    uncached: dict[Part, int] = {}
    for part, count in tokens.items():
        plain = part.replace("cache_read", "input") if part in CACHE_READ_PARTS else part
        plain = "input" if plain.startswith("cache_write") else plain
        uncached[plain] = uncached.get(plain, 0) + count
    found, other = priced(usage, model, variant), priced(Usage(uncached), model, variant)
    if found.cache_saved is None:
        assert found.status in ("unpriced", "partial") or other.status in ("unpriced", "partial")
    elif found.amount is not None and found.status != "partial":
        assert found.amount + found.cache_saved == other.amount
