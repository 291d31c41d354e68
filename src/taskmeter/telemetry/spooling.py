"""The spool as what a queue leads to: each batch a line, tried again where the disk refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Final

from opentelemetry.sdk.trace import ReadableSpan

from taskmeter._config import Spool
from taskmeter._guard import guarded
from taskmeter.spool.losses import LossFile
from taskmeter.spool.retention import Retention
from taskmeter.spool.write import SpoolExporter
from taskmeter.telemetry import losses
from taskmeter.telemetry.exporter import annotated
from taskmeter.telemetry.losses import Destination
from taskmeter.telemetry.queue import Verdict

AGAIN_SECONDS: Final = 1.0
"""How long to wait before a disk that was full is tried again."""


class SpoolTarget:
    """Writes to the spool in `directory`. `first` is called before the first batch."""

    name: ClassVar[Destination] = "spool"

    def __init__(self, directory: Path, policy: Spool, *, ship: bool, first: Callable[[], object] | None) -> None:
        self._first, self._directory = first, directory
        retention = Retention(
            directory, policy, ship=ship, lost=lambda spans: losses.count("spool", "retention", spans)
        )
        self._exporter = SpoolExporter(
            directory,
            policy,
            removed=lambda spans: losses.count("spool", "removed", spans),
            closed=self._is_due,
        )
        self._retention = retention
        self._losses = LossFile(directory)
        self._due = True

    def deliver(self, spans: Sequence[ReadableSpan]) -> Verdict:
        """Called by the queue."""
        if self._first is not None:
            self._first()
            self._first = None
        spans = annotated(spans)
        with guarded("telemetry.spool"):
            return self._written(spans)
        return self._one_by_one(spans)

    def _one_by_one(self, spans: Sequence[ReadableSpan]) -> Verdict:
        """A span that cannot be encoded does not cost its neighbours. One that is written twice is read once."""
        accepted = 0
        for span in spans:
            with guarded("telemetry.spool_one"):
                verdict = self._written([span])
                if verdict.again_seconds is not None:
                    return verdict
                accepted += 1
        return Verdict(accepted, {"unencodable": len(spans) - accepted})

    def _written(self, spans: Sequence[ReadableSpan]) -> Verdict:
        try:
            self._exporter.write(spans)
        except OSError:
            return Verdict(again_seconds=AGAIN_SECONDS)
        return Verdict(len(spans))

    def rest(self) -> float | None:
        """Called by the queue. Deleting may take long, so that nothing that is to be written waits for it."""
        left = self._exporter.rest()
        if self._due:
            self._due = False
            self._retention.run()
        self._losses.keep(losses.on_the_way_to(self.name))
        return left

    def forked(self) -> None:
        """The exporter sees to it by itself; what the parent lost, it says."""
        self._losses = LossFile(self._directory)

    def close(self) -> None:
        """Called by the queue."""
        self._exporter.shutdown()
        self._losses.keep(losses.on_the_way_to(self.name))

    def _is_due(self) -> None:
        self._due = True
