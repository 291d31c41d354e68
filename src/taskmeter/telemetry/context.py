"""The open scope travels in the OpenTelemetry `Context`, so whatever carries that carries the task.

Contexts are restored by attaching the previous one, not by resetting a token: a token is refused in another
`contextvars.Context` than its own ("Failed to detach context"), as happens to async generators and fixtures.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from opentelemetry import context as otel
from opentelemetry.context import Context

from taskmeter.account import Scope

_SCOPE = otel.create_key("taskmeter-scope")
_STAMP = otel.create_key("taskmeter-stamp")


def current_scope(context: Context | None = None) -> Scope | None:
    """The innermost open scope of `context`, by default of the current one."""
    scope = otel.get_value(_SCOPE, context)
    return scope if isinstance(scope, Scope) else None


def with_scope(scope: Scope, context: Context | None = None) -> Context:
    """`context` with `scope` as its innermost."""
    return otel.set_value(_SCOPE, scope, context)


def outside() -> Context:
    """The current context without any open scope."""
    return otel.set_value(_SCOPE, None)


def with_stamp(scope_prefix: str, context: Context | None = None) -> Context:
    """`context`, in which a span that a scope named `scope_prefix...` starts is marked as the span of a call."""
    return otel.set_value(_STAMP, scope_prefix, context)


def stamps(scope_name: str, context: Context | None = None) -> bool:
    """Whether a span of the instrumentation scope `scope_name`, starting in `context`, is to be marked so."""
    prefix = otel.get_value(_STAMP, context)
    return isinstance(prefix, str) and scope_name.startswith(prefix)


@contextmanager
def inside(context: Context) -> Generator[None]:
    """Runs a synchronous block in `context`."""
    previous = otel.get_current()
    otel.attach(context)
    try:
        yield
    finally:
        otel.attach(previous)
