"""What a span's end costs the program: handed to the spool's thread, or written there and then."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from opentelemetry.sdk.trace import ReadableSpan

from bench.cases.spool import spans
from bench.harness import Plan, Result, compare
from taskmeter.spool.write import SpoolExporter
from taskmeter.telemetry.losses import Destination
from taskmeter.telemetry.queue import Limits, SpanQueue, Verdict


class Nowhere:
    """Takes spans at once: what the thread does with them is what the case `spool` measures."""

    name: ClassVar[Destination] = "spool"

    def deliver(self, spans: Sequence[ReadableSpan]) -> Verdict:
        """All of them."""
        return Verdict(len(spans))

    def rest(self) -> None:
        """Nothing is due."""

    def forked(self) -> None:
        """Nothing is open."""

    def close(self) -> None:
        """Nothing is open."""


def run(plan: Plan) -> Iterator[Result]:
    """One span that ends."""
    [span] = spans(1)[:1]
    queue = SpanQueue(Nowhere(), Limits(waiting=65_536, batch=512, delay_seconds=0.2, exit_seconds=2.0))
    with tempfile.TemporaryDirectory() as name:
        direct = SpoolExporter(Path(name))
        yield compare(
            "a span's end: queued, then written at once",
            lambda: queue.on_end(span),
            lambda: direct.export([span]),
            plan,
        )
        direct.shutdown()
    queue.shutdown()
