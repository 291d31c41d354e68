"""Who is told of all that is booked, pictured and ended in this process: the recorders of `taskmeter.testing`.

With nobody watching, a booking or a span pays for a loop over an empty tuple.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

    from taskmeter.account import Entry, Scope


class Watcher(Protocol):
    """Its methods are called from any thread, and raise nothing. Those for spans take no lock: a span may start inside
    of a garbage collection."""

    def booked(self, entry: Entry) -> None:
        """Something was spent or counted, in a task or in none."""

    def ended(self, scope: Scope) -> None:
        """A task has ended; its outcome and its account are settled."""

    def started(self, span: Span, start_by: Callable[[Tracer], Span]) -> Span:
        """A span of ours was started. Returns it, or the one to use instead: `start_by` starts the same by another
        tracer."""
        ...

    def saw(self, span: Span) -> None:
        """Somebody else's span was started where a `TaskSpanProcessor` is, or stands for a call."""


watchers: tuple[Watcher, ...] = ()
"""Replaced as a whole."""
_lock = threading.Lock()


def add(watcher: Watcher) -> None:
    """From now on `watcher` is told."""
    global watchers  # noqa: PLW0603 - one swap, so that a reader sees either the old or the new ones
    with _lock:
        watchers = (*watchers, watcher)


def remove(watcher: Watcher) -> None:
    """From now on it is not."""
    global watchers  # noqa: PLW0603 - as above
    with _lock:
        watchers = tuple(other for other in watchers if other is not watcher)
