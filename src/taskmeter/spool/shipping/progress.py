"""The delivery ledger: how far each span file is settled for one endpoint. Survives whatever ends the shipper.

One append-only file per endpoint in the spool. A file of spans is known by the digest of its first line, which holds
ids that no other has: its name may change (an OpenTelemetry Collector renames what it rotates), and another file may
come under its name.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from taskmeter.spool.files import NO_LINK, files_in
from taskmeter.spool.receipts import whole_lines

FILES: Final = "shipped-*.jsonl"
_LONGEST_LEDGER: Final = 256 * 1024
_LONGEST_FIRST_LINE: Final = 1024**2


@dataclass(frozen=True, slots=True)
class SpanFile:
    """A span file as it is now."""

    path: Path
    digest: str
    """Of its first line."""
    size: int

    @property
    def identity(self) -> tuple[str, str]:
        """Its place in the ledger."""
        return self.digest, self.path.name


def span_files(directory: Path) -> list[SpanFile]:
    """Those with at least one line, the oldest first where they are named after their time."""
    found = [_span_file(path) for path in sorted(files_in(directory))]
    return [file for file in found if file is not None]


def slug(endpoint: str) -> str:
    """An endpoint's name as part of a file name."""
    host = re.sub(r"[^A-Za-z0-9.]+", "-", endpoint.partition("://")[2]).strip("-.")[:40]
    return f"{host}-{hashlib.sha256(endpoint.encode()).hexdigest()[:8]}"


class Progress:
    """What one endpoint has of the files of a spool. Only one process at a time writes it: see `lock`."""

    def __init__(self, directory: Path, endpoint: str) -> None:
        self.endpoint = endpoint
        self._directory = directory
        self._path = directory / f"shipped-{slug(endpoint)}.jsonl"
        self._offsets: dict[tuple[str, str], int] = {}
        for line, _ in whole_lines(self._path, 0):
            self._offsets |= _read(line)[1]

    @classmethod
    def of_spool(cls, directory: Path) -> list[Self]:
        """Those of all endpoints that this spool was shipped to."""
        endpoints = (
            _read(line)[0] for path in sorted(files_in(directory, FILES)) for line, end in whole_lines(path, 0) if end
        )
        return [cls(directory, endpoint) for endpoint in dict.fromkeys(endpoints) if endpoint]

    def offset(self, file: SpanFile, present: Mapping[str, str]) -> int:
        """Up to where `file` is settled, in bytes. `present` are the digests of the files there now, by name."""
        known = self._offsets.get(file.identity)
        if known is None:
            renamed = [
                offset
                for (digest, name), offset in self._offsets.items()
                if digest == file.digest and present.get(name) != digest
            ]
            known = max(renamed, default=0)
        return known if known <= file.size else 0

    def settle(self, offsets: Mapping[tuple[str, str], int]) -> None:
        """Writes down that files are settled up to these offsets. Raises `OSError` where it cannot be written."""
        self._offsets |= offsets
        self._append(offsets, os.O_APPEND, self._path)

    def tidy(self) -> None:
        """Forgets files that are gone, if the ledger has become long. Call it before anything else is settled."""
        if not self._path.exists() or self._path.stat().st_size < _LONGEST_LEDGER:
            return
        there = {file.digest for file in span_files(self._directory)}
        self._offsets = {identity: offset for identity, offset in self._offsets.items() if identity[0] in there}
        fresh = self._path.with_suffix(".new")
        self._append(self._offsets, os.O_TRUNC, fresh)
        fresh.replace(self._path)

    def _append(self, offsets: Mapping[tuple[str, str], int], how: int, path: Path) -> None:
        files = [[digest, name, offset] for (digest, name), offset in offsets.items()]
        line = json.dumps({"endpoint": self.endpoint, "files": files}, separators=(",", ":")).encode("ascii") + b"\n"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | NO_LINK | how, 0o600)
        try:
            # A torn line before this one is closed; a blank line means nothing.
            if os.write(file, b"\n" + line) <= len(line):
                message = f"the ledger {str(path)!r} could not be written whole: is the disk full?"
                raise OSError(message)
            os.fsync(file)
        finally:
            os.close(file)


def settled_offsets(directory: Path) -> dict[Path, int]:
    """Up to where every endpoint that the spool was shipped to has each span file, in bytes; empty where it never was.

    What lies behind these is yet to be sent: whoever deletes or compacts span files leaves it alone while they can.
    """
    ledgers = Progress.of_spool(directory)
    if not ledgers:
        return {}
    files = span_files(directory)
    present = {file.path.name: file.digest for file in files}
    return {file.path: min(ledger.offset(file, present) for ledger in ledgers) for file in files}


def _span_file(path: Path) -> SpanFile | None:
    try:
        with path.open("rb") as file:
            first = file.readline(_LONGEST_FIRST_LINE)
            size = os.fstat(file.fileno()).st_size
    except OSError:
        return None
    return SpanFile(path, hashlib.sha256(first.rstrip()).hexdigest()[:32], size) if first else None


def _read(line: bytes) -> tuple[str, dict[tuple[str, str], int]]:
    """Endpoint and offsets of a line; nothing for a line that makes no sense."""
    try:
        said: Any = json.loads(line)
        endpoint = said["endpoint"]
        offsets = {(str(digest), str(name)): int(offset) for digest, name, offset in said["files"]}
    except (ValueError, TypeError, KeyError, RecursionError):
        return "", {}
    return (endpoint, offsets) if isinstance(endpoint, str) else ("", {})
