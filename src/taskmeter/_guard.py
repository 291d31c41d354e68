"""Our own faults never reach the caller: logged once per place, counted, and re-raised only under our own tests.

Every entry from the host program into taskmeter runs inside `guarded(place)`. Errors we raise on purpose
(`TaskmeterError`) pass, as does what stops a program (`KeyboardInterrupt`); anything else that an entry raises is ours
and is swallowed here. A hook that keeps failing is turned off by its `Breaker`.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from traceback import walk_tb
from types import TracebackType
from typing import Final
from weakref import WeakSet

from taskmeter.errors import TaskmeterError

log = logging.getLogger("taskmeter")

faults: Final[Counter[str]] = Counter()
"""How often each place failed. Bounded: places are string literals of this package."""
first_faults: Final[dict[str, str]] = {}
"""What the first fault of each place was: its class and the line, never its message, which may hold a prompt."""
_MOST_FRAMES: Final = 16
LIMIT: Final = 10
"""So many faults in a row at one place of a hook turn that hook off."""

strict = False
"""Set by our own test-suite: a fault of ours is then raised instead of swallowed."""

_breakers: Final[WeakSet[Breaker]] = WeakSet()
_lock = threading.RLock()  # a fault in a finalizer may come while this thread is at another


def turned_off() -> list[str]:
    """The hooks that are off because of faults of ours."""
    return sorted(breaker.hook for breaker in list(_breakers) if breaker.off)


class Breaker:
    """Turns one hook off, once our part of it has failed `LIMIT` times in a row at one place. Reports by log once."""

    __slots__ = ("__weakref__", "hook", "off", "rows")

    def __init__(self, hook: str) -> None:
        self.hook = hook
        """What is turned off, for people."""
        self.off = False
        _breakers.add(self)
        self.rows: dict[str, int] = {}
        """Faults in a row, by place; empty while all is well."""

    def failed(self, place: str) -> None:
        """One more fault at `place`."""
        with _lock:
            row = self.rows[place] = self.rows.get(place, 0) + 1
            if row < LIMIT or self.off:
                return
            self.off = True
        warn("taskmeter failed %d times in a row in %s and turns its hook on %s off", row, place, self.hook)

    def reset(self) -> None:
        """On again, as new."""
        with _lock:
            self.off = False
            self.rows.clear()


class Guard:
    """`with guarded("place"): ...` swallows any `Exception` that is not a `TaskmeterError`."""

    __slots__ = ("_breaker", "_place")

    def __init__(self, place: str, breaker: Breaker | None) -> None:
        self._place = place
        self._breaker = breaker

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> bool:
        breaker = self._breaker
        if fault is None:
            if breaker is not None and breaker.rows:
                breaker.rows.pop(self._place, None)
            return False
        if not isinstance(fault, Exception) or isinstance(fault, TaskmeterError):
            return False
        if breaker is not None:
            breaker.failed(self._place)
        return record_fault(self._place, fault)


def guarded(place: str, breaker: Breaker | None = None) -> Guard:
    """A guard for `place`, a literal such as `"capture.request"` that names the entry in logs and counts; `breaker` is
    that of the hook whose own part this is."""
    return Guard(place, breaker)


def record_fault(place: str, fault: Exception) -> bool:
    """Counts and logs a fault of ours. Returns whether it is to be swallowed: always, but under our own tests."""
    with _lock:
        first = place not in faults
        faults[place] += 1
        if first:
            first_faults[place] = _described(fault)
    if strict:
        return False
    if first:
        warn(
            "taskmeter failed in %s and goes on without it; further faults there are only counted. %s",
            place,
            _traced(fault),
        )
    return True


def _traced(fault: Exception) -> str:
    """Where a fault came from: classes, modules, lines and functions, innermost last. No message and no line of code:
    either may hold a prompt, a key or a name."""
    frames = [
        f"{frame.f_globals.get('__name__', '?')}:{number} in {frame.f_code.co_name}"
        for frame, number in walk_tb(fault.__traceback__)
    ]
    cause = fault.__cause__ or fault.__context__
    classes = type(fault).__name__ + (f" after {type(cause).__name__}" if cause is not None else "")
    return "\n  ".join([classes, *frames[-_MOST_FRAMES:]])


def _described(fault: Exception) -> str:
    trace = fault.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = type(fault).__name__
    if trace is None:
        return name
    return f"{name} at {trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"


def warn(message: str, *values: object) -> None:
    """Logs a warning, whatever the application's log handlers do."""
    try:
        log.warning(message, *values)
    except Exception:  # noqa: BLE001 - the application's own log handler failed, and there is nobody to tell
        with _lock:
            faults["log"] += 1
