"""How large and how old a spool gets: closed files are deleted, oldest first, what is not shipped last of all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from taskmeter._config import Spool
from taskmeter._guard import guarded, log
from taskmeter.spool import losses, receipts
from taskmeter.spool.files import PARQUET, closed_files, files_in, span_files_in
from taskmeter.spool.shipping.progress import settled_offsets

UNSHIPPED_FACTOR: Final = 2
"""A spool that is to be shipped may grow to so many times `keep_bytes` before it loses what was not shipped."""
CLOCK_STEP_SECONDS: Final = 60.0
"""A wall clock that has moved so much more, or less, than the monotonic one says nothing about the age of files."""
_DAY: Final = 86_400

Span = tuple[str, str]
"""Trace id and span id, in hex."""


class Retention:
    """Keeps `directory` within the limits of `policy`.

    `ship` says that `taskmeter ship` is to deliver what is in it: then a file without a receipt for each of its spans
    is kept beyond these limits, up to `UNSHIPPED_FACTOR` times `keep_bytes`. `lost` is told how many spans go then.
    """

    def __init__(
        self,
        directory: Path,
        policy: Spool,
        *,
        ship: bool,
        lost: Callable[[int], object],
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory, self._policy, self._ship, self._lost = directory, policy, ship, lost
        self._wall, self._clock = wall, clock
        self._began = wall() - clock()
        self._said = False

    def run(self) -> None:
        """Deletes what is too old or too much."""
        if self._policy.keep_bytes is not None or self._policy.keep_days is not None:
            with guarded("spool.retention"):
                self._run()

    def _run(self) -> None:
        size = sum(_size(path) for path in span_files_in(self._directory))
        settled = settled_offsets(self._directory) if self._ship else {}
        deleted = False
        for path, status in closed_files(self._directory):
            too_much = self._policy.keep_bytes is not None and size > self._policy.keep_bytes
            if not (too_much or self._is_old(status.st_mtime)):
                break
            if not self._delete(path, size, settled.get(path, 0)):
                break  # newer ones are not shipped either
            deleted = True
            size -= status.st_size
            if too_much:
                self._say()
        if deleted:
            receipts.prune_receipts(self._directory, self._wall())
            receipts.prune_receipts(self._directory, self._wall(), losses.FILES)

    def _is_old(self, written_seconds: float) -> bool:
        days = self._policy.keep_days
        if days is None or abs(self._wall() - self._clock() - self._began) > CLOCK_STEP_SECONDS:
            return False
        return self._wall() - written_seconds > days * _DAY

    def _delete(self, path: Path, size: int, settled: int) -> bool:
        # What has yet to be shipped is not compacted.
        unshipped = len(_unshipped(path, settled)) if self._ship and not path.match(PARQUET) else 0
        most = self._policy.keep_bytes
        if unshipped and (most is None or size <= UNSHIPPED_FACTOR * most):
            return False
        try:
            path.unlink()
        except OSError:
            return True  # another process was quicker, and has counted
        if unshipped:
            self._lost(unshipped)
        return True

    def _say(self) -> None:
        if not self._said:
            self._said = True
            log.warning(
                "taskmeter's spool in %s has reached the size it may have (keep_bytes=%s): from now on its oldest "
                "files are deleted",
                self._directory,
                self._policy.keep_bytes,
            )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _unshipped(path: Path, settled: int) -> set[Span]:
    """The spans of a file that no endpoint has accepted: behind what the delivery ledger says is `settled`, and without
    a receipt. Receipts are read one by one: there may be millions."""
    spans = set(_spans(path, settled))
    for file in files_in(path.parent, receipts.FILES):
        for line, _ in receipts.whole_lines(file, 0):
            if not spans:
                return spans
            spans.difference_update(_receipted(line))
    return spans


def _spans(path: Path, offset: int) -> Iterator[Span]:
    for line, _ in receipts.whole_lines(path, offset):
        try:
            yield from _line_spans(json.loads(line))
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            continue  # not a line that anybody could ship


def _line_spans(document: Any) -> list[Span]:
    return [
        (span["traceId"], span["spanId"])
        for of_resource in document["resourceSpans"]
        for of_scope in of_resource["scopeSpans"]
        for span in of_scope["spans"]
    ]


def _receipted(line: bytes) -> list[Span]:
    try:
        traces: dict[str, list[str]] = json.loads(line)["spans"]
        return [(trace_id, span_id) for trace_id, span_ids in traces.items() for span_id in span_ids]
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return []
