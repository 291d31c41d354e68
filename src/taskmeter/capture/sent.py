"""What the calls of one task have sent so far, as marks: whether a text is sent again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

MOST_MARKS: Final = 4096
"""Texts of one task that are known again; the oldest are forgotten first."""


class Sent:
    """Of one task. Thread-safe; dropped with the task."""

    __slots__ = ("_lock", "_marks")

    def __init__(self) -> None:
        self._marks: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()

    def knows(self, mark: bytes) -> bool:
        """Whether the text of that mark was sent."""
        return mark in self._marks

    def add(self, marks: Iterable[bytes]) -> None:
        """The texts of those marks are sent now."""
        with self._lock:
            for mark in marks:
                self._marks[mark] = None
                self._marks.move_to_end(mark)
            while len(self._marks) > MOST_MARKS:
                self._marks.popitem(last=False)
