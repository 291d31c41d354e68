"""The queue between a span's end and where it goes: bounded, honest about what became of each span, never waited for.

Ours, because OpenTelemetry's batch processor drops a batch that was not taken, and says that all is well.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import ClassVar, Final, Protocol

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from taskmeter._guard import guarded
from taskmeter.telemetry import losses, suppression
from taskmeter.telemetry.losses import Destination, Reason

_SOON: Final = "soon"
_FULL: Final = "full"
_NOW: Final = "now"
"""What wakes the thread: something waits and others may come, there is a whole batch, or somebody waits for it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a batch."""

    accepted: int = 0
    lost: Mapping[Reason, int] = field(default_factory=dict[Reason, int])
    said: str = ""
    """About what was lost, for the log."""
    again_seconds: float | None = None
    """The batch is to be handed over again, not before that time; `None` when it is done with."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a queue."""

    waiting: int
    """Spans that may wait."""
    batch: int
    """Spans that are handed over at once."""
    delay_seconds: float
    """How long a span waits for others."""
    exit_seconds: float
    """How long `shutdown` waits."""
    while_moving: bool = False
    """Whether it waits longer, for as long as that much time brings some of it out."""


class Target(Protocol):
    """Where a queue leads. All of it is called by the queue's own thread, `forked` excepted: each may take its time."""

    name: ClassVar[Destination]
    """What its losses are counted under."""

    def deliver(self, spans: Sequence[ReadableSpan]) -> Verdict:
        """Takes a batch. Waits as long as it takes, but not for another try."""
        ...

    def rest(self) -> float | None:
        """Does what is due between deliveries. Returns seconds until the next such moment, `None` for never."""
        ...

    def forked(self) -> None:
        """In a forked process: what is open is the parent's."""
        ...

    def close(self) -> None:
        """Nothing more will come."""
        ...


class _Mark:
    """Stands in the queue behind the spans that somebody waits for.

    A bare lock, not an `Event`: a signal handler may have interrupted this thread anywhere, and waits as well.
    """

    __slots__ = ("_reached", "settled")

    def __init__(self) -> None:
        self.settled = False
        self._reached = threading.Lock()
        self._reached.acquire()

    def release(self, *, settled: bool) -> None:
        self.settled = self.settled or settled
        with suppress(RuntimeError):  # it was before
            self._reached.release()

    def wait(self, seconds: float) -> bool:
        return self._reached.acquire(timeout=max(0.0, seconds))


class SpanQueue(SpanProcessor):
    """Hands spans to `target` in batches, by a thread of its own.

    `on_end` appends and returns. A batch that cannot be delivered stays, at the front, until it can; meanwhile
    `limit` spans may wait, and those that come then are counted as lost. Each that has ended is accepted, lost or
    waiting.
    """

    def __init__(self, target: Target, limits: Limits) -> None:
        self.accepted = 0
        """Spans that the target took."""
        self.lost = 0
        self._target: Final = target
        self._limit, self._batch, self._delay = limits.waiting, limits.batch, limits.delay_seconds
        self._exit_seconds, self._patient = limits.exit_seconds, limits.while_moving
        self._closed = False
        self._lost_before = 0
        self._reset()
        self._start()
        if hasattr(os, "register_at_fork"):
            forked = weakref.WeakMethod(self._forked)
            os.register_at_fork(after_in_child=lambda: None if (call := forked()) is None else call())

    def _reset(self) -> None:
        self._waiting: deque[ReadableSpan | _Mark] = deque()
        self._impatient: list[_Mark] = []
        self._wake: SimpleQueue[str] = SimpleQueue()  # reentrant, unlike what is built on `threading.Lock`
        self._awake = self._full = False
        self._worker: threading.Thread | None = None
        self._starting = threading.Lock()
        self._delivering = threading.Lock()
        self._counting = threading.RLock()

    # --- the hot path

    def on_end(self, span: ReadableSpan) -> None:
        """Called by OpenTelemetry for each span that ends."""
        if not (span.context and span.context.trace_flags.sampled):
            return
        if self._closed:
            return
        waiting = len(self._waiting)
        if waiting >= self._limit:
            self._lose("queue_full", 1)
            return
        self._waiting.append(span)
        if not self._awake:
            self._awake = True
            self._wake.put(_SOON)
            if self._worker is None:
                self._start()
        elif waiting >= self._batch and not self._full:
            self._full = True
            self._wake.put(_FULL)

    # --- for those who wait

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Whether all that ended since the last flush was taken, in time. Does not wait for a second try."""
        settled = self._wait(timeout_millis / 1_000) is True
        lost_before, self._lost_before = self._lost_before, self.lost
        return settled and self.lost <= lost_before

    def save(self, seconds: float, *, while_moving: bool = False) -> bool:
        """Waits until what has ended so far is settled, or a try has failed. Returns whether it is settled.

        `while_moving` it waits longer, for as long as each `seconds` bring some of it out.
        """
        done: bool | None = None
        before = -1
        while done is None and before < self.accepted:
            before = self.accepted
            done = self._wait(seconds)
            if not while_moving:
                break
        return done is True

    def _wait(self, seconds: float) -> bool | None:
        """`True` when what has ended so far is settled, `False` when a try failed, `None` when it takes longer."""
        mark = _Mark()
        self._impatient.append(mark)
        self._waiting.append(mark)
        self._wake.put(_NOW)
        if self._worker is None or not self._worker.is_alive():
            self._deliver_here()
        reached = mark.wait(seconds)
        with suppress(ValueError):
            self._impatient.remove(mark)
        with suppress(ValueError, IndexError):
            self._waiting.remove(mark)
        return mark.settled if reached else None

    # --- the end

    def shutdown(self) -> None:
        """Takes nothing more and ends the thread. What cannot be settled in `exit_seconds` is counted as lost.

        A target that hangs is left behind after as much time again.
        """
        if self._closed:
            return
        self._closed = True
        self.save(self._exit_seconds, while_moving=self._patient)
        self.give_up()
        if self._worker is None:
            self._close()
        else:
            self._worker.join(self._exit_seconds)

    def give_up(self) -> None:
        """Counts what still waits as lost: the process ends now."""
        waiting, self._waiting = self._waiting, deque()
        self._lose("exit", sum(not isinstance(each, _Mark) for each in waiting))
        self._wake.put(_NOW)

    def _lose(self, reason: Reason, spans: int, said: str = "") -> None:
        with self._counting:
            self.lost += spans
        losses.count(self._target.name, reason, spans, said)

    # --- the thread

    def _start(self) -> None:
        """One thread, whoever else may be at it: two would take each other's batches."""
        if not self._starting.acquire(blocking=False):
            return
        try:
            if self._worker is None:
                worker = threading.Thread(target=self._run, name=f"taskmeter-{self._target.name}", daemon=True)
                with suppress(RuntimeError):  # the interpreter is about to end: see `_deliver_here`
                    worker.start()
                    self._worker = worker
        finally:
            self._starting.release()

    def _run(self) -> None:
        suppression.silence()
        pause: float | None = None
        while not self._closed or self._waiting:
            whole = self._slept(pause) == _FULL
            with self._delivering:
                again = self._deliver_waiting(whole_batches=whole)
            due = self._rest()
            if again is not None:
                pause = again
                self._awake = self._full = True  # more of the same does not shorten the wait, a flush does
            elif self._waiting:
                pause = self._delay
                self._awake = True
            else:
                pause = due
        self._close()

    def _slept(self, pause: float | None) -> str | None:
        """Until something waits, then for others to go out with it. Returns what ended the sleep, if not the time."""
        woken = None
        with suppress(Empty):
            woken = self._wake.get(timeout=pause)
            if woken == _SOON:
                woken = None
                woken = self._wake.get(timeout=self._delay)
        self._awake = self._full = False
        return woken

    def _rest(self) -> float | None:
        with guarded("telemetry.queue_rest"):
            return self._target.rest()
        return None

    def _close(self) -> None:
        with guarded("telemetry.queue_close"):
            self._target.close()

    def _deliver_waiting(self, *, whole_batches: bool = False) -> float | None:
        """Hands over what waits. Returns in how many seconds to try again, `None` if that is not needed."""
        waiting = self._waiting
        while len(waiting) >= (self._batch if whole_batches else 1):
            head = waiting[0]
            if isinstance(head, _Mark):
                waiting.popleft()
                head.release(settled=True)
                continue
            batch = self._first(waiting)
            verdict = self._verdict(batch)
            if waiting is not self._waiting:  # given up meanwhile, and counted
                return None
            if verdict.again_seconds is not None:
                while self._impatient:
                    self._impatient.pop().release(settled=False)
                return verdict.again_seconds
            for _ in batch:
                waiting.popleft()
            self.accepted += verdict.accepted
            for reason, spans in verdict.lost.items():
                self._lose(reason, spans, verdict.said)
        return None

    def _first(self, waiting: deque[ReadableSpan | _Mark]) -> list[ReadableSpan]:
        """The first of a batch's size, by index: an iterator would not stand that others append."""
        batch: list[ReadableSpan] = []
        for index in range(min(self._batch, len(waiting))):
            each = waiting[index]
            if isinstance(each, _Mark):
                break
            batch.append(each)
        return batch

    def _verdict(self, batch: Sequence[ReadableSpan]) -> Verdict:
        with guarded("telemetry.queue"):
            return self._target.deliver(batch)
        return Verdict(lost={"unencodable": len(batch)})  # a fault of ours: it would come again with the same batch

    def _deliver_here(self) -> None:
        """Where no thread can be had, in a process that is about to end."""
        if self._delivering.acquire(blocking=False):
            try:
                self._deliver_waiting()
            finally:
                self._delivering.release()

    def _forked(self) -> None:
        """What waits is the parent's, and so was the thread."""
        self.accepted = self.lost = self._lost_before = 0
        self._reset()
        self._target.forked()
