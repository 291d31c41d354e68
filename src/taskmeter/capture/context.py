"""Whether prompts are measured, and what a task is remembered to have sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from taskmeter._guard import guarded
from taskmeter.account import Prompt, Scope, Shares, share_out
from taskmeter.account.sent import Sent, measures_context
from taskmeter.capture.prompt import Walk
from taskmeter.errors import ConfigurationError
from taskmeter.records import Priced, Usage


class _Reader(Protocol):
    def __call__(self, request: Mapping[str, object], operation: str, walk: Walk, /) -> Mapping[str, object]: ...


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
    if not measures_context():
        return None
    with guarded("capture.measure"):
        walk = Walk(None if scope is None else _sent(scope))
        return walk.prompt(read(request, operation, walk), provider, operation)
    return None


def shared_out(prompt: Prompt | None, usage: Usage | None, priced: Priced) -> Shares | None:
    """What the billed input was made of; `None` where the prompt was not measured, or nothing of it was billed."""
    if prompt is None or usage is None:
        return None
    with guarded("capture.share_out"):
        return share_out(prompt, usage, priced.charges)
    return None


def _sent(scope: Scope) -> Sent | None:
    owner = scope.owner
    if owner.closed:
        return None
    found: Sent = owner.sent or Sent()
    owner.sent = found
    return found
