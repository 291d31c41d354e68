"""The shipped overlay: published prices that the price data lack or have wrong, worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from taskmeter.pricing import PriceContext, price
from taskmeter.records import Part, Usage

NOW = "2026-11-22T12:00"
BATCH = (("processing", "batch"),)
FAST = (("speed", "fast"),)
FLEX = (("service_tier", "flex"),)
ULTRAFAST = (("service_tier", "ultrafast"),)
EU = (("region", "eu"),)
US = (("inference_geo", "us"),)
TWO_HOURS = (("completion_window", "2h"),)
EIGHT_HOURS = (("completion_window", "8h"),)
IOWA = (("region", "us-central1"),)
GLOBAL = (("region", "global"),)
VIRGINIA = (("region", "us-east-1"),)

Variants = tuple[tuple[str, str], ...]


def context(provider: str, model: str, variants: Variants = (), at: str = NOW) -> PriceContext:
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    return PriceContext(provider, model, int(moment.timestamp()) * 10**9, variants)


@pytest.mark.parametrize(
    ("provider", "model", "variants", "at", "tokens", "expected"),
    [
        # o3 before its price cut: 1000 x 2.5; from 2025-06-10 on 1000 x 0.5
        ("openai", "o3", (), "2025-06-09T23:59:59", {"cache_read": 1000}, "0.0025"),
        ("openai", "o3", (), "2025-06-10T00:00", {"cache_read": 1000}, "0.0005"),
        # Sonnet 5.5 before October 2026: 1000 x 0.2, then 1000 x 0.1; in a batch half of it
        ("anthropic", "claude-sonnet-5-5", (), "2026-09-30T23:59:59", {"cache_read": 1000}, "0.0002"),
        ("anthropic", "claude-sonnet-5-5", (), "2026-10-01T00:00", {"cache_read": 1000}, "0.0001"),
        ("anthropic", "claude-sonnet-5-5", BATCH, "2026-09-30T12:00", {"cache_read": 1000}, "0.0001"),
        # gpt-6.2-sol: 1000 x 2 + 1000 x 0.1 + 1000 x 2.5 + 1000 x 5 + 1000 x 10
        (
            "openai",
            "gpt-6.2-sol",
            (),
            "2026-11-17T00:00",
            {"input": 1000, "cache_read": 1000, "cache_write": 1000, "cache_write_12h": 1000, "output": 1000},
            "0.0196",
        ),
        # its long prompts: 272000 x 2 + 1 x 10, then 272001 x 4 + 1 x 15; a 12 h write 272001 x 10
        ("openai", "gpt-6.2-sol", (), NOW, {"input": 272_000, "output": 1}, "0.54401"),
        ("openai", "gpt-6.2-sol", (), NOW, {"input": 272_001, "output": 1}, "1.088019"),
        ("openai", "gpt-6.2-sol", (), NOW, {"cache_write_12h": 272_001}, "2.72001"),
        # its tiers: batch 1000 x 1, fast 1000 x 4, ultrafast 1000 x 6 until March 2027, then 1000 x 12
        ("openai", "gpt-6.2-sol", BATCH, NOW, {"input": 1000}, "0.001"),
        ("openai", "gpt-6.2-sol", (("service_tier", "fast"),), NOW, {"input": 1000}, "0.004"),
        ("openai", "gpt-6.2-sol", (("service_tier", "priority"),), NOW, {"input": 1000}, "0.004"),
        ("openai", "gpt-6.2-sol", ULTRAFAST, "2027-02-28T23:59:59", {"input": 1000}, "0.006"),
        ("openai", "gpt-6.2-sol", ULTRAFAST, "2027-03-01T00:00", {"input": 1000}, "0.012"),
        # ultrafast, six times: 1000 x 12 + 1000 x 0.6 + 100 x 60
        ("openai", "gpt-6.1-sol", ULTRAFAST, NOW, {"input": 1000, "cache_read": 1000, "output": 100}, "0.0186"),
        # a 12 h write: 2.5 times the input; half in flex: 1000 x 2.5
        ("openai", "gpt-6-sol", (), NOW, {"cache_write_12h": 1000}, "0.005"),
        ("openai", "gpt-6-sol", FLEX, NOW, {"cache_write_12h": 1000}, "0.0025"),
        # background windows: 30 % and 40 % below 1000 x 2 + 100 x 10
        ("openai", "gpt-6.1-sol", TWO_HOURS, NOW, {"input": 1000, "output": 100}, "0.0021"),
        ("openai", "gpt-6.1-sol", EIGHT_HOURS, NOW, {"input": 1000, "output": 100}, "0.0018"),
        # a regional host: 1.1 times 1000 x 2; stacked on flex, 1.1 times 1000 x 1; before gpt-5.4 no uplift
        ("openai", "gpt-6-sol", EU, NOW, {"input": 1000}, "0.0022"),
        ("openai", "gpt-6-sol", (*EU, *FLEX), NOW, {"input": 1000}, "0.0011"),
        ("openai", "gpt-6.2-sol", EU, NOW, {"input": 1000}, "0.0022"),
        ("openai", "gpt-4o", EU, NOW, {"input": 1000}, "0.0025"),
        # tiers before the data had them: flex 1000 x 0.625, batch 1000 x 0.625, priority 1000 x 12.5
        ("openai", "gpt-5", FLEX, "2026-10-11T23:59:59", {"input": 1000}, "0.000625"),
        ("openai", "gpt-5", BATCH, "2026-10-13T23:59:59", {"input": 1000}, "0.000625"),
        ("openai", "gpt-5.5", (("service_tier", "priority"),), "2026-06-01T00:00", {"input": 1000}, "0.0125"),
        ("openai", "text-embedding-3-small", BATCH, NOW, {"input": 1000}, "0.00001"),
        ("anthropic", "claude-3-5-sonnet-20241022", BATCH, "2025-06-01T00:00", {"input": 1000}, "0.0015"),
        # audio: 1000 x 40 + 1000 x 80
        ("openai", "gpt-4o-audio-preview", (), NOW, {"input_audio": 1000, "output_audio": 1000}, "0.12"),
        # speech by tokens: 1000 x 0.6 + 1000 x 12
        ("openai", "gpt-4o-mini-tts", (), NOW, {"input": 1000, "output_audio": 1000}, "0.0126"),
        # fine-tunes: 1000 x 3 + 1000 x 0.75 + 100 x 12; 1000 x 3.75 + 1000 x 1.875
        (
            "openai",
            "ft:gpt-4.1-2025-04-14:acme::abc",
            (),
            NOW,
            {"input": 1000, "cache_read": 1000, "output": 100},
            "0.00495",
        ),
        ("openai", "ft:gpt-4o-2024-08-06:acme::abc", (), NOW, {"input": 1000, "cache_read": 1000}, "0.005625"),
        # gpt-5.5-pro in a batch: 272000 x 15, then 272001 x 30
        ("openai", "gpt-5.5-pro", BATCH, NOW, {"input": 272_000}, "4.08"),
        ("openai", "gpt-5.5-pro", BATCH, NOW, {"input": 272_001}, "8.16003"),
        # US inference, 1.1 times 1000 x 5; on top of fast, 1.1 times 1000 x 10; on top of batch, 1.1 times 1000 x 2.5
        ("anthropic", "claude-opus-5", US, NOW, {"input": 1000}, "0.0055"),
        ("anthropic", "claude-opus-5", (*US, *FAST), NOW, {"input": 1000}, "0.011"),
        ("anthropic", "claude-opus-5", (*US, *BATCH), NOW, {"cache_write_1h": 1000}, "0.0055"),
        # Opus 4.6 in fast mode: six times 1000 x 5 + 100 x 25
        ("anthropic", "claude-opus-4-6", FAST, NOW, {"input": 1000, "output": 100}, "0.045"),
        # Sonnet 4 with a long prompt: 200000 x 3, then 200001 x 6
        ("anthropic", "claude-sonnet-4-20250514", (), NOW, {"input": 200_000}, "0.6"),
        ("anthropic", "claude-sonnet-4-20250514", (), NOW, {"input": 200_001}, "1.200006"),
        # Vertex: 1000 x 2 by the global endpoint, 10 % more by a regional one, but not for Sonnet 4
        ("gcp.vertex_ai", "claude-sonnet-5-5@20260901", GLOBAL, NOW, {"input": 1000}, "0.002"),
        ("gcp.vertex_ai", "claude-sonnet-5-5@20260901", IOWA, NOW, {"input": 1000}, "0.0022"),
        ("gcp.vertex_ai", "claude-sonnet-4@20250514", IOWA, NOW, {"input": 1000}, "0.003"),
        # Bedrock's long prompts: 200000 x 3.3, then 200001 x 6.6 in a region, x 6 by a global profile
        ("aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", VIRGINIA, NOW, {"input": 200_000}, "0.66"),
        ("aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", VIRGINIA, NOW, {"input": 200_001}, "1.3200066"),
        ("aws.bedrock", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", (), NOW, {"input": 200_001}, "1.200006"),
        # Bedrock: the same model by a global profile, in a region, and by the ARNs of both
        ("aws.bedrock", "claude-sonnet-5", GLOBAL, NOW, {"input": 1000}, "0.002"),
        ("aws.bedrock", "claude-sonnet-5", (("region", "us-east-1"),), NOW, {"input": 1000}, "0.0022"),
        (
            "aws.bedrock",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/global.anthropic.claude-sonnet-5-v1:0",
            (),
            NOW,
            {"input": 1000},
            "0.002",
        ),
        (
            "aws.bedrock",
            "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-5-v1:0",
            (),
            NOW,
            {"input": 1000},
            "0.0022",
        ),
    ],
)
def test_exact(provider: str, model: str, variants: Variants, at: str, tokens: dict[Part, int], expected: str) -> None:
    """What is published is exact, though the price data do not have it."""
    priced = price(Usage(tokens), context(provider, model, variants, at))
    assert (priced.status, priced.reason, priced.amount) == ("exact", "", Decimal(expected))


@pytest.mark.parametrize(
    ("provider", "model", "variants", "at", "status", "reason"),
    [
        (
            "openai",
            "gpt-6.2-sol",
            (),
            "2026-11-16T23:59:59",
            "unpriced",
            "no list price for model 'gpt-6.2-sol' of provider 'openai'",
        ),
        ("openai", "gpt-6.2-sol", FLEX, NOW, "estimated", "no list price for service_tier=flex"),
        (
            "azure.ai.openai",
            "gpt-6.2-sol",
            (),
            NOW,
            "estimated",
            "list price of another, for want of one of azure.ai.openai",
        ),
        (
            "openai",
            "gpt-5",
            (("host", "unknown"),),
            NOW,
            "estimated",
            "nobody is known to bill for this host: priced as if the provider of the SDK had answered",
        ),
        (
            "openai",
            "qwen3-32b-awq",
            (("host", "unknown"),),
            NOW,
            "unpriced",
            "no list price for model 'qwen3-32b-awq' of provider 'openai'",
        ),
        (
            "anthropic",
            "claude-opus-5",
            (("service_tier", "priority"),),
            NOW,
            "estimated",
            "no list price for service_tier=priority",
        ),
    ],
)
def test_not_exact(provider: str, model: str, variants: Variants, at: str, status: str, reason: str) -> None:
    """What has no source is an estimate, or has no price."""
    priced = price(Usage({"input": 1000}), context(provider, model, variants, at))
    assert (priced.status, priced.reason) == (status, reason)


@pytest.mark.parametrize(
    ("provider", "model", "fee", "reason"),
    [
        (
            "openai",
            "gpt-5",
            "container",
            "a container is billed by 20 minutes (0.03 USD for 1 GB), and the response does not state its time",
        ),
        (
            "anthropic",
            "claude-opus-5",
            "code_execution",
            "code execution is billed by the hour (0.05 USD after the free hours), and the response does not state its time",  # noqa: E501 - in one piece
        ),
    ],
)
def test_fee_by_time(provider: str, model: str, fee: str, reason: str) -> None:
    """What is billed by a time that no response states makes the call partial, and the rest of it is charged."""
    priced = price(Usage({"input": 1_000_000}, {fee: 1}), context(provider, model))
    assert (priced.status, priced.reason) == ("partial", reason)
    assert [charge.part for charge in priced.charges] == ["input"]


def test_origin_names_data_and_rules() -> None:
    """The origin names the price data's entry, how recent they are, and every rule that changed a price, so that it can
    be done again."""
    origin = price(Usage({"input": 1}), context("openai", "gpt-6-sol", EU)).origin
    assert origin == "genai-prices 0.2.3 (2026-11-09) openai/gpt-6-sol + regional-uplift"
