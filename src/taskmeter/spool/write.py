"""Appends finished spans to the spool: one file per process, one line and one `write` per batch."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from taskmeter._guard import guarded, log
from taskmeter.spool import lock
from taskmeter.spool.encode import encode_line


class SpoolExporter(SpanExporter):
    """Writes to `<directory>/traces-<utc time>-<pid>.jsonl`, created with the first batch for the owner's eyes only.

    A batch that cannot be written (disk full, read-only) is lost: counted in `lost_spans`, logged once, never raised.
    """

    def __init__(self, directory: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.lost_spans = 0
        self._directory = directory
        self._now = now
        self._file: int | None = None
        self._torn = False
        self._closed = False
        self._lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            forked = weakref.WeakMethod(self._after_fork)
            os.register_at_fork(after_in_child=lambda: _call(forked()))

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Appends one line. `FAILURE` when it could not be written whole, and after `shutdown`."""
        if not spans:
            return SpanExportResult.SUCCESS
        with self._lock:
            with guarded("spool.export"):
                if self._written(spans):
                    return SpanExportResult.SUCCESS
            self.lost_spans += len(spans)
            return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Closes the file; what is exported later is lost."""
        with self._lock:
            self._closed = True
            self._close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held back here: always true."""
        return True

    def _written(self, spans: Sequence[ReadableSpan]) -> bool:
        if self._closed:
            return False
        try:
            self._append(encode_line(spans))
        except OSError as error:
            self._report(error)
            return False
        return True

    def _append(self, line: bytes) -> None:
        if self._file is None:
            self._file = self._open()
        if self._torn:
            line = b"\n" + line
        self._torn = True
        written = os.write(self._file, line)
        if written < len(line):
            message = f"only {written} of {len(line)} bytes were written: is the disk full?"
            raise OSError(message)
        self._torn = False

    def _open(self) -> int:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._directory / f"traces-{self._now():%Y%m%dT%H%M%S.%fZ}-{os.getpid()}.jsonl"
        # O_EXCL: a file of our own, even where containers share a directory and a pid, and no symbolic link followed.
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        lock.take(file)  # whoever compacts the directory leaves it alone
        return file

    def _report(self, error: OSError) -> None:
        if not self.lost_spans:
            log.warning(
                "taskmeter cannot write its spool in %s (%s); spans are lost there until it can, and are only counted",
                self._directory,
                error,
            )

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _after_fork(self) -> None:
        """The parent's file is the parent's, and its lock may have been held by a thread that is not here."""
        self._lock = threading.Lock()
        self.lost_spans = 0
        self._torn = False
        self._close()


def _call(method: Callable[[], None] | None) -> None:
    if method is not None:
        method()
