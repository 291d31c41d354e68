"""Streams observed in place: the object stays the SDK's own, only its events pass through here."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from taskmeter._guard import guarded
from taskmeter.capture.call import Call
from taskmeter.telemetry import collected

_held: WeakKeyDictionary[Any, Call] = WeakKeyDictionary()
"""The calls whose response body is still to be read, by response. Nothing is set on the response itself."""
_lock = threading.Lock()


def hold(response: Any, call: Call) -> None:
    """Remembers which call the body of `response` belongs to, for as long as the response lives."""
    collected.watch()
    with _lock:
        _held[response] = call
    call.hold(response)


def held_by(response: Any) -> Call | None:
    """The call whose body `response` brings, if any."""
    return _held.get(response) if _held else None


def observed(events: Iterator[Any], call: Call) -> Generator[Any, None, None]:
    """The same events, in the same order and as lazily; ends `call` with them."""
    try:
        call.reading = True
        for event in events:
            if not _hidden(call, event):
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


async def observed_async(events: AsyncIterator[Any], call: Call) -> AsyncGenerator[Any, None]:
    """See `observed`."""
    try:
        call.reading = True
        async for event in events:
            if not _hidden(call, event):
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
        if isinstance(events, AsyncGenerator):
            await events.aclose()


def _hidden(call: Call, event: object) -> bool:
    hidden = False
    with guarded("capture.event"):
        hidden = call.hides(event)  # first: what only we asked for is hidden even if we fail to read it
        call.observe(event)
    return hidden
