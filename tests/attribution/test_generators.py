"""Async generators under event loops and web servers: each step in its task, none of it between two steps."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

from taskmeter import Task, charge, current_task, track_step, track_task
from tests.attribution.wire import PRICES, Clients
from tests.capture.harness import Meter, attributes


@track_task("generate")
async def generate(clients: Clients | None = None) -> AsyncIterator[str]:
    """Three parts, each with a call or a charge, in a step that is open over all yields."""
    async with track_step("parts"):
        for number in range(3):
            await anyio.lowlevel.checkpoint()
            if clients is None:
                charge("1")
            else:
                await clients.call("openai", "1", asynchronous=True)
            yield str(number)


def outcomes(meter: Meter) -> list[tuple[str, str]]:
    return [
        (attributes(span)["taskmeter.task.outcome"], attributes(span)["taskmeter.cost.exact"])
        for span in meter.spans("task")
    ]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("ending", ["read", "break", "dropped", "cancelled"])
@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # trio says so of any that is dropped
def test_every_ending_on_both_loops(backend: str, ending: str, meter: Meter) -> None:
    """Ends once; the consumer's own task is current between all steps and afterwards."""

    async def consume() -> Task:
        with track_task("consumer") as consumer:
            generator: Any = generate()
            with anyio.CancelScope() as scope:
                async for _ in generator:
                    assert current_task() is consumer
                    if ending == "break":
                        break
                    if ending == "dropped":
                        del generator
                        break
                    if ending == "cancelled":
                        scope.cancel()
                        await anyio.lowlevel.checkpoint()
            if ending in ("break", "cancelled"):
                await generator.aclose()
            if ending == "dropped":
                gc.collect()
                await anyio.sleep(0.01)
            assert current_task() is consumer
        return consumer

    consumer = anyio.run(consume, backend=backend)
    cost = "3" if ending == "read" else "1"
    assert outcomes(meter)[0] == ("succeeded" if ending == "read" else "abandoned", cost)
    assert len(outcomes(meter)) == 2
    assert consumer.cost.total == Decimal(cost)


def test_steps_and_end_in_different_asyncio_tasks(meter: Meter) -> None:
    """As frameworks do: the first step here, the next there, closed by a third."""

    async def main() -> None:
        generator: Any = generate()

        async def step() -> None:
            with track_task("other") as other:
                await anext(generator)
                assert current_task() is other

        await asyncio.create_task(step())
        await asyncio.create_task(step())
        await asyncio.create_task(generator.aclose())

    asyncio.run(main())
    assert outcomes(meter)[-1] == ("abandoned", "2")


def test_a_streaming_response(meter: Meter, clients: Clients) -> None:
    """The body is made after the handler has returned, in a task of its own, which the server never sees."""
    seen: list[Task | None] = []

    async def handle(_: object) -> StreamingResponse:
        with track_task("request"):
            return StreamingResponse(watched(generate(clients)))

    async def watched(body: AsyncIterator[str]) -> AsyncIterator[str]:
        async for part in body:
            seen.append(current_task())
            yield part

    async def main() -> str:
        transport = httpx.ASGITransport(Starlette(routes=[Route("/", handle)]))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return (await client.get("/")).text

    assert asyncio.run(main()) == "012"
    assert seen == [None] * 3
    assert outcomes(meter) == [("succeeded", "0"), ("succeeded", str(3 * PRICES["openai"]))]


def test_many_generators_at_once(meter: Meter) -> None:
    """Interleaved step by step, each with its own account."""

    async def main() -> None:
        generators: list[Any] = [generate() for _ in range(50)]
        for _ in range(3):
            await asyncio.gather(*(anext(generator) for generator in generators))
        for generator in generators:
            await generator.aclose()

    asyncio.run(main())
    assert outcomes(meter) == [("abandoned", "3")] * 50
