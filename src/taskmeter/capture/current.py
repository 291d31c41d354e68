"""Which call the current context is in, or brings the answer of."""

from __future__ import annotations

from opentelemetry import context as otel
from opentelemetry.context import Context

from taskmeter.capture.call import Call
from taskmeter.telemetry import known
from taskmeter.telemetry.baggage import without_task

_STREAMED = otel.create_key("taskmeter-streamed-call")


def current_call() -> Call | None:
    """The call whose request the current context is in."""
    call = otel.get_value(known.CALL)
    return call if isinstance(call, Call) else None


def without_call(streamed: Call | None = None) -> Context:
    """The current context, for a request that is no call; `streamed` is the one whose answer it brings as a stream."""
    return without_task(otel.set_value(_STREAMED, streamed, otel.set_value(known.CALL, None)))


def streamed_call() -> Call | None:
    """The call, made before, whose answer the request of the current context brings as a stream."""
    call = otel.get_value(_STREAMED)
    return call if isinstance(call, Call) else None
