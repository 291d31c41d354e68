"""Runs what a garbage collection sets off outside of that collection.

A collection can start at any allocation, also while its thread holds a lock: the ledger's, or one of OpenTelemetry's.
Ending a call takes the same locks, so for an abandoned stream that the collector finds a thread of its own does it.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

_Job = Callable[[], None]


class _Collected:
    def __init__(self) -> None:
        self._collecting: int | None = None  # the thread that runs the collection: there is one at a time
        self._jobs: SimpleQueue[_Job] = SimpleQueue()  # its `put` may interrupt its own `put`, as a collection does
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def watch(self) -> None:
        """Starts the thread, also again in a forked process. Not to be called by a collection."""
        if self._thread is not None and self._thread.is_alive():
            return
        with self._lock:
            if self._thread is None:
                gc.callbacks.append(self._on_collection)
                atexit.register(self._finish)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="taskmeter-collected", daemon=True)
                self._thread.start()

    def run(self, job: _Job) -> None:
        """Runs `job`, which never raises: now, or soon in the thread if this is inside of a collection."""
        if self._collecting == threading.get_ident():
            self._jobs.put(job)
        else:
            job()

    def _on_collection(self, phase: str, _info: dict[str, int]) -> None:
        self._collecting = threading.get_ident() if phase == "start" else None

    def _work(self) -> None:
        while True:
            self._jobs.get()()

    def _finish(self) -> None:
        with contextlib.suppress(Empty):
            while True:
                self._jobs.get_nowait()()


_collected = _Collected()
watch = _collected.watch
run = _collected.run
