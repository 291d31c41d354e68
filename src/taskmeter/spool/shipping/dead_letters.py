"""Spans that an endpoint will not take, set aside with the reason, to be looked at and sent again.

One `dead-letter-*.jsonl` file per run of a shipper. A line reads `{"endpoint": ..., "at": ..., "reason": ..., "spans":
..., "rejected": ..., "traces": {...}}`, with `traces` as in the spool. Where fewer were rejected than there are spans,
the endpoint has the others: it does not say which.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

from taskmeter.spool.files import NO_LINK, files_in
from taskmeter.spool.receipts import whole_lines
from taskmeter.spool.shipping.spans import StoredSpan, stored_spans, traces_data

FILES: Final = "dead-letter-*.jsonl"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One line."""

    endpoint: str
    reason: str
    spans: list[StoredSpan]
    rejected: int
    line: bytes
    """As it stands in its file."""

    @property
    def certain(self) -> bool:
        """Whether the endpoint has none of the spans."""
        return self.rejected >= len(self.spans)


class DeadLetters:
    """Those of `endpoint`. The file is made with the first."""

    def __init__(self, directory: Path, endpoint: str, now_ns: int) -> None:
        now = datetime.fromtimestamp(now_ns / 1e9, UTC)
        self._name = f"dead-letter-{now:%Y%m%dT%H%M%S.%fZ}-{os.getpid()}"
        self._path: Path | None = None
        self._directory = directory
        self._endpoint = endpoint

    def add(self, spans: Sequence[StoredSpan], reason: str, rejected: int, now_ns: int) -> None:
        """Raises `OSError` where they cannot be written: they are not settled then."""
        letter = {
            "endpoint": self._endpoint,
            "at": datetime.fromtimestamp(now_ns / 1e9, UTC).isoformat(timespec="seconds"),
            "reason": reason,
            "spans": len(spans),
            "rejected": rejected,
            "traces": traces_data(spans),
        }
        line = json.dumps(letter, separators=(",", ":")).encode("ascii") + b"\n"
        file = self._open()
        try:
            if os.write(file, b"\n" + line) <= len(line):
                message = f"{str(self._path)!r} could not be written whole: is the disk full?"
                raise OSError(message)
            os.fsync(file)
        finally:
            os.close(file)

    def files(self) -> list[Path]:
        """Those that are there, the one being written not among them."""
        return [path for path in sorted(files_in(self._directory, FILES)) if path != self._path]

    def _open(self) -> int:
        if self._path is not None:
            return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        for number in count():  # pragma: no branch - it ends with a name that nobody has
            path = self._directory / f"{self._name}-{number}.jsonl"
            try:
                file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                continue
            self._path = path
            return file
        raise AssertionError  # pragma: no cover - numbers do not end


def read_dead_letters(path: Path) -> Iterator[DeadLetter]:
    """The lines of a file; one that cannot be read is of no endpoint, and without spans."""
    for line, _ in whole_lines(path, 0):
        if line.isspace():
            continue
        try:
            said: Any = json.loads(line)
            spans = stored_spans(said["traces"])
            yield DeadLetter(str(said["endpoint"]), str(said["reason"]), spans, int(said["rejected"]), line)
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            yield DeadLetter("", "", [], 0, line)


def rewrite(path: Path, kept: Sequence[DeadLetter]) -> None:
    """Leaves only these in the file; deletes it if there are none."""
    if not kept:
        path.unlink(missing_ok=True)
        return
    fresh = path.with_suffix(".new")
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | NO_LINK, 0o600)
    with os.fdopen(file, "wb") as lines:
        lines.writelines(letter.line for letter in kept)
        lines.flush()
        os.fsync(file)  # before the only other copy goes
    fresh.replace(path)


def dead_letters_of(directory: Path, endpoint: str) -> Iterator[DeadLetter]:
    """All that were set aside for `endpoint`."""
    for path in sorted(files_in(directory, FILES)):
        yield from (letter for letter in read_dead_letters(path) if letter.endpoint == endpoint)
