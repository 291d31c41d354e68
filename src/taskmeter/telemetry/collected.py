"""Runs what a garbage collection sets off outside of that collection.

A collection can start at any allocation, also while its thread holds a lock: the ledger's, or one of OpenTelemetry's.
Ending a call or a scope takes the same locks. For an abandoned stream a thread of its own does it, as nothing else may
come; for a generator's scope the next scope or charge does, or the end of the program.
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
        self._noticing = False
        self._lock = threading.Lock()

    def notice(self) -> None:
        """From now on knows when a collection runs. Not to be called by one."""
        if not self._noticing:
            with self._lock:
                if not self._noticing:
                    gc.callbacks.append(self._on_collection)
                    atexit.register(self.catch_up)
                    self._noticing = True

    def watch(self) -> None:
        """Also starts the thread, again in a forked process. Not to be called by a collection."""
        self.notice()
        if self._thread is None or not self._thread.is_alive():
            with self._lock:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._work, name="taskmeter-collected", daemon=True)
                    self._thread.start()

    def run(self, job: _Job) -> None:
        """Runs `job`, which never raises: now; inside of a collection soon after it, in the thread or with the next."""
        if self._collecting == threading.get_ident():
            self._jobs.put(job)
            return
        if not self._jobs.empty():
            self.catch_up()
        job()

    def _on_collection(self, phase: str, _info: dict[str, int]) -> None:
        self._collecting = threading.get_ident() if phase == "start" else None

    def _work(self) -> None:
        while True:
            self._jobs.get()()

    def catch_up(self) -> None:
        """Runs what waits for the thread, now, in this one."""
        with contextlib.suppress(Empty):
            while True:
                self._jobs.get_nowait()()


_collected = _Collected()
notice = _collected.notice
watch = _collected.watch
run = _collected.run
catch_up = _collected.catch_up
