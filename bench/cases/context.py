"""What it costs to measure prompts: it must not grow with them, and be little beside the call."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import Any

from openai import OpenAI

from bench.cases.calls import chat
from bench.harness import Operation, Plan, Result, compare
from bench.wire import client, instrumented
from taskmeter import track_task
from taskmeter.account import Prompt
from taskmeter.account.sent import Sent, use_context
from taskmeter.capture.openai import OpenAI as Provider
from taskmeter.capture.prompt import Walk

WORDS = "an order was shipped by road on the first of may and it has not come "
SIZES = {"1 KB": 1_000, "1 MB": 1_000_000}
PROVIDER = Provider()


def texts(size: int) -> dict[str, str]:
    """ASCII and CJK text of `size` bytes in UTF-8."""
    return {
        "ASCII": (WORDS * (size // len(WORDS) + 1))[:size],
        "CJK": ("订单已于五月一日发货" * (size // 30 + 1))[: size // 3],
    }


def request(*contents: str) -> dict[str, Any]:
    """A chat with one message of the user for each of `contents`."""
    return {"model": "gpt-5-mini", "messages": [{"role": "user", "content": content} for content in contents]}


def agent() -> dict[str, Any]:
    """The sixth turn of an agent with five tools: 22 messages."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": WORDS * 30}]
    for turn in range(5):
        call = {"id": f"call_{turn}", "type": "function", "function": {"name": "lookup", "arguments": '{"order": 17}'}}
        messages += [
            {"role": "user", "content": f"{turn} {WORDS * 4}"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"call_{turn}", "content": f"{turn} {WORDS * 20}"},
            {"role": "assistant", "content": f"{turn} {WORDS * 6}"},
        ]
    messages.append({"role": "user", "content": WORDS})
    parameter = {"type": "string", "description": WORDS}
    parameters = {"type": "object", "properties": dict.fromkeys("abcdef", parameter), "required": ["a"]}
    tools = [
        {"type": "function", "function": {"name": f"lookup_{each}", "description": WORDS, "parameters": parameters}}
        for each in range(5)
    ]
    return {"model": "gpt-5-mini", "messages": messages, "tools": tools}


def walk(body: dict[str, Any], sent: Sent | None = None) -> Prompt:
    """One walk through a request."""
    walk = Walk(sent)
    return walk.prompt(PROVIDER.read_prompt(body, "chat", walk), "openai", "chat")


def fresh(text: str) -> Operation:
    """Walks through prompts of which each is new: nothing of one is remembered for the next."""
    bodies = cycle([request(f"{number} {text}") for number in range(8)])
    return lambda: walk(next(bodies))


def run(plan: Plan) -> Iterator[Result]:
    """The walk alone, short against long; then whole calls, without it and with it."""
    small, large = texts(SIZES["1 KB"]), texts(SIZES["1 MB"])
    for kind in small:
        yield compare(f"walk, {kind}: 1 KB, 1 MB", fresh(small[kind]), fresh(large[kind]), plan)
    turn, sent = agent(), Sent()
    walk(turn, sent)
    yield compare("walk: 1 KB, agent's turn", fresh(small["ASCII"]), lambda: walk(turn, sent), plan)
    hooked = client(OpenAI)
    calls = {f"call with {size} of {kind}": chat(hooked, texts(SIZES[size])[kind]) for kind in small for size in SIZES}
    calls["call of an agent's turn"] = lambda: hooked.chat.completions.create(**turn)
    with instrumented(), track_task("bench"):
        for name, call in calls.items():
            yield compare(name, _switched(call, on=False), _switched(call, on=True), plan)


def _switched(call: Operation, *, on: bool) -> Operation:
    """`call`, with prompts measured or not."""

    def switched() -> object:
        use_context(on=on)
        return call()

    return switched
