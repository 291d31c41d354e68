"""The time whose prices calls have."""

from __future__ import annotations

import time
from collections.abc import Callable

_clock: Callable[[], int] = time.time_ns


def use_clock(clock: Callable[[], int]) -> None:
    """From now on `clock` tells it, in Unix ns."""
    global _clock  # noqa: PLW0603 - one swap of one reference
    _clock = clock


def now_ns() -> int:
    """It, in Unix ns."""
    return _clock()
