"""The conformance table: surfaces, endings, and what each pair of them must come to."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import openai

from taskmeter.demo.stub import (
    Error,
    Event,
    Hang,
    Json,
    Sse,
    anthropic_message,
    anthropic_message_stream,
    openai_chat,
    openai_chat_stream,
    openai_response,
    openai_response_stream,
)
from tests.capture import programs as p
from tests.capture.harness import CLAUDE, CLAUDE_USD, GPT, GPT_USD, Kit

TEXT = "The order left the depot in Rotterdam on Tuesday."
"""49 bytes: 13 tokens as an estimate, 4 after the first 16 bytes, which is what the stub puts into one event."""
OPENAI_ERROR = Event({"error": {"message": "out of memory", "type": "server_error", "code": None}})
CLAUDE_ERROR = Event({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, name="error")


@dataclass(frozen=True)
class Family:
    """An API: its answers, and what they and parts of them cost."""

    provider: str
    request: Any
    body: Any
    events: list[Event]
    """Of a stream that states its usage only where it is not asked for."""
    first_text: int
    """After how many events the application has read the first text."""
    first_text_on_wire: int
    """After how many it is on the wire: the SDK keeps pings to itself."""
    error_event: Event
    filtered: Any
    exact: Decimal
    whole: tuple[Decimal, tuple[int, int]]
    """Estimated cost and tokens of the body without usage."""
    partly: tuple[Decimal, tuple[int, int]]
    """The same of a stream after its first text."""
    unread: tuple[Decimal, tuple[int, int]]
    """The same of a stream of which nothing was read."""
    cut: str
    """Type of the error that a cut stream raises in the application."""
    broken: str
    """That of an error event."""


def without_usage(body: Any) -> Any:
    return {key: value for key, value in body.items() if key != "usage"}


CHAT_BODY = openai_chat(GPT, TEXT)
RESPONSE_BODY = openai_response(GPT, TEXT)
MESSAGE_BODY = anthropic_message(CLAUDE, TEXT)
FILTERED: Any = {**CHAT_BODY, "choices": [{**CHAT_BODY["choices"][0], "finish_reason": "content_filter"}]}

CUT = "APIConnectionError" if hasattr(openai._streaming, "APIConnectionError") else "RemoteProtocolError"
"""What its HTTP client raises in the middle of a stream OpenAI's SDK wraps in later versions only."""

FAMILIES = {
    "chat": Family(
        provider="openai",
        request=p.CHAT,
        body=CHAT_BODY,
        events=openai_chat_stream(CHAT_BODY),
        first_text=2,
        first_text_on_wire=2,
        error_event=OPENAI_ERROR,
        filtered=FILTERED,
        exact=GPT_USD,
        whole=(Decimal("0.000028"), (8, 13)),
        partly=(Decimal("0.00001"), (8, 4)),
        unread=(Decimal("0.000002"), (8, 0)),
        cut=CUT,
        broken="APIError",
    ),
    "response": Family(
        provider="openai",
        request=p.RESPONSE,
        body=RESPONSE_BODY,
        events=openai_response_stream(RESPONSE_BODY),
        first_text=5,
        first_text_on_wire=5,
        error_event=OPENAI_ERROR,
        filtered={**RESPONSE_BODY, "status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
        exact=GPT_USD,
        whole=(Decimal("0.00002775"), (7, 13)),
        partly=(Decimal("0.00000975"), (7, 4)),
        unread=(Decimal("0.00000175"), (7, 0)),
        cut=CUT,
        broken="APIError",
    ),
    "message": Family(
        provider="anthropic",
        request=p.MESSAGE,
        body=MESSAGE_BODY,
        events=anthropic_message_stream(MESSAGE_BODY),
        first_text=3,
        first_text_on_wire=4,
        error_event=CLAUDE_ERROR,
        filtered={**MESSAGE_BODY, "stop_reason": "refusal"},
        exact=CLAUDE_USD,
        whole=(Decimal("0.00015"), (10, 13)),
        partly=(Decimal("0.00028"), (120, 4)),
        unread=(Decimal("0.00002"), (10, 0)),
        cut="RemoteProtocolError",
        broken="APIStatusError",
    ),
}

Start = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Surface:
    """A way to reach a model: what is called with a client and a request, and how its result is read."""

    name: str
    family: str
    start: Start
    parse: bool = False
    """Whether the result is a raw response."""


WHOLE = [
    Surface("chat", "chat", lambda c, r: c.chat.completions.create(**r)),
    Surface("chat raw", "chat", lambda c, r: c.chat.completions.with_raw_response.create(**r), parse=True),
    Surface("response", "response", lambda c, r: c.responses.create(**r)),
    Surface("response raw", "response", lambda c, r: c.responses.with_raw_response.create(**r), parse=True),
    Surface("message", "message", lambda c, r: c.messages.create(**r)),
    Surface("message raw", "message", lambda c, r: c.messages.with_raw_response.create(**r), parse=True),
    Surface("beta message", "message", lambda c, r: c.beta.messages.create(**r)),
]
STREAMED = [
    Surface("chat", "chat", lambda c, r: c.chat.completions.create(**r, stream=True)),
    Surface("chat raw", "chat", lambda c, r: c.chat.completions.with_raw_response.create(**r, stream=True), parse=True),
    Surface("response", "response", lambda c, r: c.responses.create(**r, stream=True)),
    Surface("message", "message", lambda c, r: c.messages.create(**r, stream=True)),
    Surface("message raw", "message", lambda c, r: c.messages.with_raw_response.create(**r, stream=True), parse=True),
    Surface("beta message", "message", lambda c, r: c.beta.messages.create(**r, stream=True)),
]


@dataclass(frozen=True)
class Expected:
    """What one row comes to."""

    status: str | None = None
    """`None` for a call that was refused, and thus not billed."""
    usd: Decimal = Decimal(0)
    tokens: tuple[int, int] | None = None
    wasted: bool = False
    error: str | None = None
    attempts: int = 1
    exposed: int = 0

    @property
    def waste(self) -> str | None:
        """The class of the waste."""
        return None if not self.wasted else "aborted_stream" if self.error is None else "failed_call"


@dataclass(frozen=True)
class Ending:
    """How a call ends: what the provider replies, what the application does, and what is to be known then."""

    name: str
    replies: Callable[[Family], tuple[Any, ...]]
    expected: Callable[[Family], Expected]
    act: str = "read"
    options: tuple[tuple[str, Any], ...] = ()
    """Of the client."""
    asynchronous_only: bool = False
    slow: bool = False
    """Waits for something: only on the first surface of each family."""


def exact(family: Family) -> Expected:
    return Expected("exact", family.exact, (120, 24))


def retried(attempts: int, exposed: int = 0) -> Callable[[Family], Expected]:
    return lambda family: Expected("exact", family.exact, (120, 24), attempts=attempts, exposed=exposed)


def refused(error: str, attempts: int = 1) -> Callable[[Family], Expected]:
    return lambda _: Expected(error=error, attempts=attempts)


def unanswered(error: str, attempts: int = 1) -> Callable[[Family], Expected]:
    return lambda _: Expected("unpriced", wasted=True, error=error, attempts=attempts, exposed=attempts)


def estimated_whole(family: Family) -> Expected:
    return Expected("estimated", *family.whole)


def left(family: Family) -> Expected:
    return Expected("estimated", *family.partly, wasted=True)


def unread(family: Family) -> Expected:
    return Expected("estimated", *family.unread, wasted=True)


def slow(family: Family) -> tuple[Any, ...]:
    return (Sse(family.events, delay_seconds=0.15),)


ERROR_429, ERROR_500 = Error(429, retry_after=0.01), Error(500, retry_after=0.01)
QUICK = (("timeout", 1.5),)
ONCE = (("max_retries", 0),)

WHOLE_ENDINGS = [
    Ending("answered", lambda f: (f.body,), exact),
    Ending("content filter", lambda f: (f.filtered,), exact),
    Ending("no usage", lambda f: (Json(without_usage(f.body)),), estimated_whole),
    Ending("usage null", lambda f: (Json({**f.body, "usage": None}),), estimated_whole),
    Ending("usage of a wrong type", lambda f: (Json({**f.body, "usage": "12"}),), estimated_whole),
    Ending("counts of a wrong type", lambda f: (Json({**f.body, "usage": {"input_tokens": "9"}}),), estimated_whole),
    Ending("empty object", lambda _: (Json({}),), lambda _: Expected("unpriced")),
    Ending("400", lambda _: (Error(400),), refused("BadRequestError")),
    Ending("429 twice", lambda f: (ERROR_429, ERROR_429, f.body), retried(3)),
    Ending("500 for ever", lambda _: (ERROR_500,) * 3, refused("InternalServerError", 3)),
    Ending("timeout", lambda _: (Hang(10),), unanswered("APITimeoutError"), options=(*QUICK, *ONCE), slow=True),
    Ending("timeout, retried", lambda f: (Hang(10), f.body), retried(2, 1), options=QUICK, slow=True),
    Ending("hung up", lambda _: (Hang(0),), unanswered("APIConnectionError"), options=ONCE),
    Ending("hung up, retried", lambda f: (Hang(0), f.body), retried(2, 1), slow=True),
    Ending(
        "cancelled",
        lambda _: (Hang(1),),
        unanswered("CancelledError"),
        act="cancel",
        asynchronous_only=True,
        slow=True,
    ),
]
STREAM_ENDINGS = [
    Ending("read", lambda f: (Sse(f.events),), exact),
    Ending("429 first", lambda f: (ERROR_429, Sse(f.events)), retried(2)),
    Ending("400", lambda _: (Error(400),), refused("BadRequestError")),
    Ending("timeout, retried", lambda f: (Hang(10), Sse(f.events)), retried(2, 1), options=QUICK, slow=True),
    Ending("closed", lambda f: (Sse(f.events),), left, act="close"),
    Ending("with exit", lambda f: (Sse(f.events),), left, act="with"),
    Ending("break", lambda f: (Sse(f.events),), left, act="break"),
    Ending("unread", lambda f: (Sse(f.events),), unread, act="drop"),
    Ending("closed unread", lambda f: (Sse(f.events),), unread, act="close unread"),
    Ending(
        "cut",
        lambda f: (Sse(f.events, cut_after=f.first_text_on_wire),),
        lambda f: Expected("estimated", *f.partly, wasted=True, error=f.cut),
    ),
    Ending(
        "cut at once",
        lambda f: (Sse(f.events, cut_after=0),),
        lambda f: Expected("estimated", *f.unread, wasted=True, error=f.cut),
    ),
    Ending(
        "error event",
        lambda f: (Sse([*f.events[: f.first_text_on_wire], f.error_event]),),
        lambda f: Expected("estimated", *f.partly, wasted=True, error=f.broken),
    ),
    Ending(
        "cancelled",
        slow,
        lambda f: Expected("estimated", *f.partly, wasted=True, error="CancelledError"),
        act="cancel stream",
        asynchronous_only=True,
        slow=True,
    ),
]


def program(surface: Surface, ending: Ending, *, asynchronous: bool) -> Callable[[Kit], Any]:
    """What the application does, as a function of the clients it has."""
    family = FAMILIES[surface.family]
    run = _Run(surface, ending, family.first_text)
    return run.asynchronously if asynchronous else run.synchronously


class _Run:
    def __init__(self, surface: Surface, ending: Ending, first_text: int) -> None:
        self.surface, self.ending, self.first_text = surface, ending, first_text
        self.family = FAMILIES[surface.family]

    def synchronously(self, kit: Kit) -> Any:
        client = getattr(kit, self.family.provider)(**dict(self.ending.options))
        result = self.surface.start(client, self.family.request)
        if self.surface.parse:
            result = result.parse()
        if not hasattr(result, "__stream__"):
            return result
        act, seen = self.ending.act, []
        if act == "read":
            return [type(result).__qualname__, list(result)]
        if act == "with":
            with result:
                return [next(result) for _ in range(self.first_text)]
        if act in ("break", "close"):
            for event in result:
                seen.append(event)
                if len(seen) == self.first_text:
                    break
        if act.startswith("close"):
            result.close()
        del result
        gc.collect()
        return seen

    async def asynchronously(self, kit: Kit) -> Any:
        async with getattr(kit, f"a{self.family.provider}")(**dict(self.ending.options)) as client:
            if self.ending.act == "cancel":
                return await _cancelled(self._start(client), kit)
            result = await self._start(client)
            if not hasattr(result, "__stream__"):
                return result
            if self.ending.act == "cancel stream":
                return await self._cancelled_in_stream(result)
            seen = await self._read(result)
            del result
            gc.collect()
            await asyncio.sleep(0)
            return seen

    async def _start(self, client: Any) -> Any:
        result = await self.surface.start(client, self.family.request)
        if self.surface.parse:
            result = result.parse()
        return await result if inspect.isawaitable(result) else result

    async def _read(self, stream: Any) -> Any:
        act, seen = self.ending.act, []
        if act == "read":
            return [type(stream).__qualname__, [event async for event in stream]]
        if act == "with":
            async with stream:
                return [await anext(stream) for _ in range(self.first_text)]
        if act in ("break", "close"):
            async for event in stream:
                seen.append(event)
                if len(seen) == self.first_text:
                    break
        if act.startswith("close"):
            await stream.close()
        return seen

    async def _cancelled_in_stream(self, stream: Any) -> Any:
        reached = asyncio.Event()
        seen = []

        async def read() -> None:
            async for event in stream:
                seen.append(event)
                if len(seen) == self.first_text:
                    reached.set()

        reader = asyncio.create_task(read())
        await reached.wait()
        reader.cancel()
        await reader


async def _cancelled(answer: Any, kit: Kit) -> Any:
    waiting = asyncio.ensure_future(answer)
    await kit.was_asked()
    waiting.cancel()
    return await waiting
