"""Reads the spool from where an endpoint has it, in batches of whole lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from taskmeter.spool.files import is_written
from taskmeter.spool.shipping.progress import Progress, SpanFile, span_files
from taskmeter.spool.shipping.spans import StoredSpan, UnreadableLineError, read_line

_MOST_BYTES: Final = 4 * 1024**2
"""Of lines in a batch; as protobuf they are less than half of that."""
_LONGEST_LINE: Final = 64 * 1024**2
"""Bytes; a longer one is none of ours, and skipped."""

Held: TypeAlias = Callable[[StoredSpan], bool]


@dataclass(slots=True)
class Batch:
    """Some lines of some files."""

    spans: list[StoredSpan] = field(default_factory=list[StoredSpan])
    offsets: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    """Up to where the files are settled when this batch is."""
    size: int = 0
    """Bytes of its lines."""
    skipped_lines: int = 0
    """Lines among them that cannot be read."""


class SpoolFeed:
    """What of a spool is not settled yet. Reads on where it was, from one call of `batches` to the next."""

    def __init__(self, directory: Path, progress: Progress) -> None:
        self.unfinished_lines = 0
        """Last lines that were not whole, in the last reading: a write under way, or a writer that died."""
        self._directory = directory
        self._progress = progress

    def remaining_bytes(self) -> int:
        """How much there is to be read."""
        return sum(file.size - offset for file, offset in self._open_files())

    def batches(self, most_spans: int, held: Held = lambda _: False) -> Iterator[Batch]:
        """Batches of about `most_spans`; a line is not torn apart. A file is left at the first line with a span that
        is `held`."""
        self.unfinished_lines = 0
        batch = Batch()
        for file, start in self._open_files():
            offset = start
            for line, end in self._lines(file, start):
                spans = _spans(line)
                if spans and any(map(held, spans)):
                    break
                full = len(batch.spans) + len(spans or ()) > most_spans or batch.size + end - offset > _MOST_BYTES
                if batch.spans and full:
                    yield batch
                    batch = Batch()
                batch.spans += spans or ()
                batch.skipped_lines += spans is None
                batch.size += end - offset
                batch.offsets[file.identity] = offset = end
        if batch.offsets:
            yield batch

    def _open_files(self) -> Iterator[tuple[SpanFile, int]]:
        files = span_files(self._directory)
        present = {file.path.name: file.digest for file in files}
        for file in files:
            offset = self._progress.offset(file, present)
            if offset < file.size:
                yield file, offset

    def _lines(self, file: SpanFile, offset: int) -> Iterator[tuple[bytes | None, int]]:
        """Each whole line that was there when the reading began, and where it ends; `None` for one that is too long."""
        try:
            with file.path.open("rb") as lines:
                lines.seek(offset)
                while offset < file.size and (line := lines.readline(_LONGEST_LINE)):
                    offset += len(line)
                    if line.endswith(b"\n"):
                        yield line, offset
                    elif len(line) == _LONGEST_LINE:
                        while (rest := lines.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
                            offset += len(rest)
                        offset += len(rest)
                        yield None, offset
                    elif _is_whole(line) and not is_written(file.path):  # its writer might take it back
                        yield line, offset
                    else:
                        self.unfinished_lines += 1
        except OSError:
            return  # deleted, or not ours to read: what is there of it stays unsettled


def _spans(line: bytes | None) -> list[StoredSpan] | None:
    """`None` for a line that cannot be read; a blank one has no spans."""
    if line is None:
        return None
    try:
        return [] if line.isspace() else read_line(line)
    except UnreadableLineError:
        return None


def _is_whole(line: bytes) -> bool:
    """Whether a last line without an end is complete all the same: no beginning of an object is an object."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
