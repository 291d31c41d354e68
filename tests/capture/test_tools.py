"""Tool runs without code: of the SDKs' tool runners and of MCP clients."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from importlib.util import find_spec
from typing import Any

import anthropic
import pytest

from taskmeter import pricing, track_task, track_tool
from taskmeter.demo.stub import ToolCall, anthropic_message
from tests.capture import tool_programs as t
from tests.capture.harness import CLAUDE, CLAUDE_USD, GPT_USD, Kit, Meter, Program, attributes, run_bare, run_metered
from tests.capture.sdks import OLD

RUNNERS = [
    (t.openai_runner, t.OPENAI, False, 2 * GPT_USD),
    (t.openai_runner_async, t.OPENAI, False, 2 * GPT_USD),
    (t.anthropic_runner, t.ANTHROPIC, False, 2 * CLAUDE_USD),
    (t.anthropic_runner, t.ANTHROPIC, True, 2 * CLAUDE_USD),
    (t.anthropic_runner_async, t.ANTHROPIC, False, 2 * CLAUDE_USD),
    (t.anthropic_runner_async, t.ANTHROPIC, True, 2 * CLAUDE_USD),
]
runners = pytest.mark.parametrize(
    ("program", "replies", "traced", "calls_usd"),
    RUNNERS,
    ids=[f"{program.__name__}-{'native' if traced else 'ours'}" for program, _, traced, _ in RUNNERS],
)


RUNNER_SEEN = not OLD or find_spec("anthropic.lib._tracing") is not None
"""Whether Anthropic's runner tells each tool's call; before 1.14 only the function that it runs can be seen."""


@pytest.fixture
def price_file() -> Iterator[None]:
    pricing.use({"tools": {"order_status": {"cost": "0.01", "category": "retrieval"}}})
    yield
    pricing.use(None)


def tools_of(meter: Meter) -> list[dict[str, Any]]:
    return [attributes(span) for span in meter.spans("tool")]


def needs_runner(program: Program | None, *, traced: bool) -> None:
    """Raises for an SDK without this runner, or without spans of its own for tools."""
    if program in (t.openai_runner, t.openai_runner_async):
        import openai.lib.responses_tool_runner  # noqa: F401
    if traced:
        from anthropic.lib._tracing import tool_use_span  # noqa: F401


@runners
@pytest.mark.usefixtures("price_file")
def test_a_runners_tools_are_tool_runs(
    program: Program, replies: Any, traced: bool, calls_usd: Decimal, meter: Meter
) -> None:
    """Two runs, priced by the price file, one span each, the SDK's own where it opens one; all else as without us."""
    needs_runner(program, traced=traced)
    meter.close()
    bare = run_bare(program, replies)
    meter = Meter()
    meter.instrument()
    run = run_metered(program, replies, meter, traced=traced and meter.tracer_provider)
    meter.close()
    assert run.seen == bare[0]
    assert run.seen[0] == "returned"
    assert (run.task.tool_runs, run.task.cost.retrieval) == (2, Decimal("0.02"))
    assert run.task.cost.total == meter.leaf_sum() == calls_usd + Decimal("0.02")
    tools = tools_of(meter)
    assert [tool["gen_ai.tool.name"] for tool in tools] == ["order_status"] * 2
    known = program in (t.openai_runner, t.openai_runner_async) or RUNNER_SEEN
    assert len({tool.get("gen_ai.tool.call.id") for tool in tools}) == (2 if known else 1)
    assert {tool["taskmeter.task.id"] for tool in tools} == {run.task.id}
    every = [span for span in meter.exporter.get_finished_spans() if "gen_ai.tool.name" in attributes(span)]
    assert len(every) == 2
    assert {span.name for span in every} == {
        "anthropic.custom_tool_use order_status" if traced else "execute_tool order_status"
    }
    assert sum(point.count for point in meter.metric("gen_ai.execute_tool.duration")) == 2


@pytest.mark.parametrize("traced", [False, True], ids=["ours", "native"])
@pytest.mark.parametrize("name", ["order_status", "orders.status"])
@pytest.mark.parametrize("priced", [False, True], ids=["no price file", "price file"])
def test_a_tool_that_the_application_tracks_itself_is_one_run(
    name: str, traced: bool, priced: bool, meter: Meter
) -> None:
    """The application's word counts, unless the runner's tool has a price of its own under another name."""
    needs_runner(None, traced=traced)
    pricing.use({"tools": {"order_status": {"cost": "0.01"}}} if priced else None)
    try:
        status = track_tool(name, cost="0.5")(t.order_status)
        run = run_metered(
            lambda kit: t.anthropic_runner(kit, status), t.ANTHROPIC, meter, traced=traced and meter.tracer_provider
        )
    finally:
        pricing.use(None)
    both = priced and name == "orders.status"
    assert run.task.tool_runs == len(tools_of(meter)) == (4 if both else 2)
    assert run.task.cost.tools == Decimal("1.02" if both else "1")
    assert run.task.cost.total == meter.leaf_sum()


@pytest.mark.parametrize("traced", [False, True], ids=["ours", "native"])
def test_a_tool_that_fails_says_so(traced: bool, meter: Meter) -> None:
    """The runner tells the model; the span has the error's kind, not its message, and none of the arguments."""
    needs_runner(None, traced=traced)
    replies = (anthropic_message(CLAUDE, tool_calls=[ToolCall("order_status", {"order": 4711})]), t.ANTHROPIC[1])
    run = run_metered(t.anthropic_runner, replies, meter, traced=traced and meter.tracer_provider)
    assert run.task.tool_runs == 1
    (tool,) = tools_of(meter)
    assert tool["error.type"] == ("tool_error" if RUNNER_SEEN else "ValueError")
    assert "4711" not in str(tool)
    assert "no such order" not in str(tool)


def test_a_function_that_raises_ends_its_run(meter: Meter) -> None:
    """OpenAI's runner gives up with an error of its own, as ever; the span has the type of the function's."""

    def broken(order: int) -> str:
        raise LookupError(order)

    from openai.lib.responses_tool_runner import ToolRunnerError

    run = run_metered(lambda kit: t.openai_runner(kit, broken), t.OPENAI, meter)
    assert run.seen[:2] == ("raised", ToolRunnerError)
    assert [tool["error.type"] for tool in tools_of(meter)] == ["LookupError"]


def test_uninstrument_leaves_runners_alone(meter: Meter) -> None:
    """No run and no span without hooks."""
    meter.close()
    run = run_metered(t.openai_runner, t.OPENAI, meter)
    assert (run.task.tool_runs, tools_of(meter)) == (0, [])


def test_a_loop_of_the_applications_own(meter: Meter) -> None:
    """A tool that is called by hand is a run too."""
    tool = anthropic.beta_tool(t.order_status, name="order_status")

    async def order_status(order: int) -> str:
        """The status of an order."""
        return "shipped"

    async def main() -> object:
        return await anthropic.beta_async_tool(order_status).call({"order": 18})

    with track_task("test") as task:
        assert tool.call({"order": 17}) == asyncio.run(main()) == "shipped"
    assert (task.tool_runs, len(tools_of(meter))) == (2, 2)


@pytest.mark.parametrize("traced", [False, True], ids=["ours", "native"])
@pytest.mark.parametrize("order", [17, 4711])
def test_a_tool_of_an_agent_session(order: int, traced: bool, meter: Meter) -> None:
    """As the sessions' runner runs it, in the SDK's own span where it has one."""
    from anthropic.lib._tracing import tool_use_span
    from anthropic.lib.tools._beta_session_runner import SessionToolRunner
    from anthropic.types.beta.sessions import BetaManagedAgentsAgentCustomToolUseEvent as Event

    async def main() -> None:
        kit = Kit("http://127.0.0.1:1", traced=traced and meter.tracer_provider)
        tool = anthropic.beta_tool(t.order_status, name="order_status")
        event = Event.construct(id="evt_1", name="order_status", input={"order": order}, type="agent.custom_tool_use")
        async with kit.aanthropic() as client:
            runner = SessionToolRunner(client, "sesn_1", tools=[tool])
            with tool_use_span(client, tool, tool_use_id="evt_1", tool_name="order_status", input={}) as run:
                run.result, run.content = await runner._call_tool(tool, event, {"order": order})

    with track_task("test") as task:
        asyncio.run(main())
    assert task.tool_runs == 1
    (tool,) = tools_of(meter)
    assert (tool["gen_ai.tool.call.id"], tool["taskmeter.task.id"]) == ("evt_1", task.id)
    assert tool.get("error.type") == (None if order == 17 else "tool_error")
