"""Methods that another library took from an SDK's base class and put, wrapped, on a class below it, before we came.

OpenInference and Logfire do so with `request`: their wrapper holds the base class's function as it was, so that a hook
on the base class is never reached. There it goes on their wrapper as well.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final

import wrapt

from taskmeter._guard import guarded
from taskmeter.capture.hooks import Hook

_LONGEST_CHAIN: Final = 32
_US: Final = __name__.rpartition(".")[0]


class Inherited:
    """Hooks on the classes below. Only those are touched whose own method leads to the function that is hooked."""

    def __init__(self, hooks: list[Hook]) -> None:
        self._hooks = hooks
        self._installed: list[tuple[type, str, object, object]] = []

    def on(self) -> None:
        """Hooks what passes our hooks by at this moment, of modules that are imported. Again: only what is new."""
        for hook in self._hooks:
            with guarded("capture.inherited"):
                owner = getattr(sys.modules.get(hook.module), hook.owner, None)
                if isinstance(owner, type):
                    self._install(owner, hook)

    def off(self) -> None:
        """Takes them off again, unless somebody has wrapped ours since: then ours stays, idle."""
        for owner, attribute, original, replacement in self._installed:
            if owner.__dict__.get(attribute) is replacement:
                setattr(owner, attribute, original)
        self._installed.clear()

    def _install(self, owner: type, hook: Hook) -> None:
        hooked = _root(owner.__dict__.get(hook.attribute))
        for below in _below(owner):
            theirs = below.__dict__.get(hook.attribute)
            if theirs is None or _root(theirs) is not hooked or any(map(_is_ours, _chain(theirs))):
                continue
            replacement = wrapt.FunctionWrapper(theirs, hook.wrapper)
            setattr(below, hook.attribute, replacement)
            self._installed.append((below, hook.attribute, theirs, replacement))


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


def _is_ours(function: object) -> bool:
    wrapper: Any = getattr(function, "_self_wrapper", None)
    return str(getattr(wrapper, "__module__", "")).startswith(_US)
