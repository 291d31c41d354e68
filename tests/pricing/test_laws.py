"""Laws of pricing that hold for any usage and any name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskmeter.pricing import PriceContext, load, price, use
from taskmeter.records import INPUT_PARTS, OUTPUT_PARTS, Part, Usage, total

AT_NS = 1_795_348_800_000_000_000
MODELS = [
    ("openai", "gpt-5.5"),
    ("openai", "gpt-6-sol"),
    ("openai", "gpt-6.2-sol"),
    ("openai", "gpt-audio"),
    ("anthropic", "claude-opus-5"),
    ("anthropic", "claude-haiku-5-5"),
    ("azure.ai.openai", "gpt-5"),
]
PARTS = sorted(INPUT_PARTS | OUTPUT_PARTS)

names = st.sampled_from(MODELS)
variants = st.sampled_from(
    [
        (),
        (("region", "eu"),),
        (("completion_window", "8h"),),
        (("inference_geo", "us"),),
        (("processing", "batch"),),
        (("service_tier", "flex"),),
        (("service_tier", "priority"),),
        (("speed", "fast"),),
    ]
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
    assert all(charge.amount == charge.contracted_amount == charge.list_amount for charge in priced.charges)


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


factors = st.decimals(0, 3, allow_nan=False, places=4)


@pytest.fixture
def contracted() -> Iterator[Callable[[Mapping[str, object]], None]]:
    """Puts a contract in force until the test ends."""
    yield use
    use(None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(counts, st.integers(0, 1000), names, variants, factors, factors)
def test_contract(
    contracted: Callable[[Mapping[str, object]], None],
    tokens: dict[Part, int],
    searches: int,
    name: tuple[str, str],
    variant: tuple[tuple[str, str], ...],
    negotiated: Decimal,
    committed: Decimal,
) -> None:
    """A percentage on tokens is exactly that of each charge's list amount, a commitment one of the contracted amount;
    fees are untouched; the list amount is what it is without a contract."""
    usage = Usage(tokens, {"web_search": searches})
    contracted({})
    bare = price(usage, PriceContext(*name, AT_NS, variant))
    contracted(
        {
            "contract": [{"multiply": {"tokens": negotiated}}],
            "commitment": [{"multiply": {"tokens": committed}}],
        }
    )
    priced = price(usage, PriceContext(*name, AT_NS, variant))
    assert (priced.status, priced.list_amount) == (bare.status, bare.amount)
    for charge in priced.charges:
        if charge.part in PARTS:
            assert charge.contracted_amount == charge.list_amount * negotiated
            assert charge.amount == charge.contracted_amount * committed
        else:
            assert charge.amount == charge.contracted_amount == charge.list_amount >= 0
    if priced.status == "unpriced":  # a search that the model's list has no price for, and nothing else
        assert not priced.charges
    else:
        assert priced.amount == total(charge.amount for charge in priced.charges)
    assert priced.contracted_amount == total(charge.contracted_amount for charge in priced.charges)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(counts, names, variants, st.decimals(0, 1, allow_nan=False, places=4))
def test_list_is_no_less_than_a_discount(
    contracted: Callable[[Mapping[str, object]], None],
    tokens: dict[Part, int],
    name: tuple[str, str],
    variant: tuple[tuple[str, str], ...],
    factor: Decimal,
) -> None:
    """Under a discount the list amount is at least the amount, and neither is negative."""
    contracted({"contract": [{"multiply": {"all": factor}}]})
    for charge in price(Usage(tokens), PriceContext(*name, AT_NS, variant)).charges:
        assert charge.list_amount >= charge.amount >= 0


@given(names, st.text(), st.integers(1, 10**9), variants)
def test_unknown_part_is_never_free(
    name: tuple[str, str], part: str, count: int, variant: tuple[tuple[str, str], ...]
) -> None:
    """A part or fee of the future makes the call partial, or unpriced when there is nothing else."""
    for usage in (Usage({f"?{part}": count}), Usage({}, {f"?{part}": count})):  # type: ignore[dict-item]
        unpriced = price(usage, PriceContext(*name, AT_NS, variant))
        assert (unpriced.status, unpriced.amount) == ("unpriced", None)
        partial = price(usage + Usage({"input": 1}), PriceContext(*name, AT_NS, variant))
        assert partial.status == "partial"


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
