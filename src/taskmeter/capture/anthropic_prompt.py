"""The prompt of a request to Anthropic: tools, then the system prompt, then the messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from taskmeter.capture.counts import fields_of
from taskmeter.capture.prompt import FILE_BYTES, IMAGE_BYTES, Walk, current_turn
from taskmeter.capture.reading import field, items, text_field
from taskmeter.records import Source

_PROMPT: Final = frozenset({"tools", "system", "messages"})
_RETRIEVED: Final = ("search_result", "web_search_result")
"""Blocks that are retrieved documents, written out as text."""


def read_prompt(request: Mapping[str, object], walk: Walk) -> Mapping[str, object]:
    """Adds the pieces of a request to `walk`; returns its other parameters."""
    walk.each(items(request.get("tools")), lambda _, tool: walk.tool(tool))
    _content(request.get("system"), walk, "system")
    messages = items(request.get("messages"))
    turn = current_turn(messages, _is_users)
    walk.each(messages, lambda at, each: _message(each, walk, "user" if at in turn else "history"))
    return {name: value for name, value in request.items() if name not in _PROMPT}


def _is_users(message: object) -> bool:
    """Whether the user says something there, and not only tools."""
    if text_field(message, "role") != "user":
        return False
    blocks = items(field(message, "content"))
    return not blocks or any(text_field(block, "type") != "tool_result" for block in blocks[-16:])


def _message(message: object, walk: Walk, turn: Source) -> None:
    role = text_field(message, "role")
    walk.said(role)
    _content(field(message, "content"), walk, "system" if role == "system" else turn)


def _content(content: object, walk: Walk, source: Source) -> None:
    if isinstance(content, str):
        walk.text(source, content)
    else:
        walk.each(items(content), lambda _, block: _block(block, walk, source))


def _block(block: object, walk: Walk, source: Source) -> None:
    kind = text_field(block, "type") or ""
    if kind == "text":
        walk.text(source, field(block, "text"))
    elif kind == "image":
        walk.media("media", field(block, "source"), IMAGE_BYTES)
    elif kind == "document":
        _document(block, walk)
    elif kind in _RETRIEVED:
        walk.structure("documents", _without_type(block))
    elif kind.endswith("tool_result"):
        walk.said(kind)
        _result(field(block, "content"), walk)
    else:
        walk.structure("history", _without_type(block))


def _document(block: object, walk: Walk) -> None:
    for name in ("title", "context"):
        walk.text("documents", field(block, name))
    held = field(block, "source")
    kind = text_field(held, "type")
    if kind == "text":
        walk.text("documents", field(held, "data"))
    elif kind == "content":
        _content(field(held, "content"), walk, "documents")
    else:
        walk.media("documents", held, FILE_BYTES, "file")


def _result(content: object, walk: Walk) -> None:
    """What a tool returned, ours or the provider's own, which may hold blocks of any kind, at any depth."""
    fields = fields_of(content)
    if not fields:
        _content(content, walk, "tool_results")
    elif isinstance(fields.get("content"), dict | list):
        _result(fields["content"], walk)
    elif "type" in fields:
        _block(content, walk, "tool_results")
    else:
        walk.structure("tool_results", content)


def _without_type(block: object) -> object:
    """A block without what names it: neither is read by the model."""
    fields = fields_of(block)
    return {name: value for name, value in fields.items() if name not in ("id", "type")} if fields else block
