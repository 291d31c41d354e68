"""The calls whose answer the provider is still making, by its id, until a request for that id brings it.

Bounded: the program may never ask, or another process may. The oldest then ends without its usage; so do all at exit.
"""

from __future__ import annotations

import atexit
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from taskmeter.capture.call import Call

LIMIT: Final = 10_000
"""Calls that may wait at once."""


class _Waiting:
    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}
        self._lock = threading.Lock()
        self._registered = False

    def add(self, answer_id: str, call: Call) -> None:
        """`call` ends when a request for `answer_id` brings a finished answer."""
        with self._lock:
            if not self._registered:
                self._registered = True
                atexit.register(self._finish)
            self._calls[answer_id] = call
            oldest = next(iter(self._calls)) if len(self._calls) > LIMIT else None
            forgotten = None if oldest is None else self._calls.pop(oldest)
        if forgotten is not None:
            forgotten.abandon()

    def remove(self, answer_id: str) -> None:
        """That call has ended."""
        with self._lock:
            self._calls.pop(answer_id, None)

    def at(self, path: str) -> Call | None:
        """The call whose answer a request to `path` is about: one of its last segments is the answer's id."""
        if not self._calls:
            return None
        found = (self._calls.get(segment) for segment in path.rsplit("/", 2)[1:])
        return next((call for call in found if call is not None), None)

    def _finish(self) -> None:
        for call in list(self._calls.values()):
            call.abandon()


_waiting = _Waiting()
add = _waiting.add
remove = _waiting.remove
at = _waiting.at
