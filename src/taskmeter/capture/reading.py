"""What a response says about itself, in our words, whoever the provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeGuard, cast

from taskmeter.records import Part, Usage


@dataclass(frozen=True, slots=True)
class Reading:
    """What one response, or as much of a stream as was read, says."""

    usage: Usage | None = None
    """`None` when it states none."""
    model: str | None = None
    """The model that answered."""
    response_id: str | None = None
    finish_reasons: tuple[str, ...] = ()
    variants: tuple[tuple[str, str], ...] = ()
    """What else the price depends on, as sorted pairs: the served tier, the speed."""
    doubt: str = ""
    """Why the counts are not the provider's last word; empty when they are."""
    free: str = ""
    """Why nothing is billed, whatever the usage; empty when something may be."""
    in_progress: bool = False
    """Whether the provider goes on making the answer, which is then asked for by `response_id`."""
    error_type: str | None = None
    """Why the provider failed to make what it had agreed to make."""


class StreamReader(Protocol):
    """Reads the events of one stream as the application gets them."""

    @property
    def complete(self) -> bool:
        """Whether the provider's last word on usage has been read."""
        ...

    @property
    def making(self) -> str | None:
        """The id of an answer that the provider goes on making whether or not the stream is read; else `None`."""
        ...

    def hides(self, event: object) -> bool:
        """Whether an event is one that only our request for usage brought."""
        ...

    def read(self, event: object) -> None:
        """Reads one event."""
        ...

    def reading(self, request: Mapping[str, object]) -> Reading:
        """What the events read so far say; estimated from `request` and the bytes read where they do not say."""
        ...


def field(value: object, *path: str) -> object:
    """The value at `path` in a parsed model or a decoded JSON object; `None` where a level lacks its name."""
    for name in path:
        if value is None:
            return None
        # A dict is what JSON decodes to; a check for any `Mapping` costs 20 times as much.
        value = cast("dict[str, object]", value).get(name) if isinstance(value, dict) else getattr(value, name, None)
    return value


def text_field(value: object, *path: str) -> str | None:
    """The string at `path`; `None` for anything else."""
    found = field(value, *path)
    return found if isinstance(found, str) else None


def count_field(value: object, *path: str) -> int:
    """The count at `path`; 0 for anything else."""
    found = field(value, *path)
    return found if _is_count(found) else 0


def has_count(value: object, *path: str) -> bool:
    """Whether there is a count at `path`, 0 included."""
    return _is_count(field(value, *path))


def not_counts(value: object, *paths: tuple[str, ...]) -> str:
    """A doubt for the first of `paths` at which there is something else than a count; empty for none."""
    for path in paths:
        found = field(value, *path)
        if found is not None and not _is_count(found):
            return f"{'.'.join(path)} is {type(found).__name__} {str(found)[:20]}, no count"
    return ""


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT


_MAX_COUNT = 2**53
"""No call has that many tokens, and OpenTelemetry's 64-bit integers and doubles hold it exactly."""


def items(value: object) -> list[object]:
    """`value` if it is a list, else an empty one: gateways send `null` for lists."""
    return cast("list[object]", value) if isinstance(value, list) else []


def split(total: int, rest: Part, parts: dict[Part, int]) -> tuple[dict[Part, int], str]:
    """`total` as disjoint `parts` and what is left as `rest`, zeros dropped; and a doubt if the parts exceed it."""
    left = total - sum(parts.values())
    whole: dict[Part, int] = {part: count for part, count in parts.items() if count}
    if left > 0:
        whole[rest] = left
    return whole, "" if left >= 0 else f"parts of {total} {rest} tokens add up to more"
