"""The decorators on every kind of function."""

from __future__ import annotations

import asyncio
import functools
import inspect
import itertools
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from taskmeter.scopes import charge, current_task, track_step, track_task, track_tool

SPAN = {track_task: "invoke_workflow", track_step: "step", track_tool: "execute_tool"}

scopes = pytest.mark.parametrize("track", [track_task, track_step, track_tool], ids=["task", "step", "tool"])
forms = pytest.mark.parametrize(
    "decorate",
    [lambda track, func: track(func), lambda track, func: track()(func)],
    ids=["bare", "called"],
)


def plain(count: int, /, word: str = "a", *, upper: bool = False) -> list[str]:
    """Repeats a word."""
    if count < 0:
        raise LookupError(count)
    return [word.upper() if upper else word] * count


async def coroutine(count: int, /, word: str = "a", *, upper: bool = False) -> list[str]:
    """Repeats a word, later."""
    await asyncio.sleep(0)
    return plain(count, word, upper=upper)


def generator(count: int, /, word: str = "a", *, upper: bool = False) -> Iterator[str]:
    """Repeats a word, piece by piece."""
    yield from plain(count, word, upper=upper)


async def async_generator(count: int, /, word: str = "a", *, upper: bool = False) -> AsyncIterator[str]:
    """Repeats a word, piece by piece, later."""
    for piece in plain(count, word, upper=upper):
        await asyncio.sleep(0)
        yield piece


kinds = pytest.mark.parametrize("func", [plain, coroutine, generator, async_generator], ids=lambda func: func.__name__)


def run(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """All that a call of `func` gives, whatever kind of function it is."""
    result = func(*args, **kwargs)
    if inspect.isasyncgen(result):

        async def collect() -> list[Any]:
            return [item async for item in result]

        return asyncio.run(collect())
    if inspect.iscoroutine(result):
        return asyncio.run(result)
    return list(result) if inspect.isgenerator(result) else result


@scopes
@forms
@kinds
def test_a_decorated_function_keeps_what_describes_it(track: Any, decorate: Any, func: Any) -> None:
    """Name, docstring, signature, annotations and kind are those of the function."""
    wrapped = decorate(track, func)
    for name in ("__name__", "__qualname__", "__doc__", "__module__", "__annotations__"):
        assert getattr(wrapped, name) == getattr(func, name)
    assert inspect.signature(wrapped) == inspect.signature(func)
    assert wrapped.__wrapped__ is func
    for question in (
        inspect.isfunction,
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
    ):
        assert question(wrapped) == question(func)


@scopes
@forms
@kinds
def test_each_call_is_a_run_of_its_own(track: Any, decorate: Any, func: Any, spans: Any) -> None:
    """Results are unchanged and each call has its own span, named by the decorator or else the function."""
    wrapped = decorate(track, func)
    assert run(wrapped, 2, word="b", upper=True) == ["B", "B"]
    assert run(wrapped, 1) == ["a"]
    assert spans.names() == [f"{SPAN[track]} {func.__name__}"] * 2


@scopes
def test_a_name_given_to_the_decorator_wins(track: Any, spans: Any) -> None:
    """The run is called what the decorator says, not what the function is called."""
    track("named")(plain)(1)
    assert spans.names() == [f"{SPAN[track]} named"]


@scopes
@forms
@kinds
def test_exceptions_pass_untouched(track: Any, decorate: Any, func: Any, spans: Any) -> None:
    """The same exception object arrives, with the traceback down to where it was raised, and the span says its type."""
    raised: list[LookupError] = []

    @functools.wraps(func)
    def remember(*args: Any, **kwargs: Any) -> Any:
        try:
            return plain(*args, **kwargs)
        except LookupError as error:
            raised.append(error)
            raise

    wrapped = decorate(track, with_body(func, remember))
    with pytest.raises(LookupError) as caught:
        run(wrapped, -1)
    assert caught.value is raised[0]
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "plain"
    assert [span.attributes["error.type"] for span in spans.all()] == ["LookupError"]


def with_body(func: Any, body: Any) -> Any:
    """A function of the same kind as `func` whose body calls `body`."""
    if func is plain:
        return body
    if func is coroutine:

        async def coroutine_(*args: Any, **kwargs: Any) -> Any:
            return body(*args, **kwargs)

        return coroutine_
    if func is generator:

        def generator_(*args: Any, **kwargs: Any) -> Any:
            yield from body(*args, **kwargs)

        return generator_

    async def async_generator_(*args: Any, **kwargs: Any) -> Any:
        for piece in body(*args, **kwargs):
            yield piece

    return async_generator_


@kinds
def test_the_body_runs_inside_its_task(func: Any, spans: Any) -> None:
    """`current_task()` is the task of this call, and what is charged inside is booked to it."""
    seen: list[Any] = []

    def body(count: int) -> list[int]:
        task = current_task()
        assert task is not None
        charge("0.5")
        seen.append((task.name, task.cost.total, task.id))
        return [count]

    wrapped = track_task("work")(with_body(func, body))
    assert run(wrapped, 7) == [7]
    assert run(wrapped, 8) == [8]
    assert [(name, cost) for name, cost, _ in seen] == [("work", Decimal("0.5"))] * 2
    assert seen[0][2] != seen[1][2]


@scopes
def test_recursion_nests_one_run_per_call(track: Any, spans: Any) -> None:
    """A function that calls itself opens a run inside its run."""

    @track
    def factorial(number: int) -> int:
        return 1 if number == 0 else number * factorial(number - 1)

    assert factorial(3) == 6
    inner_first = spans.all()
    assert len(inner_first) == 4
    for inner, outer in itertools.pairwise(inner_first):
        assert inner.parent.span_id == outer.context.span_id


class Desk:
    made: ClassVar[list[str]] = []

    @track_task(key=lambda self, ticket: ticket)
    def answer(self, ticket: str) -> object:
        return self, current_task().key  # type: ignore[union-attr]

    @classmethod
    @track_task
    def open(cls, ticket: str) -> object:
        return cls, ticket

    @staticmethod
    @track_step
    def check(ticket: str) -> object:
        return ticket

    @track_tool
    async def call(self, ticket: str) -> object:
        return self, ticket


def test_methods_work_as_before(spans: Any) -> None:
    """Methods, class methods, static methods and async methods get the arguments they always got."""
    desk = Desk()
    assert desk.answer("T-1") == (desk, "T-1")
    assert Desk.open("T-2") == desk.open("T-2") == (Desk, "T-2")
    assert Desk.check("T-3") == desk.check("T-3") == "T-3"
    assert asyncio.run(desk.call("T-4")) == (desk, "T-4")
    assert spans.names() == [
        "invoke_workflow answer",
        "invoke_workflow open",
        "invoke_workflow open",
        "step check",
        "step check",
        "execute_tool call",
    ]


class Resolver:
    async def __call__(self, ticket: str) -> str:
        await asyncio.sleep(0)
        charge("1")
        return ticket


@pytest.mark.parametrize("func", [Resolver(), functools.partial(Resolver().__call__)], ids=["object", "partial"])
def test_async_callables_run_inside_their_task(func: Any, spans: Any) -> None:
    """An object whose `__call__` is a coroutine function, and a partial of one, are awaited inside the task."""
    assert asyncio.run(track_task("work")(func)("T-1")) == "T-1"
    assert spans.only("invoke_workflow work")["taskmeter.cost.exact"] == "1"


def test_arguments_that_do_not_fit_raise_what_they_always_raised() -> None:
    """The TypeError is the function's own."""
    with pytest.raises(TypeError, match=r"plain\(\) got an unexpected keyword argument 'colour'"):
        track_task(plain)(1, colour="red")  # type: ignore[call-arg]
