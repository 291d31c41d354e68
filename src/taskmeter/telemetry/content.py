"""Prompts, answers, tool arguments and results, where the application asks for them: redacted, then bounded.

Nothing else of ours looks at them. Every text goes whole through the application's redaction before anything is cut:
half a key is not recognised as one. What is too long for that is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias, cast

from taskmeter import _semconv as names
from taskmeter._config import ContentCapture
from taskmeter.errors import ConfigurationError
from taskmeter.telemetry.attributes import Attributes

Part: TypeAlias = dict[str, object]
"""A part of a message, in the convention's form."""
Message: TypeAlias = dict[str, object]
"""`role`, `parts` and, of an answer, `finish_reason`."""

MOST_CHARACTERS: Final = 1_048_576
"""A longer text is left out, as are streams that bring more: they are held in memory until they are redacted."""
LEFT_OUT: Final = "(left out: too long)"
_LISTED: Final = frozenset({"type", "role", "finish_reason"})
"""What the convention or the API has a list of words for."""
_WORD: Final = re.compile(r"[a-z0-9_.-]{0,64}")
_LEAST_TEXT: Final = 16


class _Chosen:
    """How content is recorded, in this process."""

    content: ContentCapture | None = None


def checked_content(content: object) -> ContentCapture | None:
    """`content` if it says how. `True` does not: there is no recording without a word on redaction."""
    if content is None or isinstance(content, ContentCapture):
        return content
    msg = f"content={content!r:.80} does not say how; pass taskmeter.ContentCapture(redact=...), or None for no content"
    raise ConfigurationError(msg)


def use(content: ContentCapture | None) -> None:
    """From now on records content in that way, or, by default, not at all."""
    _Chosen.content = content


def chosen() -> ContentCapture | None:
    """How content is recorded; `None` for not at all."""
    return _Chosen.content


class Recorder:
    """Writes the content of one span. Whatever its methods raise, nothing of it is to be recorded."""

    def __init__(self, settings: ContentCapture) -> None:
        self._redact = settings.redact
        self._most = settings.max_bytes
        self.cut = False
        """Whether something did not fit."""

    def messages(self, messages: Iterable[Message], *, newest_first: bool = False) -> str | None:
        """As JSON; with `newest_first` they come, and are kept, in that order, and are written in the other."""
        written: list[Message] = []
        room = self._most - 2
        for message in messages:
            frame = {name: self._redacted(name, value) for name, value in message.items() if name != "parts"}
            inner = cast("Iterable[Part]", message["parts"])
            parts, room = self._parts(inner, room - _size({**frame, "parts": []}))
            if parts or not self.cut:
                written.append({**frame, "parts": parts})
            if self.cut:
                break
        return _json(written[::-1] if newest_first else written) if written else None

    def parts(self, parts: Iterable[Part]) -> str | None:
        """Parts, or definitions of tools, as JSON."""
        written, _ = self._parts(parts, self._most - 2)
        return _json(written) if written else None

    def text(self, value: object) -> str:
        """One value: a string, or JSON."""
        redacted = self._redacted_text(value if isinstance(value, str) else _json(value))
        return self._cut(redacted, self._most, _utf8_size)

    def _parts(self, parts: Iterable[Part], room: int) -> tuple[list[Part], int]:
        """As many as fit, and the room that they leave. The last may be cut."""
        written: list[Part] = []
        for part in parts:
            safe = {name: self._redacted(name, value) for name, value in part.items()}
            if (size := _size(safe)) > room:
                content = safe.get("content")
                self.cut = True
                if not isinstance(content, str):
                    break
                safe["content"] = self._cut(content, room - _size({**safe, "content": ""}), _size)
                if safe["content"]:
                    written.append(safe)
                break
            written.append(safe)
            room -= size
        return written, room

    def _redacted(self, name: str, value: object) -> object:
        """The value `name` of a part. What is not a text is redacted as JSON: a number may be one of a card."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return value if name in _LISTED and _WORD.fullmatch(value) else self._redacted_text(value)
        redacted = self._redacted_text(_json(value))
        try:
            return json.loads(redacted)
        except (ValueError, RecursionError):
            return redacted

    def _redacted_text(self, text: str) -> str:
        if len(text) > MOST_CHARACTERS:
            self.cut = True
            return LEFT_OUT
        redacted = cast(object, self._redact(text))
        if not isinstance(redacted, str):
            msg = f"redact= returned {type(redacted).__name__}, not a string"
            raise TypeError(msg)
        return redacted.encode("utf-8", "replace").decode()

    def _cut(self, text: str, room: int, size: Callable[[str], int]) -> str:
        """As much of `text` as has a `size` of `room` bytes; nothing for next to nothing."""
        if size(text) <= room:
            return text
        self.cut = True
        kept = text[: max(0, room)]
        while kept and (taken := size(kept)) > room:
            kept = kept[: min(len(kept) - 1, len(kept) * room // taken)]
        return kept if len(kept) >= _LEAST_TEXT else ""


def tool_attributes(arguments: object, result: object) -> Attributes:
    """What a tool was given and gave, where content is recorded; nothing otherwise."""
    settings = chosen()
    if settings is None:
        return {}
    recorder, attributes = Recorder(settings), Attributes()
    for name, value in ((names.TOOL_ARGUMENTS, arguments), (names.TOOL_RESULT, result)):
        if value is not None:
            attributes[name] = recorder.text(value)
    return attributes | ({names.CONTENT_CUT: True} if recorder.cut else {})


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_fields)


def _fields(value: object) -> object:
    """Parsed models, as they are among what applications hand on; of anything else only what it is."""
    own: object = getattr(value, "__dict__", None)
    if isinstance(own, Mapping) and hasattr(type(value), "model_fields"):
        return dict(cast("Mapping[str, object]", own))
    return f"({type(value).__name__})"


def _size(value: object) -> int:
    """Bytes that it takes in a list."""
    return _utf8_size(_json(value)) + 1


def _utf8_size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
