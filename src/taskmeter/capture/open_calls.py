"""The calls that are open, so that the end of the interpreter can end them: a stream kept, a request under way."""

from __future__ import annotations

import atexit
import threading
import time
from typing import Protocol
from weakref import WeakSet

from taskmeter.telemetry import collected

_GRACE_SECONDS = 1.0
"""How long the exit waits for calls that another thread is ending at that moment."""


class _Open(Protocol):
    def interrupt(self) -> None: ...


_calls: WeakSet[_Open] = WeakSet()
_lock = threading.Lock()
_registered = False


def opened(call: _Open) -> None:
    """Remembers `call` until it is `over`."""
    global _registered  # noqa: PLW0603 - one exit per process
    if not _registered:
        with _lock:
            if not _registered:
                # At the first call, which comes after providers were made: handlers run last in, first out.
                atexit.register(finish)
                _registered = True
    _calls.add(call)


def over(call: _Open) -> None:
    """Forgets `call`."""
    _calls.discard(call)


def finish() -> None:
    """Ends every open call, as the program ends. Again: no effect on those that are over."""
    collected.catch_up()
    for call in list(_calls):
        call.interrupt()
    deadline = time.monotonic() + _GRACE_SECONDS
    while _calls and time.monotonic() < deadline:
        time.sleep(0.001)
