"""What is recorded is bounded: how long a text may be, how many different ones are told apart, what JSON may hold."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

LONGEST: Final = 256
"""Characters of a name, key, label, reason or model that are recorded."""
MAX_ITEMS: Final = 256
"""Different ones of a kind that are told apart; what comes after is one `OTHER_ITEM`."""
OTHER_ITEM: Final = "(other)"
_SHOWN: Final = 120
"""Characters of a value in an error: enough to recognise it, too few for a prompt."""

_DIGITS: Final = 8
_UNFIT: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONE: Final = re.compile(r"(\\\\|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2})|\\ud[89a-f][0-9a-f]{2}")

counts: Final[Counter[str]] = Counter()
"""How often something was cut or put together, by what it was. Bounded: they are literals of this package."""


def bounded(text: str) -> str:
    """`text` as it is recorded: without control characters and lone surrogates, each of which becomes U+FFFD, and at
    most `LONGEST` characters long.

    What is longer is cut, and ends with `…` and a digest of the whole, so that two that differ stay two.
    """
    if len(text) <= LONGEST:
        return text if text.isprintable() else _UNFIT.sub("\ufffd", text)
    counts["texts cut"] += 1
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    return _UNFIT.sub("\ufffd", f"{text[: LONGEST - _DIGITS - 1]}…{digest}")


class Distinct:
    """The first `most` different texts that it is asked about; any other is `OTHER_ITEM`."""

    __slots__ = ("_kind", "_most", "_seen")

    def __init__(self, kind: str, most: int = MAX_ITEMS) -> None:
        """`kind` is what the texts are, for people: a literal."""
        self._kind = kind
        self._most = most
        self._seen: dict[str, str] = {}  # no lock: each operation is atomic, and a few more than `most` do no harm

    def __call__(self, text: str) -> str:
        """`text`, or `OTHER_ITEM`."""
        known = self._seen.get(text)
        if known is not None:
            return known
        if len(self._seen) < self._most:
            return self._seen.setdefault(text, text)
        counts[f"{self._kind} beyond the first {self._most}"] += 1
        return OTHER_ITEM


def shown(value: object) -> str:
    """`value` for an error about it: as it prints, cut to 120 characters. Never raises."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - it is the application's own, and about to be called wrong anyway
        text = f"<{type(value).__name__} that cannot be printed>"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def dumps(value: object, *, indent: int | None = None, default: Callable[[Any], object] | None = None) -> str:
    """ASCII JSON that every parser takes: no NaN, and U+FFFD for a lone surrogate. Raises as `json.dumps` does."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, indent=indent, separators=separators, allow_nan=False, default=default)
    return _LONE.sub(lambda found: found[1] or "\\ufffd", text) if "\\ud" in text else text
