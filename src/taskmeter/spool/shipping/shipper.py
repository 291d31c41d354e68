"""Ships a spool to one endpoint: all that is there, or all that comes, or what was set aside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from taskmeter.spool.receipts import Receipts, ReceiptWriter
from taskmeter.spool.shipping.dead_letters import DeadLetter, DeadLetters, dead_letters_of, read_dead_letters, rewrite
from taskmeter.spool.shipping.delivery import Delivery, Summary, UndeliveredError
from taskmeter.spool.shipping.lines import Batch, SpoolFeed
from taskmeter.spool.shipping.patience import Clock, Patience, Sender, Stop
from taskmeter.spool.shipping.progress import Progress
from taskmeter.spool.shipping.spans import StoredSpan

POLL_SECONDS: Final = 1.0
STOP_SECONDS: Final = 10.0
"""How long a follower that is told to stop goes on sending what is there."""
_TROUBLE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Terms:
    """How to ship."""

    batch_size: int = 512
    """Spans in a request, at most."""
    timeout_seconds: float = 10.0
    """For one request."""
    retry_seconds: float | None = 60.0
    """How long the endpoint may go without accepting anything; `None` for ever."""
    max_age_seconds: float | None = None
    """Older spans are set aside."""
    hold_seconds: float = 60.0
    """How long a follower leaves spans to a program that delivers itself."""


class Shipper:
    """One run. `say` gets sentences about the endpoint, `advanced` the bytes of the spool that are done with."""

    def __init__(
        self,
        directory: Path,
        endpoint: str,
        sender: Sender,
        terms: Terms,
        *,
        stop: Stop,
        clock: Clock = Clock(),  # noqa: B008 - it is frozen
        say: Callable[[str], object] = lambda _: None,
        advanced: Callable[[int], object] = lambda _: None,
    ) -> None:
        self.summary = Summary()
        self._directory = directory
        self._terms = terms
        self._stop = stop
        self._clock = clock
        self._say = say
        self._advanced = advanced
        self._endpoint = endpoint
        self._receipts = Receipts(directory, endpoint)
        self._patience = Patience(sender, terms.timeout_seconds, terms.retry_seconds, stop=stop, clock=clock, say=say)
        self._dead_letters = DeadLetters(directory, endpoint, clock.time_ns())
        self._delivery = Delivery(
            self._patience, ReceiptWriter(directory, endpoint), self._dead_letters, self.summary, clock.time_ns
        )
        self._delivery.settled |= {span.ids for letter in dead_letters_of(directory, endpoint) for span in letter.spans}
        self._progress = Progress(directory, endpoint)
        self._progress.tidy()
        self.feed = SpoolFeed(directory, self._progress)
        """What is to be shipped."""

    def run(self) -> Summary:
        """Ships what is there."""
        try:
            for batch in self.feed.batches(self._terms.batch_size):
                if self._stop.is_set():
                    raise UndeliveredError("it was stopped")  # noqa: TRY301 - one way out
                self._ship(batch)
        except UndeliveredError as error:
            self._leave(error)
        self.summary.skipped_lines += self.feed.unfinished_lines
        return self.summary

    def follow(self) -> Summary:
        """Ships what is there and what comes, until it is told to stop; then what is left, in bounded time."""
        while True:
            stopping = self._stop.is_set()
            if stopping:
                self._patience.end_within(STOP_SECONDS)
            began, trouble = self._clock.monotonic(), None
            self._receipts.refresh()
            try:
                for batch in self.feed.batches(self._terms.batch_size, self._is_left_to_its_program):
                    self._ship(batch)
            except UndeliveredError as error:
                trouble = error
            if stopping:
                self._leave(trouble)
                self.summary.skipped_lines += self.feed.unfinished_lines
                return self.summary
            if trouble is not None and not self._stop.is_set():
                self._say(f"{trouble}; trying again in {_TROUBLE_SECONDS:.0f} s")
            spent = self._clock.monotonic() - began
            self._stop.wait(_TROUBLE_SECONDS if trouble is not None else max(POLL_SECONDS, spent))

    def replay(self, *, unsure: bool) -> Summary:
        """Sends dead letters again; `unsure` also those of which the endpoint has some."""
        try:
            for path in self._dead_letters.files():
                self._replay(path, unsure=unsure)
        except UndeliveredError as error:
            self.summary.reason = str(error)
            self._receipts.refresh()
            self.summary.left = sum(
                span.ids not in self._receipts
                for letter in dead_letters_of(self._directory, self._endpoint)
                for span in letter.spans
                if letter.certain or unsure
            )
        return self.summary

    def _ship(self, batch: Batch) -> None:
        self._receipts.refresh()
        unsettled = [span for span in batch.spans if span.ids not in self._delivery.settled]
        undelivered = [span for span in unsettled if span.ids not in self._receipts]
        spans = self._young(undelivered)
        for part in _parts(spans, self._terms.batch_size):
            self._delivery.deliver(part, remember=len(part) < len(spans))
        try:
            self._progress.settle(batch.offsets)
        except OSError as error:  # known in this process all the same
            self._say(f"cannot write down what was delivered ({error.strerror or error}): it may be sent again")
        self.summary.already_delivered += len(unsettled) - len(undelivered)
        self.summary.skipped_lines += batch.skipped_lines
        self._advanced(batch.size)

    def _young(self, spans: list[StoredSpan]) -> list[StoredSpan]:
        """Sets the others aside."""
        if self._terms.max_age_seconds is None:
            return spans
        oldest = self._clock.time_ns() - int(self._terms.max_age_seconds * 1e9)
        too_old = [span for span in spans if 0 < span.end_ns < oldest]
        if too_old:
            self._delivery.set_aside(too_old, f"older than {self._terms.max_age_seconds:g} s")
            self.summary.dead_letters -= len(too_old)
            self.summary.too_old += len(too_old)
        return [span for span in spans if not 0 < span.end_ns < oldest]

    def _is_left_to_its_program(self, span: StoredSpan) -> bool:
        """Whether the program may be about to deliver it itself."""
        if not self._receipts.announced or span.ids in self._receipts:
            return False
        return abs(self._clock.time_ns() - span.end_ns) < self._terms.hold_seconds * 1e9

    def _leave(self, trouble: UndeliveredError | None) -> None:
        """Counts what is left, which is read to its end for it."""
        self.summary.reason = str(trouble or "")
        self._receipts.refresh()
        self.summary.left = sum(
            span.ids not in self._receipts and span.ids not in self._delivery.settled
            for batch in self.feed.batches(self._terms.batch_size)
            for span in batch.spans
        )
        if self.summary.left and trouble is None:
            self.summary.reason = "the program may be about to deliver them itself"

    def _replay(self, path: Path, *, unsure: bool) -> None:
        self._receipts.refresh()
        kept: list[DeadLetter] = []
        chosen: list[DeadLetter] = []
        for letter in read_dead_letters(path):
            ours = letter.endpoint == self._endpoint and (letter.certain or unsure)
            (chosen if ours else kept).append(letter)
        spans = [span for letter in chosen for span in letter.spans if span.ids not in self._receipts]
        for part in _parts(spans, self._terms.batch_size):
            self._delivery.deliver(part, remember=True)
        if chosen:
            try:
                rewrite(path, kept)
            except OSError as error:  # receipts keep what passed from being sent again
                self._say(f"cannot rewrite {path} ({error.strerror or error}): its letters stay")


def _parts(spans: Sequence[StoredSpan], most: int) -> Iterable[Sequence[StoredSpan]]:
    return (spans[first : first + most] for first in range(0, len(spans), most))
