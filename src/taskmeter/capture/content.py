"""The content of one call, in the convention's form. Made only where the application asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from taskmeter import _semconv as names
from taskmeter.capture.reading import field, items, text_field
from taskmeter.telemetry.attributes import Attributes
from taskmeter.telemetry.content import MOST_CHARACTERS, Message, Part, Recorder, chosen

_OPERATIONS: Final = frozenset({"chat", "text_completion"})
"""Those whose input and output are messages."""


class Stream(Protocol):
    """Puts an answer together from its events."""

    def read(self, event: object, room: Room) -> None:
        """Keeps what `event` brings, as far as there is room."""
        ...

    def messages(self) -> list[Message]:
        """The answer so far."""
        ...


class Contents(Protocol):
    """A provider's words for content."""

    def instructions(self, request: Mapping[str, object]) -> Iterable[Part]:
        """What a request says apart from its messages."""
        ...

    def newest_first(self, request: Mapping[str, object]) -> Iterable[Message]:
        """The messages of a request, the last of them first."""
        ...

    def tools(self, request: Mapping[str, object]) -> Iterable[Part]:
        """The tools that the model may call."""
        ...

    def answer(self, body: object) -> list[Message]:
        """The messages of a whole answer."""
        ...

    def stream(self) -> Stream:
        """For an answer that comes as events."""
        ...


class Room:
    """How much of a stream is kept in memory."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MOST_CHARACTERS

    def take(self, text: str | None) -> str:
        """`text` if there is still room for it; what is missing is told by `left`."""
        if not text or self.left < 0:
            return ""
        self.left -= len(text)
        return text if self.left >= 0 else ""


class CallContent:
    """What one call was asked and answered. Holds on to both until it is let go of."""

    def __init__(self, contents: Contents, request: Mapping[str, object]) -> None:
        self._contents = contents
        self._request = request
        self._answer: object = None
        self._stream: Stream | None = None
        self._room = Room()

    def answered(self, body: object) -> None:
        """A whole answer."""
        self._answer, self._stream = body, None

    def read(self, event: object) -> None:
        """An event of a stream."""
        if self._stream is None:
            self._stream = self._contents.stream()
        self._stream.read(event, self._room)

    def attributes(self) -> Attributes:
        """All of it, redacted and bounded. Raises what the application's redaction raises."""
        settings = chosen()
        if settings is None:
            return {}
        recorder = Recorder(settings)
        written = {
            names.SYSTEM_INSTRUCTIONS: recorder.parts(self._contents.instructions(self._request)),
            names.TOOL_DEFINITIONS: recorder.parts(self._contents.tools(self._request)),
            names.INPUT_MESSAGES: recorder.messages(self._contents.newest_first(self._request), newest_first=True),
            names.OUTPUT_MESSAGES: recorder.messages(self._messages()),
        }
        attributes: Attributes = {name: value for name, value in written.items() if value is not None}
        if recorder.cut or self._room.left < 0:
            attributes[names.CONTENT_CUT] = True
        return attributes

    def _messages(self) -> list[Message]:
        if self._stream is not None:
            # A part of a stream may end within a secret, which is then not recognised: all of it or nothing.
            return self._stream.messages() if self._room.left >= 0 else []
        return self._contents.answer(self._answer) if self._answer is not None else []


def content_of(contents: Contents, operation: str, request: Mapping[str, object]) -> CallContent | None:
    """For a call that begins; `None` where nothing of it is to be recorded, which is the default."""
    return None if chosen() is None or operation not in _OPERATIONS else CallContent(contents, request)


# --- what providers share


def text_part(text: str) -> Part:
    """A text."""
    return {"type": "text", "content": text}


def tool_call(call_id: str | None, name: str | None, arguments: object) -> Part:
    """A tool that the model calls. Arguments that came as JSON text stay that until they are redacted."""
    return {"type": "tool_call", "id": call_id, "name": name, "arguments": arguments}


def tool_response(call_id: str | None, content: object) -> Part:
    """What a tool gave."""
    blocks = [_kept(block) for block in items(content)]
    return {"type": "tool_call_response", "id": call_id, "response": blocks if isinstance(content, list) else content}


def tool_result(value: object) -> object:
    """What a tool run gave: the texts of an MCP server's or a tool runner's result, or the value itself."""
    for name in ("content", "output"):
        if (content := field(value, name)) is not None:
            return tool_response(None, content)["response"]
    return value


def content_parts(content: object) -> list[Part]:
    """A string, or a list of blocks: of what is no text (images, audio, files) only what it is."""
    if isinstance(content, str):
        return [text_part(content)] if content else []
    return [block_part(block) for block in items(content)]


def block_part(block: object) -> Part:
    """One block of content."""
    if isinstance(block, str):
        return text_part(block)
    text = text_field(block, "text")
    if text is None:
        text = text_field(block, "refusal")
    return text_part(text) if text is not None else {"type": text_field(block, "type") or "unknown"}


def _kept(block: object) -> Part:
    text = text_field(block, "text")
    kind = text_field(block, "type") or "unknown"
    return {"type": kind} if text is None else {"type": kind, "text": text}


def reversed_items(value: object) -> list[object]:
    """A list, the last first."""
    return items(value)[::-1]


def field_or(value: object, name: str, other: str) -> object:
    """The value `name`, or else `other`, of a definition."""
    found = field(value, name)
    return field(value, other) if found is None else found
