"""An OTLP receiver over HTTP: what an endpoint that is sent spans and metrics really gets."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import Any, Self, cast

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

Attributes = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """A span as it arrived. Attributes keep the type that they had on the wire: `double_value` is a float."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    attributes: Attributes
    resource: Attributes

    @property
    def kind(self) -> str | None:
        """Task, step, call...; `None` for a span that is not of ours."""
        return self.attributes.get("taskmeter.span.kind")


@dataclass(frozen=True, slots=True)
class Point:
    """The last value of one series of a metric; the sum for a histogram."""

    metric: str
    unit: str
    value: float
    attributes: Attributes
    resource: Attributes


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request gets, where a status does not say it all. 2xx takes the spans."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    breaks: bool = False
    """The connection ends without an answer."""


@dataclass(slots=True)
class Receiver:
    """`with Receiver() as receiver:`, endpoint `receiver.url`. The first requests get `statuses`, the others 200."""

    statuses: Iterable[int | Reply] = ()
    delay_seconds: float = 0
    tls: ssl.SSLContext | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    """Of each answer."""
    refused_spans: int = 0
    """A partial success: so many of each request that is otherwise taken, the first ones."""
    wanted_port: int = 0
    """0 for any."""
    spans: list[Span] = field(default_factory=list[Span])
    requests: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Path and content encoding of each, refused ones too."""
    asked_with: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    """The headers of each request, names in lower case."""
    _points: dict[tuple[str, frozenset[tuple[str, Any]]], Point] = field(
        default_factory=dict[tuple[str, frozenset[tuple[str, Any]]], Point]
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _script: Iterator[int | Reply] = field(init=False)
    _server: _Server = field(init=False)

    def __post_init__(self) -> None:
        self._script = iter(self.statuses)
        self._server = _Server(("127.0.0.1", self.wanted_port), _Handler)
        self._server.receiver = self
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        """`http://127.0.0.1:port`, without a path."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    @property
    def points(self) -> list[Point]:
        """The metrics, as of the last export."""
        return list(self._points.values())

    def sum(self, metric: str, attributes: Attributes | None = None) -> float:
        """Over all series of a metric that have these attributes."""
        asked = (attributes or {}).items()
        return sum(p.value for p in self.points if p.metric == metric and asked <= p.attributes.items())

    def wait(self, until: Callable[[Self], bool], seconds: float = 10) -> None:
        """Until what was sent by way of another program has come; goes on after `seconds` in any case."""
        deadline = time.monotonic() + seconds
        while not until(self) and time.monotonic() < deadline:
            time.sleep(0.02)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()

    def take(self, path: str, encoding: str, body: bytes) -> Reply:
        """The answer to a request."""
        time.sleep(self.delay_seconds)
        content = gzip.decompress(body) if encoding == "gzip" else body
        with self._lock:
            self.requests.append((path, encoding))
            scripted = next(self._script, 200)
            reply = Reply(scripted) if isinstance(scripted, int) else scripted
            if not 200 <= reply.status < 300:
                return reply
            if path != "/v1/metrics":
                spans = _spans(ExportTraceServiceRequest.FromString(content))
                self.spans += spans[self.refused_spans :]
                answer = ExportTraceServiceResponse()
                answer.partial_success.rejected_spans = min(self.refused_spans, len(spans))
                return replace(reply, body=reply.body or answer.SerializeToString())
            for point in _read_points(ExportMetricsServiceRequest.FromString(content)):
                self._points[point.metric, frozenset(point.attributes.items())] = point
            return replace(reply, body=ExportMetricsServiceResponse().SerializeToString())


class _Server(ThreadingTCPServer):
    # Not `http.server`'s own class: it asks the name service for this host's name, which can take seconds.
    daemon_threads = True
    allow_reuse_address = True
    receiver: Receiver

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._connections: list[socket.socket] = []

    def finish_request(self, request: Any, client_address: Any) -> None:
        self._connections.append(request)
        super().finish_request(request, client_address)

    def hang_up(self) -> None:
        """A connection that is kept alive would be served on."""
        for connection in self._connections:
            with suppress(OSError):  # it is closed
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing on the screen: clients are killed, and connections are cut."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        receiver = cast(_Server, self.server).receiver
        receiver.asked_with.append({name.lower(): value for name, value in self.headers.items()})
        reply = receiver.take(self.path, self.headers.get("content-encoding", ""), body)
        if reply.breaks:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in {"content-type": "application/x-protobuf", **receiver.headers, **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class has it so
        """Nothing on the screen."""


def _spans(request: ExportTraceServiceRequest) -> list[Span]:
    return [
        Span(
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            name=span.name,
            attributes=_attributes(span.attributes),
            resource=_attributes(of_resource.resource.attributes),
        )
        for of_resource in request.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]


def _read_points(request: ExportMetricsServiceRequest) -> list[Point]:
    return [
        Point(metric.name, metric.unit, value, attributes, _attributes(of_resource.resource.attributes))
        for of_resource in request.resource_metrics
        for of_scope in of_resource.scope_metrics
        for metric in of_scope.metrics
        for value, attributes in _values(metric)
    ]


def _values(metric: Metric) -> list[tuple[float, Attributes]]:
    if metric.WhichOneof("data") == "histogram":
        return [(point.sum, _attributes(point.attributes)) for point in metric.histogram.data_points]
    return [
        (getattr(point, cast(str, point.WhichOneof("value"))), _attributes(point.attributes))
        for point in metric.sum.data_points
    ]


def _attributes(pairs: Iterable[KeyValue]) -> Attributes:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(_value(item) for item in value.array_value.values)
    return getattr(value, kind) if kind else None
