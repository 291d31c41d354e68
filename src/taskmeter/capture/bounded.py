"""What the process remembers of ids that come back later, within bounds."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

_V = TypeVar("_V")

Key = tuple[str, str]
"""A provider's host, and an id it gave."""


class Remembered(Generic[_V]):
    """The `limit` values that were used last, by key. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[Key, _V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key) -> _V | None:
        """The value of `key`, if it is still remembered."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def update(self, key: Key, change: Callable[[_V | None], _V]) -> _V | None:
        """Replaces the value of `key` by `change` of it, atomically; returns what it was."""
        with self._lock:
            before = self._values.get(key)
            self._values[key] = change(before)
            self._values.move_to_end(key)
            if len(self._values) > self._limit:
                self._values.popitem(last=False)
            return before
