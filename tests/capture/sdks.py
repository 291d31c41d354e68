"""The SDKs at hand, which `nox -s sdks` varies: the HTTP client that each is built on, and what a version lacks."""

from __future__ import annotations

import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Generator
from pathlib import Path
from types import ModuleType
from typing import Any

import anthropic
import openai
import pytest

import taskmeter

OLD = "TASKMETER_OLD_SDKS" in os.environ
"""Set by `nox -s sdks` for all but the newest: a feature that an SDK does not have yet skips its test, saying which.
With the newest it fails the test, as the feature was renamed or removed."""

_OURS = str(Path(taskmeter.__file__).parent)
_UNKNOWN_NAME = re.compile(r"cannot import name '(\w+)'")
_UNKNOWN_ARGUMENT = re.compile(r"([\w.]+)\(\) got an unexpected keyword argument '(\w+)'")


def http_of(sdk: ModuleType) -> ModuleType:
    """`httpx` or `httpx2`."""
    return sys.modules[sdk.DefaultHttpxClient.__base__.__module__.partition(".")[0]]


def fake_http(sdk: ModuleType, reply: Callable[[Any], tuple[bytes, str]], *, asynchronous: bool = False) -> Any:
    """An HTTP client for clients of `sdk`; `reply` makes the body and its content type of a request."""
    http = http_of(sdk)

    def respond(request: Any) -> Any:
        content, kind = reply(request)
        return http.Response(200, content=content, headers={"content-type": kind})

    transport = http.MockTransport(respond)
    return http.AsyncClient(transport=transport) if asynchronous else http.Client(transport=transport)


def accepts(function: Callable[..., Any], argument: str) -> bool:
    """Whether `function` has an argument of that name."""
    return argument in inspect.signature(function).parameters


def lacking(error: BaseException) -> str | None:
    """What an SDK does not have yet, if `error`, which a test met, says so and none of our code raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    if not OLD or not frames or frames[-1].filename.startswith(_OURS):
        return None
    if isinstance(error, TypeError):
        found = _UNKNOWN_ARGUMENT.search(str(error))
        return found and f"argument {found[2]!r} of {found[1]}()"
    if isinstance(error, ImportError):
        home = error.name or ""
        missing = f"{home}.{found[1]}" if (found := _UNKNOWN_NAME.search(str(error))) else home
    elif isinstance(error, AttributeError):
        owner = error.obj if isinstance(error.obj, ModuleType | type) else type(error.obj)
        home = owner.__name__ if isinstance(owner, ModuleType) else owner.__module__
        missing = f"{owner.__name__}.{error.name}"
    else:
        return None
    return missing if home.partition(".")[0] in ("openai", "anthropic") else None


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    """Skips a test that needs what the SDK at hand does not have yet, in the folders whose conftest.py has this."""
    try:
        return (yield)
    except Exception as error:
        missing = lacking(error)
        if missing is None:
            raise
        needs(has=False, what=missing)


def needs(has: bool, what: str) -> None:
    """Skips a test that needs `what` unless the SDK has it; see `OLD`."""
    if not has:
        message = f"openai {openai.__version__}, anthropic {anthropic.__version__}: no {what}"
        if not OLD:
            pytest.fail(message)
        pytest.skip(message)
