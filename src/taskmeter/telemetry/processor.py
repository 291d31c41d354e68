"""Stamps the task on every span started inside it, whoever starts it; prices the calls that others' spans tell of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from taskmeter import _semconv as names
from taskmeter._guard import guarded
from taskmeter.telemetry import collected, known, pictures, watching
from taskmeter.telemetry.attributes import identity_attributes
from taskmeter.telemetry.context import current_scope, stamps

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span


class TaskSpanProcessor(SpanProcessor):
    """Add one to your `TracerProvider`, before your exporters; `configure()` does. It exports nothing.

    Spans get `taskmeter.task.id` and `taskmeter.task.name`, and where set `taskmeter.task.key` and
    `taskmeter.customer`. A span by which another library tells of a call that no hook of ours saw is priced when it
    ends, and booked to its task; for the cost on that span, wrap your exporter in a `CostExporter`.
    """

    def __init__(self) -> None:
        collected.notice()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Called by OpenTelemetry for each span that starts."""
        with guarded("telemetry.processor"):
            scope = known.started(span, current_scope(parent_context), parent_context)
            # Our own spans carry it from the start, and a nested task's span must keep its own.
            if scope is not None and names.TASK_ID not in (span.attributes or {}):
                span.set_attributes(identity_attributes(scope.task))
            instrumentation = span.instrumentation_scope
            if instrumentation is not None and stamps(instrumentation.name, parent_context):
                span.set_attribute(names.SPAN_KIND, "call")
            for watcher in watching.watchers:
                watcher.saw(span)

    def on_end(self, span: ReadableSpan) -> None:
        """Called by OpenTelemetry for each span that ends."""
        with guarded("telemetry.processor_end"):
            pictures.span_ended(span)

    def shutdown(self) -> None:
        """Nothing to do."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing to do."""
        return True
