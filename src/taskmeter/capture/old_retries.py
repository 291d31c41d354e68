"""Retries in OpenAI's SDK before 1.76, which has no `_sleep_for_retry`.

There `_retry_request` waits and then makes the next attempt itself, by `_request`: the one's start says that an attempt
failed, the other's that the wait is over.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from taskmeter._guard import Breaker, guarded
from taskmeter.capture.call import Call
from taskmeter.capture.current import current_call
from taskmeter.capture.hooks import Hook

_BASE = "openai._base_client"
_BREAKER = Breaker("openai retries before 1.76")


def hooks() -> list[Hook]:
    """None of these functions exists in a version that has `_sleep_for_retry`."""
    return [
        Hook(_BASE, "SyncAPIClient", "_retry_request", _retry, _BREAKER, optional=True),
        Hook(_BASE, "AsyncAPIClient", "_retry_request", _retry_async, _BREAKER, optional=True),
        Hook(_BASE, "SyncAPIClient", "_request", _attempt, _BREAKER, optional=True),
        Hook(_BASE, "AsyncAPIClient", "_request", _attempt, _BREAKER, optional=True),
    ]


def _retry(wrapped: Callable[..., Any], _client: Any, args: Any, kwargs: Any) -> Any:
    call = current_call()
    _failed(call)
    try:
        return wrapped(*args, **kwargs)
    except BaseException:
        _waited(call, repeated=False)  # no effect once the next attempt has begun
        raise


async def _retry_async(wrapped: Callable[..., Any], _client: Any, args: Any, kwargs: Any) -> Any:
    call = current_call()
    _failed(call)
    try:
        return await wrapped(*args, **kwargs)
    except BaseException:
        _waited(call, repeated=False)
        raise


def _attempt(wrapped: Callable[..., Any], _client: Any, args: Any, kwargs: Any) -> Any:
    _waited(current_call(), repeated=True)
    return wrapped(*args, **kwargs)


def _failed(call: Call | None) -> None:
    """The SDK is handling the error of an attempt, which has the response where there is one."""
    if call is not None:
        with guarded("capture.attempt", _BREAKER):
            error = sys.exception()
            call.attempt_failed(getattr(error, "response", None), error)


def _waited(call: Call | None, *, repeated: bool) -> None:
    if call is not None:
        with guarded("capture.attempt", _BREAKER):
            call.attempt_waited(repeated=repeated)
