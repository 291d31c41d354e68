"""Our OTLP/JSON encoder against OpenTelemetry's own."""

import json
import math
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.json.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from taskmeter.spool.encode import encode_line

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(max_size=12)
SCALARS = st.one_of(st.none(), st.booleans(), INT64, st.floats(), TEXT, st.binary(max_size=9))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple), st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
ATTRIBUTES = st.dictionaries(st.text(min_size=1, max_size=12), VALUES, max_size=5)
NANOS = st.one_of(st.none(), st.integers(0, 2**63 - 1))
STATES = st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), st.just("v"), max_size=3)
CONTEXTS = st.builds(
    SpanContext,
    st.integers(0, 2**128 - 1),
    st.integers(0, 2**64 - 1),
    is_remote=st.booleans(),
    trace_flags=st.integers(0, 3).map(TraceFlags),
    trace_state=STATES.map(lambda state: TraceState(list(state.items()))),
)
SPANS = st.builds(
    ReadableSpan,
    name=TEXT,
    context=st.one_of(st.none(), CONTEXTS),
    parent=st.one_of(st.none(), CONTEXTS),
    resource=st.builds(Resource, st.dictionaries(TEXT.filter(bool), TEXT, max_size=2), st.sampled_from(["", "urn:r"])),
    attributes=st.one_of(st.none(), ATTRIBUTES),
    events=st.lists(st.builds(Event, TEXT, ATTRIBUTES, NANOS), max_size=2),
    links=st.lists(st.builds(Link, CONTEXTS, ATTRIBUTES), max_size=2),
    kind=st.sampled_from(SpanKind),
    status=st.one_of(
        st.builds(Status, st.sampled_from([StatusCode.UNSET, StatusCode.OK])),
        st.builds(Status, st.just(StatusCode.ERROR), st.one_of(st.none(), TEXT)),
    ),
    start_time=NANOS,
    end_time=NANOS,
    instrumentation_scope=st.one_of(
        st.none(), st.builds(InstrumentationScope, TEXT, st.one_of(st.none(), TEXT), TEXT, ATTRIBUTES)
    ),
)


@given(st.lists(SPANS, max_size=4))
def test_equals_the_reference_encoder(spans: list[ReadableSpan]) -> None:
    """Any batch of spans is encoded as OpenTelemetry's own encoder does."""
    assert json.loads(encode_line(spans)) == json.loads(encode_spans(spans).to_json())


@given(ATTRIBUTES)
@example({"nested": {"a": (1, {"b": None}), "c": {}}, "none": (), "raw": b""})
@example({"odd": (math.nan, math.inf, -math.inf, -0.0)})
def test_any_attributes_equal_the_reference_encoder(attributes: dict[str, Any]) -> None:
    """Every type of attribute value there is, in any nesting."""
    spans = [ReadableSpan("w", attributes=attributes, resource=Resource(attributes))]
    assert json.loads(encode_line(spans)) == json.loads(encode_spans(spans).to_json())


def test_dropped_counts_equal_the_reference_encoder() -> None:
    """What the SDK's limits dropped is said the way the reference encoder says it."""
    memory = InMemorySpanExporter()
    limits = SpanLimits(max_span_attributes=1, max_events=1, max_links=1, max_event_attributes=1, max_link_attributes=1)
    provider = TracerProvider(resource=Resource({"service.name": "shop"}), span_limits=limits)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    two: dict[str, Any] = {"a": 1, "b": [True, False]}
    link = Link(SpanContext(1, 2, is_remote=True), two)
    with provider.get_tracer("shop", "1.0").start_as_current_span("work", attributes=two, links=[link, link]) as span:
        span.add_event("first", two)
        span.add_event("second", two)
    spans = memory.get_finished_spans()
    encoded = json.loads(encode_line(spans))
    assert encoded == json.loads(encode_spans(spans).to_json())
    [line] = encoded["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (line["droppedAttributesCount"], line["droppedEventsCount"], line["droppedLinksCount"]) == (1, 1, 1)


def test_the_line_on_the_wire() -> None:
    """The bytes are those that the OTLP file exporter specification shows: hex ids, string nanos, integer enums."""
    span = ReadableSpan(
        "w",
        context=SpanContext(0xABC, 0xD, is_remote=False),
        parent=SpanContext(0xABC, 0xE, is_remote=True),
        resource=Resource({"service.name": "shop"}),
        attributes={"n": 7, "cost": 0.5, "é": "ü"},
        kind=SpanKind.CLIENT,
        start_time=1_000,
        end_time=2_000,
        status=Status(StatusCode.ERROR, "no"),
        instrumentation_scope=InstrumentationScope("taskmeter"),
    )
    assert encode_line([span]) == (
        b'{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},'
        b'"scopeSpans":[{"scope":{"name":"taskmeter"},"spans":[{"traceId":"00000000000000000000000000000abc",'
        b'"spanId":"000000000000000d","parentSpanId":"000000000000000e","flags":768,"name":"w","kind":3,'
        b'"startTimeUnixNano":"1000","endTimeUnixNano":"2000","attributes":[{"key":"n","value":{"intValue":"7"}},'
        b'{"key":"cost","value":{"doubleValue":0.5}},{"key":"\\u00e9","value":{"stringValue":"\\u00fc"}}],'
        b'"status":{"message":"no","code":2}}]}]}]}\n'
    )


def test_an_integer_beyond_64_bits_does_not_spoil_the_batch() -> None:
    """A number no OTLP reader takes as an integer is kept as hexadecimal text."""
    line = json.loads(encode_line([ReadableSpan("w", attributes={"n": 2**63, "long": 16**5000})]))
    [n, long] = line["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"]
    assert n == {"key": "n", "value": {"stringValue": "0x8000000000000000"}}
    assert long == {"key": "long", "value": {"stringValue": "0x1" + "0" * 5000}}


def test_a_batch_that_is_too_long_for_a_line_becomes_several() -> None:
    """Each of which can be read: readers skip lines of more than 16 MiB."""
    provider = TracerProvider(shutdown_on_exit=False)
    spans = [provider.get_tracer("x").start_span("x", attributes={"a": "b" * 7 * 1024**2}) for _ in range(3)]
    for span in spans:
        span.end()
    lines = encode_line(spans).splitlines(keepends=True)  # type: ignore[arg-type]
    assert len(lines) == 2
    assert all(line.endswith(b"\n") and len(line) < 16 * 1024**2 for line in lines)
    assert sum(line.count(b'"traceId"') for line in lines) == 3
