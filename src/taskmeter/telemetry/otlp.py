"""An OTLP endpoint as what a queue leads to. OpenTelemetry's exporter sends; what was answered is read here.

The exporter by itself reports a partial success and a redirect as success, and gives a batch up after one round.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from importlib import import_module
from typing import Any, ClassVar, Final, cast
from urllib.parse import urlsplit

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from taskmeter._bounds import shown
from taskmeter._config import brings_own_session
from taskmeter.errors import ConfigurationError, MissingDependencyError
from taskmeter.spool.receipts import ReceiptWriter
from taskmeter.telemetry.exporter import annotated
from taskmeter.telemetry.losses import Destination
from taskmeter.telemetry.queue import Verdict

_LATER: Final = frozenset({408, 429, 502, 503, 504})
"""Answers that say nothing about the batch, so that it waits for as long as there is room."""
_SERVER_ERROR: Final = 500
TRIES: Final = 5
"""How often a batch is sent that the endpoint fails at: another such failure may be the batch's own doing."""
LONGEST_WAIT_SECONDS: Final = 60.0
"""Between two tries; a `Retry-After` may ask for `LONGEST_RETRY_AFTER_SECONDS`."""
LONGEST_RETRY_AFTER_SECONDS: Final = 600.0


def otlp_exporter(signal: str, protocol: str, **options: object) -> Any:
    """OpenTelemetry's OTLP exporter over HTTP; it reads endpoint, headers and timeouts from the environment itself.

    Raises `ConfigurationError` for what it cannot send to, and `MissingDependencyError`.
    """
    if protocol != "http/protobuf":
        msg = (
            f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol!r} is not served; set it (or OTEL_EXPORTER_OTLP_"
            f"{signal.upper()}S_PROTOCOL) to 'http/protobuf', and the endpoint to the HTTP port, usually 4318; or "
            "leave it to `taskmeter ship`, which serves grpc: delivery='spool', and OTEL_METRICS_EXPORTER=none"
        )
        raise ConfigurationError(msg)
    try:
        module = import_module(f"opentelemetry.exporter.otlp.proto.http.{signal}_exporter")
    except ImportError as error:
        package, purpose = "opentelemetry-exporter-otlp-proto-http", "Exporting to OTEL_EXPORTER_OTLP_ENDPOINT"
        raise MissingDependencyError(package, "otlp", purpose) from error
    exporter = getattr(module, f"OTLP{'Span' if signal == 'trace' else 'Metric'}Exporter")(**options)
    _check_url(exporter._endpoint)  # noqa: SLF001 - there is no other way to know
    return exporter


def _check_url(url: str) -> None:
    """Nothing ever gets to what is no URL, and OpenTelemetry's exporter says so only when it sends."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        named = url.rpartition("@")[2].partition("?")[0]
        msg = (
            f"the OTLP endpoint {shown(named)} is no URL; write OTEL_EXPORTER_OTLP_ENDPOINT as in http://localhost:4318"
        )
        raise ConfigurationError(msg)


class _Observed:
    """A session of `requests` whose last answer can be looked at."""

    def __init__(self) -> None:
        self.session: Any = import_module("requests").Session()
        self.tried = False
        self.answer: Any = None
        self._send = self.session.send
        self.session.send = self._observed

    def forget(self) -> None:
        self.tried, self.answer = False, None

    def _observed(self, request: Any, **options: Any) -> Any:
        self.forget()
        self.tried = True
        # A POST that is redirected becomes a GET, and what answers that has not got the spans.
        self.answer = self._send(request, **{**options, "allow_redirects": False})
        return self.answer


class OtlpTarget:
    """Sends to the endpoint that the environment names, and writes down what was accepted in `receipts`, if any.

    Raises what `otlp_exporter` raises.
    """

    name: ClassVar[Destination] = "otlp"

    def __init__(self, protocol: str) -> None:
        self._protocol = protocol
        self._observed: _Observed | None = None
        self._exporter = self._connected()
        self._receipts: ReceiptWriter | None = None
        self._tries = 0
        self._inherited = False

    @property
    def endpoint(self) -> str:
        """The URL that spans are sent to."""
        return cast(str, self._exporter._endpoint)  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way to know

    def write_receipts(self, writer: ReceiptWriter) -> None:
        """From now on."""
        self._receipts = writer

    def deliver(self, spans: Sequence[ReadableSpan]) -> Verdict:
        """Called by the queue."""
        if self._inherited:
            self._inherited, self._exporter = False, self._connected()
        if self._observed is not None:
            self._observed.forget()
        self._tries += 1
        verdict = self._judged(self._export(spans), len(spans))
        if verdict.again_seconds is None:
            self._tries = 0
        if verdict.accepted == len(spans) and self._receipts is not None:
            # A partial success does not say which it refused, so that `taskmeter ship` has to find out.
            self._receipts.accepted((c.trace_id, c.span_id) for span in spans if (c := span.context) is not None)
        return verdict

    def _export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            return self._exporter.export(annotated(spans))
        except Exception:  # noqa: BLE001 - what became of the batch is judged by what was seen of it
            return SpanExportResult.FAILURE

    def rest(self) -> None:
        """Called by the queue: nothing is due."""

    def forked(self) -> None:
        """The connections are the parent's: the next batch goes over one of our own."""
        self._inherited, self._tries = True, 0

    def close(self) -> None:
        """Called by the queue."""
        self._exporter.shutdown()

    def _connected(self) -> SpanExporter:
        if brings_own_session("TRACES"):
            # That of a credential provider is the exporter's own business; it is then taken at its word.
            return cast(SpanExporter, otlp_exporter("trace", self._protocol))
        self._observed = _Observed()
        exporter = otlp_exporter("trace", self._protocol, session=self._observed.session)
        if hasattr(exporter, "_MAX_RETRY_TIMEOUT"):
            # Old ones repeat by themselves, for a minute: here once is enough, as the queue repeats.
            exporter._MAX_RETRY_TIMEOUT = 2  # noqa: SLF001 - there is no other way
        return cast(SpanExporter, exporter)

    def _judged(self, result: SpanExportResult, spans: int) -> Verdict:
        observed = self._observed
        if observed is None:
            return Verdict(spans) if result is SpanExportResult.SUCCESS else self._again()
        if not observed.tried:
            return Verdict(lost={"unencodable": spans})
        if observed.answer is None:
            return self._again()
        status = int(observed.answer.status_code)
        if status in _LATER:
            return self._again(observed.answer)
        if status >= _SERVER_ERROR and self._tries < TRIES:
            return self._again(observed.answer)
        if not 200 <= status < 300:  # noqa: PLR2004 - as HTTP has it
            return Verdict(lost={"rejected": spans}, said=f"HTTP {status}")
        if rejected := min(_rejected(observed.answer), spans):
            return Verdict(spans - rejected, {"rejected": rejected}, "partial success")
        return Verdict(spans)

    def _again(self, answer: Any = None) -> Verdict:
        asked = None if answer is None else _retry_after(answer)
        if asked is None or asked < 1:  # at once is too soon for somebody who is not well
            asked = min(LONGEST_WAIT_SECONDS, 2.0 ** min(self._tries - 1, 10))
        return Verdict(again_seconds=asked)


def _retry_after(answer: Any) -> float | None:
    """Seconds that `Retry-After` asks for, as a number or a date."""
    text = str(answer.headers.get("retry-after", "")).strip()
    seconds: float | None = None
    if text.isascii() and text.isdecimal():
        seconds = float(text)
    elif text:
        with suppress(TypeError, ValueError):
            at = parsedate_to_datetime(text)
            seconds = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() - time.time()
    return None if seconds is None else min(max(0.0, seconds), LONGEST_RETRY_AFTER_SECONDS)


def _rejected(answer: Any) -> int:
    """How many spans a success has refused. What cannot be read refuses nothing."""
    with suppress(Exception):
        if "json" in str(answer.headers.get("content-type", "")):
            said: Any = json.loads(answer.content)
            return max(0, int(said["partialSuccess"]["rejectedSpans"]))
        messages = import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
        response = messages.ExportTraceServiceResponse.FromString(answer.content)
        return max(0, int(response.partial_success.rejected_spans))
    return 0
