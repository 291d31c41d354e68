"""The one shape of `track_task`, `track_step` and `track_tool`: `with`, `async with`, decorator; re-entrant."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar, cast

from taskmeter._guard import guarded
from taskmeter.account import bound, toolprint
from taskmeter.errors import UsageError
from taskmeter.scopes.handles import Step, Task, ToolRun
from taskmeter.scopes.measuring import ToolTerms, measuring
from taskmeter.scopes.runs import Run, StepRun, TaskRun, TaskSettings, ToolSettings, ToolUse, current_run
from taskmeter.scopes.wrapping import wrap

P = ParamSpec("P")
R = TypeVar("R")
Handle = TypeVar("Handle")

Text = str | Callable[..., object] | None
"""A string, or for a decorated function a callable that makes one of the function's arguments."""


class Opener(ABC, Generic[Handle]):
    """What `track_...(...)` returns. Holds settings only: every entry and every call opens a fresh run."""

    _word: str

    def __init__(self, name: str | None) -> None:
        self._name = name
        # In the order of entry. A dict, as each of its operations is atomic: one opener serves many threads.
        self._open: dict[Run, bool] = {}

    @abstractmethod
    def _run(self, name: str, args: tuple[Any, ...] | None, kwargs: dict[str, Any], func: object = None) -> Run:
        """Opens a run: of `func`, or of a `with` block, where `args` is `None`."""

    def __call__(self, func: Callable[P, R], /) -> Callable[P, R]:
        """Decorates `func`: each call is a run of its own."""
        if fix := _unfit(func):
            msg = f"{self._word} decorates functions, not {func!r}; {fix}"
            raise UsageError(msg)
        name = self._name or getattr(func, "__name__", None) or type(func).__name__
        return wrap(func, lambda args, kwargs: self._run(name, args, kwargs, func))

    def __enter__(self) -> Handle:
        if self._name is None:
            msg = f"{self._word} needs a name in a with block: with {self._word}('name'): ..."
            raise UsageError(msg)
        run = self._run(self._name, None, {})
        run.__enter__()
        self._open[run] = True
        return cast("Handle", run.handle)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        run = self._innermost()
        if run is not None:
            run.__exit__(kind, error, trace)

    async def __aenter__(self) -> Handle:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def _innermost(self) -> Run | None:
        """The run that an exit here ends: this opener's innermost in the current context, else its latest."""
        run = current_run()
        while run is not None:
            if self._open.pop(run, False):
                return run
            run = run.parent
        try:
            return self._open.popitem()[0]
        except KeyError:
            return None


class TaskOpener(Opener[Task]):
    """See `track_task`."""

    _word = "track_task"

    def __init__(self, name: str | None, key: Text, customer: Text, labels: Mapping[str, str]) -> None:
        super().__init__(name)
        self._key = key
        self._customer = customer
        self._labels = labels

    def _run(self, name: str, args: tuple[Any, ...] | None, kwargs: dict[str, Any], func: object = None) -> Run:
        key = _resolve(self._key, "key", args, kwargs)
        customer = _resolve(self._customer, "customer", args, kwargs)
        return TaskRun(self, TaskSettings(name, key, customer, self._labels))


class StepOpener(Opener[Step]):
    """See `track_step`."""

    _word = "track_step"

    def _run(self, name: str, args: tuple[Any, ...] | None, kwargs: dict[str, Any], func: object = None) -> Run:
        return StepRun(self, name)


class ToolOpener(Opener[ToolRun]):
    """See `track_tool`."""

    _word = "track_tool"

    def __init__(self, name: str | None, terms: ToolTerms, call_id: Text) -> None:
        super().__init__(name)
        self._terms = terms
        self._call_id = call_id

    def __call__(self, func: Callable[P, R], /) -> Callable[P, R]:
        """Decorates `func`: each call is a run of its own."""
        if self._terms.measure is None or _unfit(func):
            return super().__call__(func)
        wrapped = super().__call__(cast("Callable[P, R]", measuring(func, self, self._terms)))
        return cast("Callable[P, R]", functools.update_wrapper(cast(Any, wrapped), func))

    def _run(self, name: str, args: tuple[Any, ...] | None, kwargs: dict[str, Any], func: object = None) -> Run:
        terms = self._terms
        if terms.measure is not None and args is None:
            msg = (
                f"{terms.measured}={terms.measure!r}: a callable gets what a decorated function returns; "
                "in a with block pass a fixed cost, and say run.used(...)"
            )
            raise UsageError(msg)
        call_id = _resolve(self._call_id, "call_id", args, kwargs)
        arguments = None
        if args is not None:
            with guarded("scopes.tool_arguments"):
                arguments = toolprint(name, bound(func, args, kwargs))
        return ToolUse(self, ToolSettings(name, terms.price, call_id, terms.measured, arguments))


def _unfit(target: object) -> str | None:
    """For what cannot be decorated: what to do instead."""
    for kind in (staticmethod, classmethod):
        if isinstance(target, kind):
            return f"put @{kind.__name__} above it"
    if isinstance(target, type):
        return "decorate the method that does the work"
    return None if callable(target) else "pass a function, or a name"


def _resolve(value: Text, argument: str, args: tuple[Any, ...] | None, kwargs: dict[str, Any]) -> str | None:
    """`value`, called with the decorated function's arguments where it is a callable. A callable that fails, or does
    not fit the arguments, costs the task its key, never its run."""
    if value is None or isinstance(value, str):
        return value
    if args is None:
        msg = f"{argument}={value!r}: a callable needs a decorated function's arguments; pass a string in a with block"
        raise UsageError(msg)
    with guarded(f"scopes.{argument}"):
        result = value(*args, **kwargs)
        return None if result is None else str(result)
    return None
