"""The prompt of a request to OpenAI, or to who speaks its APIs: instructions, then tools, then what was said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from taskmeter.capture.counts import fields_of
from taskmeter.capture.prompt import FILE_BYTES, IMAGE_BYTES, Walk, current_turn
from taskmeter.capture.reading import field, items, text_field
from taskmeter.records import Source

_CHAT: Final = frozenset({"messages", "tools", "functions", "response_format", "prediction"})
_RESPONSE: Final = frozenset({"instructions", "input", "tools"})
_SYSTEM: Final = ("system", "developer")
_LOW_DETAIL_BYTES: Final = 4 * 85
"""What an image in low detail weighs: 85 tokens, whatever its size."""
_SOUND: Final = 4 * 600
"""What a piece of sound weighs: a minute of it, where its tokens are not stated."""
_ITEMS: Final[Mapping[str, Source]] = {
    "additional_tools": "tools",
    "file_search_call": "documents",
    "mcp_call": "tool_results",
    "mcp_list_tools": "tools",
    "tool_search_output": "tools",
}
"""Types of items in a Response's input that are neither messages nor outputs nor history."""
_KEPT: Final = ("previous_response_id", "conversation", "prompt")
"""Parameters that name what the provider keeps, and puts in front of the input."""


def read_prompt(request: Mapping[str, object], operation: str, walk: Walk) -> Mapping[str, object]:
    """Adds the pieces of a request to `walk`; returns its other parameters."""
    if "messages" in request:
        _chat(request, walk)
        return _without(request, _CHAT)
    if operation in ("chat", "compact", "decision", "invoke_agent"):
        _response(request, walk)
        return _without(request, _RESPONSE)
    for name in ("instructions", "prompt", "input"):
        _plain(request.get(name), walk)
    return _without(request, frozenset({"instructions", "prompt", "input"}))


def _without(request: Mapping[str, object], names: frozenset[str]) -> Mapping[str, object]:
    return {name: value for name, value in request.items() if name not in names}


def _plain(value: object, walk: Walk) -> None:
    """A text, several, or tokens."""
    many = items(value)
    if many and isinstance(many[0], str):
        walk.each(many, lambda _, text: walk.text("user", text))
    elif value is not None:
        walk.structure("user", value)


# --- Chat Completions


def _chat(request: Mapping[str, object], walk: Walk) -> None:
    messages = items(request.get("messages"))
    leading = next((at for at, each in enumerate(messages[:2]) if text_field(each, "role") not in _SYSTEM), 2)
    turn = current_turn(messages, _is_users)
    for message in messages[:leading]:
        _message(message, walk, "system")
    _tools(request, walk)
    walk.structure("system", request.get("response_format"))
    walk.each(messages[leading:], lambda at, each: _message(each, walk, "user" if at + leading in turn else "history"))
    walk.structure("history", field(request.get("prediction"), "content"))


def _tools(request: Mapping[str, object], walk: Walk) -> None:
    for name in ("tools", "functions"):
        walk.each(items(request.get(name)), lambda _, tool: walk.tool(tool))


def _is_users(message: object) -> bool:
    return text_field(message, "role") == "user"


def _message(message: object, walk: Walk, turn: Source) -> None:
    """A message of either API, where it stands in the user's current `turn` or in history."""
    fields = fields_of(message)
    role = fields.get("role")
    source: Source = "system" if role in _SYSTEM else "tool_results" if role in ("tool", "function") else turn
    walk.said(role)
    _content(fields.get("content"), walk, source)
    if role == "assistant":
        for call in items(fields.get("tool_calls")):
            _call(field(call, "function") or field(call, "custom"), walk)
        for name in ("function_call", "refusal", "reasoning_content"):
            if (said := fields.get(name)) is not None:
                walk.structure("history", said)


def _call(called: object, walk: Walk) -> None:
    """A tool call of the model's."""
    fields = fields_of(called)
    walk.words("history", fields.get("name"), fields.get("arguments") or fields.get("input"))


def _content(content: object, walk: Walk, source: Source) -> None:
    if isinstance(content, str):
        walk.text(source, content)
    else:
        walk.each(items(content), lambda _, block: _block(block, walk, source))


def _block(block: object, walk: Walk, source: Source) -> None:
    kind = text_field(block, "type") or ""
    if (text := text_field(block, "text")) is not None:
        walk.text(source, text)
    elif "image" in kind or "screenshot" in kind:
        low = (text_field(block, "detail") or text_field(block, "image_url", "detail")) == "low"
        walk.media("media", block, _LOW_DETAIL_BYTES if low else IMAGE_BYTES)
    elif "audio" in kind or "video" in kind:
        walk.media("media", block, _SOUND)
    elif "file" in kind:
        walk.media("documents", block, FILE_BYTES, "file")
    else:
        walk.structure(source, block)


# --- Responses


def _response(request: Mapping[str, object], walk: Walk) -> None:
    walk.structure("system", request.get("instructions"))
    _tools(request, walk)
    walk.structure("system", field(request.get("text"), "format", "schema"))
    for name in _KEPT:
        if (kept := request.get(name)) is not None:
            walk.unseen(kept if isinstance(kept, str) else text_field(kept, "id"))
            walk.structure("user", field(kept, "variables"))
    given = request.get("input")
    if isinstance(given, str):
        walk.text("user", given)
        return
    entries = items(given)
    turn = current_turn(entries, _is_users)
    walk.each(entries, lambda at, each: _item(each, walk, "user" if at in turn else "history"))


def _item(item: object, walk: Walk, turn: Source) -> None:
    kind = text_field(item, "type") or "message"
    if kind == "message":
        _message(item, walk, turn)
    elif kind == "item_reference":
        walk.unseen(field(item, "id"))
    elif kind.endswith("_output") and kind not in _ITEMS:
        walk.said(kind)
        output = field(item, "output")
        if fields_of(output):
            _block(output, walk, "tool_results")
        else:
            _content(output, walk, "tool_results")
    else:
        walk.structure(_ITEMS.get(kind, "history"), _without_id(item))


def _without_id(item: object) -> object:
    """An item without what names and describes it: neither is read by the model."""
    fields = fields_of(item)
    return {name: value for name, value in fields.items() if name not in ("id", "status")} if fields else item
