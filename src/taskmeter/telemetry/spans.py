"""Starting spans so that a provider, sampler or processor that fails never stops the work they would picture."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer

from taskmeter import _semconv as names
from taskmeter._guard import guarded
from taskmeter.telemetry import providers, suppression, watching
from taskmeter.telemetry.attributes import Attributes


def start(
    name: str,
    attributes: Attributes,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    context: Context | None = None,
    start_ns: int | None = None,
    links: Sequence[Link] = (),
) -> Span:
    """Starts a span in `context`, by default the current one; `INVALID_SPAN` if OpenTelemetry fails at it, and where
    somebody asked for silence."""
    with guarded("telemetry.start_span"):
        if suppression.silent_kind(attributes.get(names.SPAN_KIND), context):
            return trace.INVALID_SPAN

        def start_by(tracer: Tracer) -> Span:
            return tracer.start_span(name, context, kind, attributes, links, start_time=start_ns)

        span = start_by(providers.tracer())
        for watcher in watching.watchers:
            span = watcher.started(span, start_by)
        return span
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
