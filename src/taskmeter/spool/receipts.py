"""Receipts: which spans an endpoint has accepted, so that `taskmeter ship` does not send them there again.

One append-only `receipts-*.jsonl` file per writer beside the span files, for the owner's eyes only. A line reads
`{"endpoint": "https://host:4318/v1/traces", "spans": {"<trace id>": ["<span id>", ...]}}`; one without spans announces
that the process delivers to that endpoint itself.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from taskmeter._guard import log
from taskmeter.errors import SpoolError
from taskmeter.spool.files import files_in

FILES: Final = "receipts-*.jsonl"
LARGEST_FILE: Final = 8 * 1024**2
"""Bytes; a writer goes on in a new file then, so that old receipts go with the spans they are about."""
LONGEST_LINE: Final = 256 * 1024**2
"""Bytes of a line that is read: a dead letter may hold the longest line that is shipped, with its letters escaped."""
_MARGIN_SECONDS: Final = 3_600
"""A receipt is written some time before or after its span: queues and retries lie between."""


def endpoint_name(url: str) -> str:
    """What an endpoint is called in the record: scheme, host, port and path; no user info, query or fragment.

    >>> endpoint_name("https://me:secret@Collector.example:4318/v1/traces?key=secret")
    'https://collector.example:4318/v1/traces'
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port is not None else ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path.rstrip('/')}"


class ReceiptWriter:
    """Writes down what `endpoint` accepted. For the thread of an exporter; a forked process gets a file of its own.

    `endpoint` is a URL; only its `endpoint_name` is kept. A receipt that cannot be written means that a span may be
    sent twice, never that one is lost: it is counted in `lost`, logged once, and not raised.
    """

    def __init__(
        self, directory: Path, endpoint: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.endpoint = endpoint_name(endpoint)
        self.lost = 0
        """Accepted spans without a receipt."""
        self._directory = directory
        self._now = now
        self._file: int | None = None
        self._size = 0
        self._process = os.getpid()
        self._lock = threading.Lock()

    def announce(self) -> bool:
        """Says that this process delivers to the endpoint itself: `taskmeter ship --follow` gives it time to."""
        return self._write({})

    def accepted(self, spans: Iterable[tuple[int, int]]) -> bool:
        """`spans` are (trace id, span id) as OpenTelemetry has them. Returns whether it was written down."""
        traces: dict[str, list[str]] = {}
        for trace_id, span_id in spans:
            traces.setdefault(f"{trace_id:032x}", []).append(f"{span_id:016x}")
        return not traces or self._write(traces)

    def close(self) -> None:
        """Closes the file; the next receipt opens another."""
        with self._own_lock():
            self._close()

    def _write(self, traces: dict[str, list[str]]) -> bool:
        line = json.dumps({"endpoint": self.endpoint, "spans": traces}, separators=(",", ":")).encode("ascii") + b"\n"
        with self._own_lock():
            try:
                self._append(line)
            except OSError as error:
                self._close()  # a torn line is the last of its file
                if not self.lost:
                    log.warning(
                        "taskmeter cannot write receipts in %s (%s); what was delivered may be sent there again",
                        self._directory,
                        error,
                    )
                self.lost += sum(map(len, traces.values()))
                return False
        return True

    def _append(self, line: bytes) -> None:
        if self._file is not None and self._size + len(line) > LARGEST_FILE:
            self._close()
        if self._file is None:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._directory / f"receipts-{self._now():%Y%m%dT%H%M%S.%fZ}-{os.getpid()}.jsonl"
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
            self._size = 0
        written = os.write(self._file, line)
        self._size += written
        if written < len(line):
            message = f"only {written} of {len(line)} bytes were written: is the disk full?"
            raise OSError(message)

    def _own_lock(self) -> threading.Lock:
        """In a forked process a new one: the parent's may have been held, and its file is the parent's."""
        if self._process != os.getpid():
            self._process, self._lock = os.getpid(), threading.Lock()
            self._close()
        return self._lock

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


class Receipts:
    """What of a spool `endpoint` has accepted: `(trace id, span id) in receipts`, both in lower-case hex."""

    def __init__(self, directory: Path, endpoint: str) -> None:
        self.endpoint = endpoint_name(endpoint)
        self.announced = False
        """Whether some process has announced that it delivers to the endpoint itself."""
        self._directory = directory
        self._spans: set[bytes] = set()
        self._read_up_to: dict[str, int] = {}

    def refresh(self) -> None:
        """Reads what was written since the last time."""
        for path in sorted(files_in(self._directory, FILES)):
            offset = self._read_up_to.get(path.name, 0)
            if _size(path) <= offset:
                continue
            for line, end in whole_lines(path, offset):
                self._read_up_to[path.name] = end
                self._take(line)

    def __contains__(self, span: tuple[str, str]) -> bool:
        try:
            return _key(*span) in self._spans
        except ValueError:  # no ids: nobody has accepted that
            return False

    def __len__(self) -> int:
        return len(self._spans)

    def _take(self, line: bytes) -> None:
        for endpoint, traces in _receipt(line):
            if endpoint == self.endpoint:
                self.announced = self.announced or not traces
                for trace_id, span_ids in traces.items():
                    self._spans.update(_key(trace_id, span_id) for span_id in span_ids)


def receipted_endpoints(directory: Path) -> set[str]:
    """The endpoints that receipts of this spool are about."""
    return {
        endpoint
        for path in files_in(directory, FILES)
        for line, _ in whole_lines(path, 0)
        for endpoint, _ in _receipt(line)
    }


def prune_receipts(directory: Path, now_seconds: float, pattern: str = FILES) -> None:
    """Deletes the receipts files that are older than every span file that is left, or those that match another
    `pattern`. Call it after span files went."""
    oldest_span_file = min((_created(path) for path in files_in(directory)), default=now_seconds)
    for path in files_in(directory, pattern):
        try:
            if path.stat().st_mtime < oldest_span_file - _MARGIN_SECONDS:
                path.unlink()
        except OSError:
            continue  # gone, or not ours to delete


def whole_lines(path: Path, offset: int) -> Iterator[tuple[bytes, int]]:
    """Each complete line from `offset` on, and where it ends. Nothing where the file is gone.

    One of more than `LONGEST_LINE` bytes ends the reading: nothing of ours writes such a line. Raises `SpoolError`
    where the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while (line := file.readline(LONGEST_LINE)).endswith(b"\n"):
                offset += len(line)
                yield line, offset
    except FileNotFoundError:
        return
    except OSError as error:
        message = f"Cannot read the spool file {str(path)!r}: {error.strerror or error}."
        raise SpoolError(message) from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _receipt(line: bytes) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """The endpoint and the spans of a line; nothing for a line that makes no sense."""
    try:
        receipt: Any = json.loads(line)
        endpoint, traces = receipt["endpoint"], receipt["spans"]
        for trace_id, span_ids in traces.items():
            for span_id in span_ids:
                _key(trace_id, span_id)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return
    if isinstance(endpoint, str):
        yield endpoint, traces


def _key(trace_id: str, span_id: str) -> bytes:
    return bytes.fromhex(trace_id) + bytes.fromhex(span_id)


def _created(path: Path) -> float:
    """By its name, where it is one of ours: a file that is appended to all day holds spans of the morning."""
    stamp = path.name.removeprefix("traces-").partition("Z-")[0]
    try:
        return datetime.strptime(stamp, "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0  # another program's: its age is not known, so nothing is older
