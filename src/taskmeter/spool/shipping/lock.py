"""One shipper per spool and endpoint. The operating system's lock: it ends with its process."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from taskmeter.errors import ShippingError
from taskmeter.spool.files import NO_LINK
from taskmeter.spool.shipping.progress import slug

if sys.platform == "win32":
    import msvcrt

    def _take(file: IO[str]) -> None:
        file.seek(1024)  # beyond what is written there, which others may read
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        file.seek(0)
else:
    import fcntl

    def _take(file: IO[str]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def only_shipper(directory: Path, endpoint: str) -> Generator[None]:
    """Holds the lock for the block. Raises `ShippingError` at once: who has it, or that it cannot be made."""
    path = directory / f"ship-{slug(endpoint)}.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | NO_LINK, 0o600)
    except OSError as error:
        message = f"The lock {str(path)!r} cannot be taken: {error.strerror or error}."
        raise ShippingError(message) from error
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        try:
            _take(file)
        except OSError as error:
            holder = file.read(200).strip() or "another process"
            message = f"The spool {str(directory)!r} is being shipped to {endpoint} already, by {holder}."
            raise ShippingError(message) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
        file.flush()
        yield
