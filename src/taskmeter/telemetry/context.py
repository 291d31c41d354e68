"""The open scope travels in the OpenTelemetry `Context`, so whatever carries that carries the task.

Contexts are restored by attaching the previous one, not by resetting a token: a token is refused in another
`contextvars.Context` than its own ("Failed to detach context"), as happens to async generators and fixtures.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import context as otel
from opentelemetry.context import Context

from taskmeter.account import Scope

_SCOPE = otel.create_key("taskmeter-scope")


def current_scope(context: Context | None = None) -> Scope | None:
    """The innermost open scope of `context`, by default of the current one."""
    scope = otel.get_value(_SCOPE, context)
    return scope if isinstance(scope, Scope) else None


def with_scope(scope: Scope, context: Context | None = None) -> Context:
    """`context` with `scope` as its innermost."""
    return otel.set_value(_SCOPE, scope, context)


@contextmanager
def inside(context: Context) -> Iterator[None]:
    """Runs a synchronous block in `context`."""
    previous = otel.get_current()
    otel.attach(context)
    try:
        yield
    finally:
        otel.attach(previous)
