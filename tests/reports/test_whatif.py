"""`taskmeter whatif`: recorded calls under other terms."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from taskmeter.errors import UsageError
from taskmeter.records import total
from taskmeter.reports import recorded_calls
from taskmeter.reports.engine.warehouse import open_spool
from taskmeter.reports.portions import whole
from taskmeter.reports.scenario_texts import model_prices, scenarios, success
from taskmeter.reports.suggestions import suggest
from taskmeter.reports.whatif import open_book
from taskmeter.reports.whatif_result import Left, Range
from taskmeter.spool.compact import compact
from taskmeter.spool.read import SpoolReading
from tests.reports.priced import Call, random_calls, record_task, sent, try_changes
from tests.reports.spans import SECOND, Recorder

EXACT = ("0%", "0%")


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


def sure(amount: str) -> Range:
    return Range(*[Decimal(amount)] * 3)


# --- laws


@pytest.mark.parametrize("seed", range(2))
def test_prices_and_tokens_make_what_was_recorded(recorder: Recorder, seed: int) -> None:
    """Of every call, tier and length, to the last digit: nothing changed is the recorded cost."""
    calls = random_calls(seed)
    record_task(recorder, "work", "t", calls)
    with open_spool(SpoolReading(recorder.directory)) as warehouse:
        terms, _ = open_book(warehouse, {}, None, None)
        cells = recorded_calls.cells(warehouse, terms, [272_000])
    assert sum(cell.calls for cell in cells) == len(calls)
    assert total(whole(cell).cost for cell in cells) == total(call.cost() for call in calls)
    assert total(cell.cost for cell in cells) == total(call.cost() for call in calls)


@pytest.mark.parametrize("seed", range(2))
def test_what_a_factor_does(recorder: Recorder, seed: int) -> None:
    """x1 changes nothing, x2 doubles, -100% saves all."""
    calls = random_calls(seed)
    record_task(recorder, "work", "t", calls)
    spent = total(call.cost() for call in calls)
    for change, saved in (("x1", Decimal(0)), ("x2", -spent), ("-100%", spent)):
        result = try_changes(recorder.directory, price=[f"*={change}"])
        assert result.total.saving == sure(str(saved))
        assert result.scenarios[0].alone == result.scenarios[0].in_turn == result.total.saving


@pytest.mark.parametrize("seed", range(2))
def test_a_route_is_what_each_call_would_have_cost(recorder: Recorder, seed: int) -> None:
    """Summed calls at the new model's rates are what the price book makes of each: in its tier, and beyond the length
    at which the price steps up."""
    calls = [call for call in random_calls(seed) if call.provider == "openai"]
    record_task(recorder, "work", "t", calls)
    result = try_changes(recorder.directory, route=["work:*=gpt-5.5"], spreads=EXACT)
    assert result.total.new_total == sure(str(total(call.cost("gpt-5.5") for call in calls)))


@pytest.mark.parametrize("seed", range(2))
def test_ranges_hold_what_is_likely_and_turns_add_up(recorder: Recorder, seed: int) -> None:
    """low <= likely <= high everywhere; nothing is saved that was not spent; the likely turns add up to the whole."""
    record_task(recorder, "work", "t", random_calls(seed))
    result = try_changes(
        recorder.directory,
        response_cache="10%-30%",
        route=["work:gpt-5.4=gpt-5-nano@70%", "*:claude-*=gpt-5-mini"],
        batch=["*"],
        price=["openai/*=x0.5"],
    )
    ranges = [row.saving for row in result.rows] + [row.new_total for row in result.rows if row.new_total]
    ranges += [each for one in result.scenarios for each in (one.alone, one.in_turn)]
    assert all(low <= likely <= high for low, likely, high in ranges)
    assert result.total.total is not None
    assert result.total.saving.high <= result.total.total
    assert total(each.in_turn.likely for each in result.scenarios) == result.total.saving.likely


# --- each change, by hand. gpt-5 costs 1.25 a million, 0.125 cached, 10 for output


def test_seventy_thirty(recorder: Recorder) -> None:
    """70 % at 0.50 instead of 5.00 a million saves 0.7 x 4.50 / 5.00 = 63 %."""
    for task in range(10):
        record_task(recorder, "classify", f"t{task}", [Call({"input": 100_000}, "gpt-5.5")])
    stated = model_prices(["small=0.50/0.50"])
    result = try_changes(recorder.directory, stated=stated, route=["classify:gpt-5.5=small@70%"])
    assert (result.total.total, result.total.saving_share) == (Decimal("5.0"), 0.63)
    assert result.total.saving == sure("3.15")


def test_a_route_with_tokens_of_every_kind(recorder: Recorder) -> None:
    """To gpt-5-nano, 0.05, 0.005 cached and 0.40; answers 20 % longer or shorter; the step alone."""
    parts = {"input": 1_000, "cache_read": 2_000, "output": 100, "reasoning": 400}
    record_task(recorder, "resolve", "t", [Call(parts, step="draft"), Call(parts, step="check")])
    result = try_changes(recorder.directory, route=["dra*:gpt-5=gpt-5-nano"])
    # was 1000 x 1.25 + 2000 x 0.125 + 500 x 10 = 6500; would be 50 + 10 + 500 x 0.4 = 260, output 160 to 240
    assert result.total.total == Decimal("0.013")
    assert result.total.saving == Range(Decimal("0.0062"), Decimal("0.00624"), Decimal("0.00628"))
    assert result.scenarios[0].calls == 1


def test_another_providers_tokeniser(recorder: Recorder) -> None:
    """Input of 1,000 tokens may be 800 to 1,200 at claude-haiku-4-5, 1 and 5 a million, and output 0.64 to 1.44."""
    record_task(recorder, "resolve", "t", [Call({"input": 1_000, "output": 100})])
    result = try_changes(recorder.directory, route=["*=claude-haiku-4-5"])
    assert result.total.new_total == Range(Decimal("0.00112"), Decimal("0.0015"), Decimal("0.00192"))


def test_batch_and_flex(recorder: Recorder) -> None:
    """Half of gpt-5's price by either; what was billed by batch already saves nothing; Claude has no flex."""
    parts = {"input": 1_000, "output": 100}
    batch = (("processing", "batch"),)
    record_task(recorder, "a", "t1", [Call(parts), Call(parts, variants=batch)])
    record_task(recorder, "b", "t2", [Call(parts, "claude-sonnet-5", "anthropic")])
    for option in ("batch", "flex"):
        result = try_changes(recorder.directory, **{option: ["a"]})
        assert result.total.saving == sure("0.001125")
    unknown = try_changes(recorder.directory, flex=["b"])
    assert unknown.total.saving == sure("0")
    assert unknown.notes[0] == "--flex b leaves 1 call as before: no such price is published for the model."


def test_a_prompt_cache(recorder: Recorder) -> None:
    """What is sent again is read at 0.20 or, where it is lost, written at 2.50 like what is new, instead of 2.00."""
    first = Call({"input": 2_000}, "claude-sonnet-5", "anthropic")
    second = Call({"input": 3_000}, "claude-sonnet-5", "anthropic", more={"CONTEXT_CARRIED_TOKENS": 2_000})
    record_task(recorder, "resolve", "t", [first, second])
    record_task(recorder, "classify", "u", [first])
    result = try_changes(recorder.directory, cache="50%-95%")
    # 5000 x 2 = 10000. 50 %: 1000 x 0.2 + 4000 x 2.5 = 10200; 72.5 %: 290 + 3550 x 2.5; 95 %: 380 + 3100 x 2.5
    assert result.total.saving == Range(Decimal("-0.0002"), Decimal("0.000835"), Decimal("0.00187"))


def test_an_exact_response_cache(recorder: Recorder) -> None:
    """Asked again after a minute, two hours and two days: by how long an answer is kept."""
    for number, wait in enumerate((0, 60, 7_200, 172_800)):
        recorder.now += wait * SECOND
        record_task(recorder, "classify", f"t{number}", [Call({"input": 8_000}, more={"FINGERPRINT": "f" * 16})])
    record_task(recorder, "classify", "other", [Call({"input": 8_000}, more={"FINGERPRINT": "e" * 16})])
    result = try_changes(recorder.directory, response_cache="exact")
    assert result.total.saving == Range(Decimal("0.01"), Decimal("0.02"), Decimal("0.03"))


def test_a_semantic_response_cache(recorder: Recorder) -> None:
    """A stated share of all calls is not made."""
    record_task(recorder, "classify", "t", [Call({"input": 8_000})] * 10)
    assert try_changes(recorder.directory, response_cache="20%").total.saving == sure("0.02")
    result = try_changes(recorder.directory, response_cache="10%-20%")
    assert result.total.saving == Range(Decimal("0.01"), Decimal("0.015"), Decimal("0.02"))


def test_less_of_a_source(recorder: Recorder) -> None:
    """Documents of 4,000 tokens, half of them cached: 60 % of what they were billed at, a quarter more or less."""
    # 2000 x 1.25 + 2000 x 0.125 = 2750 per million
    documents = sent("documents", 4_000, "0.00275")
    parts = {"input": 6_000, "cache_read": 2_000, "output": 100}
    record_task(recorder, "resolve", "t", [Call(parts, more=documents), Call(parts)])
    result = try_changes(recorder.directory, context=["documents=-60%"])
    saving = [round(amount, 12) for amount in result.total.saving]
    assert saving == [Decimal("0.0012375"), Decimal("0.00165"), Decimal("0.0020625")]


def test_changes_act_in_a_stated_order(recorder: Recorder) -> None:
    """A route, then batch at the new model's price, then a factor on that; alone each saves what it would have."""
    record_task(recorder, "a", "t", [Call({"input": 8_000})])
    result = try_changes(
        recorder.directory, price=["gpt-5-nano=x2"], batch=["a"], route=["a=gpt-5-nano"], spreads=EXACT
    )
    assert [each.scenario.split()[0] for each in result.scenarios] == ["--route", "--batch", "--price"]
    # 0.01, routed 0.0004, by batch 0.0002, twice that 0.0004
    assert [each.in_turn for each in result.scenarios] == [sure("0.0096"), sure("0.0002"), sure("-0.0002")]
    assert [each.alone for each in result.scenarios] == [sure("0.0096"), sure("0.005"), sure("0")]


@pytest.mark.parametrize(("text", "new_rate"), [("-5%", 0.75), ("90%", 0.9), ("+40%", 1.0)])
def test_cost_of_a_success(recorder: Recorder, text: str, new_rate: float) -> None:
    """Spend over successes, from those that there were to those that there would be."""
    for number in range(5):
        outcome = "succeeded" if number else "failed"
        record_task(recorder, "a", f"t{number}", [Call({"input": 8_000})], outcome)
    result = try_changes(recorder.directory, [success(text)], batch=["a"])
    row = result.rows[0]
    assert (row.success_rate, row.new_success_rate, row.cost_per_success) == (0.8, new_rate, Decimal("0.0125"))
    fewer, more = sorted((4, 5 * new_rate))
    ends = [Decimal("0.025") / Decimal(str(count)) for count in (more, 5 * new_rate, fewer)]
    assert row.new_cost_per_success == tuple(round(each, 12) for each in ends)
    assert row.break_even_success_rate == 0.4


def test_success_by_workflow(recorder: Recorder) -> None:
    """The last that holds for a name counts; others keep their rate; the total has the sum of successes."""
    for name in "abc":
        for number in range(3):
            outcome = "succeeded" if number else "failed"
            record_task(recorder, name, f"{name}{number}", [Call({"input": 8_000})], outcome)
    stated = [success(text) for text in ("-10%", "a=-5%", "[ab]=0%", "a=50%")]
    result = try_changes(recorder.directory, stated, batch=["a", "b"])
    assert [row.new_success_rate for row in result.rows] == [0.5, 0.0, 0.666667]
    # 3 of 9 tasks at 0.005, 6 at 0.01, and 1.5 + 0 + 2 successes where there were 6
    assert result.total.new_cost_per_success == Range(
        Decimal("0.01"), Decimal("0.017142857143"), Decimal("0.017142857143")
    )


def test_what_cannot_be_repriced_stays_and_is_counted(recorder: Recorder) -> None:
    """Unpriced, in part, stated by the provider, without tokens or model, or of another amount than its tokens make."""
    counts = {"INPUT_TOKENS": 1_000, "OUTPUT_TOKENS": 10, "PROVIDER": "openai"}
    with recorder.task("a", "t", "6.00125", CALLS=7):
        recorder.call("0.00125", **(counts | {"OUTPUT_TOKENS": 0}))
        recorder.call(None, **counts)
        recorder.call("1", COST_STATUS="partial", **counts)
        recorder.call("1", CALL_COST_SOURCE="provider", **counts)
        recorder.call("1", PROVIDER="openai")
        recorder.call("1", INPUT_TOKENS=1_000)
        recorder.call("1", **counts)
        recorder.leaf("tool", "search", "1")
    result = try_changes(recorder.directory, price=["*=x3"])
    assert result.total.new_total == sure("6.00375")
    reasons = ("no_model", "no_tokens", "not_reproduced", "partial", "stated", "unpriced")
    amounts = [None if reason == "unpriced" else Decimal(1) for reason in reasons]
    shares = [None if amount is None else 0.166632 for amount in amounts]  # of 6.00125
    assert result.reach.left == tuple(map(Left, reasons, [1] * 6, amounts, shares))
    assert (result.reach.calls, result.reach.repriced_calls, result.reach.repriced) == (7, 1, Decimal("0.00125"))
    assert (result.reach.other, result.reach.other_share) == (Decimal(1), 0.166632)
    assert "Left as recorded: 1 call for $1.00, 16.7% of the spend, which has no tokens on its span." in result.notes
    assert "Left as recorded: 1 call, which has no price." in result.notes


def test_nested_tasks_are_in_the_row_of_the_outermost(recorder: Recorder) -> None:
    """Each dollar once; a name means the task itself."""
    with recorder.task("outer", "o", "0.02", "0.01"):
        recorder.call("0.01", PROVIDER="openai", INPUT_TOKENS=8_000)
        record_task(recorder, "inner", "i", [Call({"input": 8_000})])
    result = try_changes(recorder.directory, batch=["inner"])
    assert [(row.name, row.total, row.saving.likely) for row in result.rows] == [
        ("outer", Decimal("0.02"), Decimal("0.005"))
    ]


def test_a_compacted_spool_says_the_same(recorder: Recorder) -> None:
    """In Parquet, what repricing needs has columns."""
    documents = sent("documents", 1_000, "0.00125")
    again = Call({"input": 4_000}, more={"FINGERPRINT": "f" * 16, "CONTEXT_CARRIED_TOKENS": 2_000, **documents})
    record_task(recorder, "work", "t", [*random_calls(5), again, again])
    changes: dict[str, Any] = {"response_cache": "exact", "context": ["documents=-60%"], "cache": "50%-95%"}
    expected = try_changes(recorder.directory, **changes)
    recorder.relations()
    compact(recorder.directory, older_than=timedelta(), now=datetime.now(UTC) + timedelta(minutes=1))
    assert list(recorder.directory.glob("spans-*.parquet"))
    assert try_changes(recorder.directory, **changes) == expected
    assert min(each.calls for each in expected.scenarios) > 0


# --- what cannot be read

WRONG: list[tuple[Mapping[str, Any], str]] = [
    ({"route": ["classify"]}, "--route 'classify' is no route. Write 'STEP:MODEL=NEW_MODEL'"),
    ({"route": [":gpt-5=gpt-5-nano"]}, "names no step or task"),
    ({"route": ["a=b@170%"]}, "'170%' is no share. Write a percentage of 0% to 100%"),
    ({"price": ["gpt-5=5"]}, "--price 'gpt-5=5' is no change. Write 'MODEL=x5'"),
    ({"price": ["gpt-5=-120%"]}, "makes prices less than nothing"),
    ({"context": ["prompts=-60%"]}, "--context 'prompts=-60%' is no cut. Write SOURCE=-60%, with a source of system"),
    ({"context": ["user=-5%", "user=-9%"]}, "--context 'user=-9%' is the second cut of user. Write one for both"),
    ({"prices_of": "tomorrow"}, "--prices-of 'tomorrow' is no day. Write it as in 2026-11-01"),
    ({"batch": ["a@170%"]}, "'170%' is no share"),
    ({"response_cache": "often"}, "--response-cache 'often' is no share"),
    ({"cache": "90%-50%"}, "begins with the higher rate"),
    ({"spreads": ("much", "0%")}, "--token-spread 'much' is no share"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_what_makes_no_sense_is_refused(changes: Mapping[str, Any], message: str) -> None:
    """With the value and the fix."""
    with pytest.raises(UsageError) as raised:
        scenarios(**changes)
    assert message in str(raised.value)


@pytest.mark.parametrize("text", ["small", "small=1", "small=a/b", "=1/2"])
def test_a_price_that_is_none(text: str) -> None:
    """With the form that it should have."""
    with pytest.raises(UsageError, match="Write NAME=INPUT/OUTPUT"):
        model_prices([text])


@pytest.mark.parametrize("text", ["lots", "-500%", "5"])
def test_a_rate_that_is_none(text: str) -> None:
    """Percentage points, or the rate."""
    with pytest.raises(UsageError, match="is no rate"):
        success(text)


def test_a_model_without_a_price(recorder: Recorder) -> None:
    """Says how to state one."""
    record_task(recorder, "a", "t", [Call({"input": 8_000})])
    with pytest.raises(UsageError, match="--model-price 'mystery-9=INPUT/OUTPUT'"):
        try_changes(recorder.directory, route=["a=mystery-9"])


# --- suggestions


def test_suggestions(recorder: Recorder) -> None:
    """Many short answers without reasoning by gpt-5 might be gpt-6-luna's: 0.10 and 0.50 a million."""
    short = Call({"input": 1_000, "output": 20}, step="classify", more=sent("user", 1_000, "0.00125"))
    long = Call({"input": 1_000, "output": 100, "reasoning": 3_000}, step="think")
    record_task(recorder, "ticket", "t", [short] * 120 + [long] * 120)
    with open_spool(SpoolReading(recorder.directory)) as warehouse:
        result = suggest(warehouse)
    (row,) = result.rows
    assert (row.place, row.model, row.new_model, row.calls) == ("classify", "gpt-5", "gpt-6-luna", 120)
    # 120 x (1000 x 1.25 + 20 x 10) and 120 x (1000 x 0.10 + 20 x 0.50) per million
    assert (row.cost, row.new_cost, row.saving) == (Decimal("0.174"), Decimal("0.0132"), Decimal("0.1608"))
    assert row.share == 0.043027  # of 0.174 + 120 x (1250 + 31000) per million
    reasons = ("small output: 20 tokens", "no tools", "little reasoning: 0% of output", "many calls: 120")
    assert row.reasons == reasons
    assert row.route == "classify:gpt-5=gpt-6-luna"
    assert result.notes[1] == "1 more could be cheaper, but do not look like work for a smaller model."
