"""The fingerprint of a tool run: of the tool's name and its arguments, keyed, in bounded time.

No code of the application's runs: arguments that are not plain values, or are too large, have no fingerprint.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import blake2b
from itertools import count
from typing import Any, Final, cast
from weakref import ref

_KEY: Final = os.urandom(32)
MOST_VALUES: Final = 256
MOST_BYTES: Final = 16_384
_MOST_BITS: Final = 4096
"""Of a number."""


def toolprint(name: str, arguments: object) -> bytes | None:
    """The same for the same tool with the same arguments, in this process only; `None` where that cannot be told.

    `arguments` are strings, bytes, numbers, truth values, `None`, and lists, tuples and dicts of those.
    """
    words: list[bytes] = [name.encode("utf-8", "surrogatepass")]
    size, waiting, values = 0, [arguments], 0
    while waiting:
        value = waiting.pop()
        values += 1
        word = _word(value)
        if word is None or values + len(waiting) > MOST_VALUES:
            return None
        size += len(word)
        if size > MOST_BYTES:
            return None
        words.append(word)
        inner = _inner(value)
        if inner is None:
            return None
        waiting.extend(inner)
    keyed = blake2b(key=_KEY, digest_size=16)
    for word in words:
        keyed.update(b"%d:" % len(word))
        keyed.update(word)
    return keyed.digest()


def _word(value: Any) -> bytes | None:
    """One value, without what is in it. By exact type, as a subclass has code of its own."""
    kind = type(cast("object", value))
    write = _WORDS.get(kind)
    return None if write is None else write(value)


_WORDS: Final[Mapping[type, Callable[[Any], bytes | None]]] = {
    str: lambda text: b"s" + text.encode("utf-8", "surrogatepass") if len(text) <= MOST_BYTES else None,
    bytes: lambda raw: b"y" + raw if len(raw) <= MOST_BYTES else None,
    int: lambda number: b"i%x" % number if number.bit_length() <= _MOST_BITS else None,
    float: lambda number: b"f" + number.hex().encode(),
    bool: lambda truth: b"b%d" % truth,
    type(None): lambda _: b"n",
    list: lambda many: b"l%d" % len(many),
    tuple: lambda many: b"l%d" % len(many),
    dict: lambda fields: b"d%d" % len(fields),
}


def _inner(value: Any) -> list[object] | None:
    """What is in a value; of a dict the names as well, in their order. `None` for too much, and where a name is not a
    string."""
    kind = type(cast("object", value))
    if kind not in (dict, list, tuple):
        return []
    if len(value) > MOST_VALUES:
        return None
    if kind is not dict:
        return list(value)
    if not all(type(name) is str for name in value):
        return None
    return [part for name in sorted(value) for part in (name, value[name])]


def bound(func: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, object]:
    """The arguments of a call of `func`, by name where its code says how they are called. An object that a method is
    called on is told from others by its identity alone."""
    code = getattr(getattr(func, "__wrapped__", func), "__code__", None)
    names: tuple[str, ...] = code.co_varnames[: code.co_argcount] if code is not None else ()
    found: dict[str, object] = {
        names[place] if place < len(names) else f"*{place}": value for place, value in enumerate(args)
    }
    for name in names[:1]:
        if name in ("self", "cls") and name in found:
            found[name] = _identity(found[name])
    return found | dict(kwargs)


_numbers: Final = count()
_alive: Final[dict[int, tuple[ref[Any], int]]] = {}
"""By their address, which the next object may have once they are gone: then they leave here."""


def _identity(value: object) -> object:
    """A number that no other object ever has; the object itself, which is no plain value, where it cannot be told when
    it is gone."""
    place = id(value)
    known = _alive.get(place)
    if known is not None and known[0]() is value:
        return known[1]
    number = next(_numbers)
    try:
        _alive[place] = ref(value, partial(_alive.pop, place)), number  # `pop` gets the reference as its default
    except TypeError:
        return value
    return number
