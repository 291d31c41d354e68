"""What lies in the spool goes out as OpenTelemetry's own exporter would have sent it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from taskmeter.spool.encode import encode_line
from taskmeter.spool.shipping.spans import UnencodableSpanError, export_request, read_line, traces_data
from tests.shipping.endpoint import line, span


def every_part_of_a_span() -> list[ReadableSpan]:
    """Resource, scopes, parents, events, links, states, all types of values."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "agent", "sizes": [1, 2]}, "https://schema/1"))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("taskmeter", "1.0", "https://schema/2", {"scope": True})
    other = SpanContext(0xA1, 0xB2, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("k", "v")]))
    values: dict[str, Any] = {
        "text": "ü\u2028 \ud7ff",
        "yes": True,
        "large": 2**63 - 1,
        "negative": -3,
        "double": 0.1,
        "infinite": float("inf"),
        "empty": "",
        "list": ["a", "b"],
        "doubles": [0.5, 1.5],
    }
    with tracer.start_as_current_span("outer", kind=SpanKind.CLIENT, attributes=values, links=[Link(other, {"n": 1})]):
        with provider.get_tracer("elsewhere").start_as_current_span("inner") as inner:
            inner.add_event("retry", {"attempt": 2}, timestamp=1_700_000_000_000_000_001)
            inner.set_status(Status(StatusCode.ERROR, "no"))
        tracer.start_span("empty", kind=SpanKind.PRODUCER).end()
    return list(memory.get_finished_spans())


def normal(request: ExportTraceServiceRequest) -> list[tuple[str, str, bytes]]:
    """Each span with its surroundings; in which order they come is free."""
    return sorted(
        (
            str(of_resource.resource) + of_resource.schema_url,
            str(of_scope.scope) + of_scope.schema_url,
            bytes(s.SerializeToString()),
        )
        for of_resource in request.resource_spans
        for of_scope in of_resource.scope_spans
        for s in of_scope.spans
    )


def test_a_request_is_what_the_stock_exporter_sends() -> None:
    """To the byte, also when lines were taken apart and put together again."""
    spans = every_part_of_a_span()
    expected = normal(encode_spans(spans))
    assert len(expected) == 3
    assert normal(export_request(read_line(encode_line(spans)))) == expected
    apart = [stored for one in spans for stored in read_line(encode_line([one]))]
    assert normal(export_request(apart)) == expected
    assert len(export_request(apart).resource_spans) == 1
    again = read_line(json.dumps(traces_data(apart)).encode())
    assert normal(export_request(again)) == expected


def test_lines_of_a_collector_are_read() -> None:
    """Its ids may be in capitals, its kinds and times are numbers or texts, and newer fields are passed over."""
    written = span(1, traceId="A" * 32, spanId="B" * 16, parentSpanId="C" * 16, kind="SPAN_KIND_SERVER", newer={"a": 1})
    (sent,) = export_request(read_line(line(written).encode())).resource_spans[0].scope_spans[0].spans
    assert (sent.trace_id.hex(), sent.span_id.hex(), sent.parent_span_id.hex()) == ("a" * 32, "b" * 16, "c" * 16)
    assert sent.kind == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"traceId": "0" * 32},
        {"spanId": "12"},
        {"spanId": "x" * 16},
        {"spanId": None},
        {"name": 7},
        {"attributes": 3},
        {"attributes": [{"key": "a", "value": {"intValue": "9" * 30}}]},
        {"links": [{"traceId": "a" * 32}]},
        {"links": 3},
        {"parentSpanId": "1"},
        {"name": "\ud800"},
    ],
)
def test_what_is_no_span_is_known(wrong: dict[str, Any]) -> None:
    """Ids of the wrong size or none, fields of the wrong type."""
    with pytest.raises(UnencodableSpanError):
        export_request(read_line(line(span(1, **wrong)).encode()))


def test_reading_keeps_nothing_of_a_line_back(tmp_path: Path) -> None:
    """What is set aside as a dead letter is all that was written."""
    document = json.loads(line(span(1, newer=1), span(2)))
    document["resourceSpans"][0]["schemaUrl"] = "https://schema/1"
    document["resourceSpans"][0]["scopeSpans"][0]["newer"] = [1]
    assert traces_data(read_line(json.dumps(document).encode())) == document
