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
    openai_compaction,
    openai_embeddings,
    openai_response,
    openai_response_stream,
)
from taskmeter.demo.stub.openai_media import (
    openai_completion,
    openai_completion_stream,
    openai_decision,
    openai_images,
    openai_images_stream,
    openai_moderation,
    openai_speech,
    openai_timed_transcription,
    openai_transcription,
    openai_transcription_stream,
    openai_video,
)
from taskmeter.demo.stub.wire import Body, Error, Event, Handler, Hang, Json, Jsonl, Raw, Reply, Request, Sse
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
                "add a reply, or say with then= what answers all further ones"
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
        "/responses/compact": lambda request, size: openai_compaction(request.body["model"], Billed(input=size)),
        "/responses/input_tokens": lambda _, size: Json({"object": "response.input_tokens", "input_tokens": size}),
        "/completions": lambda request, size: openai_completion(request.body["model"], billed=Billed(input=size)),
        "/embeddings": _embeddings,
        "/images/generations": lambda _, size: openai_images(Billed(input=size)),
        "/images/edits": lambda _, size: openai_images(Billed(input=size)),
        "/images/variations": lambda _, size: openai_images(Billed(input=size)),
        "/audio/speech": lambda _, __: openai_speech(),
        "/audio/transcriptions": lambda _, size: openai_transcription(billed=Billed(input=size)),
        "/audio/translations": lambda _, __: openai_timed_transcription(seconds=7),
        "/moderations": lambda _, __: openai_moderation(),
        "/videos": lambda request, _: openai_video(request.body.get("model", "sora-2"), status="completed"),
        "/decisions": lambda request, size: openai_decision(
            request.body["model"], [0.5] * len(request.body["questions"]), Billed(input=size)
        ),
        "/messages": lambda request, size: anthropic_message(request.body["model"], billed=Billed(input=size)),
        "/messages/count_tokens": lambda _, size: Json({"input_tokens": size}),
    }
)
"""By the end of the path, whatever comes before it: a version, an Azure deployment."""


def as_reply(request: Request, answer: Reply | Body) -> Reply:
    """`answer` itself, or for a bare body its JSON or its stream, as `request` asked."""
    if isinstance(answer, Json | Jsonl | Raw | Sse | Error | Hang):
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
    if body.get("object") == "text_completion":
        options = request.body.get("stream_options") or {}
        return openai_completion_stream(body, include_usage=options.get("include_usage") is True)
    if "data" in body and "output_format" in body:
        edits = request.path.endswith("/edits")
        return openai_images_stream(body, "image_edit" if edits else "image_generation")
    if "text" in body:
        return openai_transcription_stream(body)
    raise UsageError(f"no stream is known for a body with {sorted(body)}; reply with Sse([...]) instead")
