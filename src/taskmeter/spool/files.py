"""The files of a spool that spans are in: the one that is being written, and the closed ones that may be deleted."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from itertools import count
from pathlib import Path

from taskmeter.spool import lock
from taskmeter.spool.lines import is_file

try:
    import fcntl
except ImportError:  # Windows, which does not let an open file be deleted anyway
    fcntl = None  # type: ignore[assignment]

LINES, PARQUET = "traces-*.jsonl", "spans-*.parquet"
"""Spans as they come, and what was compacted of them."""
NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)
"""For files with a name that others can foresee: a link there would lead to a file of somebody else's."""


class FileGoneError(OSError):
    """The open file has no name any more, or the descriptor leads elsewhere: what is written to it is lost."""


class SpoolFile:
    """A new file of a process's own, locked against retention for as long as the process has it open."""

    def __init__(self, directory: Path, now: datetime) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path, self._file = _created(directory, now)
        self._identity = _identity(os.fstat(self._file))
        self._torn = False
        self.size = 0
        """Bytes of whole lines."""
        self.spans = 0
        """In whole lines."""
        lock.take(self._file)  # who deletes or compacts old files leaves it alone

    def append(self, line: bytes, spans: int) -> None:
        """All of `line`, or nothing of it. Raises `OSError` for nothing, `FileGoneError` where it would be lost."""
        self._check()
        rest = memoryview(b"\n" + line if self._torn else line)
        length = len(rest)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            if len(rest) < length:
                self._take_back()
            raise
        self._torn = False
        self._check()
        self.size += length
        self.spans += spans

    def sync(self) -> None:
        """Onto the disk, the file's name included."""
        os.fsync(self._file)

    def close(self) -> int:
        """Returns the spans in it that are lost, because it was deleted."""
        lost = 0
        try:
            self._check()
        except FileGoneError:
            lost = self.spans
        else:
            if not self.size:
                with suppress(OSError):  # not ours to delete any more
                    self.path.unlink()
        self.leave()
        return lost

    def leave(self) -> None:
        """Lets go of the descriptor and nothing else: in a forked process, the file is the parent's."""
        with suppress(OSError):  # somebody closed it for us
            if self._identity == _identity(os.fstat(self._file)):
                os.close(self._file)

    def _take_back(self) -> None:
        """The part of a line that was written; a full disk has room for that much again."""
        try:
            os.ftruncate(self._file, self.size)
        except OSError:
            self._torn = True  # the next line begins with a newline, and readers skip this one

    def _check(self) -> None:
        try:
            status = os.fstat(self._file)
        except OSError as error:
            raise FileGoneError(error.errno, "the file was closed by another") from error
        # A program that becomes a daemon closes descriptors it does not know, and another file may then have ours.
        if _identity(status) != self._identity or not status.st_nlink:
            raise FileGoneError(errno.ENOENT, "the file was deleted or closed by another")


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _created(directory: Path, now: datetime) -> tuple[Path, int]:
    """Opened with O_EXCL: a file of our own even where containers share a directory and a pid, or the clock is set
    back; and no symbolic link is followed."""
    stem = f"traces-{now:%Y%m%dT%H%M%S.%fZ}-{os.getpid()}"
    for number in count():
        path = directory / (f"{stem}.jsonl" if not number else f"{stem}-{number}.jsonl")
        try:
            return path, os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
    raise AssertionError  # `count` does not end


def sync_directory(directory: Path) -> None:
    """So that a new file is still there after a crash of the machine."""
    if os.name == "posix":
        opened = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def files_in(directory: Path, pattern: str = LINES) -> list[Path]:
    """The regular ones that match; none in a directory that is not there, or may not be looked into."""
    try:
        return list(filter(is_file, directory.glob(pattern)))
    except OSError:
        return []


def span_files_in(directory: Path) -> list[Path]:
    """All that spans are in, compacted or not."""
    return [*files_in(directory), *files_in(directory, PARQUET)]


def closed_files(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Those that no process writes, compacted ones too, oldest first. Any that vanish meanwhile are left out."""
    found: list[tuple[Path, os.stat_result]] = []
    for path in span_files_in(directory):
        try:
            found.append((path, path.stat()))
        except OSError:
            continue
    found.sort(key=lambda file: (file[1].st_mtime_ns, file[0].name))
    return ((path, status) for path, status in found if not is_written(path))


def is_written(path: Path) -> bool:
    """Whether a process has the file open to write to it. `False` where the file system cannot say."""
    if fcntl is None:
        return False
    try:
        opened = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(opened)
    return False
