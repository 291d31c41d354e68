"""What a response says about itself, in our words, whoever the provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, cast

from taskmeter.capture.counts import fields_of, is_count
from taskmeter.records import Usage

NO_FIELDS: Mapping[str, object] = MappingProxyType({})


_TOOL_REASONS: Final = frozenset({"tool_calls", "function_call", "tool_use"})


@dataclass(frozen=True, slots=True)
class Portion:
    """Some of the usage of a call, made by a model of its own or from a prompt of its own, and priced by itself."""

    usage: Usage
    model: str | None = None
    """`None` for the model that answered."""
    tiered: bool = True
    """Whether it was processed in the tier that the answer names."""


class Reading(NamedTuple):
    """What one response, or as much of a stream as was read, says. A tuple, because every call makes one."""

    usage: Usage | None = None
    """All of it; `None` when it states none."""
    model: str | None = None
    """The model that answered."""
    response_id: str | None = None
    finish_reasons: tuple[str, ...] = ()
    variants: tuple[tuple[str, str], ...] = ()
    """What else the price depends on, as sorted pairs: the served tier, the speed."""
    doubt: str = ""
    """Why the counts are an estimate; empty when they are the provider's last word."""
    gap: str = ""
    """Why something billed may be missing from the counts, which may contradict each other; empty when nothing is."""
    portions: tuple[Portion, ...] = ()
    """The same usage, as it is to be priced; empty where it is all of one model and one prompt."""
    costs: Mapping[str, object] = NO_FIELDS
    """The fields of the usage, if any of them may state what the call cost."""
    free: str = ""
    """Why nothing is billed, whatever the usage; empty when something may be."""
    in_progress: bool = False
    """Whether the provider goes on making the answer, which is then asked for by `response_id`."""
    error_type: str | None = None
    """Why the provider failed to make what it had agreed to make."""
    calls_tools: bool = False
    """Whether it asks for a tool of the application's, where `finish_reasons` do not tell."""

    @property
    def asks_for_tools(self) -> bool:
        """Whether it is not the last word: it asks the application to run a tool."""
        return self.calls_tools or not _TOOL_REASONS.isdisjoint(self.finish_reasons)


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
        if isinstance(value, dict):
            value = cast("dict[str, object]", value).get(name)
        else:
            own: Mapping[str, object] = getattr(value, "__dict__", NO_FIELDS)
            value = own[name] if name in own else fields_of(value).get(name)
    return value


def text_field(value: object, *path: str) -> str | None:
    """The string at `path`; `None` for anything else."""
    found = field(value, *path)
    return found if isinstance(found, str) else None


def count_field(value: object, *path: str) -> int:
    """The count at `path`; 0 for anything else."""
    found = field(value, *path)
    return found if is_count(found) else 0


def items(value: object) -> list[object]:
    """`value` if it is a list, else an empty one: gateways send `null` for lists."""
    return cast("list[object]", value) if isinstance(value, list) else []
