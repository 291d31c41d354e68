"""The open scope travels in the OpenTelemetry `Context`, so whatever carries that carries the task.

Contexts are restored by attaching the previous one, not by resetting a token: a token is refused in another
`contextvars.Context` than its own ("Failed to detach context"), as happens to async generators and fixtures.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager

from opentelemetry import context as otel
from opentelemetry.context import Context

from taskmeter.account import Scope, elsewhere
from taskmeter.telemetry.baggage import remote_task

_SCOPE = otel.create_key("taskmeter-scope")
_STAMP = otel.create_key("taskmeter-stamp")


def current_scope(context: Context | None = None) -> Scope | None:
    """The innermost scope of `context`, by default of the current one; it may have ended.

    Where there is none but the task of a trusted caller, or one that was open when this process was forked, a fresh
    scope for what is done here for that task.
    """
    scope = otel.get_value(_SCOPE, context)
    if isinstance(scope, Scope):
        if scope.process == os.getpid():
            return scope
        task = scope.task  # its ledger is a copy of the parent's, whose lock may be held by a thread that is not here
    else:
        task = remote_task(context)
    return None if task is None else elsewhere(task)


def with_scope(scope: Scope, context: Context | None = None) -> Context:
    """`context` with `scope` as its innermost."""
    return otel.set_value(_SCOPE, scope, context)


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
