"""Who decides what the stub replies: a script of replies in order, or a plausible success for everything."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from taskmeter.demo.stub.anthropic_bodies import anthropic_message, anthropic_message_stream
from taskmeter.demo.stub.contents import Billed
from taskmeter.demo.stub.openai_bodies import (
    openai_chat,
    openai_chat_stream,
    openai_embeddings,
    openai_response,
    openai_response_stream,
)
from taskmeter.demo.stub.wire import Body, Error, Event, Handler, Hang, Json, Jsonl, Reply, Request, Sse
from taskmeter.errors import UsageError


class Script:
    """A handler that gives the replies it was made with, one per request in the order of arrival; thread-safe.

    `then` answers what comes after the last; without it, one request too many is an error.
    """

    def __init__(self, *replies: Reply | Body | Handler, then: Handler | None = None) -> None:
        self._left = deque(replies)
        self._length = len(replies)
        self._then = then
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Reply | Body:
        """The next reply. Raises `UsageError` when there is none left."""
        with self._lock:
            step = self._left.popleft() if self._left else self._then
        if step is None:
            raise UsageError(
                f"{request.method} {request.path} is one request more than the {self._length} replies of the script; "
                "add a reply, or give Script(..., then=succeed)"
            )
        return step(request) if callable(step) else step

    @property
    def replies_left(self) -> int:
        """How many replies nobody has asked for yet."""
        return len(self._left)


def succeed(request: Request) -> Reply | Body:
    """The default handler: a short success, with as many input tokens as a quarter of the request's characters."""
    if request.method != "POST":
        return Json({"object": "list", "data": [], "has_more": False, "first_id": None, "last_id": None})
    size = max(1, len(json.dumps(request.body)) // 4)
    for ending, answer in _ANSWERS.items():
        if request.path.endswith(ending):
            return answer(request, size)
    return Error(404)


def _embeddings(request: Request, size: int) -> Body:
    asked: str | list[Any] = request.body["input"]
    as_base64 = request.body.get("encoding_format") == "base64"
    inputs = 1 if isinstance(asked, str) else len(asked)
    return openai_embeddings(request.body["model"], inputs, Billed(input=size, output=0), as_base64=as_base64)


_ANSWERS: Final[Mapping[str, Callable[[Request, int], Reply | Body]]] = MappingProxyType(
    {
        "/chat/completions": lambda request, size: openai_chat(request.body["model"], billed=Billed(input=size)),
        "/responses": lambda request, size: openai_response(request.body["model"], billed=Billed(input=size)),
        "/embeddings": _embeddings,
        "/messages": lambda request, size: anthropic_message(request.body["model"], billed=Billed(input=size)),
        "/messages/count_tokens": lambda _, size: Json({"input_tokens": size}),
    }
)
"""By the end of the path, whatever comes before it: a version, an Azure deployment."""


def as_reply(request: Request, answer: Reply | Body) -> Reply:
    """`answer` itself, or for a bare body its JSON or its stream, as `request` asked."""
    if isinstance(answer, Json | Sse | Jsonl | Error | Hang):
        return answer
    return Sse(_events(request, answer)) if request.streamed else Json(answer)


def _events(request: Request, body: Body) -> list[Event]:
    if body.get("type") == "message":
        return anthropic_message_stream(body)
    if body.get("object") == "response":
        return openai_response_stream(body)
    if body.get("object") == "chat.completion":
        options: Body = request.body.get("stream_options") or {}
        return openai_chat_stream(body, include_usage=options.get("include_usage") is True)
    raise UsageError(f"no stream is known for a body with {sorted(body)}; reply with Sse([...]) instead")
