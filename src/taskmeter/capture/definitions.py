"""Tool definitions that were looked at before: they are many values each, and the same in every call.

One is known again by its own objects: its name, its description and the first of its parameters, of which there are as
many as before. The SDKs copy what is around these for each request, and not these.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Final, NamedTuple

from taskmeter.account.marks import secret
from taskmeter.capture.counts import fields_of

LIMIT: Final = 512


class Definition(NamedTuple):
    """What a tool's definition weighs, and its mark."""

    weight: int
    mark: bytes


class _Known(NamedTuple):
    objects: tuple[object, ...]
    """Kept, so that no other object can have the same ids."""
    secret: object
    definition: Definition


_known: Final[OrderedDict[tuple[int, ...], _Known]] = OrderedDict()
_lock: Final = Lock()


def remembered(definition: object) -> Definition | None:
    """What was found out about it before."""
    known = _known.get(tuple(map(id, _objects(definition))))
    return known.definition if known is not None and known.secret is secret() else None


def remember(definition: object, found: Definition) -> None:
    """This was found out about it. The oldest are forgotten first."""
    objects = _objects(definition)
    if objects[0] is None:
        return
    with _lock:
        _known[tuple(map(id, objects))] = _Known(objects, secret(), found)
        while len(_known) > LIMIT:
            _known.popitem(last=False)


def _objects(definition: object) -> tuple[object, ...]:
    """Those that the SDK hands on as they are. Small numbers are one object each."""
    fields = fields_of(definition)
    function = fields_of(fields.get("function")) or fields
    schema = fields_of(function.get("parameters") or function.get("input_schema"))
    parameters = fields_of(schema.get("properties"))
    first = next(iter(parameters.values()), None)
    return function.get("name"), function.get("description"), first, function.get("strict"), len(parameters)
