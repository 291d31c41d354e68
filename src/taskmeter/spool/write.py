"""Appends finished spans to the spool: one file per process at a time, one line per batch, all of it or nothing."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from taskmeter._config import Spool
from taskmeter._guard import guarded, log
from taskmeter.spool.encode import encode_line
from taskmeter.spool.files import FileGoneError, SpoolFile, sync_directory
from taskmeter.spool.safety import risk_of

_DEFAULT: Final = Spool()
FSYNC_SECONDS: Final = 1.0
"""With `fsync="interval"`, what was written is on the disk after so long."""


class SpoolExporter(SpanExporter):
    """Writes to `<directory>/traces-<utc time>-<pid>.jsonl`, created with the first batch for the owner's eyes only.

    A file is closed and the next begun as `policy` says. `removed` is told how many spans were in a file that was
    deleted while it was written; `closed` is called after each file that is closed.
    """

    def __init__(
        self,
        directory: Path,
        policy: Spool = _DEFAULT,
        *,
        removed: Callable[[int], object] = lambda _: None,
        closed: Callable[[], object] = lambda: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory, self._policy = directory, policy
        self._removed, self._closed_file = removed, closed
        self._now, self._clock = now, clock
        self._file: SpoolFile | None = None
        self._opened = self._synced = 0.0
        self._dirty = self._closed = self._said = self._warned = False
        self._lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            forked = weakref.WeakMethod(self._after_fork)
            os.register_at_fork(after_in_child=lambda: None if (call := forked()) is None else call())

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Appends one line. `FAILURE`, logged once, when it could not be written, and after `shutdown`."""
        if not spans:
            return SpanExportResult.SUCCESS
        with guarded("spool.export"), suppress(OSError):
            self.write(spans)
            return SpanExportResult.SUCCESS
        return SpanExportResult.FAILURE

    def write(self, spans: Sequence[ReadableSpan]) -> None:
        """Appends one line. Raises `OSError`, logged once, when none of it could be written, and after `shutdown`."""
        line = encode_line(spans)
        with self._lock:
            if self._closed:
                raise OSError(f"the spool {self._directory} is closed")
            try:
                self._append(line, len(spans))
            except OSError as error:
                self._say(error)
                raise

    def rest(self) -> float | None:
        """Syncs and closes what is due. Returns in how many seconds to call again; `None` for not at all."""
        with self._lock:
            if self._file is None:
                return None
            now = self._clock()
            if now - self._opened >= self._policy.file_seconds:
                self._close()
                return None
            left = self._opened + self._policy.file_seconds - now
            if self._policy.fsync != "interval" or not self._dirty:
                return left
            if now - self._synced >= FSYNC_SECONDS:
                self._sync()
                return left
            return min(left, self._synced + FSYNC_SECONDS - now)

    def shutdown(self) -> None:
        """Closes the file; what is exported later is refused."""
        with self._lock:
            self._closed = True
            self._close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held back here: always true."""
        return True

    def _append(self, line: bytes, spans: int) -> None:
        try:
            self._write_line(line, spans)
        except FileGoneError:
            self._close()
            self._write_line(line, spans)
        except OSError:
            if self._file is not None and self._file.size:
                self._close()  # a file may have a largest size, and a mounted disk may be another one tomorrow
            raise

    def _write_line(self, line: bytes, spans: int) -> None:
        self._file_for(len(line)).append(line, spans)
        self._dirty = True
        if self._policy.fsync == "always" or (
            self._policy.fsync == "interval" and self._clock() - self._synced >= FSYNC_SECONDS
        ):
            self._sync()

    def _file_for(self, length: int) -> SpoolFile:
        if self._file is not None and (
            self._file.size + length > self._policy.file_bytes > length
            or self._clock() - self._opened >= self._policy.file_seconds
        ):
            self._close()
        if self._file is None:
            self._file = SpoolFile(self._directory, self._now())
            self._warn_of_others()
            self._opened = self._synced = self._clock()
            if self._policy.fsync != "never":
                sync_directory(self._directory)
        return self._file

    def _sync(self) -> None:
        if self._file is not None:
            self._file.sync()
        self._synced, self._dirty = self._clock(), False

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        if self._dirty and self._policy.fsync != "never":
            with suppress(OSError):
                file.sync()
        self._dirty = False
        if lost := file.close():
            self._removed(lost)
        self._closed_file()

    def _warn_of_others(self) -> None:
        if not self._warned and (risk := risk_of(self._directory)):
            self._warned = True
            message = "taskmeter writes its spool in %s, but %s: chmod 700 it, or choose another"
            log.warning(message, self._directory, risk)

    def _say(self, error: OSError) -> None:
        if not self._said:
            self._said = True
            log.warning("taskmeter cannot write its spool in %s (%s)", self._directory, error)

    def _after_fork(self) -> None:
        """The parent's file is the parent's, and its lock may have been held by a thread that is not here."""
        self._lock = threading.Lock()
        self._dirty = self._said = False
        if self._file is not None:
            self._file.leave()
            self._file = None
