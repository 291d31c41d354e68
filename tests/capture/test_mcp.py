"""What MCP clients call are tool runs, without code."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from mcp import Client, ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from taskmeter import Task, pricing, track_task, track_tool
from tests.capture.harness import Meter, attributes
from tests.capture.mcp_server import server

SERVER = Path(__file__).with_name("mcp_server.py")


@pytest.fixture
def price_file() -> Iterator[None]:
    pricing.use({"tools": {"order_status": {"cost": "0.01", "category": "retrieval"}}})
    yield
    pricing.use(None)


def tools_of(meter: Meter) -> list[dict[str, object]]:
    return [attributes(span) for span in meter.spans("tool")]


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
