"""The user's price file: contracts, commitments, aliases, currencies, tools; what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from taskmeter import pricing
from taskmeter.errors import ConfigurationError
from taskmeter.pricing import PriceContext, ToolPrice, human_rate, price, provider_of, tool_price
from taskmeter.records import Charge, Part, Priced, Usage

UseToml = Callable[[str], None]
Variants = tuple[tuple[str, str], ...]

NOW = "2026-11-22T12:00"
FLEX = (("service_tier", "flex"),)
THOUSAND = Usage({"input": 1000})

FIFTEEN_OFF = """
[[contract]]
id = "acme-2026"
provider = "openai"
multiply = { tokens = "0.85" }
"""


def priced(
    usage: Usage, model: str = "gpt-4o", variants: Variants = (), *, provider: str = "openai", at: str = NOW
) -> Priced:
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    return price(usage, PriceContext(provider, model, int(moment.timestamp()) * 10**9, variants))


def amounts(charge: Charge) -> tuple[Decimal, Decimal, Decimal]:
    return charge.list_amount, charge.contracted_amount, charge.amount


def dec(*texts: str) -> tuple[Decimal, ...]:
    return tuple(Decimal(text) for text in texts)


def test_percentage_off_tokens_leaves_fees(use_toml: UseToml) -> None:
    """15 % off tokens: 1000 x 2.5 x 0.85; a search stays at 0.01."""
    use_toml(FIFTEEN_OFF)
    result = priced(Usage({"input": 1000}, {"web_search": 1}))
    tokens, search = result.charges
    assert amounts(tokens) == dec("0.0025", "0.002125", "0.002125")
    assert amounts(search) == dec("0.01", "0.01", "0.01")
    assert (tokens.basis, search.basis) == ("contract", "list")
    assert (result.status, result.amount, result.list_amount) == ("exact", Decimal("0.012125"), Decimal("0.0125"))
    assert result.origin == "genai-prices 0.2.3 (2026-11-09) openai/gpt-4o + acme-2026"


@pytest.mark.parametrize(
    ("factors", "tokens", "search"),
    [
        ('{ fees = "0.5" }', "0.0025", "0.005"),
        ('{ all = "0.5" }', "0.00125", "0.005"),
        ('{ web_search = "0.9" }', "0.0025", "0.009"),
        ('{ output = "0.5" }', "0.0025", "0.01"),
        ('{ tokens = "0" }', "0", "0.01"),
    ],
)
def test_what_a_percentage_is_on(use_toml: UseToml, factors: str, tokens: str, search: str) -> None:
    """On tokens, fees, both, or a part by name."""
    use_toml(f"[[contract]]\nmultiply = {factors}\n")
    result = priced(Usage({"input": 1000}, {"web_search": 1}))
    assert tuple(charge.amount for charge in result.charges) == dec(tokens, search)


def test_factor_of_a_part_without_price_of_its_own(use_toml: UseToml) -> None:
    """Cached input that the list has no price for, at 80 % of the input that it is charged as: 1000 x 5 x 0.8."""
    use_toml('[[contract]]\nmultiply = { cache_read = "0.8" }\n')
    result = priced(Usage({"input": 1000, "cache_read": 1000}), "gpt-4o-2024-05-13")
    assert [charge.amount for charge in result.charges] == [Decimal("0.005"), Decimal("0.004")]


def test_fixed_rates(use_toml: UseToml) -> None:
    """Rates agreed on: 1000 x 2 and 100 x 8, against 1000 x 2.5 and 100 x 10 at list; cached input stays at list."""
    use_toml('[[contract]]\nmodel = "gpt-4o"\nset = { input = "2", output = "8" }\n')
    result = priced(Usage({"input": 1000, "cache_read": 1000, "output": 100}))
    assert [amounts(charge) for charge in result.charges] == [
        dec("0.0025", "0.002", "0.002"),
        dec("0.00125", "0.00125", "0.00125"),
        dec("0.001", "0.0008", "0.0008"),
    ]
    assert result.status == "exact"


def test_fixed_rate_does_not_hold_for_a_tier(use_toml: UseToml) -> None:
    """A rate agreed on without a tier leaves the price of flex as it is, and says that it may be wrong."""
    use_toml('[[contract]]\nid = "fixed"\nmodel = "gpt-5"\nset = { input = "1" }\n')
    result = priced(THOUSAND, "gpt-5", FLEX)
    assert (result.status, result.amount) == ("estimated", Decimal("0.000625"))
    assert result.reason == "rule fixed does not say whether it holds for this service_tier"


def test_fixed_rate_of_a_tier(use_toml: UseToml) -> None:
    """A rate agreed on for a tier holds for that."""
    use_toml('[[contract]]\nmodel = "gpt-5"\nwhen = { service_tier = "flex" }\nset = { input = "0.5" }\n')
    assert priced(THOUSAND, "gpt-5", FLEX).amount == Decimal("0.0005")
    assert priced(THOUSAND, "gpt-5").amount == Decimal("0.00125")


def test_commitment_by_date(use_toml: UseToml) -> None:
    """10 % for committed use, on top of 15 %, in its first and last day only: 0.0025 x 0.85 x 0.9."""
    use_toml(
        FIFTEEN_OFF
        + '[[commitment]]\nid = "committed"\nfrom = 2026-11-01\nuntil = 2026-12-01\nmultiply = { tokens = "0.9" }\n'
    )
    both, one = dec("0.0025", "0.002125", "0.0019125"), dec("0.0025", "0.002125", "0.002125")
    assert [
        amounts(priced(THOUSAND, at=at).charges[0])
        for at in ("2026-10-31T23:59:59", "2026-11-01T00:00", "2026-11-30T23:59:59", "2026-12-01T00:00")
    ] == [one, both, both, one]


def test_later_rules_work_on_earlier_ones(use_toml: UseToml) -> None:
    """A fixed rate, then 10 % off it: 1000 x 2 x 0.9."""
    use_toml('[[contract]]\nset = { input = "2" }\n[[contract]]\nmultiply = { tokens = "0.9" }\n')
    assert priced(THOUSAND).amount == Decimal("0.0018")


def test_contract_is_with_whom_it_names(use_toml: UseToml) -> None:
    """A contract with OpenAI is none with Azure, though Azure's calls are priced by OpenAI's list."""
    use_toml(FIFTEEN_OFF)
    result = priced(THOUSAND, provider="azure.ai.openai")
    assert (result.status, result.amount) == ("estimated", Decimal("0.0025"))


@pytest.mark.parametrize("model", ["gpt-4o-2024-08-06", "openai/gpt-4o", "GPT-4o"])
def test_contract_on_a_model_by_any_name(use_toml: UseToml, model: str) -> None:
    """A contract on gpt-4o holds for its dated snapshot and for a gateway's name of it."""
    use_toml('[[contract]]\nmodel = "gpt-4o"\nset = { input = "2" }\n')
    assert priced(THOUSAND, model).amount == Decimal("0.002")


def test_users_list_price(use_toml: UseToml) -> None:
    """A list price of the user's comes after the shipped ones, and is exact."""
    use_toml('[[list]]\nid = "ours"\nprovider = "openai"\nmodel = "qwen3-*"\nset = { input = "0.1", output = "0.2" }\n')
    result = priced(Usage({"input": 1000, "output": 1000}), "qwen3-32b")
    assert (result.status, result.amount, result.origin) == ("exact", Decimal("0.0003"), "ours")
    assert priced(THOUSAND, "llama-9").status == "unpriced"


def test_prices_by_length(use_toml: UseToml) -> None:
    """A price that doubles above 1000 tokens, cached ones included."""
    use_toml('[[list]]\nmodel = "mine"\nset.input = { base = "1", above = { 1000 = "2" } }\n')
    assert [priced(Usage({"input": 900, "cache_read": cached}), "mine").amount for cached in (100, 101)] == [
        Decimal("0.001"),
        Decimal("0.002002"),
    ]


def test_fee_of_the_users_own(use_toml: UseToml) -> None:
    """A fee that no list knows, 3 for a hundred."""
    use_toml('[[list]]\nprovider = "openai"\nfee.rerank = { price = "3", unit = "query", per = 100 }\n')
    charge = priced(Usage({}, {"rerank": 2})).charges[0]
    assert (charge.part, charge.unit, charge.amount) == ("rerank", "query", Decimal("0.06"))


@pytest.mark.parametrize(
    ("alias", "provider", "model", "status", "expected"),
    [
        # a deployment billed by OpenAI's list, by the user's word
        (
            'model = "support-prod"\nto = "gpt-4o"\nto_provider = "openai"',
            "azure.ai.openai",
            "support-prod",
            "exact",
            "0.0025",
        ),
        # without that word it is Azure's own list that counts, which has no gpt-4o
        ('model = "support-prod"\nto = "gpt-4o"', "azure.ai.openai", "support-prod", "estimated", "0.0025"),
        # Azure's own list has o3-mini: 1000 x 1.1
        ('model = "thinker"\nto = "o3-mini"', "azure.ai.openai", "thinker", "estimated", "0.0011"),
        # what a star stands for
        ('model = "team-*/*"\nto = "{2}"', "openai", "team-red/gpt-5", "exact", "0.00125"),
        # an application inference profile, whose ARN does not tell the model
        (
            (
                'provider = "aws.bedrock"\nmodel = "arn:*:application-inference-profile/abc123"\n'
                'to = "us.anthropic.claude-sonnet-5-v1:0"'
            ),
            "aws.bedrock",
            "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123",
            "exact",
            "0.0022",
        ),
        # a fine-tune of the user's
        (
            'model = "ft:gpt-4o-mini-2024-07-18:acme:*"\nto = "gpt-4o-mini"',
            "openai",
            "ft:gpt-4o-mini-2024-07-18:acme:bot:9",
            "exact",
            "0.00015",
        ),
    ],
)
def test_alias(use_toml: UseToml, alias: str, provider: str, model: str, status: str, expected: str) -> None:
    """A name that no list has is priced as the model that it stands for; the charge keeps the name."""
    use_toml(f"[[alias]]\n{alias}\n")
    result = priced(THOUSAND, model, provider=provider)
    assert (result.status, result.amount) == (status, Decimal(expected))
    assert result.charges[0].item == model


def test_contract_on_an_alias(use_toml: UseToml) -> None:
    """A contract names the provider who bills, and the model by either name: 1000 x 2.5 x 0.85."""
    alias = '[[alias]]\nprovider = "azure.ai.openai"\nmodel = "support-prod"\nto = "gpt-4o"\nto_provider = "openai"\n'
    for model in ("support-prod", "gpt-4o"):
        use_toml(
            alias + f'[[contract]]\nprovider = "azure.ai.openai"\nmodel = "{model}"\nmultiply = {{ tokens = "0.85" }}\n'
        )
        assert priced(THOUSAND, "support-prod", provider="azure.ai.openai").amount == Decimal("0.002125")


def test_aliases_in_a_circle(use_toml: UseToml) -> None:
    """Aliases that never end give no price, and say so."""
    use_toml('[[alias]]\nmodel = "a"\nto = "b"\n[[alias]]\nmodel = "b"\nto = "a"\n')
    result = priced(THOUSAND, "a")
    assert (result.status, result.reason) == ("unpriced", "the aliases of model 'a' go round in circles")


def test_other_currency(use_toml: UseToml) -> None:
    """2 EUR at 1.08 USD: 1000 x 2.16. The account stays in USD."""
    use_toml('[currency]\nEUR = "1.08"\n[[contract]]\ncurrency = "EUR"\nset = { input = "2" }\n')
    charge = priced(THOUSAND).charges[0]
    assert (charge.amount, charge.currency) == (Decimal("0.00216"), "USD")


def test_tools_and_people(use_toml: UseToml) -> None:
    """Tools have prices by name or glob, and people's time one by the hour."""
    use_toml(
        '[currency]\nEUR = "1.08"\n'
        '[tools."crm.lookup"]\ncost = "0.002"\n'
        '[tools."search.*"]\ncost = 5\nunit = "query"\nper = 1000\ncategory = "retrieval"\ncurrency = "EUR"\n'
        '[rates]\nhuman_per_hour = "60"\n'
    )
    assert tool_price("crm.lookup") == ToolPrice(Decimal("0.002"), "call", Decimal(1), "tools")
    assert tool_price("search.web") == ToolPrice(Decimal("5.40"), "query", Decimal(1000), "retrieval")
    assert tool_price("other") is None
    assert human_rate() == Decimal(60)


def test_no_file_no_tools() -> None:
    """Without a price file no tool has a price, nor has anybody's time."""
    assert (tool_price("crm.lookup"), human_rate()) == (None, None)


def test_hosts(use_toml: UseToml) -> None:
    """A gateway's host bills for whom the file says."""
    use_toml('[hosts]\n"*.corp.example" = "openai"\n')
    assert provider_of("https://llm.corp.example/v1") == "openai"
    assert provider_of("https://corp.example.org/v1") is None


def test_mapping(use_mapping: Callable[[Mapping[str, object]], None]) -> None:
    """The content of a file may be given without one; a float is taken as it prints."""
    use_mapping({"contract": [{"multiply": {"tokens": 0.85}}]})
    assert priced(THOUSAND).amount == Decimal("0.002125")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[[contract]]\nid = "x"\nmultiply = { tokens = "much" }',
            "[[contract]] x multiply.tokens = 'much' is no number; write one such as '0.002'",
        ),
        (
            "[[contract]]\nmultiply = { tokens = -1 }",
            "[[contract]] number 1 multiply.tokens = -1 must be finite and not negative",
        ),
        (
            "[[contract]]\nmultiply = { tokens = true }",
            "[[contract]] number 1 multiply.tokens = True is no number; write one such as '0.002'",
        ),
        (
            "[[contract]]\nset = { input = nan }",
            "[[contract]] number 1 set.input.base = Decimal('NaN') must be finite and not negative",
        ),
        (
            '[[list]]\nid = "y"\nsett = { input = 1 }',
            "[[list]] y sett is not known here; docs/pricing.md has a table of the fields",
        ),
        ('[[list]]\nid = "y"', "[[list]] y changes nothing; give it set, derive, multiply or fee"),
        (
            "[[list]]\nset = { inputs = 1 }",
            "[[list]] number 1 set: 'inputs' is no part or fee; there are: cache_read, ",
        ),
        (
            "[[list]]\nfrom = 2026-02-01\nuntil = 2026-02-01\nset = { input = 1 }",
            "[[list]] number 1 until = 2026-02-01 must be after from = 2026-02-01; until is the first day without",
        ),
        (
            '[[contract]]\ncurrency = "EUR"\nset = { input = 1 }',
            "currency = 'EUR' has no rate; say what one is worth in USD: [currency] EUR = '1.08'",
        ),
        (
            '[[alias]]\nmodel = "a-*"\nto = "{2}"',
            "[[alias]] number 1 to = '{2}': {1} to {1} stand for what the * of model = ['a-*'] match",
        ),
        ('[[alias]]\nmodel = "a"', "[[alias]] number 1 to Field required"),
        ("[tools.x]\ncost = 1\nper = 0", "[tools] x.per = 0 "),
        ("[[list]\n", "is no valid TOML: "),
        ("[contract]\nmultiply = 1", "[contract] "),
    ],
)
def test_refusals(use_toml: UseToml, tmp_path: Path, text: str, message: str) -> None:
    """What makes no sense is refused: the error names the file, the rule, the field, its value and the fix."""
    with pytest.raises(ConfigurationError) as caught:
        use_toml(text)
    assert str(caught.value).startswith(str(tmp_path / "taskmeter.toml"))
    assert message in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    """A file that was named and is not there is an error, and the prices stay as they are."""
    with pytest.raises(ConfigurationError, match=r"the price file '.*nowhere\.toml' cannot be read"):
        pricing.use(tmp_path / "nowhere.toml")
    parts: dict[Part, int] = {"input": 1000}
    assert priced(Usage(parts)).amount == Decimal("0.0025")
