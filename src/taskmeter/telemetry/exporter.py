"""An exporter that adds what a call cost to spans that other libraries wrote."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, cast

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from taskmeter._guard import guarded
from taskmeter.telemetry import pictures

_OURS = ("taskmeter.", "gen_ai.usage.cost.")


class CostExporter(SpanExporter):
    """Wrap your exporter in one: `BatchSpanProcessor(CostExporter(OTLPSpanExporter()))`; `configure()` does.

    Spans of calls that no hook sees (LiteLLM, Google, Bedrock...) go out with `gen_ai.usage.cost.*`, and with the
    convention's names where they use others. All other spans pass as they are. Needs a `TaskSpanProcessor` on the same
    provider, added before it.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Called by a span processor."""
        return self._exporter.export(annotated(spans))

    def shutdown(self) -> None:
        """Called by a span processor."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Called by a span processor."""
        return self._exporter.force_flush(timeout_millis)


def annotated(spans: Sequence[ReadableSpan]) -> Sequence[ReadableSpan]:
    """The same, with what is known of their cost."""
    with guarded("telemetry.annotate"):
        return [_annotated(span) for span in spans]
    return spans


def _annotated(span: ReadableSpan) -> ReadableSpan:
    added = pictures.additions(span)
    if not added:
        return span
    stated = span.attributes or {}
    own = {name: value for name, value in added.items() if name.startswith(_OURS) or name not in stated}
    attributes = BoundedAttributes(attributes=dict(stated) | own, immutable=True)
    attributes.dropped = span.dropped_attributes
    annotated: Any = copy.copy(span)  # the original is shared with other processors, and frozen
    annotated._attributes = attributes  # noqa: SLF001 - OpenTelemetry has no public way to make one
    return cast("ReadableSpan", annotated)
