"""Scopes as decorators: on functions, coroutines, generators and async generators, fresh state per call.

A generator's scope is current only while its body runs: it is attached around each step and the consumer's own
context comes back in between, so a task never leaks to whoever consumes it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, ParamSpec, TypeVar, cast

from opentelemetry import context as otel

from taskmeter.scopes.runs import Run

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

Begin = Callable[[tuple[Any, ...], dict[str, Any]], Run]
"""Opens a run for one call of the decorated function, with that call's arguments."""


def wrap(func: Callable[P, R], begin: Begin) -> Callable[P, R]:
    """`func` with each call inside a run of its own; same kind of function, same metadata."""
    target: Callable[..., Any] = func
    if inspect.isasyncgenfunction(target):
        wrapped: Callable[..., Any] = _wrap_async_generator(target, begin)
    elif inspect.isgeneratorfunction(target):
        wrapped = _wrap_generator(target, begin)
    elif inspect.iscoroutinefunction(target):
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
        try:
            generator = func(*args, **kwargs)
            item = steps.do(next, generator)
            while True:
                try:
                    sent = yield item
                except GeneratorExit:
                    steps.do(generator.close)
                    raise
                except BaseException as error:  # noqa: BLE001 - handed to the body, which may catch it
                    item = steps.do(generator.throw, error)
                else:
                    item = steps.do(generator.send, sent)
        except StopIteration as stop:
            run.close(None)
            return stop.value
        except BaseException as error:
            run.close(error)
            raise

    return call


def _wrap_async_generator(func: Callable[..., AsyncGenerator[Any, Any]], begin: Begin) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        run = begin(args, kwargs)
        steps = _Steps(run)
        try:
            generator = func(*args, **kwargs)
            item = await steps.do_async(anext(generator))
            while True:
                try:
                    sent = yield item
                except GeneratorExit:
                    await steps.do_async(generator.aclose())
                    raise
                except BaseException as error:  # noqa: BLE001 - handed to the body, which may catch it
                    item = await steps.do_async(generator.athrow(error))
                else:
                    item = await steps.do_async(generator.asend(sent))
        except StopAsyncIteration:
            run.close(None)
        except BaseException as error:
            run.close(error)
            raise

    return call


class _Steps:
    """The steps of one generator, each in the context that its body left at the last."""

    __slots__ = ("_context",)

    def __init__(self, run: Run) -> None:
        self._context = run.context

    def do(self, step: Callable[..., T], *args: Any) -> T:
        consumer = otel.get_current()
        otel.attach(self._context)
        try:
            return step(*args)
        finally:
            self._context = otel.get_current()
            otel.attach(consumer)

    async def do_async(self, step: Awaitable[T]) -> T:
        consumer = otel.get_current()
        otel.attach(self._context)
        try:
            return await step
        finally:
            self._context = otel.get_current()
            otel.attach(consumer)
