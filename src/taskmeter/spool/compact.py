"""Finished `traces-*.jsonl` files -> `spans-*.parquet`, a tenth of the size, with everything that was in the lines.

The new file is written under another name, synced, renamed, and only then are its sources deleted: a crash at any
point loses nothing, and what is there twice until the next run, readers count once. Lines that no report can use are
set aside in `unread-*.jsonl`, as they are.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from taskmeter.errors import SpoolError
from taskmeter.spool import lock, parquet
from taskmeter.spool.files import LINES, PARQUET
from taskmeter.spool.lines import MOST_BYTES
from taskmeter.spool.read import MALFORMED

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Progress: TypeAlias = Callable[[int, int], object]
"""Told how many bytes are done, of how many."""

_GROUP_BYTES = 256 << 20
_BATCH = 2_000
_SCRATCH, _LOCK = ".compact", ".compact.lock"


@dataclass(slots=True)
class Compaction:
    """What a run did, and what it left alone."""

    written: list[Path] = field(default_factory=list[Path])
    sources: int = 0
    spans: int = 0
    """Rows written; one that was recorded twice counts twice."""
    lines_set_aside: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    being_written: int = 0
    """Files left because a process still has them open."""
    undelivered: int = 0
    """Files left because something in them has to be sent yet."""


@dataclass(frozen=True, slots=True)
class _Source:
    path: Path
    descriptor: int
    """Open and locked: nobody writes it."""
    size: int
    mtime_ns: int


def compact(
    directory: Path,
    *,
    older_than: timedelta,
    now: datetime,
    is_pending: Callable[[Path], bool] = lambda _path: False,
    progress: Progress = lambda _done, _of: None,
) -> Compaction:
    """Compacts the files of `directory` that were last written `older_than` ago, are open in no process, and of which
    `is_pending` does not say that something has yet to be delivered.

    Raises `SpoolError` when there is no such directory, another run is under way, or a file cannot be written: what
    was not compacted by then is as it was.
    """
    if not directory.is_dir():
        message = f"There is no spool directory {str(directory)!r}."
        raise SpoolError(message)
    done = Compaction()
    try:
        with _alone(directory), ExitStack() as opened:
            _delete_leftovers(directory)
            before = (now - older_than).timestamp()
            sources = [
                source
                for path in sorted(directory.glob(LINES))
                if (source := _finished(path, before, is_pending, done, opened))
            ]
            of = sum(source.size for source in sources)
            for group in _groups(sources):
                _compact(directory, group, now, done, lambda read: progress(done.bytes_before + read, of))
    except OSError as error:
        if isinstance(error, SpoolError):
            raise
        message = f"Cannot compact the spool {str(directory)!r}: {error.strerror or error}."
        raise SpoolError(message) from error
    return done


@contextmanager
def _alone(directory: Path) -> Generator[None]:
    """Keeps other runs out, and clears away what one that was killed had begun."""
    scratch = directory / _SCRATCH
    with os.fdopen(os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)) as locked:
        if not lock.take(locked.fileno()):
            message = f"Another process is compacting the spool {str(directory)!r}."
            raise SpoolError(message)
        rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        try:
            yield
        finally:
            rmtree(scratch, ignore_errors=True)


def _finished(
    path: Path, before: float, is_pending: Callable[[Path], bool], done: Compaction, opened: ExitStack
) -> _Source | None:
    """The file, locked until `opened` closes; `None` for one that is to be left alone."""
    known = path.lstat()
    if not stat.S_ISREG(known.st_mode) or known.st_mtime > before:
        return None
    if is_pending(path):
        done.undelivered += 1
        return None
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    if not lock.take(descriptor):
        os.close(descriptor)
        done.being_written += 1
        return None
    opened.callback(os.close, descriptor)
    known = os.fstat(descriptor)
    return _Source(path, descriptor, known.st_size, known.st_mtime_ns)


def _groups(sources: Iterable[_Source]) -> Iterator[list[_Source]]:
    """Files that become one, up to a size that a scratch database handles well."""
    group: list[_Source] = []
    for source in sources:
        if group and sum(other.size for other in group) + source.size > _GROUP_BYTES:
            yield group
            group = []
        group.append(source)
    if group:
        yield group


def _compact(
    directory: Path, group: list[_Source], now: datetime, done: Compaction, progress: Callable[[int], object]
) -> None:
    import duckdb

    scratch = directory / _SCRATCH
    target = _free(directory, f"spans-{now:%Y%m%dT%H%M%S.%fZ}")
    written: list[tuple[Path, Path]] = []
    spans = 0
    try:
        with parquet.connect(scratch=scratch) as database:
            parquet.create_table(database)
            read = 0

            def report(more: int) -> None:
                progress(read + more)

            for source in group:
                aside = scratch / f"unread-{source.path.stem.removeprefix('traces-')}-{source.mtime_ns}.jsonl"
                taken, left = _take(source, database, aside, report)
                spans += taken
                done.lines_set_aside += left
                written += [(aside, directory / aside.name)] if left else []
                read += source.size
            if spans:
                _copy(database, scratch / target.name, {source.path.name: _stamp(source) for source in group})
                written.append((scratch / target.name, target))
    except duckdb.Error as error:
        message = f"Cannot compact the spool {str(directory)!r}: {str(error).splitlines()[0]}."
        raise SpoolError(message) from error
    for temporary, final in written:
        temporary.replace(final)
    _sync(directory)
    for source in group:
        source.path.unlink()
    done.sources += len(group)
    done.spans += spans
    done.bytes_before += sum(source.size for source in group)
    done.written += [target] if spans else []
    done.bytes_after += sum(final.stat().st_size for _, final in written)


def _stamp(source: _Source) -> str:
    """Tells a file from a later one of its name, as a Collector makes them."""
    return f"{source.size} {source.mtime_ns}"


def _free(directory: Path, stem: str) -> Path:
    """A name that no file has: two runs may fall into one tick of a coarse clock, or of one that was set back."""
    names = (directory / f"{stem}-{number:04}.parquet" for number in count())
    return next(path for path in names if not path.exists())


def _take(
    source: _Source, database: DuckDBPyConnection, aside: Path, progress: Callable[[int], object]
) -> tuple[int, int]:
    """Puts the spans of a file into the table, and the lines that have none, or something else too, into `aside`."""
    spans = left = read = 0
    rows: list[dict[str, Any]] = []
    with os.fdopen(os.dup(source.descriptor), "rb") as lines, _synced(aside) as unread:
        while line := lines.readline(MOST_BYTES + 1):
            read += len(line)
            usable, whole = _read(line) if len(line) <= MOST_BYTES else ([], False)
            rows += usable
            spans += len(usable)
            if not whole:
                read += _set_aside(line, lines, unread)
                left += 1
            if len(rows) >= _BATCH:
                parquet.insert(database, rows)
                rows = []
                progress(read)
        if rows:
            parquet.insert(database, rows)
        progress(read)
    if not left:
        aside.unlink()
    return spans, left


def _set_aside(line: bytes, lines: BinaryIO, unread: BinaryIO) -> int:
    """Copies a line of which `line` was read. Returns how many more bytes were."""
    more = 0
    while not line.endswith(b"\n"):
        unread.write(line)
        line = lines.readline(MOST_BYTES) or b"\n"
        more += len(line)
    unread.write(line)
    return more


def _read(line: bytes) -> tuple[list[dict[str, Any]], bool]:
    """The rows of a line, and whether that is all there is in it."""
    if line.isspace():
        return [], True
    try:
        document = json.loads(line)
        rows, unusable = parquet.span_rows(document)
    except MALFORMED:
        return [], False
    return rows, not unusable and document.keys() <= {"resourceSpans"}


def _copy(database: DuckDBPyConnection, path: Path, sources: dict[str, str]) -> None:
    """Writes the table, for the owner's eyes only, with the names and stamps of the files that it stands for."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    database.execute(
        "COPY spans_of_lines TO ? (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 100_000, USE_TMP_FILE false, "
        "KV_METADATA {sources: ?})",
        [str(path), json.dumps(sources)],
    )
    with path.open("rb") as file:
        os.fsync(file)


@contextmanager
def _synced(path: Path) -> Generator[BinaryIO]:
    """A new file for the owner's eyes only, on disk when the block ends."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file)


def _sync(directory: Path) -> None:
    """Makes renames in `directory` last, where the system can."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _delete_leftovers(directory: Path) -> None:
    """Deletes what a run that was killed had compacted, but not deleted yet."""
    left = {path.name: path for path in directory.glob(LINES)}
    for compacted in directory.glob(PARQUET) if left else ():
        for name, stamp in parquet.sources(compacted).items():
            path = left.get(name)
            if path is not None and f"{path.lstat().st_size} {path.lstat().st_mtime_ns}" == stamp:
                path.unlink()
                del left[name]
