"""Programs whose tools are run for them: by the SDKs' tool runners."""

from __future__ import annotations

from typing import Any

import anthropic

from taskmeter.demo.stub import ToolCall, anthropic_message, openai_response
from tests.capture.harness import CLAUDE, GPT, MESSAGES, Kit
from tests.capture.programs import RESPONSE

DEFINITION: Any = {
    "type": "function",
    "name": "order_status",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"order": {"type": "integer"}},
        "required": ["order"],
        "additionalProperties": False,
    },
}
CALL = ToolCall("order_status", {"order": 17})
OPENAI = (openai_response(GPT, tool_calls=[CALL, CALL]), openai_response(GPT, "It left on Tuesday."))
ANTHROPIC = (anthropic_message(CLAUDE, tool_calls=[CALL, CALL]), anthropic_message(CLAUDE, "It left on Tuesday."))


def order_status(order: int) -> str:
    """The status of an order."""
    if order != 17:
        raise ValueError("no such order")
    return "shipped"


def openai_runner(kit: Kit, status: Any = order_status) -> Any:
    from openai.lib import responses_tool_runner as runners

    runner = runners.ResponsesToolRunner(
        functions=[runners.RegisteredFunction(DEFINITION, lambda arguments: status(**arguments))]
    )
    return runner.run(kit.openai(), RESPONSE, max_steps=3)


async def openai_runner_async(kit: Kit) -> Any:
    from openai.lib import responses_tool_runner as runners

    async def status(arguments: Any) -> str:
        return order_status(**arguments)

    async with kit.aopenai() as client:
        runner = runners.AsyncResponsesToolRunner(functions=[runners.AsyncRegisteredFunction(DEFINITION, status)])
        return await runner.run(client, RESPONSE, max_steps=3)


def anthropic_runner(kit: Kit, status: Any = order_status) -> Any:
    tool = anthropic.beta_tool(status, name="order_status")
    client = kit.anthropic()
    return client.beta.messages.tool_runner(model=CLAUDE, max_tokens=100, messages=MESSAGES, tools=[tool]).until_done()


async def anthropic_runner_async(kit: Kit) -> Any:
    @anthropic.beta_async_tool(name="order_status")
    async def tool(order: int) -> str:
        """The status of an order."""
        return order_status(order)

    async with kit.aanthropic() as client:
        runner = client.beta.messages.tool_runner(model=CLAUDE, max_tokens=100, messages=MESSAGES, tools=[tool])
        return await runner.until_done()
