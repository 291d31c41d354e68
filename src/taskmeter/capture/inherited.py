"""Methods that another library took from an SDK's base class and put, wrapped, on a class below it, before we came.

OpenInference and Logfire do so with `request`: their wrapper holds the base class's function as it was, so that a hook
on the base class is never reached. There it goes on their wrapper as well.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from taskmeter._guard import guarded
from taskmeter.capture.hooks import Hook, is_hook, replacement

_LONGEST_CHAIN: Final = 32


class Inherited:
    """Hooks on the classes below. Only those are touched whose own method leads to the function that is hooked."""

    def __init__(self, hooks: list[Hook]) -> None:
        self._hooks = hooks
        self._installed: list[tuple[type, str, object, object]] = []
        self._active = False

    def on(self) -> None:
        """Hooks what passes our hooks by at this moment, of modules that are imported. Again: only what is new."""
        self._active = True
        for hook in self._hooks:
            with guarded("capture.inherited"):
                owner = getattr(sys.modules.get(hook.module), hook.owner, None)
                if isinstance(owner, type):
                    self._install(owner, hook)

    def off(self) -> None:
        """Takes them off again, unless somebody has wrapped ours since: then ours stays, idle."""
        self._active = False
        for owner, attribute, original, ours in self._installed:
            if owner.__dict__.get(attribute) is ours:
                setattr(owner, attribute, original)
        self._installed.clear()

    def _install(self, owner: type, hook: Hook) -> None:
        hooked = _root(owner.__dict__.get(hook.attribute))
        for below in _below(owner):
            theirs = below.__dict__.get(hook.attribute)
            if theirs is None or _root(theirs) is not hooked or any(map(is_hook, _chain(theirs))):
                continue
            ours = replacement(theirs, hook, below, lambda: self._active)
            self._installed.append((below, hook.attribute, theirs, ours))
            setattr(below, hook.attribute, ours)


def _below(owner: type) -> Iterator[type]:
    kinds: list[type] = owner.__subclasses__()
    for kind in kinds:
        yield kind
        yield from _below(kind)


def _chain(function: object) -> Iterator[object]:
    """A function and, one after the other, those that it wraps."""
    for _ in range(_LONGEST_CHAIN):
        yield function
        function = getattr(function, "__wrapped__", None)
        if function is None:
            return


def _root(function: object) -> object:
    """What all wrappers of a function are around; not the method of an instance or class, but its function."""
    *_, last = _chain(function)
    return getattr(last, "__func__", last)
