"""The key with which the processes of one spool mark texts, so that their marks agree."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

FILE: Final = "fingerprint.key"
KEY_BYTES: Final = 32


def shared_key(directory: Path) -> bytes | None:
    """The key in `directory`, made at random if there is none, for the owner's eyes only. It stays there: whoever has
    it can tell whether a text that he knows was sent. `None` where no key can be kept.
    """
    path = directory / FILE
    try:
        if not path.exists():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make(path)
        key = path.read_bytes()
    except OSError:
        return None
    return key if len(key) == KEY_BYTES else None


def _make(path: Path) -> None:
    """Whole or not at all, as another process may do the same now."""
    draft = path.with_name(f"{path.name}.{os.urandom(8).hex()}")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(file, os.urandom(KEY_BYTES))
    finally:
        os.close(file)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # the other one was faster
    finally:
        draft.unlink()
