"""A decorated function can be used wherever the function itself could."""

from __future__ import annotations

import abc
import copy
import functools
import gc
import inspect
import pickle
import typing
from collections.abc import AsyncIterator, Iterator
from typing import Any
from weakref import ref

import pytest

from taskmeter import track_step, track_task, track_tool


@track_task("doubled")
def doubled(number: int) -> int:
    """Twice as much."""
    return 2 * number


@track_step
async def later(number: int) -> int:
    return number


@track_tool
def pages(number: int) -> Iterator[int]:
    yield number


@track_task
async def pages_later(number: int) -> AsyncIterator[int]:
    yield number


class Desk:
    @track_task
    def answer(self, number: int) -> int:
        return number

    @classmethod
    @track_step
    def open(cls, number: int) -> int:
        return number

    @staticmethod
    @track_tool
    def check(number: int) -> int:
        return number


DECORATED = [doubled, later, pages, pages_later, Desk.answer, Desk.check]


@pytest.mark.parametrize("function", DECORATED, ids=lambda function: function.__name__)
def test_it_pickles_and_copies_as_a_reference_to_itself(function: Any) -> None:
    """As a plain function does: queues and process pools take it."""
    assert pickle.loads(pickle.dumps(function)) is function
    assert copy.copy(function) is copy.deepcopy(function) is function
    assert ref(function)() is function
    assert inspect.isfunction(function)


def test_bound_methods_pickle_with_their_object() -> None:
    """And class methods with their class."""
    assert pickle.loads(pickle.dumps(Desk().answer))(3) == 3
    assert pickle.loads(pickle.dumps(Desk.open))(3) == 3


def test_what_wraps_functions_wraps_it() -> None:
    """Caches, dispatch, partials and abstract methods see a function with its annotations."""
    cached = functools.lru_cache(doubled)
    assert (cached(4), cached(4), cached.cache_info().hits) == (8, 8, 1)
    assert functools.partial(doubled, 5)() == 10
    assert typing.get_type_hints(doubled) == {"number": int, "return": int}
    dispatch = functools.singledispatch(doubled)
    dispatch.register(str)(len)
    assert (dispatch(3), dispatch("four")) == (6, 4)

    class Base(abc.ABC):
        @track_task
        @abc.abstractmethod
        def work(self) -> None: ...

    with pytest.raises(TypeError, match="abstract"):
        Base()  # type: ignore[abstract]


def test_it_is_let_go_with_what_it_closes_over() -> None:
    """No registry keeps a function that was decorated inside another."""

    class Big:
        pass

    def make() -> tuple[Any, Any]:
        big = Big()

        @track_task
        def local() -> Big:
            return big

        assert local() is big
        return ref(big), ref(local)

    found = make()
    gc.collect()
    assert [each() for each in found] == [None, None]


def test_arguments_and_results_are_let_go() -> None:
    """After a call nothing of it is held."""

    class Big:
        pass

    big = Big()
    watched = ref(big)
    passed = track_task(lambda value: value)(big)
    assert passed is big
    del big, passed
    assert watched() is None
