"""Anthropic's messages in the convention's form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from taskmeter.capture.content import (
    Room,
    block_part,
    content_parts,
    reversed_items,
    text_part,
    tool_call,
    tool_response,
)
from taskmeter.capture.reading import count_field, field, items, text_field
from taskmeter.telemetry.content import Message, Part


class AnthropicContents:
    """See `Contents`."""

    def instructions(self, request: Mapping[str, object]) -> Iterable[Part]:
        """`system`."""
        return content_parts(request.get("system"))

    def newest_first(self, request: Mapping[str, object]) -> Iterable[Message]:
        """`messages`."""
        return (
            {"role": text_field(message, "role") or "user", "parts": _parts(field(message, "content"))}
            for message in reversed_items(request.get("messages"))
        )

    def tools(self, request: Mapping[str, object]) -> Iterable[Part]:
        """`tools`."""
        for tool in items(request.get("tools")):
            yield {
                "type": text_field(tool, "type") or "function",
                "name": field(tool, "name"),
                "description": field(tool, "description"),
                "parameters": field(tool, "input_schema"),
            }

    def answer(self, body: object) -> list[Message]:
        """A message."""
        return [_message(_parts(field(body, "content")), text_field(body, "stop_reason"))]

    def stream(self) -> AnthropicStream:
        """Message events."""
        return AnthropicStream()


class AnthropicStream:
    """Blocks begin, grow and end, in any order."""

    def __init__(self) -> None:
        self._blocks: dict[int, dict[str, Any]] = {}
        self._stop_reason: str | None = None

    def read(self, event: object, room: Room) -> None:
        """See `Stream`."""
        kind = text_field(event, "type")
        index = count_field(event, "index")
        if kind == "content_block_start":
            block = field(event, "content_block")
            self._blocks[index] = {"block": block, "text": [], "json": []}
            for name in ("text", "thinking"):
                self._blocks[index]["text"].append(room.take(text_field(block, name)))
        elif kind == "content_block_delta" and index in self._blocks:
            delta = field(event, "delta")
            for name in ("text", "thinking"):
                self._blocks[index]["text"].append(room.take(text_field(delta, name)))
            self._blocks[index]["json"].append(room.take(text_field(delta, "partial_json")))
        elif kind == "message_delta":
            self._stop_reason = text_field(event, "delta", "stop_reason") or self._stop_reason

    def messages(self) -> list[Message]:
        """See `Stream`."""
        return [_message([_streamed(**block) for block in self._blocks.values()], self._stop_reason)]


def _streamed(block: object, text: list[str], json: list[str]) -> Part:
    kind, arguments = text_field(block, "type") or "unknown", "".join(json)
    if kind.endswith("tool_use"):
        return tool_call(text_field(block, "id"), text_field(block, "name"), arguments or field(block, "input"))
    if kind in ("text", "thinking"):
        content = "".join(text)
        return text_part(content) if kind == "text" else {"type": "reasoning", "content": content}
    return {"type": kind}


def _message(parts: list[Part], stop_reason: str | None) -> Message:
    return {"role": "assistant", "parts": parts, "finish_reason": stop_reason or ""}


def _parts(content: object) -> list[Part]:
    return content_parts(content) if isinstance(content, str) else [_part(block) for block in items(content)]


def _part(block: object) -> Part:
    kind = text_field(block, "type") or ""
    if kind.endswith("tool_use"):
        return tool_call(text_field(block, "id"), text_field(block, "name"), field(block, "input"))
    if kind.endswith("tool_result"):
        return tool_response(text_field(block, "tool_use_id"), field(block, "content"))
    if kind == "thinking":
        return {"type": "reasoning", "content": text_field(block, "thinking") or ""}
    return block_part(block)
