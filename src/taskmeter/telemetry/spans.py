"""Starting spans so that a provider, sampler or processor that fails never stops the work they would picture."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode

from taskmeter import _semconv as names
from taskmeter._guard import guarded
from taskmeter.account import Scope
from taskmeter.records import Charge
from taskmeter.telemetry import providers
from taskmeter.telemetry.attributes import Attributes, charge_attributes, identity_attributes, late_attributes


def start(
    name: str,
    attributes: Attributes,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    context: Context | None = None,
    start_ns: int | None = None,
    links: Sequence[Link] = (),
) -> Span:
    """Starts a span in `context`, by default the current one; `INVALID_SPAN` if OpenTelemetry fails at it."""
    with guarded("telemetry.start_span"):
        return providers.tracer().start_span(name, context, kind, attributes, links, start_time=start_ns)
    return trace.INVALID_SPAN


def end(
    span: Span, attributes: Attributes | None = None, *, error_type: str | None = None, end_ns: int | None = None
) -> None:
    """Sets `attributes` and ends the span, with status `ERROR` for an `error_type`. Messages are never recorded."""
    try:
        with guarded("telemetry.end_span"):
            if span.is_recording():
                if attributes:
                    span.set_attributes(attributes)
                if error_type is not None:
                    span.set_attribute(names.ERROR_TYPE, error_type)
                    span.set_status(Status(StatusCode.ERROR))
    finally:
        with guarded("telemetry.end_span"):
            span.end(end_ns)


def emit_charge(charge: Charge, scope: Scope | None) -> None:
    """A leaf span for a charge of the application's own."""
    emit_leaf(charge.item, charge_attributes(charge), scope)


def emit_leaf(
    item: str, attributes: Attributes, scope: Scope | None, *, context: Context | None = None, wasted: bool = False
) -> None:
    """A leaf span for money that no other span carries; `attributes` say how much and what for."""
    identity = identity_attributes(scope.task if scope is not None else None)
    attributes = {names.SPAN_KIND: "charge", **attributes, **identity, **late_attributes(scope)}
    if wasted:
        attributes[names.CALL_WASTED] = True
    end(start(f"charge {item}", attributes, context=context))
