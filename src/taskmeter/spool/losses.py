"""What is not in the spool: a process that lost spans on the way keeps their number in a file of its own beside it."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

from taskmeter.spool.files import NO_LINK, files_in

FILES: Final = "losses-*.json"
_LONGEST: Final = 4_096
"""Bytes of a file that is read."""
_MOST: Final = 10**12
_REASON: Final = re.compile("[a-z_]{1,32}")


class LossFile:
    """The totals of one process, in `<directory>/losses-<utc time>-<pid>.json`, which is there once there are some."""

    def __init__(self, directory: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._directory, self._now = directory, now
        self._path: Path | None = None
        self._kept: Mapping[str, int] = {}

    def keep(self, spans: Mapping[str, int]) -> None:
        """Writes how many are lost so far, by reason. What cannot be written now is tried the next time."""
        if spans == self._kept:
            return
        if self._path is None:
            self._path = self._directory / f"losses-{self._now():%Y%m%dT%H%M%S.%fZ}-{os.getpid()}.json"
        with suppress(OSError):
            self._replace(self._path, json.dumps(spans).encode("ascii"))
            self._kept = dict(spans)

    def _replace(self, path: Path, content: bytes) -> None:
        """At once, so that nobody reads half of it."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | NO_LINK, 0o600), "wb") as file:
            file.write(content)
        new.replace(path)


def recorded_losses(directory: Path) -> dict[str, int]:
    """Spans that processes say they lost, by reason, most first. A file that makes no sense says nothing."""
    found: Counter[str] = Counter()
    for path in files_in(directory, FILES):
        with suppress(OSError, ValueError, RecursionError), path.open("rb") as file:
            said: object = json.loads(file.read(_LONGEST))
            for reason, spans in cast("dict[str, object]", said).items() if isinstance(said, dict) else ():
                if _REASON.fullmatch(reason) and isinstance(spans, int) and 0 < spans <= _MOST:
                    found[reason] += spans
    return dict(found.most_common())
