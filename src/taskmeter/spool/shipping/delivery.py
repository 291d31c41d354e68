"""Gets spans to an endpoint, or sets aside those that it will not take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from taskmeter.spool.receipts import ReceiptWriter
from taskmeter.spool.shipping.answers import Accepted, Again, Failed, Misdirected
from taskmeter.spool.shipping.dead_letters import DeadLetters
from taskmeter.spool.shipping.patience import FAILURES, Patience
from taskmeter.spool.shipping.spans import StoredSpan

_ENOUGH_SUSPECTS: Final = 4


class UndeliveredError(Exception):
    """Nothing can be delivered now; the message says why. What was not settled stays in the spool."""


@dataclass(slots=True)
class Summary:
    """What a run did, in spans."""

    sent: int = 0
    """Accepted by the endpoint."""
    already_delivered: int = 0
    """Accepted before, from the program itself or from an interrupted run."""
    dead_letters: int = 0
    """Set aside: the endpoint will not take them."""
    too_old: int = 0
    """Set aside without being sent: older than was asked for."""
    skipped_lines: int = 0
    """Lines that cannot be read."""
    left: int = 0
    """Neither accepted nor set aside."""
    reason: str = ""
    """Why there are some left."""

    @property
    def complete(self) -> bool:
        """Whether the endpoint has all that it was to get."""
        return not self.left and not self.dead_letters


class Delivery:
    """Settles spans for one endpoint, those of a batch that passed alone so that no other run sends them again."""

    def __init__(
        self,
        patience: Patience,
        receipts: ReceiptWriter,
        dead_letters: DeadLetters,
        summary: Summary,
        now_ns: Callable[[], int],
    ) -> None:
        self.settled: set[tuple[str, str]] = set()
        """Spans that were set aside, or accepted without the rest of their batch."""
        self._patience = patience
        self._receipts = receipts
        self._dead_letters = dead_letters
        self._summary = summary
        self._now_ns = now_ns

    def deliver(self, spans: Sequence[StoredSpan], *, remember: bool) -> None:
        """All are accepted or set aside, or `UndeliveredError` is raised. Writes receipts for what did not pass with
        all others, and for all if it is to `remember`."""
        attempt = _Attempt(remember=remember)
        self._send(spans, attempt, whole=True)
        if attempt.suspects and not attempt.heard:
            raise UndeliveredError(attempt.suspects[0][1])
        for span, reason in attempt.suspects:
            # Once more, now that it is known to take others: it may have been down for a while only.
            answer = self._patience.send([span], 1)
            if isinstance(answer, Accepted):
                self._accept([span], answer, receipts=True)
            elif isinstance(answer, Again | Misdirected):
                raise UndeliveredError(answer.reason)
            else:
                self.set_aside([span], reason)

    def set_aside(self, spans: Sequence[StoredSpan], reason: str, rejected: int | None = None) -> None:
        """Writes dead letters. Raises `UndeliveredError` where that cannot be done."""
        count = len(spans) if rejected is None else rejected
        try:
            self._dead_letters.add(spans, reason, count, self._now_ns())
        except OSError as error:
            message = f"cannot write dead letters: {error.strerror or error}"
            raise UndeliveredError(message) from error
        self.settled.update(span.ids for span in spans)
        self._summary.dead_letters += count

    def _send(self, spans: Sequence[StoredSpan], attempt: _Attempt, *, whole: bool) -> None:
        answer = self._patience.send(spans, FAILURES if whole or len(spans) == 1 else 1)
        if isinstance(answer, Accepted):
            attempt.heard = True
            self._accept(spans, answer, receipts=attempt.remember or not whole)
        elif isinstance(answer, Again | Misdirected):
            raise UndeliveredError(answer.reason)
        elif len(spans) > 1:
            middle = len(spans) // 2
            self._send(spans[:middle], attempt, whole=False)
            self._send(spans[middle:], attempt, whole=False)
        elif isinstance(answer, Failed):
            attempt.suspects.append((spans[0], answer.reason))
            if len(attempt.suspects) >= _ENOUGH_SUSPECTS and not attempt.heard:
                raise UndeliveredError(answer.reason)
        else:
            attempt.heard = True
            self.set_aside(spans, answer.reason)

    def _accept(self, spans: Sequence[StoredSpan], answer: Accepted, *, receipts: bool) -> None:
        rejected = min(answer.rejected, len(spans))
        if rejected:
            self.set_aside(spans, answer.reason or "rejected without a reason", rejected)
        self._summary.sent += len(spans) - rejected
        if receipts and not rejected:
            # What has no ids to write down was refused before it was sent.
            self._receipts.accepted((int(span.trace_id, 16), int(span.span_id, 16)) for span in spans)
            self.settled.update(span.ids for span in spans)


class _Attempt:
    """What came of the parts of a batch."""

    def __init__(self, *, remember: bool) -> None:
        self.remember = remember
        self.heard = False
        """Whether the endpoint took or refused any of it, so that where it fails the spans are at fault."""
        self.suspects: list[tuple[StoredSpan, str]] = []
        """Single spans on which it failed, and how."""
