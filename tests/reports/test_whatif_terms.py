"""What clients record of tiers, regions, searches, sound and caches is enough to make their price, and others."""

import json
import subprocess
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from taskmeter.records import Part
from taskmeter.reports.whatif_result import Range, WhatIf
from tests.reports.priced import Call, record_task, try_changes
from tests.reports.spans import Recorder

PROGRAM = """
import json, sys, warnings
import anthropic, httpx2, openai, taskmeter

warnings.simplefilter("ignore", DeprecationWarning)
setup = taskmeter.configure(spool="spool")
answers = []
http = httpx2.Client(transport=httpx2.MockTransport(lambda request: httpx2.Response(200, **answers.pop(0))))
clients = {
    "openai": openai.OpenAI(api_key="k", http_client=http),
    "eu": openai.OpenAI(api_key="k", http_client=http, base_url="https://eu.api.openai.com/v1"),
    "anthropic": anthropic.Anthropic(api_key="k", http_client=http),
}
for name, who, answer in json.loads(sys.argv[1]):
    client = clients[who]
    answers.append({"text": answer} if isinstance(answer, str) else {"json": answer})
    with taskmeter.track_task(name):
        if isinstance(answer, str):
            client.files.content("file-out").text
        elif who == "anthropic":
            client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": name}])
        elif answer["object"] == "response":
            client.responses.create(model="m", input=name)
        else:
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": name}])
setup.shutdown()
"""


def chat(model: str, tier: str | None = None, **details: Any) -> Mapping[str, Any]:
    """An answer of 1,000 tokens in and 100 out."""
    usage = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100, **details}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}
    answer = {"id": "c", "object": "chat.completion", "created": 1, "model": model, "choices": [choice], "usage": usage}
    return answer | ({"service_tier": tier} if tier else {})


def searched() -> Mapping[str, Any]:
    """A response that made two searches."""
    search = {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}
    usage = {"input_tokens": 1_000, "output_tokens": 100, "total_tokens": 1_100}
    usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    output = [{**search, "id": "w1"}, {**search, "id": "w2"}]
    common = {"object": "response", "created_at": 1, "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    return {"id": "r", "model": "gpt-5", "status": "completed", "output": output, "usage": usage, **common}


def message(**more: Any) -> Mapping[str, Any]:
    """A message of 100 tokens in and 10 out."""
    usage = {"input_tokens": 100, "output_tokens": 10, **more.pop("usage", {})}
    answer = {"id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-5", "stop_reason": "end_turn"}
    return answer | {"content": [{"type": "text", "text": "x"}], "stop_sequence": None, "usage": usage, **more}


def batch() -> str:
    """Two answers of a batch: too long together for the lower price of long prompts, each short enough."""
    counts = {"prompt_tokens": 200_000, "total_tokens": 200_100}
    lines = [
        {"custom_id": one, "response": {"status_code": 200, "body": chat("gpt-5.5", **counts)}, "error": None}
        for one in "ab"
    ]
    return "\n".join(map(json.dumps, lines))


SOUND = {
    "prompt_tokens_details": {"audio_tokens": 600, "text_tokens": 400},
    "completion_tokens_details": {"audio_tokens": 80, "text_tokens": 20},
}
WRITTEN = {
    "cache_creation_input_tokens": 500,
    "cache_read_input_tokens": 1_000,
    "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 300},
    "inference_geo": "us",
    "server_tool_use": {"web_search_requests": 2},
}
CONTAINER = {"id": "container_1", "expires_at": "2026-12-01T00:00:00Z"}
# USD per million, published: gpt-5 1.25 / 10; gpt-5.5 fast 12.5 / 75, EU 1.1 times, batch 2.5 / 15; gpt-audio 2.5 / 10,
# sound 32 / 64; Sonnet 5 2 / 10, cached 0.2, written 2.5 or 4, US 1.1 times; a search 0.01.
CALLS: dict[str, tuple[str, Any, str]] = {
    "standard": ("openai", chat("gpt-5", "default"), "0.00225"),
    "flex": ("openai", chat("gpt-5", "flex"), "0.001125"),
    "fast in the EU": ("eu", chat("gpt-5.5", "priority"), "0.022"),
    "sound": ("openai", chat("gpt-audio", **SOUND), "0.02552"),
    "searches": ("openai", searched(), "0.02225"),
    "caches in the US": ("anthropic", message(usage=WRITTEN), "0.02242"),
    "container": ("anthropic", message(container=CONTAINER), "0.0003"),
    "batch": ("openai", batch(), "1.003"),
}
FEES = {"searches": "0.02", "caches in the US": "0.02"}


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task for each of these calls."""
    directory = tmp_path_factory.mktemp("live")
    calls = json.dumps([(name, who, answer) for name, (who, answer, _) in CALLS.items()])
    subprocess.run([sys.executable, "-c", PROGRAM, calls], check=True, cwd=directory, timeout=120)
    return directory / "spool"


def by_name(result: WhatIf) -> Mapping[str, Range]:
    """What each task would cost."""
    return {row.name: row.new_total for row in result.rows if row.new_total is not None}


def test_every_call_is_repriced(spool: Path) -> None:
    """Tokens at twice their price; fees stay; of a container, what is known."""
    result = try_changes(spool, price=["*=x2"])
    assert {row.name: row.total for row in result.rows} == {name: Decimal(cost) for name, (*_, cost) in CALLS.items()}
    for name, total in by_name(result).items():
        cost, fees = Decimal(CALLS[name][2]), Decimal(FEES.get(name, "0"))
        assert (name, *total) == (name, *[2 * cost - fees] * 3)
    reach = result.reach
    assert (reach.calls, reach.repriced_calls, reach.left, reach.repriced_share) == (9, 9, (), 1.0)
    assert (reach.fees, reach.repriced_in_part, reach.other) == (Decimal("0.04"), 1, 0)
    assert "1 call of these cost more than that: some of it has no price, and is in no figure." in result.notes
    fees = (
        "$0.0400 of what was repriced is fees, as for searches: they stay with each call that is made, whoever answers."
    )
    assert fees in result.notes


def test_a_route_keeps_the_way_where_there_is_one(spool: Path) -> None:
    """Flex and a search stay with gpt-5-mini, 0.25 / 2; a region and a tier do with gpt-5.5's successor."""
    result = by_name(try_changes(spool, route=["*:gpt-5=gpt-5-mini", "*:gpt-5.5=gpt-5.4"], spreads=("0%", "0%")))
    # 1000 x 0.25 + 100 x 2 = 450, flex half of that; gpt-5.4 is 2.5 / 15, twice that when fast, 1.1 times in the EU;
    # by batch half: 2 x (200000 x 1.25 + 100 x 7.5)
    expected = {"standard": "0.00045", "flex": "0.000225", "searches": "0.02045"}
    expected |= {"fast in the EU": "0.0088", "batch": "0.5015"}
    assert {name: total.likely for name, total in result.items() if name in expected} == {
        name: Decimal(cost) for name, cost in expected.items()
    }


def test_what_a_route_cannot_keep_is_said(spool: Path) -> None:
    """Another provider has no flex; a model for text has no price for sound."""
    result = try_changes(spool, route=["*:gpt-*=claude-haiku-4-5"], spreads=("0%", "0%"))
    would_be = by_name(result)
    # 1000 x 1 + 100 x 5; searches and sound stay; a batch is one there too: 2 x (200000 x 0.5 + 100 x 2.5)
    assert would_be["flex"].likely == Decimal("0.0015")
    assert would_be["searches"].likely == Decimal("0.0215")
    assert would_be["sound"].likely == Decimal("0.02552")
    assert would_be["batch"].likely == Decimal("0.2005")
    text = "--route *:gpt-*=claude-haiku-4-5 leaves 1 call"
    said = [note.removeprefix(text) for note in result.notes if note.startswith(text)]
    assert sorted(said) == [
        " as before: the model has no price for their sound or images.",
        " at the standard price: none is published for region=eu, service_tier=priority.",
        " at the standard price: none is published for service_tier=flex.",
    ]


def test_waiting_takes_the_place_of_a_tier(spool: Path) -> None:
    """By batch gpt-5.5 in the EU is 2.5 / 15 times 1.1, however fast it was; half of gpt-5 as much again."""
    result = by_name(try_changes(spool, batch=["fast*", "standard@50%"]))
    assert result["fast in the EU"].likely == Decimal("0.0044")
    assert result["standard"].likely == Decimal("0.0016875")


# --- by the book alone


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


def test_prices_of_one_day(recorder: Recorder) -> None:
    """o3 cost 10 / 40 a million before 2025-06-10, and 2 / 8 since; before 2025-04-17 it had no flex."""
    parts: Mapping[Part, int] = {"input": 1_000, "output": 100}
    record_task(recorder, "a", "t", [Call(parts, "o3")])
    assert try_changes(recorder.directory, prices_of="2025-06-01").total.new_total == Range(*[Decimal("0.014")] * 3)
    assert try_changes(recorder.directory, prices_of="2026-01-01").total.saving == Range(*[Decimal(0)] * 3)
    record_task(recorder, "b", "u", [Call(parts, "o3", variants=(("service_tier", "flex"),))])
    result = try_changes(recorder.directory, prices_of="2025-04-01")
    assert by_name(result)["b"].likely == Decimal("0.0014")
    assert "--prices-of 2025-04-01 leaves 1 call as before: no such price of that day is known." in result.notes


def test_a_contract_that_is_not_in_force(recorder: Recorder) -> None:
    """Is a reason of its own, with what it cost."""
    counts = {"INPUT_TOKENS": 1_000, "OUTPUT_TOKENS": 100, "PROVIDER": "openai"}
    with recorder.task("a", "t", "0.0018", CALLS=1):
        recorder.call("0.0018", **counts, CALL_COST_LIST=0.00225)
    result = try_changes(recorder.directory, price=["*=x2"])
    (left,) = result.reach.left
    assert (left.reason, left.calls, left.cost, left.share) == ("contract", 1, Decimal("0.0018"), 1.0)
    assert any("by a contract that the price file in force does not have" in note for note in result.notes)


@pytest.mark.parametrize(
    "parts", ["{", "[]", '{"web_search": 3}', '{"input_audio": ["x", "1"], "fee": [1]}', "null", '"x"']
)
def test_parts_that_are_none(recorder: Recorder, parts: str) -> None:
    """What somebody else wrote there is no reason to fail, nor to guess."""
    with recorder.task("a", "t", "9", CALLS=1):
        terms = {"COST_PARTS": parts, "PRICE_TERMS": parts}
        recorder.call("9", INPUT_TOKENS=1_000, OUTPUT_TOKENS=10, PROVIDER="openai", **terms)
    result = try_changes(recorder.directory, price=["*=x2"])
    assert [(left.reason, left.cost) for left in result.reach.left] == [("not_reproduced", Decimal(9))]
    assert result.total.new_total == Range(*[Decimal(9)] * 3)
