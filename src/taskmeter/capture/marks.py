"""Marks by which the same text is known again, without keeping it. Keyed: nobody can guess a text from its mark.

A mark is made of a text's length and content. Of a longer text than `WHOLE` only its two ends count and windows in
between, at places that the key decides: the time it takes does not grow with the text. Two long texts of one length
that differ in a few characters only may thus get the same mark.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final

KEY_BYTES: Final = 32
MARK_BYTES: Final = 8
WHOLE: Final = 8192
"""Characters of ASCII up to which all of a text counts; half as many of any other text."""
_END: Final = 1024
"""Characters at either end of a longer one."""
_WINDOWS: Final = 16
_WINDOW: Final = 128


class _Secret:
    def __init__(self, key: bytes) -> None:
        self.keyed = blake2b(key=key, digest_size=MARK_BYTES)
        places = blake2b(b"places", key=key, digest_size=2 * _WINDOWS).digest()
        self.places = sorted(int.from_bytes(places[at : at + 2]) for at in range(0, 2 * _WINDOWS, 2))
        """Where the windows are, in 1/65536 of what is between the ends."""


_secret = _Secret(os.urandom(KEY_BYTES))


def use_key(key: bytes) -> None:
    """Makes marks with `key` from now on, so that they agree with those of other processes; by default with a random
    one."""
    global _secret  # noqa: PLW0603 - one key per process, or marks would not agree
    _secret = _Secret(key)


def mark(text: str) -> bytes:
    """The mark of a text."""
    keyed = _secret.keyed.copy()
    keyed.update(b"%d:" % len(text))
    keyed.update(_sample(text).encode("utf-8", "surrogatepass"))
    return keyed.digest()


def mark_of_all(texts: Sequence[str]) -> bytes:
    """One mark of several texts, in their order."""
    keyed = _secret.keyed.copy()
    sampled = [text if len(text) <= _END else _sample(text) for text in texts]
    keyed.update((",".join([str(len(text)) for text in texts]) + ":").encode())
    keyed.update("".join(sampled).encode("utf-8", "surrogatepass"))
    return keyed.digest()


def joined(marks: Iterable[bytes]) -> bytes:
    """One mark of several marks, in their order."""
    keyed = _secret.keyed.copy()
    keyed.update(b"".join(marks))
    return keyed.digest()


def _sample(text: str) -> str:
    length = len(text)
    if length <= WHOLE and (length <= WHOLE // 2 or text.isascii()):
        return text
    between = length - 2 * _END - _WINDOW
    starts = [_END + (between * place >> 16) for place in _secret.places]
    return "".join([text[:_END], *[text[start : start + _WINDOW] for start in starts], text[-_END:]])
