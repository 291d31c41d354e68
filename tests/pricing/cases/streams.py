"""Streams told event by event: cumulative counts, usage stated early, often, or by an answer that failed."""

from __future__ import annotations

from typing import Any

from taskmeter.demo.stub import Event
from tests.pricing.cases.case import ANTHROPIC, OPENAI, REFUSALS, Body, Case, cached, message, response, turn


def claude(
    start: Body, *deltas: Body, model: str = "claude-opus-5", blocks: Any = (), stop: str = "end_turn"
) -> list[Event]:
    opening = {**message(model, usage=start), "content": [], "stop_reason": None}
    payloads: list[Body] = [{"type": "message_start", "message": opening}]
    for index, block in enumerate(blocks):
        payloads.append({"type": "content_block_start", "index": index, "content_block": block})
        payloads.append({"type": "content_block_stop", "index": index})
    end = {"stop_reason": stop, "stop_sequence": None}
    payloads += [{"type": "message_delta", "delta": end, "usage": delta} for delta in deltas]
    return [Event(payload, name=payload["type"]) for payload in [*payloads, {"type": "message_stop"}]]


def chunks(*usages: Any, model: str = "gpt-5") -> list[Event]:
    shared = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_795_305_600, "model": model}
    choice = {"index": 0, "delta": {"content": "Do"}, "finish_reason": None}
    events = [Event({**shared, "choices": [choice], "usage": usage}) for usage in usages[:-1]]
    return [*events, Event({**shared, "choices": [], "usage": usages[-1]}), Event("[DONE]")]


def spent(prompt: int, completion: int) -> Body:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def over(status: str, body: Body) -> list[Event]:
    payload = {"type": f"response.{status}", "sequence_number": 0, "response": {**body, "status": status}}
    return [Event(payload, name=payload["type"])]


FALLBACK = {
    "type": "fallback",
    "from": {"model": "claude-fable-5-1"},
    "to": {"model": "claude-opus-5"},
    "trigger": {"type": "refusal", "category": "bio"},
}

CASES = [
    Case(
        "the last word counts, and does not add up with the first",
        "message stream",
        claude({"input_tokens": 1000, "output_tokens": 1}, {"output_tokens": 40}, {"output_tokens": 100}),
        "(1000*5 + 100*25)/M",
        "0.0075",
        ANTHROPIC,
        model="claude-opus-5",
    ),
    Case(
        "what the last word leaves out keeps its first value",
        "message stream",
        claude({"input_tokens": 1000, "output_tokens": 1, **cached(500, 0, 200)}, {"output_tokens": 100}),
        "(1000*5 + 500*0.5 + 200*10 + 100*25)/M",
        "0.00975",
        ANTHROPIC,
        model="claude-opus-5",
    ),
    Case(
        "a null in the last word keeps it too",
        "message stream",
        claude(
            {"input_tokens": 1000, "output_tokens": 1, **cached(500)},
            {"input_tokens": None, "cache_read_input_tokens": None, "output_tokens": 100},
        ),
        "(1000*5 + 500*0.5 + 100*25)/M",
        "0.00775",
        ANTHROPIC,
        model="claude-opus-5",
    ),
    Case(
        "input grows while searching",
        "message stream",
        claude(
            {"input_tokens": 1000, "output_tokens": 1},
            {
                "input_tokens": 9000,
                "output_tokens": 100,
                "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0},
            },
        ),
        "(9000*5 + 100*25)/M + 2*0.01",
        "0.0675",
        ANTHROPIC,
        model="claude-opus-5",
    ),
    Case(
        "speed and geography are told at the start",
        "message stream",
        claude(
            {"input_tokens": 1000, "output_tokens": 1, "speed": "fast", "inference_geo": "us"}, {"output_tokens": 100}
        ),
        "(1000*5 + 100*25)*2*1.1/M",
        "0.0165",
        ANTHROPIC,
        model="claude-opus-5",
    ),
    Case(
        "fallback in a stream, declined in a billed category",
        "message stream",
        claude(
            {"input_tokens": 412, "output_tokens": 0},
            {
                "input_tokens": 412,
                "output_tokens": 100,
                "iterations": [
                    turn("message", 412, 0, "claude-fable-5-1"),
                    turn("fallback_message", 412, 100, "claude-opus-5"),
                ],
            },
            model="claude-fable-5-1",
            blocks=[FALLBACK],
        ),
        "(412*10 + 412*5 + 100*25)/M",
        "0.00868",
        REFUSALS,
        model="claude-fable-5-1",
    ),
    Case(
        "fallback in a stream without iterations is the serving model's",
        "message stream",
        claude(
            {"input_tokens": 412, "output_tokens": 0},
            {"input_tokens": 412, "output_tokens": 100},
            model="claude-fable-5-1",
            blocks=[FALLBACK],
        ),
        "(412*5 + 100*25)/M",
        "0.00456",
        REFUSALS,
        model="claude-fable-5-1",
    ),
    Case(
        "usage on every chunk",
        "chat stream",
        chunks(spent(1000, 10), spent(1000, 20), spent(1000, 30)),
        "(1000*1.25 + 30*10)/M",
        "0.00155",
        OPENAI,
        model="gpt-5",
    ),
    Case(
        "a Response cut short is billed",
        "response stream",
        over("incomplete", response("gpt-5", 1000, 100)),
        "(1000*1.25 + 100*10)/M",
        "0.00225",
        OPENAI,
        model="gpt-5",
    ),
    Case(
        "a Response that failed is billed for what it says",
        "response stream",
        over("failed", response("gpt-5", 1000, 7)),
        "(1000*1.25 + 7*10)/M",
        "0.00132",
        OPENAI,
        model="gpt-5",
    ),
    Case(
        "a stream without usage",
        "chat stream",
        chunks(None, None),
        # "gpt-5", "user" and "Where is order 17?" are 27 bytes, so 7 tokens; "Do" is 1.
        "(7*1.25 + 1*10)/M",
        "0.00001875",
        OPENAI,
        status="estimated",
        reason="the stream ended without usage",
        model="gpt-5",
    ),
]
