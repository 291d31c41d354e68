"""Spans as they lie in the spool, and OTLP's protobuf messages made of them."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Final, TypeAlias

from taskmeter.errors import MissingDependencyError

_Json: TypeAlias = dict[str, Any]

_TRACE_ID_BYTES: Final = 16
_SPAN_ID_BYTES: Final = 8


class UnreadableLineError(Exception):
    """A line is torn, or no OTLP/JSON."""


class UnencodableSpanError(Exception):
    """At least one of some spans is no OTLP span."""


@dataclass(frozen=True, slots=True)
class StoredSpan:
    """One span of a line, as it stands there, with what surrounds it."""

    trace_id: str
    """32 lower-case hex digits; what was written, where that is not an id."""
    span_id: str
    """16 lower-case hex digits; what was written, where that is not an id."""
    end_ns: int
    """0 where it is not known."""
    span: _Json
    scope: _Json
    """The `ScopeSpans` around it, without spans."""
    resource: _Json
    """The `ResourceSpans` around it, without scopes."""

    @property
    def ids(self) -> tuple[str, str]:
        """Trace id and span id."""
        return self.trace_id, self.span_id


def read_line(line: bytes) -> list[StoredSpan]:
    """The spans of one line of the spool. Raises `UnreadableLineError`."""
    try:
        return stored_spans(json.loads(line))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableLineError from error


def stored_spans(traces_data: Any) -> list[StoredSpan]:
    """The spans of a `TracesData`. Raises `TypeError` or `AttributeError` for what is none."""
    found: list[StoredSpan] = []
    for of_resource in traces_data.get("resourceSpans", ()):
        resource = {name: value for name, value in of_resource.items() if name != "scopeSpans"}
        for of_scope in of_resource.get("scopeSpans", ()):
            scope = {name: value for name, value in of_scope.items() if name != "spans"}
            found += [_stored(span, scope, resource) for span in of_scope.get("spans", ())]
    return found


def traces_data(spans: Iterable[StoredSpan]) -> _Json:
    """The `TracesData` of `spans`, as JSON, nothing left out."""
    resources: dict[str, tuple[_Json, dict[str, tuple[_Json, list[_Json]]]]] = {}
    for stored in spans:
        _, scopes = resources.setdefault(json.dumps(stored.resource), (stored.resource, {}))
        _, beside = scopes.setdefault(json.dumps(stored.scope), (stored.scope, []))
        beside.append(stored.span)
    return {
        "resourceSpans": [
            {**resource, "scopeSpans": [{**scope, "spans": beside} for scope, beside in scopes.values()]}
            for resource, scopes in resources.values()
        ]
    }


def export_request(spans: Sequence[StoredSpan]) -> Any:
    """The `ExportTraceServiceRequest` of `spans`. Raises `UnencodableSpanError`."""
    json_format, service = protobuf()
    try:
        document = traces_data([_with_binary_ids(stored) for stored in spans])
        return json_format.ParseDict(document, service.ExportTraceServiceRequest(), ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise UnencodableSpanError from error


def protobuf() -> tuple[Any, Any]:
    """`google.protobuf.json_format` and OTLP's trace service. Raises `MissingDependencyError`."""
    try:
        return (
            import_module("google.protobuf.json_format"),
            import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2"),
        )
    except ImportError as error:
        raise MissingDependencyError("opentelemetry-proto", "otlp", "`taskmeter ship`") from error


def _stored(span: _Json, scope: _Json, resource: _Json) -> StoredSpan:
    try:
        end_ns = int(span.get("endTimeUnixNano") or 0)
    except (ValueError, TypeError):
        end_ns = 0
    return StoredSpan(
        trace_id=str(span.get("traceId", "")).lower(),
        span_id=str(span.get("spanId", "")).lower(),
        end_ns=end_ns,
        span=span,
        scope=scope,
        resource=resource,
    )


def _with_binary_ids(stored: StoredSpan) -> StoredSpan:
    """OTLP/JSON writes ids in hex, protobuf's own JSON in base64."""
    span = _with_ids(stored.span, stored.trace_id, stored.span_id)
    if span.get("parentSpanId"):
        span["parentSpanId"] = _id(span["parentSpanId"], _SPAN_ID_BYTES)
    if span.get("links"):
        span["links"] = [_with_ids(link, link["traceId"], link["spanId"]) for link in span["links"]]
    return replace(stored, span=span)


def _with_ids(message: _Json, trace_id: str, span_id: str) -> _Json:
    return {**message, "traceId": _id(trace_id, _TRACE_ID_BYTES), "spanId": _id(span_id, _SPAN_ID_BYTES)}


def _id(digits: str, size: int) -> str:
    octets = bytes.fromhex(digits)
    if len(octets) != size or not any(octets):
        message = f"not an id of {size} bytes: {digits!r}"
        raise ValueError(message)
    return b64encode(octets).decode("ascii")
