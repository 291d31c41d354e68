"""Whether prompts are measured, and what a task is remembered to have sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from taskmeter._config import Settings
from taskmeter._guard import guarded
from taskmeter.account import Scope
from taskmeter.capture.prompt import Prompt, Walk
from taskmeter.capture.sent import Sent
from taskmeter.errors import ConfigurationError


class _Reader(Protocol):
    def __call__(self, request: Mapping[str, object], operation: str, walk: Walk, /) -> Mapping[str, object]: ...


class _Measuring:
    def __init__(self) -> None:
        self.on = Settings().context


_measuring = _Measuring()


def use_context(*, on: bool) -> None:
    """Whether prompts are measured from now on."""
    _measuring.on = on


def checked_context(context: object) -> bool:
    """`context`, which says whether to measure. Raises `ConfigurationError` for anything but a bool."""
    if not isinstance(context, bool):
        msg = f"context={context!r} is neither True nor False; pass False to measure nothing of prompts"
        raise ConfigurationError(msg)
    return context


def measured(
    read: _Reader, request: Mapping[str, object], operation: str, scope: Scope | None, provider: str
) -> Prompt | None:
    """The prompt of a request to `provider`, read by `read`; `None` where that is switched off, or fails."""
    if not _measuring.on:
        return None
    with guarded("capture.measure"):
        walk = Walk(None if scope is None else _sent(scope))
        return walk.prompt(read(request, operation, walk), provider, operation)
    return None


def _sent(scope: Scope) -> Sent | None:
    owner = scope.owner
    if owner.closed:
        return None
    found: Sent = owner.sent or Sent()
    owner.sent = found
    return found
