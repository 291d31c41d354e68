"""OpenAI's tool runners ask a model several times: each is one call, on any step, whole or streamed."""

from __future__ import annotations

from typing import Any

import pytest

from taskmeter.demo.stub import ToolCall, openai_decision, openai_response
from tests.capture.harness import GPT, GPT_USD, Kit, Meter, Program, run_bare, run_metered
from tests.capture.programs import RESPONSE

TOOL: Any = {
    "type": "function",
    "name": "lookup",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"order": {"type": "integer"}},
        "required": ["order"],
        "additionalProperties": False,
    },
}
ASKS = openai_response(GPT, tool_calls=[ToolCall("lookup", {"order": 17})])
ANSWERS = openai_response(GPT, "It left on Tuesday.")


def chooses(choice: str) -> Any:
    probabilities = [{"value": choice, "probability": 1.0}]
    answer = {"type": "choice", "name": "next_action", "choice": choice, "confidence": 1.0}
    return {**openai_decision(GPT), "answers": [{**answer, "probabilities": probabilities}]}


def responses(kit: Kit) -> Any:
    from openai.lib import responses_tool_runner as runners

    runner = runners.ResponsesToolRunner(functions=[runners.RegisteredFunction(TOOL, lambda _: "shipped")])
    return runner.run(kit.openai(), RESPONSE, max_steps=3)


def responses_streamed(kit: Kit) -> Any:
    from openai.lib import responses_tool_runner as runners

    runner = runners.ResponsesToolRunner(functions=[runners.RegisteredFunction(TOOL, lambda _: "shipped")])
    return runner.run(kit.openai(), RESPONSE, max_steps=3, stream=True)


async def responses_async(kit: Kit) -> Any:
    from openai.lib import responses_tool_runner as runners

    async def lookup(_: dict[str, object]) -> str:
        return "shipped"

    async with kit.aopenai() as client:
        runner = runners.AsyncResponsesToolRunner(functions=[runners.AsyncRegisteredFunction(TOOL, lookup)])
        return await runner.run(client, RESPONSE, max_steps=3)


PARAMS: Any = {"model": GPT, "input": "Find order 17."}


def decisions(kit: Kit) -> Any:
    from openai.lib import decisions_tool_runner as runners

    runner = runners.DecisionsToolRunner(
        observe=lambda: "an inbox",
        candidates=lambda _: [
            {"id": "look", "description": "Look it up.", "execute": lambda: "shipped"},
            {"id": "stop", "description": "Stop.", "done": True},
        ],
    )
    return runner.run(kit.openai(), PARAMS)["status"]


async def decisions_async(kit: Kit) -> Any:
    from openai.lib import decisions_tool_runner as runners

    async def observe() -> str:
        return "an inbox"

    async def execute() -> str:
        return "shipped"

    async def candidates(_: object) -> Any:
        return [
            {"id": "look", "description": "Look it up.", "execute": execute},
            {"id": "stop", "description": "Stop.", "done": True},
        ]

    async with kit.aopenai() as client:
        runner = runners.AsyncDecisionsToolRunner(observe=observe, candidates=candidates)
        return (await runner.run(client, PARAMS))["status"]


@pytest.mark.parametrize(
    ("program", "replies"),
    [
        (responses, (ASKS, ANSWERS)),
        (responses_streamed, (ASKS, ANSWERS)),
        (responses_async, (ASKS, ANSWERS)),
        (decisions, (chooses("look"), chooses("stop"))),
        (decisions_async, (chooses("look"), chooses("stop"))),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_step_is_one_call(meter: Meter, program: Program, replies: tuple[Any, ...]) -> None:
    """Two steps are two calls with a span each, and the runner does what it does bare."""
    meter.close()
    bare = run_bare(program, replies)
    meter = Meter()
    meter.instrument()
    run = run_metered(program, replies, meter)
    meter.close()
    assert (run.seen, run.bodies) == bare
    assert run.seen[0] == "returned"
    assert (run.task.calls, run.task.attempts) == (2, 2)
    assert run.task.cost.total == meter.leaf_sum() == 2 * GPT_USD
    assert len(meter.model_spans()) == 2
