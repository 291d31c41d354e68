"""Scopes as decorators: on functions, coroutines, generators and async generators, fresh state per call.

A generator's scope is current only while its body runs: it is attached around each step and the consumer's own
context comes back in between, so a task never leaks to whoever consumes it.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from opentelemetry import context as otel
from opentelemetry.context import Context

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Stay(Protocol):
    """What one call of a wrapped function runs inside of: entered once, or stepped into by a generator."""

    context: Context
    """What the body runs in."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None: ...

    def close(self, error: BaseException | None) -> None:
        """The generator is over; `error` is what left its body."""
        ...


Begin = Callable[[tuple[Any, ...], dict[str, Any]], Stay]
"""Begins one call of the wrapped function, with that call's arguments."""


def wrap(func: Callable[P, R], begin: Begin) -> Callable[P, R]:
    """`func` with each call inside a stay of its own; same kind of function, same metadata."""
    target: Callable[..., Any] = func
    # What a callable object is, its class says; functions and `functools.partial` say it themselves.
    kind: Any = type(target)
    body = target if inspect.isroutine(target) or kind is functools.partial else kind.__call__
    if inspect.isasyncgenfunction(body):
        wrapped: Callable[..., Any] = _wrap_async_generator(target, begin)
    elif inspect.isgeneratorfunction(body):
        wrapped = _wrap_generator(target, begin)
    elif inspect.iscoroutinefunction(body):
        wrapped = _wrap_coroutine(target, begin)
    else:
        wrapped = _wrap_function(target, begin)
    return cast("Callable[P, R]", functools.wraps(target)(wrapped))


def _wrap_function(func: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with begin(args, kwargs):
            return func(*args, **kwargs)

    return call


def _wrap_coroutine(func: Callable[..., Awaitable[Any]], begin: Begin) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        with begin(args, kwargs):
            return await func(*args, **kwargs)

    return call


def _wrap_generator(func: Callable[..., Generator[Any, Any, Any]], begin: Begin) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        run = begin(args, kwargs)
        steps = _Steps(run)
        ending: GeneratorExit | None = None
        try:
            generator = func(*args, **kwargs)
            # What is to be done next, then the item it gave: popped, so that nothing is kept alive in here, and done
            # outside of any handler, so that the body sees no exception that is not its own.
            box: list[Any] = [functools.partial(next, generator)]
            while True:
                box.append(steps.do(box.pop()))
                try:
                    box.append(functools.partial(generator.send, (yield box.pop())))
                except BaseException as error:  # noqa: BLE001 - handed to the body, which may catch it
                    ending = GeneratorExit() if isinstance(error, GeneratorExit) else None
                    box.append(functools.partial(generator.throw, error))
        except StopIteration as stop:
            run.close(ending)
            return stop.value
        except BaseException as error:
            run.close(error)
            raise

    return call


def _wrap_async_generator(func: Callable[..., AsyncGenerator[Any, Any]], begin: Begin) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        run = begin(args, kwargs)
        steps = _Steps(run)
        ending: GeneratorExit | None = None
        try:
            generator = func(*args, **kwargs)
            box: list[Any] = [functools.partial(_first_step, generator)]
            while True:
                box.append(await steps.do_async(box.pop()))
                try:
                    box.append(functools.partial(generator.asend, (yield box.pop())))
                except BaseException as error:  # noqa: BLE001 - handed to the body, which may catch it
                    ending = GeneratorExit() if isinstance(error, GeneratorExit) else None
                    box.append(functools.partial(generator.athrow, error))
        except StopAsyncIteration:
            run.close(ending)
        except BaseException as error:
            run.close(error)
            raise

    return call


def _first_step(generator: AsyncGenerator[T, Any]) -> Awaitable[T]:
    """The first step, unknown to the event loop: at its end it would close the body at the same time as the generator
    around it, which closes the body itself."""
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return anext(generator)
    finally:
        sys.set_asyncgen_hooks(*hooks)


class _Steps:
    """The steps of one generator, each in the context that its body left at the last."""

    __slots__ = ("_context",)

    def __init__(self, run: Stay) -> None:
        self._context = run.context

    def do(self, step: Callable[[], T]) -> T:
        consumer = otel.get_current()
        otel.attach(self._context)
        try:
            return step()
        finally:
            self._context = otel.get_current()
            otel.attach(consumer)

    async def do_async(self, step: Callable[[], Awaitable[T]]) -> T:
        consumer = otel.get_current()
        otel.attach(self._context)
        try:
            return await step()
        finally:
            self._context = otel.get_current()
            otel.attach(consumer)
