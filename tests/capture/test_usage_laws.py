"""Whatever a provider says of its usage: no fault, and the parts add up to it or the cost is not called exact."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskmeter import Task, track_task
from taskmeter.demo.stub import (
    Event,
    anthropic_message,
    anthropic_message_stream,
    openai_chat,
    openai_chat_stream,
    openai_images,
    openai_response,
)
from tests.capture import programs as p
from tests.capture.harness import CLAUDE, GPT, Kit, Meter, attributes
from tests.capture.sdks import fake_http

COUNT = st.integers(0, 10**6)
ANY: st.SearchStrategy[Any] = st.one_of(
    COUNT,
    COUNT,
    st.none(),
    st.integers(-5, -1),
    st.integers(2**53, 2**80),
    st.booleans(),
    st.text(max_size=3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
)


def usages(total: str, output: str, details: dict[str, list[str]]) -> st.SearchStrategy[Any]:
    names = {
        name: st.one_of(ANY, st.fixed_dictionaries({}, optional=dict.fromkeys(inner, ANY)))
        for name, inner in details.items()
    }
    fields = {total: ANY, output: ANY, "total_tokens": ANY, **names}
    return st.one_of(
        ANY, st.fixed_dictionaries({}, optional=fields), st.fixed_dictionaries({total: COUNT, output: COUNT})
    )


CHAT_USAGE = usages(
    "prompt_tokens",
    "completion_tokens",
    {
        "prompt_tokens_details": ["cached_tokens", "cache_write_tokens", "audio_tokens"],
        "completion_tokens_details": ["reasoning_tokens", "audio_tokens"],
    },
)
RESPONSE_USAGE = usages(
    "input_tokens",
    "output_tokens",
    {"input_tokens_details": ["cached_tokens"], "output_tokens_details": ["reasoning_tokens"]},
)
MESSAGE_USAGE = st.one_of(
    ANY,
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(
                ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens"], ANY
            ),
            "cache_creation": st.one_of(ANY, st.fixed_dictionaries({}, optional={"ephemeral_1h_input_tokens": ANY})),
            "output_tokens_details": st.one_of(ANY, st.fixed_dictionaries({}, optional={"thinking_tokens": ANY})),
            "server_tool_use": st.one_of(ANY, st.fixed_dictionaries({}, optional={"web_search_requests": ANY})),
            "service_tier": ANY,
        },
    ),
)


class Wire:
    """Clients whose provider answers with `body` or `events`."""

    def __init__(self) -> None:
        self.content = b""
        self.kind = "application/json"
        # As the providers' own: of a host that nobody knows no cost is exact.
        self.openai = Kit("").openai(http_client=fake_http(openai, self.reply), base_url="https://api.openai.com/v1")
        self.router = Kit("").openai(http_client=fake_http(openai, self.reply), base_url="https://openrouter.ai/api/v1")
        self.anthropic = Kit("").anthropic(
            http_client=fake_http(anthropic, self.reply), base_url="https://api.anthropic.com"
        )

    def reply(self, _: Any) -> tuple[bytes, str]:
        return self.content, self.kind

    def says(self, body: Any) -> None:
        self.kind = "application/json"
        self.content = json.dumps(body).encode()

    def streams(self, events: Any) -> None:
        self.kind = "text/event-stream"
        self.content = b"".join(event.encode() for event in events)


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    running = Wire()
    yield running
    running.openai.close()


laws = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=150)


def call_of(meter: Meter, task: Task) -> dict[str, Any]:
    [span] = meter.spans("call")
    meter.exporter.clear()
    assert task.calls == 1
    found = attributes(span)
    assert (found["taskmeter.cost.status"] == "unpriced") is (task.unpriced_calls == 1)
    assert ("gen_ai.usage.cost.amount" in found) is (task.unpriced_calls == 0)
    assert all(count > 0 for count in task.usage.tokens.values())
    return found


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 2**53


def stated(usage: Any, *path: str) -> int:
    """What `usage` says at `path`; 0 for what it does not say. Fails on what is no count."""
    for name in path:
        usage = usage.get(name) if isinstance(usage, dict) else None
    assert usage is None or is_count(usage)
    return usage or 0


def check_total(usage: Any, taken: str, made: str) -> None:
    """What is exact has no total that says otherwise."""
    if stated(usage, "total_tokens"):
        assert stated(usage, "total_tokens") == stated(usage, taken) + stated(usage, made)


@laws
@given(usage=CHAT_USAGE)
def test_chat(meter: Meter, wire: Wire, usage: Any) -> None:
    """An exact call has stated counts only, and its parts are the totals."""
    wire.says({**openai_chat(GPT), "usage": usage})
    with track_task("test") as task:
        wire.openai.chat.completions.create(**p.CHAT)
    if call_of(meter, task)["taskmeter.cost.status"] == "exact":
        check_total(usage, "prompt_tokens", "completion_tokens")
        assert task.usage.input_tokens == stated(usage, "prompt_tokens")
        assert task.usage.output_tokens == stated(usage, "completion_tokens")
        assert task.usage.reasoning_tokens == stated(usage, "completion_tokens_details", "reasoning_tokens")
        assert task.usage.cache_read_tokens == stated(usage, "prompt_tokens_details", "cached_tokens")


@laws
@given(usage=RESPONSE_USAGE)
def test_response(meter: Meter, wire: Wire, usage: Any) -> None:
    """As for chat, under other names."""
    wire.says({**openai_response(GPT), "usage": usage})
    with track_task("test") as task:
        wire.openai.responses.create(**p.RESPONSE)
    if call_of(meter, task)["taskmeter.cost.status"] == "exact":
        check_total(usage, "input_tokens", "output_tokens")
        assert task.usage.input_tokens == stated(usage, "input_tokens")
        assert task.usage.output_tokens == stated(usage, "output_tokens")


UNKNOWN = (
    st.text("abcdefgh", min_size=3, max_size=8)
    .map(lambda name: f"{name}_tokens")
    .filter(lambda name: name != "cached_tokens")
)


@laws
@given(name=UNKNOWN, count=st.integers(1, 10**6), details=st.sampled_from(["", "input_tokens_details"]))
def test_unknown_count(meter: Meter, wire: Wire, name: str, count: int, details: str) -> None:
    """A count of tomorrow is neither charged nor passed over."""
    body = openai_response(GPT)
    usage = body["usage"]
    found = {**usage, details: {**usage[details], name: count}} if details else {**usage, name: count}
    wire.says({**body, "usage": found})
    with track_task("test") as task:
        wire.openai.responses.create(**p.RESPONSE)
    said = call_of(meter, task)
    assert (said["taskmeter.cost.status"], said["taskmeter.cost.exact"]) == ("partial", "0.000078")
    assert f"{name} ({count})" in said["taskmeter.cost.status.reason"]


TURN = st.fixed_dictionaries({"type": st.sampled_from(["message", "compaction", "advisor_message"]),
    "model": st.sampled_from([None, CLAUDE, "claude-opus-5"]), "input_tokens": COUNT,
    "cache_read_input_tokens": COUNT, "output_tokens": COUNT})  # fmt: skip


@laws
@given(turns=st.lists(TURN, min_size=1, max_size=4))
def test_turns(meter: Meter, wire: Wire, turns: list[Any]) -> None:
    """The usage of a message with turns is that of all of them, each charged to the model that made it."""
    wire.says({**anthropic_message(CLAUDE), "usage": {"input_tokens": 1, "output_tokens": 1, "iterations": turns}})
    with track_task("test") as task:
        wire.anthropic.messages.create(**p.MESSAGE)
    assert call_of(meter, task)["taskmeter.cost.status"] == "exact"
    assert task.usage.output_tokens == sum(turn["output_tokens"] for turn in turns)
    cached = sum(turn["cache_read_input_tokens"] for turn in turns)
    assert task.usage.input_tokens == cached + sum(turn["input_tokens"] for turn in turns)
    # Sonnet 5 is 2 and 10 with .2 cached, Opus 5 two and a half times that.
    assert task.cost.total == sum(
        (2 * turn["input_tokens"] + Decimal("0.2") * turn["cache_read_input_tokens"] + 10 * turn["output_tokens"])
        * (Decimal("2.5") if turn["model"] == "claude-opus-5" else 1) / 1_000_000 for turn in turns
    )  # fmt: skip


@laws
@given(
    cost=st.one_of(ANY, st.floats(), st.floats(0, 1)),
    byok=st.one_of(st.none(), st.booleans()),
    upstream=st.one_of(ANY, st.floats(0, 1)),
)
def test_stated_cost(meter: Meter, wire: Wire, cost: Any, byok: Any, upstream: Any) -> None:
    """Whatever is stated as a cost, what is taken for one is an amount; for anything else the list price holds."""
    body = openai_chat("openai/gpt-5")
    details = {"upstream_inference_cost": upstream}
    wire.says({**body, "usage": {**body["usage"], "cost": cost, "is_byok": byok, "cost_details": details}})
    with track_task("test") as task:
        wire.router.chat.completions.create(**p.CHAT)
    found = call_of(meter, task)
    if found["gen_ai.usage.cost.source"] == "provider":
        stated_usd = Decimal(str(cost)) + (Decimal(str(upstream)) if byok else 0)
        assert 0 <= task.cost.total == stated_usd <= 20_000
    else:
        assert task.cost.total == Decimal("0.00039")  # 120 x 1.25 + 24 x 10


IMAGE_USAGE = usages(
    "input_tokens",
    "output_tokens",
    {
        "input_tokens_details": ["image_tokens", "text_tokens", "cached_tokens", "cached_tokens_details"],
        "output_tokens_details": ["image_tokens", "text_tokens"],
    },
)


@laws
@given(usage=IMAGE_USAGE)
def test_image(meter: Meter, wire: Wire, usage: Any) -> None:
    """As for a Response; output that is not said to be text is an image."""
    wire.says({**openai_images(), "usage": usage})
    with track_task("test") as task:
        wire.openai.images.generate(model="gpt-image-1.5", prompt="A parcel.")
    if call_of(meter, task)["taskmeter.cost.status"] == "exact":
        assert task.usage.input_tokens == stated(usage, "input_tokens")
        assert task.usage.output_tokens == stated(usage, "output_tokens")


@laws
@given(
    usage=st.one_of(ANY, st.fixed_dictionaries({"seconds": ANY}), st.fixed_dictionaries({"input_token_details": ANY}))
)
def test_transcription(meter: Meter, wire: Wire, usage: Any) -> None:
    """Whatever is said of its time, no fault; what is no time is not charged."""
    wire.says({"text": "Done.", "usage": usage})
    with track_task("test") as task:
        wire.openai.audio.transcriptions.create(
            model="whisper-1", file=("a.wav", b"RIFF"), response_format="verbose_json"
        )
    call_of(meter, task)


def check_message(found: dict[str, Any], task: Task, usage: Any) -> None:
    if found["taskmeter.cost.status"] == "exact":
        cached = stated(usage, "cache_creation_input_tokens") + stated(usage, "cache_read_input_tokens")
        assert task.usage.input_tokens == stated(usage, "input_tokens") + cached
        assert task.usage.output_tokens == stated(usage, "output_tokens")
        assert task.usage.fees.get("web_search", 0) == stated(usage, "server_tool_use", "web_search_requests")


@laws
@given(usage=MESSAGE_USAGE)
def test_message(meter: Meter, wire: Wire, usage: Any) -> None:
    """Anthropic's input count leaves out what went through the cache: the parts are added to it."""
    wire.says({**anthropic_message(CLAUDE), "usage": usage})
    with track_task("test") as task:
        wire.anthropic.messages.create(**p.MESSAGE)
    check_message(call_of(meter, task), task, usage)


@laws
@given(opening=MESSAGE_USAGE, closing=MESSAGE_USAGE)
def test_message_stream(meter: Meter, wire: Wire, opening: Any, closing: Any) -> None:
    """A stream states its usage twice: what the last word leaves out, the first said."""
    body = anthropic_message(CLAUDE)
    events = [dict(event.data) for event in anthropic_message_stream(body) if isinstance(event.data, dict)]
    first = next(event for event in events if event["type"] == "message_start")
    first["message"] = {**first["message"], "usage": opening}
    next(event for event in events if event["type"] == "message_delta")["usage"] = closing
    wire.streams([Event(event, name=event["type"]) for event in events])
    with track_task("test") as task:
        list(wire.anthropic.messages.create(**p.MESSAGE, stream=True))
    found = call_of(meter, task)
    before = opening if isinstance(opening, dict) else {}
    after = {name: value for name, value in closing.items() if value is not None} if isinstance(closing, dict) else {}
    check_message(found, task, {**before, **after})


@laws
@given(usage=CHAT_USAGE)
def test_chat_stream(meter: Meter, wire: Wire, usage: Any) -> None:
    """What the last chunk says counts, if it says a count."""
    wire.streams(openai_chat_stream({**openai_chat(GPT), "usage": usage}))
    with track_task("test") as task:
        list(wire.openai.chat.completions.create(**p.CHAT, stream=True))
    if call_of(meter, task)["taskmeter.cost.status"] == "exact":
        assert task.usage.input_tokens == stated(usage, "prompt_tokens")
        assert task.usage.output_tokens == stated(usage, "completion_tokens")
