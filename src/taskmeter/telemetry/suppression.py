"""The keys in OpenTelemetry's context by which others ask instrumentations for silence.

Silence is about spans and metrics of work. Money is booked, and counted, all the same: frameworks set these keys so
that a call is not pictured twice, and not because it costs nothing. See `leaves` for where that money is pictured.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from opentelemetry import context as otel
from opentelemetry.context import Context


def _keys(*names: str) -> tuple[str, ...]:
    """OpenTelemetry's own keys are private, and have no fixed value."""
    return tuple(value for name in names if isinstance(value := getattr(otel, name, None), str))


_EVERYTHING: Final = (*_keys("_SUPPRESS_INSTRUMENTATION_KEY"), "suppress_instrumentation")
_CALLS: Final = (*_EVERYTHING, "suppress_language_model_instrumentation")
"""The last is OpenLLMetry's, for a call that a framework's instrumentation pictures."""
_ATTEMPTS: Final = (*_CALLS, *_keys("_SUPPRESS_HTTP_INSTRUMENTATION_KEY"), "suppress_http_instrumentation")


def silence() -> None:
    """Asks for it in the current context, for good: for a thread of ours that sends what was recorded."""
    context = otel.get_current()
    for key in _EVERYTHING:
        context = otel.set_value(key, True, context)  # noqa: FBT003 - its name is that
    otel.attach(context)


def silent(context: Context | None = None) -> bool:
    """Whether nothing at all is to be pictured or measured in `context`, by default the current one."""
    return _any(_EVERYTHING, context)


def silent_calls(context: Context | None = None) -> bool:
    """Whether no call is to be."""
    return _any(_CALLS, context)


def silent_kind(kind: object, context: Context | None = None) -> bool:
    """Whether no span of `kind`, as in `taskmeter.span.kind`, is to be started."""
    return _any(_ATTEMPTS if kind == "attempt" else _CALLS if kind == "call" else _EVERYTHING, context)


def _any(keys: Iterable[str], context: Context | None) -> bool:
    found = otel.get_current() if context is None else context
    return any(found.get(key) for key in keys)
