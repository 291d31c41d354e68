"""Counts as a provider states them, taken apart into disjoint parts. What does not fit is told, never dropped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeGuard, cast

from taskmeter.records import Part

MOST: Final = 2**53
"""No call has that many tokens, and OpenTelemetry's 64-bit integers and doubles hold it exactly."""

_UNKNOWN: Final = object()
_COUNTED: Final = ("_tokens", "_requests", "_searches", "_queries", "_characters", "_seconds", "_calls", "_used")
"""Ends of names that providers give to counts of what they bill."""
_NO_FIELDS: Final[dict[str, object]] = {}


def fields_of(value: object) -> dict[str, object]:
    """The fields of a parsed model, also those its class does not know, or of a decoded JSON object; else none.

    Read from where pydantic keeps them: `getattr` on a model costs 10 times as much. Not to be changed.
    """
    if isinstance(value, dict):
        return cast("dict[str, object]", value)
    own: dict[str, object] | None = getattr(value, "__dict__", None)
    if own is None:
        return _NO_FIELDS
    extra: dict[str, object] | None = getattr(value, "__pydantic_extra__", None)
    return {**own, **extra} if extra else own


def is_count(value: object) -> TypeGuard[int]:
    """Whether `value` can be a number of tokens."""
    return type(value) is int and 0 <= value <= MOST


def no_count(name: str, value: object) -> str:
    """What is wrong with a count that is none. A number is shown; a text may be anything."""
    said = f" {repr(value)[:20]}" if type(value) in (int, float) else ""
    return f"{name} is {type(value).__name__}{said}, no count"


def parts_of(fields: Mapping[str, object], known: Mapping[str, Part | None], wrong: list[str]) -> dict[Part, int]:
    """The counts in `fields` by part, zeros dropped; `known` has `None` for what is read elsewhere or costs nothing.

    Adds to `wrong` what is no count, and counts above 0 that nobody knows: they may be billed.
    """
    parts: dict[Part, int] = {}
    for name, value in fields.items():
        if value is None:
            continue
        part = known.get(name, _UNKNOWN)
        if part is None:
            continue
        if part is _UNKNOWN:
            if unknown := _unknown(name, value):
                wrong.append(unknown)
        elif is_count(value):
            if value:
                parts[cast("Part", part)] = value
        else:
            wrong.append(no_count(name, value))
    return parts


def _unknown(name: str, value: object) -> str:
    """A complaint about a count, or a breakdown with one, that this version does not know; else empty."""
    if is_count(value):
        return f"{name} ({value}) is not known here" if value and name.endswith(_COUNTED) else ""
    inner = () if isinstance(value, str | float) else fields_of(value).items()
    return next(
        (found for each, count in inner if is_count(count) and (found := _unknown(f"{name}.{each}", count))), ""
    )


def total_of(fields: Mapping[str, object], name: str, wrong: list[str]) -> int:
    """The count under `name`; 0 where there is none, which adds to `wrong` unless nothing is stated."""
    value = fields.get(name)
    if is_count(value):
        return value
    if value is not None:
        wrong.append(no_count(name, value))
    return 0


def split(total: int, rest: Part, parts: dict[Part, int], wrong: list[str]) -> dict[Part, int]:
    """`parts` and what they leave of `total` as `rest`; adds to `wrong` if they exceed it."""
    left = total - sum(parts.values()) if parts else total
    if left > 0:
        parts[rest] = left
    elif left < 0:
        wrong.append(f"parts of {total} {rest} tokens add up to {total - left}")
    return parts
