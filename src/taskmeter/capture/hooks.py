"""Putting hooks on classes and taking them off again: the identical functions come back."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final, Literal

import wrapt

from taskmeter._guard import Breaker, guarded, log

Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]
"""A wrapt wrapper: gets the function, the instance, and the call's arguments."""

State = Literal["in", "covered", "off", "awaited", "absent", "missing", "failed", "out"]
"""Of a hook: on its function; beneath a wrapper that somebody put on it since; turned off after faults of ours; waiting
for its module to be imported; its package is not installed; this version has no such function; a fault of ours kept it
from its function; taken off, or `instrument` was not called."""


@dataclass(frozen=True, slots=True)
class Hook:
    """One function of one class."""

    module: str
    owner: str
    attribute: str
    wrapper: Wrapper
    breaker: Breaker
    optional: bool = False
    """Whether versions without this function work as well without it."""
    finishes: bool = False
    """Whether a call under way needs it to its end: what passes by is then up to the wrapper when `breaker` is off."""
    instead: str = ""
    """The older function of the same class that is hooked for the same thing in versions without this one."""


@dataclass(frozen=True, slots=True)
class HookStatus:
    """What became of a hook."""

    part: str
    """What it is for, in words: that which is turned off as one."""
    module: str
    owner: str
    attribute: str
    state: State
    optional: bool
    """Whether it does not matter that it is `missing`."""

    @property
    def function(self) -> str:
        """`openai._base_client.SyncAPIClient.request`."""
        return f"{self.module}.{self.owner}.{self.attribute}"


def _name(function: Any) -> str:
    return str(function.__name__)


class _BoundReplacement(wrapt.BoundFunctionWrapper):  # type: ignore[type-arg]
    """See `_Replacement`. What a class or an instance gives out is the one or the other way to the same function."""

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: object) -> Any:
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        owner = self._self_parent._self_hooked if self._self_instance is None else self._self_instance  # noqa: SLF001
        return getattr, (owner, _name(self))


class _Replacement(wrapt.FunctionWrapper):  # type: ignore[type-arg]
    """A wrapper that copies and pickles as the function does that it wraps: as a reference to it."""

    __bound_function_wrapper__ = _BoundReplacement

    def __init__(self, wrapped: Any, hook: Hook, owner: type, enabled: Callable[[], bool]) -> None:
        super().__init__(wrapped, hook.wrapper, enabled)  # pyright: ignore[reportUnknownMemberType]
        self._self_hooked = owner

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: object) -> Any:
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        return getattr, (self._self_hooked, _name(self))


def replacement(original: object, hook: Hook, owner: type, active: Callable[[], bool]) -> object:
    """What stands for `original` on `owner` while `active`, and calls it at once, as if it were that, otherwise."""
    breaker = hook.breaker
    if hook.finishes:
        return _Replacement(original, hook, owner, active)
    return _Replacement(original, hook, owner, lambda: active() and not breaker.off)


def is_hook(function: object) -> bool:
    """Whether `function`, as a class holds it, is one of ours."""
    return type(function) is _Replacement


@dataclass(frozen=True, slots=True)
class _Installed:
    owner: type
    attribute: str
    original: object
    replacement: object

    @property
    def current(self) -> object:
        """What the class has now: ours, the original, or what somebody put there since."""
        return self.owner.__dict__.get(self.attribute)


class Hooks:
    """A set of hooks that goes on and off as one. Modules not imported yet are hooked when they are."""

    def __init__(self, hooks: list[Hook]) -> None:
        self._hooks: Final = hooks
        self._lock = threading.RLock()  # an import inside `on` may come back here
        self._installed: dict[tuple[str, str, str], _Installed] = {}
        self._active = False
        self._awaited: set[str] = set()

    @property
    def active(self) -> bool:
        """Whether the hooks are on, or go on at import."""
        return self._active

    @property
    def breakers(self) -> list[Breaker]:
        """Of all hooks; some share one."""
        return list(dict.fromkeys(hook.breaker for hook in self._hooks))

    def on(self) -> None:
        """Installs every hook, now or as soon as its module is imported. Again: no effect."""
        modules = dict.fromkeys(hook.module for hook in self._hooks)
        for module in modules:
            _wait_for_import(module)
        with self._lock:
            self._active = True
            for module in modules:
                if module in self._awaited:
                    self._install(module)
                else:
                    self._awaited.add(module)
                    wrapt.register_post_import_hook(self._imported, module)

    def off(self) -> None:
        """Restores the functions as they were, unless somebody has wrapped ours since: then ours stays, idle.
        Hooks that were turned off go on again with the next `on`."""
        with self._lock:
            self._active = False
            for key, installed in list(self._installed.items()):
                if installed.current is installed.replacement:
                    setattr(installed.owner, installed.attribute, installed.original)
                    del self._installed[key]
            for breaker in self.breakers:
                breaker.reset()

    def status(self) -> list[HookStatus]:
        """What became of each hook, in the order they were given."""
        with self._lock:
            return [
                HookStatus(
                    hook.breaker.hook, hook.module, hook.owner, hook.attribute, self._state(hook), _dispensable(hook)
                )
                for hook in self._hooks
            ]

    def _state(self, hook: Hook) -> State:
        found = _found(hook.module)
        if found == "absent" or (self._active and found != "in"):
            return found
        if not self._active:
            return "out"
        installed = self._installed.get((hook.module, hook.owner, hook.attribute))
        if installed is None or installed.current is installed.original:
            owner = getattr(sys.modules[hook.module], hook.owner, None)
            return "failed" if hook.attribute in getattr(owner, "__dict__", {}) else "missing"
        if hook.breaker.off:
            return "off"
        return "in" if installed.current is installed.replacement else "covered"

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
                with guarded("capture.hook"):
                    self._install_one(module, hook)

    def _install_one(self, module: ModuleType, hook: Hook) -> None:
        key = (hook.module, hook.owner, hook.attribute)
        owner = getattr(module, hook.owner, None)
        original = getattr(owner, "__dict__", {}).get(hook.attribute)
        if not isinstance(owner, type) or original is None:
            if not _dispensable(hook):
                # Each hook stands alone: without this symbol the others still work.
                log.warning("taskmeter: %s.%s.%s does not exist in this version; that hook is off", *key)
            return
        before = self._installed.get(key)
        if before is not None and before.owner is owner and before.original is not original:
            return  # still there, or beneath what somebody put on it
        ours = replacement(original, hook, owner, lambda: self._active)
        # Noted first: what is on a class must be known here, or nobody could take it off.
        self._installed[key] = _Installed(owner, hook.attribute, original, ours)
        setattr(owner, hook.attribute, ours)


def _dispensable(hook: Hook) -> bool:
    """Whether it does not matter here that the hook's function is missing."""
    owner = getattr(sys.modules.get(hook.module), hook.owner, None)
    return hook.optional or hasattr(owner, hook.instead)


def _wait_for_import(module_name: str) -> None:
    """Until another thread that imports the module has all of it: half a module has no classes to hook."""
    spec = getattr(sys.modules.get(module_name), "__spec__", None)
    if getattr(spec, "_initializing", False):
        with guarded("capture.awaited"):
            importlib.import_module(module_name)


def _found(module_name: str) -> State:
    """Whether a module was imported (`in`), can be (`awaited`), or is not there. Imports nothing."""
    package = module_name.partition(".")[0]
    parts = module_name.split(".")
    for prefix in (".".join(parts[: count + 1]) for count in range(len(parts))):
        if prefix in sys.modules:
            continue
        if find_spec(prefix) is None:
            return "absent" if prefix == package else "missing"
        return "awaited"
    return "in"
