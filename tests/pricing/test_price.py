"""Prices worked out by hand from the providers' published lists, in USD."""

from __future__ import annotations

import decimal
import gc
import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from taskmeter.pricing import PriceContext, as_estimate, load, price, provider_of
from taskmeter.records import NO_USAGE, Part, Usage

NOW = "2026-11-22T12:00"
BATCH = (("processing", "batch"),)
FAST = (("speed", "fast"),)
FLEX = (("service_tier", "flex"),)
PRIORITY = (("service_tier", "priority"),)


def ns(moment: str) -> int:
    return int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def context(provider: str, model: str, variants: tuple[tuple[str, str], ...] = (), at: str = NOW) -> PriceContext:
    return PriceContext(provider, model, ns(at), variants)


@pytest.mark.parametrize(
    ("provider", "model", "variants", "at", "tokens", "expected"),
    [
        # 1000 x 2.50 + 2000 x 1.25 + 500 x 10
        ("openai", "gpt-4o", (), NOW, {"input": 1000, "cache_read": 2000, "output": 500}, "0.01"),
        # 1000 x 5 + 100 x 15; no price for cached input, so 1000 x 5 once more
        ("openai", "gpt-4o-2024-05-13", (), NOW, {"input": 1000, "cache_read": 1000, "output": 100}, "0.0115"),
        # 7 x 0.25 + 3 x 0.025 + 2 x 2 + 5 reasoning x 2
        ("openai", "gpt-5-mini", (), NOW, {"input": 7, "cache_read": 3, "output": 2, "reasoning": 5}, "0.000015825"),
        # 1 x 1.25
        ("openai", "gpt-5", (), NOW, {"input": 1}, "0.00000125"),
        # names differ in case only
        ("openai", "GPT-5", (), NOW, {"input": 1}, "0.00000125"),
        # a date written compactly: gpt-5-2025-08-07
        ("openai", "gpt-5-20250807", (), NOW, {"input": 1}, "0.00000125"),
        # a gateway's prefix that names the provider itself
        ("openai", "openai/gpt-5", (), NOW, {"input": 1}, "0.00000125"),
        # default, auto and standard are no variants
        ("openai", "gpt-5", (("service_tier", "default"),), NOW, {"input": 1}, "0.00000125"),
        ("openai", "gpt-5", (("service_tier", "auto"),), NOW, {"input": 1}, "0.00000125"),
        # flex: 1000 x 0.625 + 1000 x 0.0625 + 100 x 5
        ("openai", "gpt-5", FLEX, NOW, {"input": 1000, "cache_read": 1000, "output": 100}, "0.0011875"),
        # batch: 1000 x 0.625 + 100 x 5
        ("openai", "gpt-5", BATCH, NOW, {"input": 1000, "output": 100}, "0.001125"),
        # batch from its first day, 2026-10-14, midnight UTC
        ("openai", "gpt-5", BATCH, "2026-10-14T00:00", {"input": 1000}, "0.000625"),
        # o3 until 2025-06-09: 1000 x 10 + 100 x 40; from 2025-06-10: 1000 x 2 + 100 x 8
        ("openai", "o3", (), "2025-06-09T23:59:59", {"input": 1000, "output": 100}, "0.014"),
        ("openai", "o3", (), "2025-06-10T00:00", {"input": 1000, "output": 100}, "0.0028"),
        # 272,000 tokens of input are not long: 272000 x 5 + 1000 x 30
        ("openai", "gpt-5.5", (), NOW, {"input": 272_000, "output": 1000}, "1.39"),
        # 272,001 are, and reprice all: 272001 x 10 + 1000 x 45
        ("openai", "gpt-5.5", (), NOW, {"input": 272_001, "output": 1000}, "2.76501"),
        # cached tokens count: 72000 x 5 + 200000 x 0.5, then 72001 x 10 + 200000 x 1 + 1 x 45
        ("openai", "gpt-5.5", (), NOW, {"input": 72_000, "cache_read": 200_000}, "0.46"),
        ("openai", "gpt-5.5", (), NOW, {"input": 72_001, "cache_read": 200_000, "output": 1}, "0.920055"),
        # output does not count: 272000 x 5 + 300000 x 30
        ("openai", "gpt-5.5", (), NOW, {"input": 272_000, "output": 300_000}, "10.36"),
        # priority: 1000 x 12.5 + 100 x 75 + 1000 x 1.25
        ("openai", "gpt-5.5", PRIORITY, NOW, {"input": 1000, "cache_read": 1000, "output": 100}, "0.02125"),
        # flex and long: 300000 x 5 (half of 10)
        ("openai", "gpt-5.5", FLEX, NOW, {"input": 300_000}, "1.5"),
        # 1000 x 2 + 1000 x 0.2 + 1000 writes x 2.5 + 1000 x 10
        (
            "openai",
            "gpt-6-sol",
            (),
            NOW,
            {"input": 1000, "cache_read": 1000, "cache_write": 1000, "output": 1000},
            "0.0147",
        ),
        # writes count: 272001 x 2 x 2.5
        ("openai", "gpt-6-sol", (), NOW, {"cache_write": 272_001}, "1.360005"),
        # text 100 x 2.5 + 50 x 10, audio 1000 x 32 + 500 x 64
        (
            "openai",
            "gpt-audio",
            (),
            NOW,
            {"input": 100, "input_audio": 1000, "output": 50, "output_audio": 500},
            "0.06475",
        ),
        # text 100 x 5, image in 1000 x 8, image out 1000 x 30
        ("openai", "gpt-image-2", (), NOW, {"input": 100, "input_image": 1000, "output_image": 1000}, "0.0385"),
        # text 100 x 5 and cached 100 x 1.25, image 100 x 8 and cached 1000 x 2
        (
            "openai",
            "gpt-image-1.5",
            (),
            NOW,
            {"input": 100, "cache_read": 100, "input_image": 100, "cache_read_image": 1000},
            "0.003425",
        ),
        # text out 100 x 10, image out 1000 x 32; in a batch half of both
        ("openai", "gpt-image-1.5", (), NOW, {"output": 100, "output_image": 1000}, "0.033"),
        ("openai", "gpt-image-1.5", BATCH, NOW, {"output": 100, "output_image": 1000}, "0.0165"),
        # a realtime session's cached image: 1000 x 0.5
        ("openai", "gpt-realtime", (), NOW, {"cache_read_image": 1000}, "0.0005"),
        # a transcript: audio 1000 x 6, prompt 10 x 2.5, text 100 x 10
        ("openai", "gpt-4o-transcribe", (), NOW, {"input": 10, "input_audio": 1000, "output": 100}, "0.007025"),
        # embeddings: 1000 x 0.02, 1000 x 0.13
        ("openai", "text-embedding-3-small", (), NOW, {"input": 1000}, "0.00002"),
        ("openai", "text-embedding-3-large", (), NOW, {"input": 1000}, "0.00013"),
        # 1000 x 5 + 1000 x 0.5 + 5m writes 1000 x 6.25 + 1h writes 1000 x 10 + 1000 x 25
        (
            "anthropic",
            "claude-opus-5",
            (),
            NOW,
            {"input": 1000, "cache_read": 1000, "cache_write_5m": 1000, "cache_write_1h": 1000, "output": 1000},
            "0.04675",
        ),
        # fast: twice 1000 x 5 + 100 x 25
        ("anthropic", "claude-opus-5", FAST, NOW, {"input": 1000, "output": 100}, "0.015"),
        # batch halves 1h writes too: 1000 x 5
        ("anthropic", "claude-opus-5", BATCH, NOW, {"cache_write_1h": 1000}, "0.005"),
        # 1000 x 2 + 1000 x 0.1 + 100 x 10
        ("anthropic", "claude-sonnet-5-5", (), NOW, {"input": 1000, "cache_read": 1000, "output": 100}, "0.0031"),
        # 300000 x 5, the same price up to 1M
        ("anthropic", "claude-opus-4-6", (), NOW, {"input": 300_000}, "1.5"),
        # Haiku 5.5: 100000 x 0.1, then five times that
        ("anthropic", "claude-haiku-5-5", (), NOW, {"input": 100_000}, "0.01"),
        ("anthropic", "claude-haiku-5-5", (), NOW, {"input": 100_001}, "0.0500005"),
        # Bedrock, its own list: the regional profile is 10 % dearer than the global one
        ("aws.bedrock", "us.anthropic.claude-sonnet-5-v1:0", (), NOW, {"input": 1000}, "0.0022"),
        ("aws.bedrock", "global.anthropic.claude-sonnet-5-v1:0", (), NOW, {"input": 1000}, "0.002"),
        # Vertex, its own list
        ("gcp.vertex_ai", "claude-sonnet-5-5@20260901", (), NOW, {"input": 1000, "output": 100}, "0.003"),
        # by the data's own id; the model's id has a slash
        ("groq", "openai/gpt-oss-120b", (), NOW, {"input": 1000, "output": 1000}, "0.00075"),
        # DeepSeek is dearer from 01:00 to 04:00 UTC: 1000 x 0.66, 1000 x 1.32, 1000 x 0.66
        ("deepseek", "deepseek-v4-pro", (), "2026-11-22T00:59:59", {"input": 1000}, "0.00066"),
        ("deepseek", "deepseek-v4-pro", (), "2026-11-22T01:00", {"input": 1000}, "0.00132"),
        ("deepseek", "deepseek-v4-pro", (), "2026-11-22T03:59:59", {"input": 1000}, "0.00132"),
        ("deepseek", "deepseek-v4-pro", (), "2026-11-22T04:00", {"input": 1000}, "0.00066"),
    ],
)
def test_exact(
    provider: str,
    model: str,
    variants: tuple[tuple[str, str], ...],
    at: str,
    tokens: dict[Part, int],
    expected: str,
) -> None:
    """A call whose every part has a list price costs exactly that."""
    priced = price(Usage(tokens), context(provider, model, variants, at))
    assert (priced.status, priced.reason, priced.amount) == ("exact", "", Decimal(expected))
    assert [charge.part for charge in priced.charges] == list(tokens)


@pytest.mark.parametrize(
    ("provider", "model", "fees", "expected"),
    [
        # 10 and 2.50 for a thousand
        ("openai", "gpt-5", {"web_search": 3}, "0.03"),
        ("openai", "gpt-5", {"file_search": 2}, "0.005"),
        ("anthropic", "claude-sonnet-5-5", {"web_search": 1}, "0.01"),
    ],
)
def test_fees(provider: str, model: str, fees: dict[str, int], expected: str) -> None:
    """What is billed by the piece is charged by the piece, and is not discounted with the tokens."""
    priced = price(Usage({}, fees), context(provider, model, BATCH))
    assert (priced.status, priced.amount) == ("exact", Decimal(expected))


@pytest.mark.parametrize(
    ("model", "fees", "expected"),
    [
        # an hour at 0.36, a second of it, a millisecond of it
        ("whisper-1", {"input_audio_ms": 3_600_000}, "0.36"),
        ("whisper-1", {"input_audio_ms": 1000}, "0.0001"),
        ("whisper-1", {"input_audio_ms": 1}, "0.0000001"),
        # 1000 s at 0.27 an hour
        ("gpt-transcribe", {"input_audio_ms": 1_000_000}, "0.075"),
        # a million characters at 15, 18 of them; twice that for HD
        ("tts-1", {"input_characters": 1_000_000}, "15"),
        ("tts-1", {"input_characters": 18}, "0.00027"),
        ("tts-1-hd", {"input_characters": 18}, "0.00054"),
    ],
)
def test_time_and_characters(model: str, fees: dict[str, int], expected: str) -> None:
    """Audio is listed by the hour and speech by a million characters; both are charged by the piece."""
    priced = price(Usage({}, fees), context("openai", model))
    assert (priced.status, priced.amount) == ("exact", Decimal(expected))


def test_fee_of_every_request() -> None:
    """A model that charges for each request does so once a call: 100 x 1 per million, and 12 per thousand."""
    priced = price(Usage({"input": 100}), context("perplexity", "sonar"))
    assert [(each.part, each.unit, each.amount) for each in priced.charges] == [
        ("input", "token", Decimal("0.0001")),
        ("request", "request", Decimal("0.012")),
    ]


def test_charge_is_complete() -> None:
    """A charge names the model that answered, the part, its unit and the price of one."""
    priced = price(Usage({"input": 2000}, {"web_search": 2}), context("openai", "gpt-5-mini-2025-08-07"))
    tokens, search = priced.charges
    assert (tokens.category, tokens.item, tokens.part) == ("model", "gpt-5-mini-2025-08-07", "input")
    assert (tokens.quantity, tokens.unit, tokens.unit_price) == (Decimal(2000), "token", Decimal("0.00000025"))
    assert (tokens.amount, tokens.list_amount) == (Decimal("0.0005"), Decimal("0.0005"))
    assert (tokens.currency, tokens.basis, tokens.estimated) == ("USD", "list", False)
    assert (search.part, search.unit, search.unit_price) == ("web_search", "search", Decimal("0.01"))
    assert priced.origin.startswith("genai-prices 0.2.")
    assert priced.origin.endswith(" openai/gpt-5-mini")


@pytest.mark.parametrize(
    ("provider", "model", "variants", "at", "tokens", "expected", "reason"),
    [
        # a tier the model is not listed in, at the standard price: 1000 x 1.25
        (
            "openai",
            "gpt-5",
            (("service_tier", "ultrafast"),),
            NOW,
            {"input": 1000},
            "0.00125",
            "no list price for service_tier=ultrafast",
        ),
        # a tier that was not listed yet
        (
            "openai",
            "gpt-4.1",
            PRIORITY,
            "2026-10-11T23:59:59",
            {"input": 1000},
            "0.002",
            "no list price for service_tier=priority",
        ),
        # values are matched to the letter
        (
            "anthropic",
            "claude-opus-5",
            (("speed", "FAST"),),
            NOW,
            {"input": 1000},
            "0.005",
            "no list price for speed=FAST",
        ),
        # batch and fast at once: the list has either, not both
        ("anthropic", "claude-opus-5", (*BATCH, *FAST), NOW, {"input": 1000}, "0.0025", "no list price for speed=fast"),
        # inference somewhere that has no published price
        (
            "anthropic",
            "claude-opus-5",
            (("inference_geo", "mars"),),
            NOW,
            {"input": 1000},
            "0.005",
            "no list price for inference_geo=mars",
        ),
        # the batch list of gpt-4.1 has no cached input: 1000 x 0.5
        (
            "openai",
            "gpt-4.1",
            BATCH,
            NOW,
            {"cache_read": 1000},
            "0.0005",
            "no list price for processing=batch",
        ),
        # Claude on OpenRouter, where the list has no 1 h writes: 1000 x 2.5
        (
            "openrouter",
            "anthropic/claude-sonnet-5",
            (),
            NOW,
            {"cache_write_1h": 1000},
            "0.0025",
            "no list price for cache_write_1h, charged as cache_write",
        ),
        # Azure, its own list: 1000 x 1.1 + 1000 x 0.55
        (
            "azure.ai.openai",
            "o3-mini",
            (),
            NOW,
            {"input": 1000, "cache_read": 1000},
            "0.00165",
            "Azure's own list price could not be verified",
        ),
        # Azure lists no gpt-5: OpenAI's list, its tiers included
        (
            "azure.ai.openai",
            "gpt-5",
            FLEX,
            NOW,
            {"input": 1000},
            "0.000625",
            "list price of openai, for want of one of azure.ai.openai",
        ),
        # a gateway that looks like OpenAI
        (
            "openai",
            "anthropic/claude-opus-5",
            (),
            NOW,
            {"input": 1000},
            "0.005",
            "list price of anthropic, for want of one of openai",
        ),
        (
            "litellm",
            "vertex_ai/claude-sonnet-5-5",
            (),
            NOW,
            {"input": 1000},
            "0.002",
            "list price of google, for want of one of litellm",
        ),
    ],
)
def test_estimated(
    provider: str,
    model: str,
    variants: tuple[tuple[str, str], ...],
    at: str,
    tokens: dict[Part, int],
    expected: str,
    reason: str,
) -> None:
    """A call charged at the price of something else says so, on the whole and on each charge."""
    priced = price(Usage(tokens), context(provider, model, variants, at))
    assert (priced.status, priced.amount, priced.reason) == ("estimated", Decimal(expected), reason)
    assert all(charge.estimated for charge in priced.charges)


def test_only_the_doubtful_part_is_an_estimate() -> None:
    """One part without a price of its own does not make estimates of the others."""
    priced = price(Usage({"input": 1000, "cache_write_1h": 10}), context("openrouter", "anthropic/claude-sonnet-5"))
    assert priced.status == "estimated"
    assert [charge.estimated for charge in priced.charges] == [False, True]


@pytest.mark.parametrize(
    ("usage", "expected", "reason"),
    [
        # 1000 x 0.02
        (Usage({"input": 1000, "output": 5}), "0.00002", "no list price for output (5)"),
        (Usage({"input": 1000}, {"web_search": 1}), "0.00002", "no list price for web_search (1)"),
        (Usage({"input": 1000, "video": 7}), "0.00002", "no list price for video (7)"),  # type: ignore[dict-item]
        (Usage({"input": 1000, "cache_read": -7}), "0.00002", "no list price for cache_read (-7)"),
    ],
)
def test_partial(usage: Usage, expected: str, reason: str) -> None:
    """What has no price is left out, by name, and the rest is charged."""
    priced = price(usage, context("openai", "text-embedding-3-small"))
    assert (priced.status, priced.amount, priced.reason) == ("partial", Decimal(expected), reason)


def test_partial_keeps_its_doubts() -> None:
    """A call that is both partial and estimated says both."""
    priced = price(Usage({"input": 1000}, {"rocket": 1}), context("openai", "gpt-5", (("service_tier", "scale"),)))
    assert (priced.status, priced.amount) == ("partial", Decimal("0.00125"))
    assert priced.reason == "no list price for rocket (1); no list price for service_tier=scale"
    assert priced.charges[0].estimated


@pytest.mark.parametrize(
    ("provider", "model", "usage", "reason"),
    [
        ("openai", "gpt-99", Usage({"input": 1}), "no list price for model 'gpt-99' of provider 'openai'"),
        ("nobody", "gpt-5", Usage({"input": 1}), "no list price for model 'gpt-5' of provider 'nobody'"),
        ("openai", "", Usage({"input": 1}), "no list price for model '' of provider 'openai'"),
        ("", "gpt-5", Usage({"input": 1}), "no list price for model 'gpt-5' of provider ''"),
        ("openai", "g" * 600, Usage({"input": 1}), "no list price for a model named in 600 characters"),
        (
            "github-copilot",
            "gpt-4o",
            Usage({"input": 1}),
            "the list of github-copilot has no price per token for model 'gpt-4o'",
        ),
        ("openai", "text-embedding-3-small", Usage({"output": 5}), "no list price for output (5)"),
        ("openai", "gpt-5", NO_USAGE, "no usage was reported"),
    ],
)
def test_unpriced(provider: str, model: str, usage: Usage, reason: str) -> None:
    """Without any price there is no amount at all, not one of 0."""
    priced = price(usage, context(provider, model))
    assert (priced.status, priced.amount, priced.charges, priced.reason) == ("unpriced", None, (), reason)


@pytest.mark.parametrize("usage", [Usage({"input": 0, "output": 0}, {"web_search": 0}), Usage({}, {})])
def test_zero_counts_cost_nothing(usage: Usage) -> None:
    """Usage that was reported as 0 is exactly free, whether the zeros are spelt out or not."""
    priced = price(usage, context("perplexity", "sonar"))
    assert (priced.status, priced.amount, priced.charges) == ("exact", Decimal(0), ())


@pytest.mark.parametrize("at_ns", [-(10**30), -1, 0, 10**30])
def test_any_time_has_a_price(at_ns: int) -> None:
    """A clock that is off by ages does not raise."""
    assert price(Usage({"input": 1000}), PriceContext("openai", "gpt-5", at_ns)).amount == Decimal("0.00125")


def test_as_estimate() -> None:
    """An estimate has the same amounts, flagged, and keeps why it was doubted before."""
    usage = Usage({"input": 1000})
    exact = as_estimate(price(usage, context("openai", "gpt-5")), "stream aborted")
    assert (exact.status, exact.amount, exact.reason) == ("estimated", Decimal("0.00125"), "stream aborted")
    assert exact.charges[0].estimated
    doubted = as_estimate(price(usage, context("openai", "gpt-5", (("service_tier", "scale"),))), "stream aborted")
    assert doubted.reason == "stream aborted; no list price for service_tier=scale"


def test_unpriced_stays_unpriced() -> None:
    """Estimating the tokens of a model without a price does not give it one."""
    unpriced = price(Usage({"input": 1}), context("openai", "gpt-99"))
    assert as_estimate(unpriced, "stream aborted") == unpriced


@pytest.mark.parametrize(
    ("base_url", "provider"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://api.anthropic.com", "anthropic"),
        ("https://mine.openai.azure.com/openai/deployments/x", "azure.ai.openai"),
        ("https://bedrock-runtime.us-east-1.amazonaws.com", "aws.bedrock"),
        ("https://us-east5-aiplatform.googleapis.com/v1", "gcp.vertex_ai"),
        ("https://generativelanguage.googleapis.com/v1beta/openai/", "gcp.gemini"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://api.x.ai/v1", "x_ai"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("http://localhost:8000/v1", None),
        ("", None),
    ],
)
def test_provider_of(base_url: str, provider: str | None) -> None:
    """A base URL tells who answers."""
    assert provider_of(base_url) == provider


@pytest.mark.parametrize(
    ("name", "data_id"), [("gcp.gemini", "gemini-2.5-pro"), ("x_ai", "grok-4"), ("mistral_ai", "mistral-small-latest")]
)
def test_names_of_opentelemetry_have_prices(name: str, data_id: str) -> None:
    """Providers are found by the names that `provider_of` gives them."""
    assert price(Usage({"input": 1}), context(name, data_id)).status == "exact"


def test_precision_of_the_host_is_ignored() -> None:
    """A host that computes with 6 digits does not round our amounts: 272001 x 10."""
    usage = Usage({"input": 123_456_789})
    with decimal.localcontext() as ctx:
        ctx.prec = 6
        low = price(usage, context("openai", "gpt-5-nano")).amount
    assert low == Decimal("6.17283945")


@pytest.mark.parametrize("names", [2_000, pytest.param(100_000, marks=[pytest.mark.fuzz, pytest.mark.timeout(1200)])])
def test_memory_is_bounded(names: int) -> None:
    """Distinct model names, known or not, are not all remembered: those after the first 2,200 cost no memory."""

    def price_all(first: int, last: int) -> None:
        for number in range(first, last):
            for model in (f"nonsense-{names}-{number}", f"gpt-6-sol-{names}{number:08}"):
                price(Usage({"input": 1}), context("openai", model))

    price_all(0, 1)  # reads the price data
    tracemalloc.start()
    try:
        price_all(1, 1_100)  # traced, too: what is remembered later takes the place of what is counted
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        price_all(1_100, names)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 500_000  # 1,800 names more would be 2,500,000


def test_import_does_not_read_the_data() -> None:
    """Importing the room is cheap; `load()` reads the data."""
    script = (
        "import sys, taskmeter.pricing as pricing\n"
        "before = [name for name in sys.modules if name.startswith('genai_prices')]\n"
        "pricing.load()\n"
        "from genai_prices import data_snapshot\n"
        "print(before, 'genai_prices.data' in sys.modules, data_snapshot._custom_snapshot)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[] True None\n"


def test_load_twice() -> None:
    """Loading again does nothing."""
    load()
    load()
