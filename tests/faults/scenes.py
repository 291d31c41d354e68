"""Programs for the guards that no call of a model gets to: scopes, outcomes, tools, and the SDK of another day."""

from __future__ import annotations

import asyncio
import pickle
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import anthropic
import openai
import tenacity
from opentelemetry.instrumentation.utils import suppress_instrumentation

from taskmeter import carry, document, pricing, record_outcome, track_step, track_task, track_tool
from taskmeter.capture import old_retries
from taskmeter.capture.hooks import Hooks
from taskmeter.demo.stub import Error, openai_chat
from tests.capture import programs as p
from tests.capture import tool_programs as t
from tests.capture.harness import GPT, Kit, Meter, Program, run_bare, run_metered
from tests.telemetry.test_foreign import CONVENTION

PRICES: Any = {"rates": {"human_per_hour": "60"}, "tools": {"order_status": {"cost": "0.01"}}}


@track_tool("count", cost=len)
def _counted(found: list[int]) -> list[int]:
    return found


@track_tool("order_status")
def _status() -> str:
    return "shipped"


def scopes(meter: Meter) -> Any:
    """A task's whole life: people's time with and without a price, tools, another process, a word from outside."""
    pricing.use(PRICES)
    try:
        with track_task("work", key="T-7") as task:
            seen = [document("a page", "kb"), _status(), *_counted([1, 2]), pickle.loads(pickle.dumps(carry(abs)))(-3)]
            meter.tracer_provider.get_tracer("acme.ai").start_span("chat", attributes=CONVENTION).end()
            with suppress_instrumentation():
                seen.append(_status())
            task.review(3)
        record_outcome(key="T-7", status="failed", human_minutes=2)
        pricing.use(None)
        with track_task("unpriced") as unpriced:
            unpriced.review(3)
        record_outcome(task_id=unpriced.id, status="failed")
    finally:
        pricing.use(None)
    return seen, task.name, unpriced.name


SCOPES = (["a page", "shipped", 1, 2, 3, "shipped"], "work", "unpriced")
"""What the program of that name returns without us, and with us."""


async def session_tool(kit: Kit) -> Any:
    """A tool of an agent session, as Anthropic's runner for them runs it."""
    from anthropic.lib.tools._beta_session_runner import SessionToolRunner
    from anthropic.types.beta.sessions import BetaManagedAgentsAgentCustomToolUseEvent as Event

    tool = anthropic.beta_tool(t.order_status, name="order_status")
    event = Event.construct(id="evt_1", name="order_status", input={"order": 17}, type="agent.custom_tool_use")
    async with kit.aanthropic() as client:
        return await SessionToolRunner(client, "sesn_1", tools=[tool])._call_tool(tool, event, {"order": 17})


async def mcp_tool(_: Kit) -> Any:
    """A request to an MCP server."""
    from mcp import Client

    from tests.capture.mcp_server import server

    async with Client(server) as client:
        return str(await client.call_tool("order_status", {"order": 17}))


class _Work:
    """No good until it has run twice; a step of a task, and a tool."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self) -> str:
        with track_step("try"):
            self.runs += 1
            if self.runs < 2:
                raise ValueError
            return _status()

    async def later(self) -> str:
        return self()


def loop(_: Kit) -> Any:
    """Loops of tenacity: around a function, and around a block; and a step that is opened again."""
    work = _Work()
    with suppress(ValueError):
        work()
    seen = [work(), tenacity.Retrying()(_Work())]
    for attempt in tenacity.Retrying():
        with attempt:
            seen.append(str(attempt.retry_state.attempt_number))
    return seen


async def loop_async(_: Kit) -> Any:
    """The same with asyncio."""
    seen = [await tenacity.AsyncRetrying()(_Work().later)]
    async for attempt in tenacity.AsyncRetrying():
        async with attempt:
            seen.append(str(attempt.retry_state.attempt_number))
    return seen


class OldSyncAPIClient(openai.OpenAI):
    """Goes through the functions for retries that the SDK had before 1.76; the next attempt is still the loop's."""

    def _sleep_for_retry(self, **_: Any) -> None:
        self._retry_request()

    def _retry_request(self) -> None:
        time.sleep(0.01)
        self._request()

    def _request(self) -> None:
        """The next attempt begins."""


class OldAsyncAPIClient(openai.AsyncOpenAI):
    """See `OldSyncAPIClient`."""

    async def _sleep_for_retry(self, **_: Any) -> None:
        await self._retry_request()

    async def _retry_request(self) -> None:
        await asyncio.sleep(0.01)
        await self._request()

    async def _request(self) -> None:
        """The next attempt begins."""


_OLD_HOOKS = Hooks([replace(hook, module=__name__, owner=f"Old{hook.owner}") for hook in old_retries.hooks()])
_RETRIED = (Error(429, retry_after=0.01), openai_chat(GPT))


def old_chat(kit: Kit) -> Any:
    with OldSyncAPIClient(api_key="stub", base_url=f"{kit.url}/v1") as client:
        return client.chat.completions.create(**p.CHAT)


async def old_chat_async(kit: Kit) -> Any:
    async with OldAsyncAPIClient(api_key="stub", base_url=f"{kit.url}/v1") as client:
        return await client.chat.completions.create(**p.CHAT)


def old_bare(program: Program) -> Any:
    """One of those two, whose first attempt fails, without us."""
    return run_bare(program, _RETRIED)


def old_hooked(program: Program, meter: Meter) -> Any:
    """And with us."""
    _OLD_HOOKS.on()
    try:
        run = run_metered(program, _RETRIED, meter)
    finally:
        _OLD_HOOKS.off()
    return run.seen, run.bodies
