"""The lines of a spool file, whoever wrote it: each of bounded length, from files that are nothing but files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

MOST_BYTES: Final = 16 * 1024**2
"""A longer line is not read. Ours are shorter: what would be one becomes several."""
_CHUNK: Final = 1024**2


def lines_of(path: Path) -> Iterator[bytes | None]:
    """Each line that is not blank; `None` for one of more than `MOST_BYTES`. Never holds more than that of any.

    Raises `OSError` where the file cannot be read.
    """
    with path.open("rb") as file:
        while line := file.readline(MOST_BYTES + 1):
            if len(line) > MOST_BYTES:
                _skip(file, line)
                yield None
            elif not line.isspace():
                yield line


def is_file(path: Path) -> bool:
    """Whether `path` is a regular file: whoever opens a pipe waits, and a device has no end."""
    try:
        return path.is_file()
    except OSError:
        return False


def _skip(file: BinaryIO, read: bytes) -> None:
    """Goes to the end of a line of which `read` was read."""
    while read and not read.endswith(b"\n"):
        read = file.readline(_CHUNK)
