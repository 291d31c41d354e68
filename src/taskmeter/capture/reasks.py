"""Loops of tenacity, and of stamina, which is made of it: an attempt that the loop repeats was for a rejected answer.

Each attempt has an account of its own in the scope around, without a span. It is current while the attempt runs, so
loops beside each other do not mix. When the loop decides to go on, that account is waste. What the loop was given, the
function, the callbacks, the state, stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from opentelemetry import context as otel

from taskmeter._guard import Breaker, guarded
from taskmeter.account import Scope
from taskmeter.capture.hooks import Hook, Wrapper
from taskmeter.telemetry.context import current_scope, with_scope

_BREAKER: Final = Breaker("retry loops")
_attempts: Final[WeakKeyDictionary[Any, Scope]] = WeakKeyDictionary()
"""The scope of the last attempt, by the state of its loop."""
Enabled = Callable[[], bool]


def _begin(state: Any) -> None:
    outer = current_scope()
    if outer is None or _BREAKER.off:
        return
    scope = _attempts[state] = outer.within(outer.step or "attempt", is_attempt=True)
    otel.attach(with_scope(scope))


def _end(state: Any) -> None:
    """The attempt is over, repeated or not. What else it left in the context stays."""
    scope = _attempts.get(state)
    if scope is not None and not scope.closed:
        scope.end()
        if current_scope() is scope and scope.parent is not None:
            otel.attach(with_scope(scope.parent))


def _decided(state: Any, action: object, *, enabled: bool) -> None:
    """The loop says what is next: `DoAttempt`, `DoSleep` before one more, or what the attempt came to."""
    name = type(action).__name__
    if name == "DoAttempt":
        if enabled and state.fn is not None:  # else whoever iterates enters the attempt
            _begin(state)
        return
    scope = _attempts.pop(state, None)
    if scope is not None and name == "DoSleep":
        scope.ledger.reask()


def _state(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args[0] if args else kwargs["retry_state"]


def _next_action(enabled: Enabled) -> Wrapper:
    """`BaseRetrying.iter`: called before each attempt and after it, wherever the attempt runs."""

    def wrapper(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with guarded("capture.attempt_end", _BREAKER):
            _end(_state(args, kwargs))
        action = wrapped(*args, **kwargs)
        with guarded("capture.attempt_next", _BREAKER):
            # Tornado's loop runs in a context of its own at each step.
            here = enabled() and not type(instance).__module__.endswith(".tornadoweb")
            _decided(_state(args, kwargs), action, enabled=here)
        return action

    return wrapper


def _next_action_async(enabled: Enabled) -> Wrapper:
    """`AsyncRetrying.iter`, awaited in the task that the attempt runs in."""

    async def wrapper(
        wrapped: Callable[..., Any], _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        with guarded("capture.attempt_end", _BREAKER):
            _end(_state(args, kwargs))
        action = await wrapped(*args, **kwargs)
        with guarded("capture.attempt_next", _BREAKER):
            _decided(_state(args, kwargs), action, enabled=enabled())
        return action

    return wrapper


def _entered(enabled: Enabled) -> Wrapper:
    """`AttemptManager.__enter__` and `__aenter__`: the attempt is a block."""

    def wrapper(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with guarded("capture.attempt_block", _BREAKER):
            if enabled():
                _begin(instance.retry_state)
        return wrapped(*args, **kwargs)

    return wrapper


def _left(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`AttemptManager.__exit__`, which `__aexit__` calls."""
    with guarded("capture.attempt_end", _BREAKER):
        _end(instance.retry_state)
    return wrapped(*args, **kwargs)


def hooks(enabled: Enabled) -> list[Hook]:
    """All optional: older versions have other classes, or none for asyncio. On when all clients are observed."""
    return [
        Hook(module, owner, name, wrapper, _BREAKER, optional=True, finishes=True)
        for module, owner, name, wrapper in (
            ("tenacity", "BaseRetrying", "iter", _next_action(enabled)),
            ("tenacity", "AttemptManager", "__enter__", _entered(enabled)),
            ("tenacity", "AttemptManager", "__aenter__", _entered(enabled)),
            ("tenacity", "AttemptManager", "__exit__", _left),
            ("tenacity.asyncio", "AsyncRetrying", "iter", _next_action_async(enabled)),
        )
    ]
