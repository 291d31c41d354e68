"""Whether a call asks again what was asked and answered before in its task, or goes on in a loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from taskmeter.account import Answers, Prompt, Scope, rules
from taskmeter.capture.reading import Reading
from taskmeter.records import WasteClass

_OPERATIONS: Final = frozenset({"chat", "text_completion", "embeddings"})
"""What is asked in words, all of which are in the fingerprint. Not pictures, sound and files."""


class Asked:
    """What one call asked, when it was sent."""

    __slots__ = ("_answers", "_fingerprint", "_repeated", "_scope")

    def __init__(
        self, scope: Scope | None, prompt: Prompt | None, operation: str, request: Mapping[str, object]
    ) -> None:
        self._scope = None if scope is None or scope.task is None or scope.task.remote else scope
        self._answers: Answers | None = None
        self._fingerprint: bytes | None = None
        self._repeated = False
        """Whether the answer was known when the call was sent: not of calls made at the same time."""
        if self._scope is None or prompt is None or operation not in _OPERATIONS or not rules().duplicates:
            return
        owner = self._scope.owner
        if owner.closed or request.get("conversation") is not None:  # the provider puts before it what was said since
            return
        owner.answers = self._answers = owner.answers or Answers()
        self._fingerprint = prompt.fingerprint
        self._repeated = self._answers.has_answer(prompt.fingerprint)

    def waste(self, reading: Reading | None) -> WasteClass | None:
        """Why an answer that the application gets is waste all the same, if it is."""
        if self._repeated:
            return "duplicate"
        if self._scope is not None and reading is not None and reading.asks_for_tools:
            runs = self._scope.branch.runs
            return "loop" if runs is not None and runs.looping else None
        return None

    def ended(self, *, got: bool) -> None:
        """The call is booked; `got` if the application has the answer."""
        if got and self._fingerprint is not None and self._answers is not None and self._scope is not None:
            self._answers.answered(self._fingerprint, self._scope.ledger)
