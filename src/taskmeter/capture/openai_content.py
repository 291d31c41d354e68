"""OpenAI's messages in the convention's form: chat completions, responses and the completions of old."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from taskmeter.capture.content import (
    Room,
    content_parts,
    field_or,
    reversed_items,
    text_part,
    tool_call,
    tool_response,
)
from taskmeter.capture.reading import count_field, field, items, text_field
from taskmeter.telemetry.content import Message, Part

_LAST_STATES = frozenset(f"response.{state}" for state in ("completed", "incomplete", "failed", "cancelled"))


class OpenAIContents:
    """See `Contents`."""

    def instructions(self, request: Mapping[str, object]) -> Iterable[Part]:
        """Of a response; a chat has them among its messages."""
        return content_parts(request.get("instructions"))

    def newest_first(self, request: Mapping[str, object]) -> Iterable[Message]:
        """`messages`, `input` or `prompt`."""
        if "messages" in request:
            return map(_chat_message, reversed_items(request["messages"]))
        given = request.get("input", request.get("prompt"))
        if isinstance(given, str):
            return [{"role": "user", "parts": [text_part(given)]}]
        return (
            {"role": "user", "parts": [text_part(item)]} if isinstance(item, str) else _item(item)
            for item in reversed_items(given)
        )

    def tools(self, request: Mapping[str, object]) -> Iterable[Part]:
        """`tools`; of those that the provider runs itself, only what they are."""
        for tool in items(request.get("tools")):
            function = field_or(tool, "function", "custom") or tool
            yield {
                "type": text_field(tool, "type") or "function",
                "name": field(function, "name"),
                "description": field(function, "description"),
                "parameters": field(function, "parameters"),
            }

    def answer(self, body: object) -> list[Message]:
        """A completion, or a response."""
        if field(body, "choices") is not None:
            return [_choice(choice) for choice in items(field(body, "choices"))]
        return [_answered(items(field(body, "output")), text_field(body, "status"))]

    def stream(self) -> OpenAIStream:
        """Chunks of a completion, or events of a response."""
        return OpenAIStream()


class OpenAIStream:
    """A choice grows by deltas; a response comes whole at its end, and item by item until then."""

    def __init__(self) -> None:
        self._choices: dict[int, dict[str, Any]] = {}
        self._items: list[object] = []
        self._begun: list[str] = []
        self._final: object = None

    def read(self, event: object, room: Room) -> None:
        """See `Stream`."""
        kind = text_field(event, "type") or ""
        if kind in _LAST_STATES:
            self._final = field(event, "response")
        elif kind == "response.output_item.done" and room.left >= 0:
            self._items.append(field(event, "item"))
            self._begun = []
        elif kind in ("response.output_text.delta", "response.refusal.delta"):
            self._begun.append(room.take(text_field(event, "delta")))
        for choice in items(field(event, "choices")):
            self._read_choice(choice, room)

    def _read_choice(self, choice: object, room: Room) -> None:
        kept = self._choices.setdefault(count_field(choice, "index"), {"text": [], "calls": {}, "finish_reason": ""})
        kept["finish_reason"] = text_field(choice, "finish_reason") or kept["finish_reason"]
        kept["text"].append(room.take(text_field(choice, "text")))
        delta = field(choice, "delta")
        for name in ("content", "refusal"):
            kept["text"].append(room.take(text_field(delta, name)))
        for call in items(field(delta, "tool_calls")):
            known = kept["calls"].setdefault(count_field(call, "index"), {"id": None, "name": None, "arguments": []})
            known["id"] = known["id"] or text_field(call, "id")
            known["name"] = known["name"] or text_field(call, "function", "name")
            known["arguments"].append(room.take(text_field(call, "function", "arguments")))

    def messages(self) -> list[Message]:
        """See `Stream`."""
        if self._final is not None:
            return [_answered(items(field(self._final, "output")), text_field(self._final, "status"))]
        if self._choices:
            return [_streamed(**choice) for choice in self._choices.values()]
        message = _answered(self._items, None)
        if begun := "".join(self._begun):
            message["parts"] = [*items(message["parts"]), text_part(begun)]
        return [message]


def _streamed(text: list[str], calls: dict[int, dict[str, Any]], finish_reason: str) -> Message:
    parts = content_parts("".join(text))
    parts += [tool_call(call["id"], call["name"], "".join(call["arguments"])) for call in calls.values()]
    return {"role": "assistant", "parts": parts, "finish_reason": finish_reason}


def _chat_message(message: object) -> Message:
    role = text_field(message, "role") or "user"
    if role in ("tool", "function"):
        response = tool_response(text_field(message, "tool_call_id"), field(message, "content"))
        return {"role": "tool", "parts": [response]}
    parts = content_parts(field(message, "content"))
    if refusal := text_field(message, "refusal"):
        parts.append(text_part(refusal))
    for call in items(field(message, "tool_calls")):
        function = field_or(call, "function", "custom")
        arguments = field_or(function, "arguments", "input")
        parts.append(tool_call(text_field(call, "id"), text_field(function, "name"), arguments))
    return {"role": role, "parts": parts}


def _choice(choice: object) -> Message:
    message = field(choice, "message")
    said = _chat_message(message) if message is not None else {"parts": content_parts(text_field(choice, "text"))}
    return {"role": "assistant", "parts": said["parts"], "finish_reason": text_field(choice, "finish_reason") or ""}


def _answered(output: list[object], status: str | None) -> Message:
    parts = [part for item in output for part in items(_item(item)["parts"])]
    return {"role": "assistant", "parts": parts, "finish_reason": status or ""}


def _item(item: object) -> Message:
    """One item of the input or output of a response."""
    kind = text_field(item, "type") or "message"
    if kind == "message":
        return {"role": text_field(item, "role") or "user", "parts": content_parts(field(item, "content"))}
    call_id = text_field(item, "call_id")
    if kind in ("function_call", "custom_tool_call"):
        arguments = field_or(item, "arguments", "input")
        return {"role": "assistant", "parts": [tool_call(call_id, text_field(item, "name"), arguments)]}
    if kind.endswith("_call_output"):
        return {"role": "tool", "parts": [tool_response(call_id, field(item, "output"))]}
    if kind == "reasoning":
        texts = [text_field(part, "text") or "" for part in items(field(item, "summary"))]
        return {"role": "assistant", "parts": [{"type": "reasoning", "content": text} for text in texts]}
    return {"role": "assistant", "parts": [{"type": kind}]}
