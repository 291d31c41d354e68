"""`carry`: a function that runs in the task of whoever wrapped it, in whatever thread, event loop or process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

import wrapt
from opentelemetry import context as otel
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from taskmeter._bounds import shown
from taskmeter._guard import guarded
from taskmeter.account import TaskIdentity, elsewhere
from taskmeter.errors import UsageError
from taskmeter.scopes.wrapping import wrap
from taskmeter.telemetry.baggage import with_task
from taskmeter.telemetry.context import current_scope, with_scope

P = ParamSpec("P")
R = TypeVar("R")

_VISIT = otel.create_key("taskmeter-visit")


def carry(func: Callable[P, R], /) -> Callable[P, R]:
    """`func`, bound to the task that is open now: `pool.submit(carry(work), item)`, `atexit.register(carry(close))`.

    Wherever it is called, what it spends is booked to that task and its spans are in that task's trace; the caller's
    own context is back when it returns, and for a generator between two steps. Functions, coroutine functions,
    generators and async generators stay what they are. It can be pickled if `func` can: in another process it is
    booked under the task's id, name and key, and reports add it to the task. Called after the task has ended it is
    booked late. Raises `UsageError` for what cannot be called.
    """
    if not callable(func):
        msg = f"carry({shown(func)}): pass the function itself, not what it returns: carry(work), not carry(work())"
        raise UsageError(msg)
    return cast("Callable[P, R]", _Carried(func, otel.get_current()))


_Proxy: Any = wrapt.CallableObjectProxy


class _Carried(_Proxy):  # type: ignore[misc]
    """Looks like the function in every way, which a plain object would not, and can be pickled, which a wrapping
    function could not."""

    def __init__(self, func: Callable[..., Any], context: Context) -> None:
        _Proxy.__init__(self, wrap(func, lambda _args, _kwargs: _Visit(context)))
        self._self_func = func
        self._self_context = context

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        task, trace = None, dict[str, str]()
        with guarded("scopes.carry"):
            scope = current_scope(self._self_context)
            task = None if scope is None or scope.task is None else replace(scope.task, labels={}, remote=True)
            TraceContextTextMapPropagator().inject(trace, self._self_context)
        return _arrived, (self._self_func, task, trace)


def _arrived(func: Callable[..., Any], task: TaskIdentity | None, trace: dict[str, str]) -> _Carried:
    """A carried function as it comes out of a pickle, which may be in another process."""
    context = Context()
    with guarded("scopes.arrive"):
        context = TraceContextTextMapPropagator().extract(trace, context)
        if task is not None:
            context = with_task(task, with_scope(elsewhere(task), context))
    return _Carried(func, context)


class _Visit:
    """One call of a carried function."""

    def __init__(self, context: Context) -> None:
        self._previous = otel.get_current()
        self.context = otel.set_value(_VISIT, self, context)

    def __enter__(self) -> None:
        self._previous = otel.get_current()
        otel.attach(self.context)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        # A coroutine may be closed elsewhere than it ran; what is current there is not ours to replace.
        if otel.get_value(_VISIT) is self:
            otel.attach(self._previous)

    def close(self, error: BaseException | None) -> None:
        """A generator is over: there is nothing to end."""
