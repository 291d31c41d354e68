"""Whether others than its owner can write into a spool's directory: what they forge there, reports believe."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def risk_of(directory: Path) -> str:
    """What is wrong with an existing `directory`, for people; empty when nothing is, and where owners are not known."""
    if not hasattr(os, "geteuid"):
        return ""
    try:
        found = directory.stat()
    except OSError:
        return ""
    if found.st_uid not in (os.geteuid(), 0):
        return f"it belongs to user {found.st_uid}, who can remove and replace what is written there"
    if found.st_mode & stat.S_IWOTH:
        return "everybody can write there, and forge what reports read"
    return ""
