"""What goes over the stub's wire: the request it got, and the few kinds of reply it can be told to give."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Body: TypeAlias = Mapping[str, Any]
"""A JSON object, as a provider would send it."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request as it arrived."""

    method: str
    path: str
    """Without the query."""
    query: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Body
    """The JSON object that was sent, or the text fields of a form; empty when there was neither."""

    @property
    def provider(self) -> Literal["openai", "anthropic"]:
        """Whose protocol this path belongs to."""
        return "anthropic" if "/messages" in self.path else "openai"

    @property
    def streamed(self) -> bool:
        """Whether the client asked for server-sent events."""
        return self.body.get("stream") in (True, "true") or "stream=true" in self.query.split("&")

    @property
    def retry_count(self) -> int:
        """Which retry of the SDK's own loop this is; 0 for the first attempt."""
        return int(self.headers.get("x-stainless-retry-count", "0"))


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event. `data` is a JSON object, or a bare string such as `[DONE]`."""

    data: Body | str
    name: str | None = None

    def encode(self) -> bytes:
        """The event as bytes, with the blank line that ends it."""
        text = self.data if isinstance(self.data, str) else json.dumps(self.data, separators=(",", ":"))
        head = "" if self.name is None else f"event: {self.name}\n"
        return f"{head}data: {text}\n\n".encode()


@dataclass(frozen=True, slots=True)
class Json:
    """A whole JSON body."""

    body: Body
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Raw:
    """A whole body that is no JSON."""

    content: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Sse:
    """A stream of server-sent events."""

    events: Sequence[Event]
    cut_after: int | None = None
    """Drop the connection in the middle of the event that follows this many whole ones; `None` for never."""
    delay_seconds: float = 0
    """How long to wait before each event."""


@dataclass(frozen=True, slots=True)
class Jsonl:
    """A file of one JSON object per line: the results of a batch."""

    lines: Sequence[Body]
    cut_after: int | None = None
    """Drop the connection in the middle of the line that follows this many whole ones; `None` for never."""

    @property
    def content(self) -> bytes:
        """The whole file."""
        return b"".join(json.dumps(line).encode() + b"\n" for line in self.lines)


@dataclass(frozen=True, slots=True)
class Error:
    """An HTTP error in the envelope of the provider that was asked."""

    status: int
    retry_after: float | None = None
    """Seconds, for the `retry-after` header; without it the SDK backs off by its own rule."""


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer for this many seconds, then a closed connection."""

    seconds: float


Reply: TypeAlias = Json | Jsonl | Raw | Sse | Error | Hang
Handler: TypeAlias = Callable[[Request], Reply | Body]
"""Decides the reply to a request. A bare body goes out as JSON or as a stream, as the client asked."""
