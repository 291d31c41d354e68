"""Tool runs without code: of the SDKs' tool runners and of MCP clients."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from openai.lib.responses_tool_runner import ToolRunnerError

from taskmeter import Task, pricing, track_task, track_tool
from taskmeter.demo.stub import ToolCall, anthropic_message
from tests.capture import tool_programs as t
from tests.capture.harness import CLAUDE, CLAUDE_USD, GPT_USD, Meter, Program, attributes, run_bare, run_metered
from tests.capture.mcp_server import server

SERVER = Path(__file__).with_name("mcp_server.py")
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


@pytest.fixture
def price_file() -> Iterator[None]:
    pricing.use({"tools": {"order_status": {"cost": "0.01", "category": "retrieval"}}})
    yield
    pricing.use(None)


def tools_of(meter: Meter) -> list[dict[str, Any]]:
    return [attributes(span) for span in meter.spans("tool")]


@runners
@pytest.mark.usefixtures("price_file")
def test_a_runners_tools_are_tool_runs(
    program: Program, replies: Any, traced: bool, calls_usd: Decimal, meter: Meter
) -> None:
    """Two runs, priced by the price file, one span each, the SDK's own where it opens one; all else as without us."""
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
    assert len({tool["gen_ai.tool.call.id"] for tool in tools}) == 2
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
    replies = (anthropic_message(CLAUDE, tool_calls=[ToolCall("order_status", {"order": 4711})]), t.ANTHROPIC[1])
    run = run_metered(t.anthropic_runner, replies, meter, traced=traced and meter.tracer_provider)
    assert run.task.tool_runs == 1
    (tool,) = tools_of(meter)
    assert tool["error.type"] == "tool_error"
    assert "4711" not in str(tool)
    assert "no such order" not in str(tool)


def test_a_function_that_raises_ends_its_run(meter: Meter) -> None:
    """OpenAI's runner gives up with an error of its own, as ever; the span has the type of the function's."""

    def broken(order: int) -> str:
        raise LookupError(order)

    run = run_metered(lambda kit: t.openai_runner(kit, broken), t.OPENAI, meter)
    assert run.seen[:2] == ("raised", ToolRunnerError)
    assert [tool["error.type"] for tool in tools_of(meter)] == ["LookupError"]


def test_uninstrument_leaves_runners_alone(meter: Meter) -> None:
    """No run and no span without hooks."""
    meter.close()
    run = run_metered(t.openai_runner, t.OPENAI, meter)
    assert (run.task.tool_runs, tools_of(meter)) == (0, [])


async def over_stdio() -> Task:
    parameters = StdioServerParameters(command=sys.executable, args=[str(SERVER)])
    with track_task("test") as task:
        async with stdio_client(parameters) as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            answer = await session.call_tool("order_status", {"order": 17})
            assert "on its way" in str(answer)
            refused = await session.call_tool("refund", {"order": 17})
            assert refused.is_error
    return task


@pytest.mark.usefixtures("price_file")
def test_mcp_calls_over_stdio_are_tool_runs(meter: Meter) -> None:
    """A real server in a process of its own: one run per call, priced by name, errors marked, no argument recorded."""
    task = asyncio.run(over_stdio())
    assert (task.tool_runs, task.cost.total, task.cost.retrieval) == (2, Decimal("0.01"), Decimal("0.01"))
    assert meter.leaf_sum() == Decimal("0.01")
    status, refund = tools_of(meter)
    assert (status["gen_ai.tool.name"], status.get("error.type")) == ("order_status", None)
    assert (refund["gen_ai.tool.name"], refund["error.type"]) == ("refund", "tool_error")
    assert "17" not in str({**status, "taskmeter.task.id": ""}) + str({**refund, "taskmeter.task.id": ""})


@pytest.mark.usefixtures("price_file")
@pytest.mark.parametrize(
    ("name", "tool", "runs", "usd"),
    [
        ("order_status", "order_status", 1, "0.5"),
        ("orders.status", "order_status", 2, "0.51"),
        ("orders.refund", "refund", 1, "0.5"),
    ],
)
def test_mcp_calls_inside_a_tracked_tool(name: str, tool: str, runs: int, usd: str, meter: Meter) -> None:
    """The same run, unless the call has a price of its own under another name."""

    async def main() -> Task:
        async with Client(server) as client:
            with track_task("test") as task, track_tool(name, cost="0.5"):
                await client.call_tool(tool, {"order": 17})
        return task

    task = asyncio.run(main())
    assert (task.tool_runs, task.cost.total) == (runs, Decimal(usd))
    assert (len(tools_of(meter)), meter.leaf_sum()) == (runs, Decimal(usd))


def test_mcp_calls_at_once_and_cancelled(meter: Meter) -> None:
    """Each of many calls is one run of its task; one that is cancelled has its error, and the context is as before."""

    async def main() -> tuple[Task, Task]:
        async with Client(server) as client:
            with track_task("many") as many:
                await asyncio.gather(*(client.call_tool("order_status", {"order": n}) for n in range(10)))
            with track_task("cancelled") as cancelled:
                running = asyncio.create_task(client.call_tool("order_status", {"order": 1}))
                await asyncio.sleep(0)
                running.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await running
        return many, cancelled

    many, cancelled = asyncio.run(main())
    assert (many.tool_runs, cancelled.tool_runs) == (10, 1)
    assert [tool["error.type"] for tool in tools_of(meter) if "error.type" in tool] == ["CancelledError"]
