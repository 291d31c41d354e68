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
WHOLE: Final = 16_384
"""Characters of ASCII up to which all of a text counts; half as many of any other text."""
_END: Final = 512
"""Characters at either end of a longer one."""
_WINDOWS: Final = 16
_WINDOW: Final = 48


class _Secret:
    def __init__(self, key: bytes) -> None:
        self.keyed = blake2b(key=key, digest_size=MARK_BYTES)
        places = blake2b(b"places", key=key, digest_size=_WINDOWS).digest()
        self.places = [256 * window + place for window, place in enumerate(places)]
        """Where the windows are in what is between the ends, one in each of its parts; in 1/4096 of it."""


_secret = _Secret(os.urandom(KEY_BYTES))


def use_key(key: bytes) -> None:
    """Makes marks with `key` from now on, so that they agree with those of other processes; by default with a random
    one."""
    global _secret  # noqa: PLW0603 - one key per process, or marks would not agree
    _secret = _Secret(key)


def secret() -> object:
    """What all marks are made with now. Marks made with another one do not compare."""
    return _secret


def mark(text: str) -> bytes:
    """The mark of a text."""
    keyed = _secret.keyed.copy()
    keyed.update(_sample(text).encode("utf-8", "surrogatepass"))
    return keyed.digest()


def mark_of_all(texts: Sequence[str]) -> bytes:
    """One mark of several texts, in their order."""
    return mark("\0".join([text if len(text) <= _END else _sample(text) for text in texts]))


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
    starts = [_END + (between * place // (256 * _WINDOWS)) for place in _secret.places]
    windows = [text[start : start + _WINDOW] for start in starts]
    return "".join([f"\0{length}\0", text[:_END], *windows, text[-_END:]])
