"""The key with which the processes of one spool mark texts, so that their marks agree."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from taskmeter.spool.lines import is_file

FILE: Final = "fingerprint.key"
KEY_BYTES: Final = 32


def shared_key(directory: Path) -> bytes | None:
    """The key in `directory`, made at random if there is none, for the owner's eyes only. It stays there: whoever has
    it can tell whether a text that he knows was sent. `None` where no key can be kept.
    """
    path = directory / FILE
    try:
        if not os.path.lexists(path):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make(path)
        if not is_file(path):  # a pipe would be waited for
            return None
        with path.open("rb") as file:
            key = file.read(KEY_BYTES + 1)
    except OSError:
        return None
    return key if len(key) == KEY_BYTES else None


def _make(path: Path) -> None:
    """Whole or not at all, as another process may do the same now."""
    draft = path.with_name(f"{path.name}.{os.urandom(8).hex()}")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(file, "wb") as draft_file:
            draft_file.write(os.urandom(KEY_BYTES))
        with suppress(FileExistsError):  # the other one was faster
            os.link(draft, path)
    finally:
        draft.unlink()
