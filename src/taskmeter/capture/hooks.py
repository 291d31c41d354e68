"""Putting hooks on classes and taking them off again: the identical functions come back."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import wrapt

from taskmeter._guard import guarded, log

Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]
"""A wrapt wrapper: gets the function, the instance, and the call's arguments."""


@dataclass(frozen=True, slots=True)
class Hook:
    """One function of one class."""

    module: str
    owner: str
    attribute: str
    wrapper: Wrapper
    optional: bool = False
    """Whether versions without this function work as well without it."""
    instead: str = ""
    """The older function of the same class that is hooked for the same thing in versions without this one."""


@dataclass(frozen=True, slots=True)
class _Installed:
    owner: type
    attribute: str
    original: object
    replacement: object


class Hooks:
    """A set of hooks that goes on and off as one. Modules not imported yet are hooked when they are."""

    def __init__(self, hooks: list[Hook]) -> None:
        self._hooks = hooks
        self._lock = threading.RLock()  # an import inside `on` may come back here
        self._installed: dict[tuple[str, str, str], _Installed] = {}
        self._active = False
        self._awaited: set[str] = set()

    @property
    def active(self) -> bool:
        """Whether the hooks are on, or go on at import."""
        return self._active

    def on(self) -> None:
        """Installs every hook, now or as soon as its module is imported. Again: no effect."""
        with self._lock:
            self._active = True
            for module in dict.fromkeys(hook.module for hook in self._hooks):
                if module in self._awaited:
                    self._install(module)
                else:
                    self._awaited.add(module)
                    wrapt.register_post_import_hook(self._imported, module)

    def off(self) -> None:
        """Restores the functions as they were, unless somebody has wrapped ours since: then ours stays, idle."""
        with self._lock:
            self._active = False
            for key, installed in list(self._installed.items()):
                if installed.owner.__dict__.get(installed.attribute) is installed.replacement:
                    setattr(installed.owner, installed.attribute, installed.original)
                    del self._installed[key]

    def _imported(self, module: ModuleType) -> None:
        with guarded("capture.install"), self._lock:
            if self._active:
                self._install(module.__name__)

    def _install(self, module_name: str) -> None:
        module = sys.modules.get(module_name)
        if module is None:
            return
        for hook in self._hooks:
            if hook.module == module_name:
                with guarded("capture.install"):
                    self._install_one(module, hook)

    def _install_one(self, module: ModuleType, hook: Hook) -> None:
        key = (hook.module, hook.owner, hook.attribute)
        if key in self._installed:
            return
        owner = getattr(module, hook.owner, None)
        original = getattr(owner, "__dict__", {}).get(hook.attribute)
        if not isinstance(owner, type) or original is None:
            if not hook.optional and not hasattr(owner, hook.instead):
                # Each hook stands alone: without this symbol the others still work.
                log.warning("taskmeter: %s.%s.%s does not exist in this version; that hook is off", *key)
            return
        replacement = wrapt.FunctionWrapper(original, hook.wrapper)
        setattr(owner, hook.attribute, replacement)
        self._installed[key] = _Installed(owner, hook.attribute, original, replacement)
