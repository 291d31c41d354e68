"""OTLP over gRPC, with `grpcio`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from taskmeter._version import __version__
from taskmeter.errors import MissingDependencyError
from taskmeter.spool.shipping.answers import Accepted, Again, Answer, Failed, Misdirected, Refused
from taskmeter.spool.shipping.endpoint import Endpoint
from taskmeter.spool.shipping.spans import StoredSpan, UnencodableSpanError, export_request

_AGAIN: Final = {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
_MISDIRECTED: Final = {"UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED"}
_FAILED: Final = {"INTERNAL", "UNKNOWN", "RESOURCE_EXHAUSTED"}
"""`RESOURCE_EXHAUSTED` without a time to wait is what a message over the limit gets."""
_LONGEST_BACKOFF_MILLIS: Final = 5_000


class GrpcSender:
    """Calls `endpoint`'s trace service. Raises `MissingDependencyError` when made."""

    def __init__(self, endpoint: Endpoint) -> None:
        try:
            self._grpc: Any = import_module("grpc")
            stub = import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc").TraceServiceStub
            self._status: Any = import_module("google.rpc.status_pb2").Status
            self._retry_info: Any = import_module("google.rpc.error_details_pb2").RetryInfo
        except ImportError as error:
            raise MissingDependencyError("grpcio", "grpc", "`taskmeter ship --protocol grpc`") from error
        self._endpoint = endpoint
        options = [
            ("grpc.max_reconnect_backoff_ms", _LONGEST_BACKOFF_MILLIS),
            ("grpc.primary_user_agent", f"taskmeter/{__version__}"),
        ]
        compression = self._grpc.Compression.Gzip if endpoint.gzip else self._grpc.Compression.NoCompression
        if endpoint.secure:
            credentials = self._grpc.ssl_channel_credentials(
                root_certificates=_content(endpoint.certificate),
                private_key=_content(endpoint.client_key),
                certificate_chain=_content(endpoint.client_certificate),
            )
            self._channel = self._grpc.secure_channel(endpoint.url, credentials, options, compression)
        else:
            self._channel = self._grpc.insecure_channel(endpoint.url, options, compression)
        self._stub = stub(self._channel)
        self._metadata = tuple(endpoint.headers.items())

    def send(self, spans: Sequence[StoredSpan], timeout_seconds: float) -> Answer:
        """One call. Raises nothing that an endpoint or a span can cause."""
        try:
            request = export_request(spans)
        except UnencodableSpanError:
            return Refused("no OTLP span")
        try:
            response = self._stub.Export(request, timeout=timeout_seconds, metadata=self._metadata)
        except self._grpc.RpcError as error:
            return self._meaning(error)
        partial = response.partial_success
        return Accepted(max(0, partial.rejected_spans), self._endpoint.without_secrets(partial.error_message))

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    def _meaning(self, error: Any) -> Answer:
        code = error.code().name
        said = self._endpoint.without_secrets(error.details() or "")
        reason = f"gRPC {code}{f' ({said})' if said else ''}"
        after = self._retry_after(error.trailing_metadata() or ())
        if code in _AGAIN or (code == "RESOURCE_EXHAUSTED" and after is not None):
            return Again(reason, after)
        if code in _MISDIRECTED:
            return Misdirected(reason)
        return Failed(reason) if code in _FAILED else Refused(reason)

    def _retry_after(self, metadata: Any) -> float | None:
        """From the `RetryInfo` among the details of the status."""
        for name, value in metadata:
            if name != "grpc-status-details-bin":
                continue
            try:
                for detail in self._status.FromString(value).details:
                    info = self._retry_info()
                    if detail.Unpack(info):
                        delay = float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
                        return max(0.0, delay)
            except Exception:  # noqa: BLE001 - `DecodeError`: it says nothing that we understand
                return None
        return None


def _content(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()
