"""Our own faults never reach the caller: logged once per place, counted, and re-raised only under our own tests.

Every entry from the host program into taskmeter runs inside `guarded(place)`. Errors we raise on purpose
(`TaskmeterError`) pass; anything else that an entry raises is ours and is swallowed here.
"""

from __future__ import annotations

import logging
from collections import Counter
from types import TracebackType
from typing import Final

from taskmeter.errors import TaskmeterError

log = logging.getLogger("taskmeter")

faults: Final[Counter[str]] = Counter()
"""How often each place failed. Bounded: places are string literals of this package."""

strict = False
"""Set by our own test-suite: a fault of ours is then raised instead of swallowed."""


class Guard:
    """`with guarded("place"): ...` swallows any `Exception` that is not a `TaskmeterError`."""

    __slots__ = ("_place",)

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if fault is None or not isinstance(fault, Exception) or isinstance(fault, TaskmeterError):
            return False
        return record_fault(self._place, fault)


def guarded(place: str) -> Guard:
    """A guard for `place`, a literal such as `"capture.request"` that names the entry in logs and counts."""
    return Guard(place)


def record_fault(place: str, fault: Exception) -> bool:
    """Counts and logs a fault of ours. Returns whether it is to be swallowed: always, but under our own tests."""
    first = place not in faults
    faults[place] += 1
    if strict:
        return False
    if first:
        log.warning(
            "taskmeter failed in %s and goes on without it; further faults there are only counted",
            place,
            exc_info=fault,
        )
    return True
