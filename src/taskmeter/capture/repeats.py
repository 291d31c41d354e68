"""Whether a call asks again what was asked and answered before in its task, or goes on in a loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from taskmeter.account import Prompt, Scope, rules
from taskmeter.capture.reading import Reading
from taskmeter.records import WasteClass

_OPERATIONS: Final = frozenset({"chat", "text_completion", "embeddings"})
"""What is asked in words, all of which are in the fingerprint. Not pictures, sound and files."""


class Asked:
    """What one call asked, when it was sent."""

    __slots__ = ("_fingerprint", "_ledger", "_repeated")

    def __init__(
        self, scope: Scope | None, prompt: Prompt | None, operation: str, request: Mapping[str, object]
    ) -> None:
        self._ledger = None if scope is None or scope.task is None or scope.task.remote else scope.ledger
        self._fingerprint: bytes | None = None
        self._repeated = False
        """Whether the answer was known when the call was sent: not of calls made at the same time."""
        if self._ledger is None or prompt is None or operation not in _OPERATIONS or not rules().duplicates:
            return
        if request.get("conversation") is None:  # else the provider puts before it what was said since
            self._fingerprint = prompt.fingerprint
            self._repeated = self._ledger.repeats.has_answer(prompt.fingerprint)

    def waste(self, reading: Reading | None) -> WasteClass | None:
        """Why an answer that the application gets is waste all the same, if it is."""
        if self._repeated:
            return "duplicate"
        if self._ledger is not None and reading is not None and reading.asks_for_tools and self._ledger.repeats.looping:
            return "loop"
        return None

    def ended(self, *, got: bool) -> None:
        """The call is booked; `got` if the application has the answer."""
        if got and self._fingerprint is not None and self._ledger is not None:
            self._ledger.repeats.answered(self._fingerprint, self._ledger)
