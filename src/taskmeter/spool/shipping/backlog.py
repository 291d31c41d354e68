"""How much of a spool each endpoint has not got yet. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from taskmeter.spool.files import files_in
from taskmeter.spool.receipts import Receipts, receipted_endpoints
from taskmeter.spool.shipping.dead_letters import FILES, read_dead_letters
from taskmeter.spool.shipping.lines import SpoolFeed
from taskmeter.spool.shipping.progress import Progress

_MOST_BYTES: Final = 64 * 1024**2
"""Of undelivered lines that are read to count their spans."""
_BATCH: Final = 512


@dataclass(frozen=True, slots=True)
class Backlog:
    """What an endpoint lacks that spans were delivered to before."""

    endpoint: str
    """Without user info and query."""
    spans: int
    """Not delivered yet."""
    oldest_ns: int | None
    """When the oldest of them ended; `None` where there is none."""
    dead_letters: int
    """Spans that the endpoint would not take."""
    counted_all: bool
    """Whether there are no more than `spans`."""


def backlogs(directory: Path) -> list[Backlog]:
    """One for each endpoint that the delivery ledger knows, by name."""
    letters = [letter for path in sorted(files_in(directory, FILES)) for letter in read_dead_letters(path)]
    endpoints = {progress.endpoint for progress in Progress.of_spool(directory)} | receipted_endpoints(directory)
    endpoints |= {letter.endpoint for letter in letters if letter.endpoint}
    found: list[Backlog] = []
    for endpoint in sorted(endpoints):
        own = [letter for letter in letters if letter.endpoint == endpoint]
        settled = {span.ids for letter in own for span in letter.spans}
        found.append(_backlog(directory, endpoint, settled, sum(letter.rejected for letter in own)))
    return found


def _backlog(directory: Path, endpoint: str, settled: set[tuple[str, str]], dead_letters: int) -> Backlog:
    receipts = Receipts(directory, endpoint)
    receipts.refresh()
    count, oldest, read, counted_all = 0, None, 0, True
    for batch in SpoolFeed(directory, Progress(directory, endpoint)).batches(_BATCH):
        if read > _MOST_BYTES:
            counted_all = False
            break
        read += batch.size
        for span in batch.spans:
            if span.ids not in settled and span.ids not in receipts:
                count += 1
                oldest = span.end_ns if oldest is None else min(oldest, span.end_ns)
    return Backlog(endpoint, count, oldest, dead_letters, counted_all)
