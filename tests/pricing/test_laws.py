"""Laws of pricing that hold for any usage and any name."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskmeter.pricing import PriceContext, load, price
from taskmeter.records import INPUT_PARTS, OUTPUT_PARTS, Part, Usage, total

AT_NS = 1_795_348_800_000_000_000
MODELS = [
    ("openai", "gpt-5.5"),
    ("openai", "gpt-6-sol"),
    ("openai", "gpt-audio"),
    ("anthropic", "claude-opus-5"),
    ("anthropic", "claude-haiku-5-5"),
    ("azure.ai.openai", "gpt-5"),
]
PARTS = sorted(INPUT_PARTS | OUTPUT_PARTS)

names = st.sampled_from(MODELS)
variants = st.sampled_from(
    [(), (("processing", "batch"),), (("service_tier", "flex"),), (("service_tier", "priority"),), (("speed", "fast"),)]
)
counts = st.dictionaries(st.sampled_from(PARTS), st.integers(0, 10**7), min_size=1)
short = st.dictionaries(st.sampled_from(PARTS), st.integers(0, 4_000), min_size=1)


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    load()


def amount(usage: Usage, name: tuple[str, str], variant: tuple[tuple[str, str], ...]) -> Decimal:
    priced = price(usage, PriceContext(*name, AT_NS, variant))
    assert priced.amount is not None
    return priced.amount


@given(counts, names, variants)
def test_charges_add_up(tokens: dict[Part, int], name: tuple[str, str], variant: tuple[tuple[str, str], ...]) -> None:
    """Charges sum to the amount, cover each token once, and are neither negative nor NaN."""
    priced = price(Usage(tokens), PriceContext(*name, AT_NS, variant))
    assert priced.amount == total(charge.amount for charge in priced.charges)
    assert {charge.part: charge.quantity for charge in priced.charges} == {k: v for k, v in tokens.items() if v}
    assert all(charge.amount.is_finite() and charge.amount > 0 for charge in priced.charges)
    assert all(charge.amount == charge.list_amount for charge in priced.charges)


@given(short, short, names, variants)
def test_linear_within_a_tier(
    left: dict[Part, int], right: dict[Part, int], name: tuple[str, str], variant: tuple[tuple[str, str], ...]
) -> None:
    """Below every long-context threshold, two calls cost what their sum costs, to the last digit."""
    separate = amount(Usage(left), name, variant) + amount(Usage(right), name, variant)
    assert separate == amount(Usage(left) + Usage(right), name, variant)


@given(counts, st.sampled_from(PARTS), st.integers(1, 10**6), names, variants)
def test_monotone(
    tokens: dict[Part, int], part: Part, more: int, name: tuple[str, str], variant: tuple[tuple[str, str], ...]
) -> None:
    """More tokens never cost less, across thresholds too."""
    assert amount(Usage(tokens), name, variant) < amount(Usage(tokens) + Usage({part: more}), name, variant)


@settings(max_examples=300)
@given(st.text(), st.text(), st.tuples() | st.tuples(st.tuples(st.text(), st.text())), st.integers())
def test_garbage_has_no_price(provider: str, model: str, variant: tuple[tuple[str, str], ...], at_ns: int) -> None:
    """Names that mean nothing do not raise and are not free."""
    priced = price(Usage({"input": 1}), PriceContext(provider, model, at_ns, variant))
    assert (priced.status, priced.amount) == ("unpriced", None)


@settings(max_examples=300)
@given(names, st.text(), st.text())
def test_garbage_about_a_known_model(name: tuple[str, str], key: str, value: str) -> None:
    """A variant that means nothing leaves the standard price, which is not 0."""
    standard = amount(Usage({"input": 1}), name, ())
    assert amount(Usage({"input": 1}), name, ((key, value),)) == standard > 0
