"""What a task asked and did before, so that doing it again is told: by keyed fingerprints, a bounded number of them.

No text is kept, and nothing that text could be guessed from: a fingerprint is made with a key that never leaves the
process.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from taskmeter._config import WasteRules

if TYPE_CHECKING:
    from taskmeter.account.ledger import Ledger

MOST_ANSWERS: Final = 1024
"""Answers that a task remembers; the oldest is forgotten first."""
LONGEST_CYCLE: Final = 4
"""Tool runs that may take turns in a loop."""


class _Rules:
    """In force in this process."""

    current = WasteRules()


def use_rules(rules: WasteRules) -> None:
    """From now on `rules` say what is waste."""
    _Rules.current = rules


def rules() -> WasteRules:
    """What is in force."""
    return _Rules.current


class Answers:
    """What one task has asked and got. Every method may be called from any thread."""

    __slots__ = ("_answers", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: dict[bytes, tuple[Ledger, int]] = {}
        """By the fingerprint of the request: where the answer was booked, and its standing then."""

    def answered(self, request: bytes, ledger: Ledger) -> None:
        """The application got the answer to `request`, which is booked to `ledger`."""
        standing = ledger.standing()
        if standing is None:
            return
        with self._lock:
            self._answers[request] = ledger, standing
            if len(self._answers) > MOST_ANSWERS:
                del self._answers[next(iter(self._answers))]

    def has_answer(self, request: bytes) -> bool:
        """Whether the application has got the answer to the same request, and has not rejected it since."""
        with self._lock:
            known = self._answers.get(request)
        return known is not None and known[0].standing(known[1]) is not None


class StartedRun:
    """A tool run, for as long as those after it may repeat it."""

    __slots__ = ("fingerprint", "looped", "over")

    def __init__(self, fingerprint: bytes) -> None:
        self.fingerprint = fingerprint
        self.looped = False
        """Whether it is one too many of the same, or of the same few in turn."""
        self.over = False


class ToolRuns:
    """The last tool runs of a task, or of a branch of it. Every method may be called from any thread."""

    __slots__ = ("_cycles", "_lock", "_runs", "looping")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: deque[StartedRun] = deque(maxlen=LONGEST_CYCLE)
        self._cycles = [0] * LONGEST_CYCLE
        """By the length of a cycle, less 1: how many tool runs in a row were those of one cycle before."""
        self.looping = False
        """Whether the last tool run was one too many."""

    def starts(self, fingerprint: bytes | None) -> StartedRun | None:
        """A tool starts; `fingerprint` is that of the tool and its arguments, `None` if there is none. It repeats only
        what is over by now: runs beside each other are asked for without knowing what came of the others."""
        allowed = rules().repeated_tool
        with self._lock:
            if fingerprint is None or allowed is None:
                self._runs.clear()
                self._cycles = [0] * LONGEST_CYCLE
                self.looping = False
                return None
            run = StartedRun(fingerprint)
            for length in range(1, LONGEST_CYCLE + 1):
                before = self._runs[-length] if len(self._runs) >= length else None
                again = before is not None and before.over and before.fingerprint == fingerprint
                self._cycles[length - 1] = self._cycles[length - 1] + 1 if again else 0
            self._runs.append(run)
            run.looped = any(count > (allowed - 1) * length for length, count in enumerate(self._cycles, start=1))
            self.looping = run.looped
            return run
