"""Streams observed in place: the object stays the SDK's own, only its events pass through here."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Generator
from copy import copy
from functools import partial
from types import MethodType
from typing import Any, cast
from weakref import WeakKeyDictionary, ref

from taskmeter._guard import Breaker, guarded
from taskmeter.capture.agents import AgentEvents
from taskmeter.capture.batches import BatchRead
from taskmeter.capture.call import Call
from taskmeter.telemetry import collected

Held = Call | BatchRead | AgentEvents
"""What a body that is still to be read belongs to."""

_held: WeakKeyDictionary[Any, Held] = WeakKeyDictionary()
"""The calls whose response body is still to be read, by response. Nothing is set on the response itself."""
_lock = threading.Lock()


def hold(response: Any, call: Held) -> None:
    """Remembers which call the body of `response` belongs to, for as long as the response lives."""
    collected.watch()
    with _lock:
        _held[response] = call
    call.hold(response)


def held_by(response: Any) -> Held | None:
    """The call whose body `response` brings, if any."""
    return _held.get(response) if _held else None


class Begun:
    """What is iterated already, as a body's bytes are."""

    __slots__ = ("_events", "breaker")

    def __init__(self, events: Any, breaker: Breaker) -> None:
        self._events = events
        self.breaker = breaker

    def begin(self) -> Any:
        """The same."""
        return self._events


class Events:
    """The SDK's own events of a stream, not begun yet.

    They are made by a twin of the stream. OpenAI's stream holds its events and they hold the stream, so that one left
    with `break` would stay open, and its call unbooked, until the garbage collector comes by; the twin holds no events.
    """

    __slots__ = ("_make", "_stream", "_twin", "breaker")

    def __init__(self, wrapped: Callable[..., Any], stream: Any, breaker: Breaker) -> None:
        self.breaker = breaker
        # Of somebody else's wrapper beneath ours there is nothing to give the twin to, whatever it says of itself.
        method = cast("Any", wrapped) if type(wrapped) is MethodType else None
        self._make: Callable[[Any], Any] = (lambda _twin: wrapped()) if method is None else method.__func__
        self._stream = ref(stream)
        self._twin = stream  # stays so if it cannot be copied
        with guarded("capture.twin", self.breaker):
            self._twin = copy(stream)

    def begin(self) -> Any:
        """The events, at the first step: what a subclass has set on the stream since is the twin's as well."""
        stream, twin = self._stream(), self._twin
        with guarded("capture.twin", self.breaker):
            if stream is not None and twin is not stream:
                twin.__dict__.update(stream.__dict__)
                twin.__dict__.pop("_iterator", None)
        return self._make(twin)


def observed(unbegun: Events | Begun, call: Held) -> Generator[Any, None, None]:
    """The same events, in the same order and as lazily; ends `call` with them."""
    events: Any = None
    try:
        events = unbegun.begin()
        call.reading = True
        for event in events:
            if not _hidden(call, event, unbegun.breaker):
                call.reading = False
                yield event
                call.reading = True
    except GeneratorExit:
        collected.run(partial(call.end, "closed"))
        raise
    except BaseException as error:
        call.end("failed", error)
        raise
    else:
        call.end("read")
    finally:
        if isinstance(events, Generator):
            events.close()


async def observed_async(unbegun: Events | Begun, call: Held) -> AsyncGenerator[Any, None]:
    """See `observed`."""
    events: Any = None
    try:
        events = unbegun.begin()
        call.reading = True
        async for event in events:
            if not _hidden(call, event, unbegun.breaker):
                call.reading = False
                yield event
                call.reading = True
    except GeneratorExit:
        collected.run(partial(call.end, "closed"))
        raise
    except BaseException as error:
        if call.reading:
            call.end("failed", error)
        else:
            # Left before: a loop that ends cancels the task that was to close it, so that this is raised here.
            collected.run(partial(call.end, "closed"))
        raise
    else:
        call.end("read")
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()


def _hidden(call: Held, event: Any, breaker: Breaker) -> bool:
    hidden, seen = False, False
    with guarded("capture.event", breaker):
        hidden = call.hides(event)  # first: what only we asked for is hidden even if we fail to read it
        call.observe(event)
        seen = True
    if not seen and isinstance(call, Call):
        call.missed = True
    return hidden
