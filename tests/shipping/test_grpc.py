"""OTLP over gRPC, against a server of its own: what each status means, and what is sent."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from taskmeter.spool.shipping.answers import Accepted, Again, Answer, Failed, Misdirected, Refused
from taskmeter.spool.shipping.endpoint import Endpoint
from taskmeter.spool.shipping.over_grpc import GrpcSender
from taskmeter.spool.shipping.spans import StoredSpan, read_line
from tests.shipping.endpoint import line, span

SPANS = read_line(line(span(1), span(2)).encode())
Script = tuple[grpc.StatusCode, str, bytes | None] | ExportTraceServiceResponse


@dataclass
class Service(TraceServiceServicer):  # type: ignore[misc]
    """Takes spans, but for the first calls, which get `script`."""

    script: deque[Script]
    spans: list[str] = field(default_factory=list[str])
    metadata: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def Export(  # noqa: N802 - the name that the protocol has
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        self.metadata.append(dict(context.invocation_metadata()))
        step = self.script.popleft() if self.script else ExportTraceServiceResponse()
        if isinstance(step, tuple):
            code, said, details = step
            if details is not None:
                context.set_trailing_metadata((("grpc-status-details-bin", details),))
            context.abort(code, said)
        self.spans += [
            one.span_id.hex() for r in request.resource_spans for scope in r.scope_spans for one in scope.spans
        ]
        return step


@contextmanager
def serving(*script: Script, tls: tuple[Path, Path] | None = None) -> Generator[tuple[Service, str]]:
    """The service, and its address."""
    service, server = Service(deque(script)), grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(service, server)
    if tls is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        credentials = grpc.ssl_server_credentials([(tls[1].read_bytes(), tls[0].read_bytes())])
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield service, f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def send(
    address: str, spans: Sequence[StoredSpan] = SPANS, timeout_seconds: float = 30.0, **settings: object
) -> Answer:
    endpoint = Endpoint(name="name", protocol="grpc", url=address, **settings)  # type: ignore[arg-type]
    sender = GrpcSender(endpoint)
    try:
        return sender.send(spans, timeout_seconds)
    finally:
        sender.close()


def retry_after(seconds: int, nanos: int = 0) -> bytes:
    detail = AnyMessage()
    detail.Pack(RetryInfo(retry_delay=Duration(seconds=seconds, nanos=nanos)))
    return Status(code=8, message="later", details=[detail]).SerializeToString()


CODES = grpc.StatusCode


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        ((CODES.UNAVAILABLE, "", None), Again("gRPC UNAVAILABLE")),
        ((CODES.UNAVAILABLE, "later", retry_after(3, 500_000_000)), Again("gRPC UNAVAILABLE (later)", 3.5)),
        ((CODES.RESOURCE_EXHAUSTED, "", retry_after(9)), Again("gRPC RESOURCE_EXHAUSTED", 9.0)),
        ((CODES.RESOURCE_EXHAUSTED, "too large", None), Failed("gRPC RESOURCE_EXHAUSTED (too large)")),
        ((CODES.ABORTED, "", b"\xff\xff"), Again("gRPC ABORTED")),
        ((CODES.INTERNAL, "", None), Failed("gRPC INTERNAL")),
        ((CODES.INVALID_ARGUMENT, "bad id", None), Refused("gRPC INVALID_ARGUMENT (bad id)")),
        ((CODES.UNAUTHENTICATED, "key secretsecret", None), Misdirected("gRPC UNAUTHENTICATED (key ***)")),
        ((CODES.UNIMPLEMENTED, "", None), Misdirected("gRPC UNIMPLEMENTED")),
        (
            ExportTraceServiceResponse(partial_success=ExportTracePartialSuccess(rejected_spans=1, error_message="no")),
            Accepted(1, "no"),
        ),
    ],
)
def test_each_status_has_a_meaning(step: Script, answer: Answer) -> None:
    """By OTLP's specification."""
    with serving(step) as (_, address):
        assert send(address, headers={"authorization": "secretsecret"}) == answer


def test_spans_arrive_with_headers() -> None:
    """As metadata."""
    with serving() as (service, address):
        assert send(address, headers={"x-team": "blue"}) == Accepted()
    assert service.spans == [f"{1:016x}", f"{2:016x}"]
    assert service.metadata[0]["x-team"] == "blue"


def test_a_certificate_is_checked(certificate: tuple[Path, Path]) -> None:
    """An authority that is named is trusted, one that is not is not."""
    with serving(tls=certificate) as (service, address):
        assert send(address, secure=True, certificate=certificate[0]) == Accepted()
        assert not isinstance(send(address, secure=True, timeout_seconds=2.0), Accepted)
    assert len(service.spans) == 2


def test_nobody_there_is_tried_again() -> None:
    """In time."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        answer = send(f"127.0.0.1:{listener.getsockname()[1]}", timeout_seconds=20.0)
    assert isinstance(answer, Again)
    assert answer.reason.startswith("gRPC UNAVAILABLE")


def test_spans_that_are_none_are_refused_without_a_call() -> None:
    """So that those around them can be sent."""
    with serving() as (service, address):
        assert send(address, read_line(line(span(1), span(2, spanId="")).encode())) == Refused("no OTLP span")
    assert service.metadata == []
