"""A request as a keyed fingerprint."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Final

_KEY: Final = secrets.token_bytes(32)


def fingerprint(request: Mapping[str, object]) -> bytes | None:
    """A stand-in until the branch `context` is merged."""
    return hashlib.blake2b(repr(sorted(request.items())).encode(), key=_KEY, digest_size=16).digest()
