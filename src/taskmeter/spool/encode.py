"""Finished spans -> one line of OTLP/JSON (`TracesData`), per the OTLP file exporter specification.

Ours, because the reference encoder (`opentelemetry-exporter-otlp-json-common`) pins the SDK's minor version. The
tests hold the two equal, span for span: ids in hex, 64-bit integers as strings, enums as integers, defaults left out.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias, cast

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext

from taskmeter._bounds import dumps
from taskmeter.spool.lines import MOST_BYTES

_Json: TypeAlias = dict[str, object]
_ByScope: TypeAlias = dict[InstrumentationScope | None, list[_Json]]

_HAS_IS_REMOTE = 0x100  # SpanFlags.CONTEXT_HAS_IS_REMOTE_MASK
_IS_REMOTE = 0x200  # SpanFlags.CONTEXT_IS_REMOTE_MASK
_INT64_LIMIT = 1 << 63


def encode_line(spans: Iterable[ReadableSpan]) -> bytes:
    """One batch as one line of ASCII JSON, its newline included; as several where one would be too long to be read."""
    batch = list(spans)
    document = _message(resourceSpans=[_resource_spans(*group) for group in _grouped(batch)])
    line = dumps(document).encode("ascii") + b"\n"
    if len(line) <= MOST_BYTES or len(batch) == 1:
        return line
    half = len(batch) // 2
    return encode_line(batch[:half]) + encode_line(batch[half:])


def _message(**fields: object) -> _Json:
    """A protobuf message: fields at their default are left out, nested messages stay even when empty."""
    return {name: value for name, value in fields.items() if value or type(value) is dict}


def _grouped(spans: Iterable[ReadableSpan]) -> list[tuple[Resource, _ByScope]]:
    """Spans by resource, then scope. Resources are compared one by one: hashing one serialises all of it."""
    groups: list[tuple[Resource, _ByScope]] = []
    for span in spans:
        resource = span.resource
        scopes = next((known for other, known in groups if other is resource or other == resource), None)
        if scopes is None:
            scopes = _ByScope()
            groups.append((resource, scopes))
        scopes.setdefault(span.instrumentation_scope, []).append(_span(span))
    return groups


def _resource_spans(resource: Resource, scopes: _ByScope) -> _Json:
    return _message(
        resource=_message(attributes=_attributes(resource.attributes)),
        scopeSpans=[_scope_spans(scope, spans) for scope, spans in scopes.items()],
        schemaUrl=resource.schema_url,
    )


def _scope_spans(scope: InstrumentationScope | None, spans: list[_Json]) -> _Json:
    if scope is None:
        return _message(scope={}, spans=spans)
    return _message(
        scope=_message(name=scope.name, version=scope.version, attributes=_attributes(scope.attributes)),
        spans=spans,
        schemaUrl=scope.schema_url,
    )


def _span(span: ReadableSpan) -> _Json:
    context = span.get_span_context()
    parent = span.parent
    return _message(
        traceId=f"{context.trace_id if context else 0:032x}",
        spanId=f"{context.span_id if context else 0:016x}",
        traceState=context.trace_state.to_header() if context else "",
        parentSpanId=f"{parent.span_id:016x}" if parent else "",
        flags=_flags(parent),
        name=span.name,
        kind=span.kind.value + 1,  # the SDK counts from INTERNAL = 0, the wire from UNSPECIFIED = 0
        startTimeUnixNano=_nanos(span.start_time),
        endTimeUnixNano=_nanos(span.end_time),
        attributes=_attributes(span.attributes),
        droppedAttributesCount=span.dropped_attributes,
        events=[_event(event) for event in span.events],
        droppedEventsCount=span.dropped_events,
        links=[_link(link) for link in span.links],
        droppedLinksCount=span.dropped_links,
        status=_message(message=span.status.description, code=span.status.status_code.value),
    )


def _event(event: Event) -> _Json:
    return _message(
        timeUnixNano=_nanos(event.timestamp),
        name=event.name,
        attributes=_attributes(event.attributes),
        droppedAttributesCount=event.dropped_attributes,
    )


def _link(link: Link) -> _Json:
    return _message(
        traceId=f"{link.context.trace_id:032x}",
        spanId=f"{link.context.span_id:016x}",
        attributes=_attributes(link.attributes),
        droppedAttributesCount=link.dropped_attributes,
        flags=_flags(link.context),
    )


def _flags(context: SpanContext | None) -> int:
    return _HAS_IS_REMOTE | _IS_REMOTE if context and context.is_remote else _HAS_IS_REMOTE


def _nanos(time: int | None) -> str:
    return str(time) if time else ""


def _attributes(attributes: Mapping[str, object] | None) -> list[_Json]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()] if attributes else []


def _value(value: object) -> _Json:  # noqa: PLR0911 - one return per type of `AnyValue`
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        # Readers refuse a whole batch for one integer out of range, and `str` refuses very long ones.
        return {"intValue": str(value)} if -_INT64_LIMIT <= value < _INT64_LIMIT else {"stringValue": hex(value)}
    if isinstance(value, float):
        return {"doubleValue": value if math.isfinite(value) else _non_finite(value)}
    if value is None:
        return {}
    if isinstance(value, bytes):
        return {"bytesValue": b64encode(value).decode("ascii")}
    if isinstance(value, Sequence):
        return {"arrayValue": _message(values=[_value(item) for item in cast("Sequence[object]", value)])}
    if isinstance(value, Mapping):
        return {"kvlistValue": _message(values=_attributes(cast("Mapping[str, object]", value)))}
    return {"stringValue": str(value)}


def _non_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
