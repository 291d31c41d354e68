"""OpenAI's answers: chat completions, Responses and embeddings, whole and as streams."""

from __future__ import annotations

import base64
import struct
import time
from collections.abc import Iterator, Sequence
from typing import Any

from taskmeter.demo.stub.contents import Billed, ToolCall, fragments, new_id
from taskmeter.demo.stub.wire import Body, Event
from taskmeter.errors import UsageError


def openai_chat(
    model: str, text: str = "Done.", billed: Billed | None = None, *, tool_calls: Sequence[ToolCall] = ()
) -> Body:
    """The body of a chat completion: `text`, or the tool calls in its place."""
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    if tool_calls:
        message |= {"content": None, "tool_calls": [_chat_tool_call(call) for call in tool_calls]}
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": "tool_calls" if tool_calls else "stop",
    }
    return {
        "id": new_id("chatcmpl-"),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [choice],
        "usage": _chat_usage(billed or Billed()),
        "service_tier": "default",
        "system_fingerprint": "fp_stub",
    }


def openai_chat_stream(body: Body, *, include_usage: bool = True) -> list[Event]:
    """The chunks that bring the completion `body`; its usage comes last, in a chunk of its own, or not at all."""
    shared = {key: body[key] for key in ("id", "created", "model", "service_tier", "system_fingerprint")}
    shared |= {"object": "chat.completion.chunk"} | ({"usage": None} if include_usage else {})
    choices = (choice for answer in body["choices"] for choice in _chat_chunk_choices(answer))
    events = [Event({**shared, "choices": [choice]}) for choice in choices]
    if include_usage:
        events.append(Event({**shared, "choices": [], "usage": body["usage"]}))
    return [*events, Event("[DONE]")]


def openai_response(
    model: str, text: str = "Done.", billed: Billed | None = None, *, tool_calls: Sequence[ToolCall] = ()
) -> Body:
    """The body of a Responses answer: reasoning if there was any, searches, then the tool calls or `text`."""
    billed = billed or Billed()
    output: list[Body] = []
    if billed.reasoning:
        output.append({"id": new_id("rs_"), "type": "reasoning", "summary": []})
    output += [_web_search_item() for _ in range(billed.web_searches)]
    output += [_function_call_item(call) for call in tool_calls] or [_message_item(text)]
    return {
        "id": new_id("resp_"),
        "object": "response",
        "created_at": int(time.time()),
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "service_tier": "default",
        "usage": _response_usage(billed),
    }


def openai_response_stream(body: Body) -> list[Event]:
    """The events that bring the answer `body`, from `response.created` to `response.completed` (its status)."""
    opening: Body = {**body, "status": "in_progress", "output": [], "usage": None}
    payloads: list[dict[str, Any]] = [
        {"type": "response.created", "response": opening},
        {"type": "response.in_progress", "response": opening},
    ]
    for index, item in enumerate(body["output"]):
        payloads += [{"output_index": index, **payload} for payload in _item_payloads(item)]
    payloads.append({"type": f"response.{body['status']}", "response": body})
    return [
        Event({**payload, "sequence_number": number}, name=payload["type"]) for number, payload in enumerate(payloads)
    ]


def openai_compaction(model: str, billed: Billed | None = None) -> Body:
    """The body of a compacted conversation. Its tokens are billed like any other's; it does not name the model."""
    return {
        "id": new_id("resp_"),
        "object": "response.compaction",
        "created_at": int(time.time()),
        "output": [{"id": new_id("cmp_"), "type": "compaction", "encrypted_content": f"stub {model}"}],
        "usage": _response_usage(billed or Billed()),
    }


def openai_embeddings(
    model: str, inputs: int = 1, billed: Billed | None = None, *, dimensions: int = 8, as_base64: bool = False
) -> Body:
    """The body of an embeddings answer: one vector for each of the `inputs`, as floats or as base64 of float32."""
    vector = [1.0 / dimensions] * dimensions
    packed = base64.b64encode(struct.pack(f"<{dimensions}f", *vector)).decode()
    tokens = (billed or Billed()).input
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": packed if as_base64 else vector}
            for index in range(inputs)
        ],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _chat_tool_call(call: ToolCall) -> Body:
    function = {"name": call.name, "arguments": call.arguments_json}
    return {"id": new_id("call_"), "type": "function", "function": function}


def _chat_chunk_choices(answer: Body) -> Iterator[Body]:
    def choice(delta: Body, finish_reason: str | None = None) -> Body:
        return {"index": answer["index"], "delta": delta, "logprobs": None, "finish_reason": finish_reason}

    message = answer["message"]
    text: str = message["content"] or ""
    yield choice({"role": "assistant", "content": None if message["content"] is None else "", "refusal": None})
    for piece in fragments(text):
        yield choice({"content": piece})
    for index, call in enumerate(message.get("tool_calls", ())):
        opening = {**call, "index": index, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield choice({"tool_calls": [opening]})
        for piece in fragments(call["function"]["arguments"]):
            yield choice({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield choice({}, answer["finish_reason"])


def _chat_usage(billed: Billed) -> Body:
    if billed.web_searches:
        raise UsageError(f"web_searches is {billed.web_searches}; a chat completion reports none: use openai_response")
    return {
        "prompt_tokens": billed.input,
        "completion_tokens": billed.output,
        "total_tokens": billed.input + billed.output,
        "prompt_tokens_details": {
            "cached_tokens": billed.cache_read,
            "cache_write_tokens": _cache_write(billed),
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": billed.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _response_usage(billed: Billed) -> Body:
    return {
        "input_tokens": billed.input,
        "input_tokens_details": {"cached_tokens": billed.cache_read, "cache_write_tokens": _cache_write(billed)},
        "output_tokens": billed.output,
        "output_tokens_details": {"reasoning_tokens": billed.reasoning},
        "total_tokens": billed.input + billed.output,
    }


def _cache_write(billed: Billed) -> int:
    if billed.cache_write_1h:
        raise UsageError(f"cache_write_1h is {billed.cache_write_1h}; OpenAI has no such cache: use cache_write")
    return billed.cache_write


def _message_item(text: str) -> Body:
    part: Body = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": new_id("msg_"), "type": "message", "role": "assistant", "status": "completed", "content": [part]}


def _function_call_item(call: ToolCall) -> Body:
    return {
        "id": new_id("fc_"),
        "type": "function_call",
        "status": "completed",
        "call_id": new_id("call_"),
        "name": call.name,
        "arguments": call.arguments_json,
    }


def _web_search_item() -> Body:
    action = {"type": "search", "query": "stub", "queries": ["stub"]}
    return {"id": new_id("ws_"), "type": "web_search_call", "status": "completed", "action": action}


def _item_payloads(item: Body) -> Iterator[dict[str, Any]]:
    started: Body = {"content": [], "arguments": "", "status": "in_progress"}
    opening = {key: started.get(key, value) for key, value in item.items()}
    yield {"type": "response.output_item.added", "item": opening}
    if item["type"] == "message":
        for index, part in enumerate(item["content"]):
            for payload in _text_payloads(part):
                yield {"item_id": item["id"], "content_index": index, **payload}
    elif item["type"] == "function_call":
        prefix = "response.function_call_arguments"
        for piece in fragments(item["arguments"]):
            yield {"type": f"{prefix}.delta", "item_id": item["id"], "delta": piece}
        named = {"name": item["name"], "arguments": item["arguments"]}
        yield {"type": f"{prefix}.done", "item_id": item["id"], **named}
    yield {"type": "response.output_item.done", "item": item}


def _text_payloads(part: Body) -> Iterator[dict[str, Any]]:
    yield {"type": "response.content_part.added", "part": {**part, "text": ""}}
    for piece in fragments(part["text"]):
        yield {"type": "response.output_text.delta", "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", "part": part}
