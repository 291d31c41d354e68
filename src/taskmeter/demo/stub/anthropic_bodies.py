"""Anthropic's answers: messages, whole and as streams. The beta endpoint speaks the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from taskmeter.demo.stub.contents import Billed, ToolCall, fragments, new_id
from taskmeter.demo.stub.wire import Body, Event


def anthropic_message(
    model: str, text: str = "Done.", billed: Billed | None = None, *, tool_calls: Sequence[ToolCall] = ()
) -> Body:
    """The body of a message: thinking if there was any, `text`, then the tool calls."""
    billed = billed or Billed()
    content: list[Body] = []
    if billed.reasoning:
        content.append({"type": "thinking", "thinking": "Let me think about it.", "signature": "c3R1Yg=="})
    if text:
        content.append({"type": "text", "text": text, "citations": None})
    content += [
        {"type": "tool_use", "id": new_id("toolu_"), "name": call.name, "input": dict(call.arguments)}
        for call in tool_calls
    ]
    return {
        "id": new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": "tool_use" if tool_calls else "end_turn",
        "stop_sequence": None,
        "usage": _usage(billed),
    }


def anthropic_message_stream(body: Body) -> list[Event]:
    """The events that bring the message `body`.

    As on the real wire, only `message_start` tells the caches' times to live, and only `message_delta` the final
    count of output tokens.
    """
    details = ("output_tokens_details", "server_tool_use")
    opening = {key: value for key, value in body["usage"].items() if key not in details} | {"output_tokens": 1}
    closing = {key: value for key, value in body["usage"].items() if key not in ("cache_creation", "service_tier")}
    start: Body = {**body, "content": [], "stop_reason": None, "stop_sequence": None, "usage": opening}
    stop = {"stop_reason": body["stop_reason"], "stop_sequence": body["stop_sequence"]}
    payloads: list[dict[str, Any]] = [{"type": "message_start", "message": start}]
    for index, block in enumerate(body["content"]):
        payloads += [{**payload, "index": index} for payload in _block_payloads(block)]
    payloads += [{"type": "message_delta", "delta": stop, "usage": closing}, {"type": "message_stop"}]
    payloads.insert(2, {"type": "ping"})
    return [Event(payload, name=payload["type"]) for payload in payloads]


def _usage(billed: Billed) -> Body:
    usage: dict[str, Any] = {
        "input_tokens": billed.uncached,
        "cache_creation_input_tokens": billed.cache_write + billed.cache_write_1h,
        "cache_read_input_tokens": billed.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": billed.cache_write,
            "ephemeral_1h_input_tokens": billed.cache_write_1h,
        },
        "output_tokens": billed.output,
        "service_tier": "standard",
    }
    if billed.reasoning:
        usage["output_tokens_details"] = {"thinking_tokens": billed.reasoning}
    if billed.web_searches:
        usage["server_tool_use"] = {"web_search_requests": billed.web_searches, "web_fetch_requests": 0}
    return usage


def _block_payloads(block: Body) -> Iterator[dict[str, Any]]:
    empty: Body = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}, "tool_use": {"input": {}}}
    yield {"type": "content_block_start", "content_block": {**block, **empty[block["type"]]}}
    for delta in _deltas(block):
        yield {"type": "content_block_delta", "delta": delta}
    yield {"type": "content_block_stop"}


def _deltas(block: Body) -> Iterator[Body]:
    if block["type"] == "text":
        for piece in fragments(block["text"]):
            yield {"type": "text_delta", "text": piece}
    elif block["type"] == "thinking":
        for piece in fragments(block["thinking"]):
            yield {"type": "thinking_delta", "thinking": piece}
        yield {"type": "signature_delta", "signature": block["signature"]}
    else:
        for piece in fragments(json.dumps(block["input"])):
            yield {"type": "input_json_delta", "partial_json": piece}
