"""The time whose prices calls have."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, cast

from taskmeter._guard import guarded

_LIMIT: Final = 1 << 63
"""Nanoseconds since 1970 that telemetry can say."""
_clock: Callable[[], int] = time.time_ns


def use_clock(clock: Callable[[], int]) -> None:
    """From now on `clock` tells it, in Unix ns."""
    global _clock  # noqa: PLW0603 - one swap of one reference
    _clock = clock


def now_ns() -> int | None:
    """It, in Unix ns; `None` where the application's clock fails: prices at another time are not guessed."""
    with guarded("capture.clock"):
        found = cast(object, _clock())
        if isinstance(found, int) and 0 <= found < _LIMIT:
            return found
        msg = f"the clock given to instrument() returned a {type(found).__name__} that is no Unix time in ns"
        raise ValueError(msg)
    return None
