"""Anthropic's agents: what runs at the provider is counted by its events, what runs here by its calls."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import anthropic
import pytest

from taskmeter import track_task
from taskmeter.capture import agents
from taskmeter.capture.bounded import Remembered
from taskmeter.demo.stub import Event, Sse, StubProvider, ToolCall, anthropic_message
from taskmeter.demo.stub.wire import Request
from tests.capture.harness import CLAUDE, CLAUDE_USD, MESSAGES, Kit, Meter, attributes

USAGE = {
    "input_tokens": 120,
    "output_tokens": 24,
    "cache_read_input_tokens": 0,
    "cache_creation_input_tokens": 0,
}
SESSION: Any = {"id": "sesn_1", "type": "session", "agent": {"id": "a", "model": {"id": CLAUDE}, "multiagent": None}}
WHEN = "2026-11-22T00:00:00Z"
EVENTS: list[Any] = [
    {"type": "span.model_request_start", "id": "s1", "processed_at": WHEN},
    {"type": "agent.message", "id": "m1", "content": [], "processed_at": WHEN},
    {"type": "span.model_request_end", "id": "e1", "model_request_start_id": "s1", "is_error": False,
     "model_usage": USAGE, "processed_at": WHEN},
    {"type": "span.model_request_end", "id": "e2", "model_request_start_id": "s0", "is_error": False,
     "model_usage": {**USAGE, "speed": "standard"}, "processed_at": WHEN},
]  # fmt: skip


def provider(request: Request) -> Any:
    if request.path.endswith("/stream"):
        return Sse([Event(event, name="message") for event in EVENTS])
    if request.path.endswith("/events"):
        return {"data": EVENTS, "next_page": None}
    return SESSION


def make(kit: Kit) -> None:
    kit.anthropic().beta.sessions.create(agent="a", environment_id="env_1")


def streamed(kit: Kit) -> list[str]:
    with kit.anthropic().beta.sessions.events.stream("sesn_1") as stream:
        return [event.type for event in stream]


def listed(kit: Kit) -> list[str]:
    return [event.type for event in kit.anthropic().beta.sessions.events.list("sesn_1")]


async def streamed_async(kit: Kit) -> list[str]:
    async with kit.aanthropic() as client, await client.beta.sessions.events.stream("sesn_1") as stream:
        return [event.type async for event in stream]


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test starts with nothing booked."""
    monkeypatch.setattr(agents, "_booked", Remembered(100))
    monkeypatch.setattr(agents, "_agents", Remembered(100))


@pytest.mark.parametrize("read", [streamed, listed, streamed_async], ids=lambda read: read.__name__)
@pytest.mark.parametrize("traced", [False, True], ids=["untraced", "traced"])
def test_model_requests_of_a_session_are_calls(meter: Meter, read: Any, *, traced: bool) -> None:
    """Each is booked where it is read first, at the price of the agent's model, and never again."""
    with StubProvider(provider) as stub:
        kit = Kit(stub.url, traced=meter.tracer_provider if traced else False)
        with track_task("maker") as maker:
            make(kit)
        with track_task("test") as task:
            events = read(kit)
            events = asyncio.run(events) if asyncio.iscoroutine(events) else events
            assert events == [event["type"] for event in EVENTS]
            streamed(kit)
            listed(kit)
        kit.close()
    assert (maker.calls, task.calls, task.unpriced_calls) == (0, 2, 0)
    assert task.cost.total == meter.leaf_sum() == 2 * CLAUDE_USD
    spans = meter.spans("call")
    assert [span.name for span in spans] == ["chat claude-sonnet-5"] * 2
    assert [attributes(span)["taskmeter.cost.status"] for span in spans] == ["exact"] * 2


def test_session_made_elsewhere_has_no_known_model(meter: Meter) -> None:
    """Its tokens are known, its price is not."""
    with StubProvider(provider) as stub, track_task("test") as task:
        kit = Kit(stub.url)
        streamed(kit)
        kit.close()
    assert (task.calls, task.unpriced_calls, task.cost.total) == (2, 2, 0)
    assert task.usage.input_tokens == 240


def test_events_read_outside_any_task_belong_to_the_maker(meter: Meter) -> None:
    """As when a background thread listens."""
    with StubProvider(provider) as stub:
        kit = Kit(stub.url)
        with track_task("maker") as maker:
            make(kit)
        listed(kit)
        kit.close()
    assert maker.cost.total == 2 * CLAUDE_USD == meter.leaf_sum()


def run_tools(kit: Kit) -> Any:
    @anthropic.beta_tool
    def add(a: int, b: int) -> str:
        """Adds."""
        return str(a + b)

    client = kit.anthropic()
    return client.beta.messages.tool_runner(
        model=CLAUDE, max_tokens=100, messages=MESSAGES, tools=[add]
    ).until_done().content[0].text  # fmt: skip


async def run_tools_async(kit: Kit) -> Any:
    @anthropic.beta_async_tool
    async def add(a: int, b: int) -> str:
        """Adds."""
        return str(a + b)

    async with kit.aanthropic() as client:
        runner = client.beta.messages.tool_runner(model=CLAUDE, max_tokens=100, messages=MESSAGES, tools=[add])
        return (await runner.until_done()).content[0].text


def run_tools_streamed(kit: Kit) -> Any:
    @anthropic.beta_tool
    def add(a: int, b: int) -> str:
        """Adds."""
        return str(a + b)

    client = kit.anthropic()
    runner = client.beta.messages.tool_runner(model=CLAUDE, max_tokens=100, messages=MESSAGES, tools=[add], stream=True)
    return [message.get_final_message().stop_reason for message in runner][-1]


@pytest.mark.parametrize(
    "program", [run_tools, run_tools_async, run_tools_streamed], ids=lambda program: program.__name__
)
@pytest.mark.parametrize("traced", [False, True], ids=["untraced", "traced"])
def test_tool_runner_is_one_call_per_request(meter: Meter, program: Any, *, traced: bool) -> None:
    """Each on one span, beside the SDK's own of the run."""
    asks = anthropic_message(CLAUDE, "", tool_calls=[ToolCall("add", {"a": 1, "b": 2})])
    replies = [asks, anthropic_message(CLAUDE, "end_turn")]
    with StubProvider(lambda _: replies.pop(0)) as stub, track_task("test") as task:
        kit = Kit(stub.url, traced=meter.tracer_provider if traced else False)
        result = program(kit)
        assert (asyncio.run(result) if asyncio.iscoroutine(result) else result) == "end_turn"
        kit.close()
    names = sorted(span.name for span in meter.spans("call"))
    assert names == (["anthropic.messages.create"] if traced else ["chat claude-sonnet-5"]) * 2
    assert (task.calls, task.attempts, task.unpriced_calls) == (2, 2, 0)
    assert task.cost.total == meter.leaf_sum() == 2 * CLAUDE_USD == Decimal("0.00096")
    runs = [span for span in meter.exporter.get_finished_spans() if span.name == "anthropic.messages.tool_runner"]
    assert len(runs) == int(traced)
    assert all("gen_ai.usage.cost.amount" not in attributes(run) for run in runs)
