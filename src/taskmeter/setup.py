"""`configure()`: providers, exporters, spool and hooks in one line, by OpenTelemetry's own environment variables."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from taskmeter._config import OtlpEnvironment, Settings, otlp_from_environment, spool_from_environment
from taskmeter.capture import instrument, uninstrument
from taskmeter.errors import ConfigurationError, MissingDependencyError
from taskmeter.spool.write import SpoolExporter
from taskmeter.telemetry.processor import TaskSpanProcessor

SPOOL_QUEUE = 65_536
"""Spans that may wait for the spool: a burst of this size is kept while the disk catches up."""
SPOOL_DELAY_MILLIS = 200.0
"""How long a finished span waits for the spool at most."""


class Setup:
    """What `configure()` put in place."""

    def __init__(
        self, settings: Settings, tracer_provider: TracerProvider, meter_provider: MeterProvider | None
    ) -> None:
        self.settings = settings
        self._tracer_provider = tracer_provider
        self._meter_provider = meter_provider

    def flush(self, timeout_seconds: float = 10.0) -> bool:
        """Writes and sends what is waiting. Returns whether all of it went out in time."""
        millis = int(timeout_seconds * 1000)
        flushed = self._tracer_provider.force_flush(millis)
        if self._meter_provider is not None:
            flushed = self._meter_provider.force_flush(millis) and flushed
        return flushed

    def shutdown(self) -> None:
        """Flushes, ends the exporters and takes the hooks off. Happens by itself at exit, but for the hooks."""
        uninstrument()
        self._tracer_provider.shutdown()
        if self._meter_provider is not None:
            self._meter_provider.shutdown()


_lock = threading.Lock()
_setup: Setup | None = None


Spool = str | Path | bool | None
"""A directory, `False` for no spool, `None` or `True` for the default directory."""


def configure(
    *,
    service_name: str | None = None,
    spool: Spool = None,
    stream_usage: bool = True,
) -> Setup:
    """Sets everything up; call it once, at the start of the program.

    Finished spans go to the local spool: the directory `spool`, by default `TASKMETER_SPOOL`, else `.taskmeter`;
    `False` for none. Where the standard `OTEL_EXPORTER_OTLP_*` variables name an endpoint, spans and metrics go there
    too (needs the extra `otlp`). `service_name` is for the resource, by default `OTEL_SERVICE_NAME`. For
    `stream_usage` see `instrument`.

    An application that has set a `TracerProvider` of its own keeps it: the task processor and the spool are added to
    it, and exporting elsewhere stays its own business. Calling again with the same settings has no effect.
    Raises `ConfigurationError` for other settings than the first call's and for a protocol that cannot be served,
    `MissingDependencyError` when an exporter's package is missing.
    """
    global _setup  # noqa: PLW0603 - OpenTelemetry's global provider is one per process, and so is this
    settings = Settings(service_name=service_name, spool=_spool_directory(spool), stream_usage=stream_usage)
    with _lock:
        if _setup is None:
            _setup = _set_up(settings, otlp_from_environment())
        elif _setup.settings != settings:
            msg = f"configure() was called before with {_setup.settings}, now with {settings}; call it once per process"
            raise ConfigurationError(msg)
        return _setup


def _spool_directory(spool: Spool) -> Path | None:
    if spool is False:
        return None
    if spool is None or spool is True:
        return spool_from_environment()
    if not str(spool):
        msg = "spool='' names no directory; pass a path, or False for no spool"
        raise ConfigurationError(msg)
    return Path(spool)


def _set_up(settings: Settings, environment: OtlpEnvironment) -> Setup:
    trace_exporter = _otlp_exporter("trace", environment) if environment.traces else None
    metric_exporter = _otlp_exporter("metric", environment) if environment.metrics else None
    attributes = {} if settings.service_name is None else {"service.name": settings.service_name}
    resource = Resource.create(attributes)

    existing = trace.get_tracer_provider()
    if isinstance(existing, TracerProvider):
        tracer_provider = existing
    else:
        tracer_provider = TracerProvider(resource=resource)
        trace.set_tracer_provider(tracer_provider)
        if trace_exporter is not None:
            tracer_provider.add_span_processor(BatchSpanProcessor(cast("SpanExporter", trace_exporter)))
    tracer_provider.add_span_processor(TaskSpanProcessor())
    if settings.spool is not None:
        tracer_provider.add_span_processor(
            BatchSpanProcessor(
                SpoolExporter(settings.spool), max_queue_size=SPOOL_QUEUE, schedule_delay_millis=SPOOL_DELAY_MILLIS
            )
        )

    meter_provider: MeterProvider | None = None
    if metric_exporter is not None and not isinstance(metrics.get_meter_provider(), MeterProvider):
        reader = PeriodicExportingMetricReader(cast("MetricExporter", metric_exporter))
        meter_provider = MeterProvider([reader], resource)
        metrics.set_meter_provider(meter_provider)

    instrument(tracer_provider=tracer_provider, stream_usage=settings.stream_usage)
    return Setup(settings, tracer_provider, meter_provider)


def _otlp_exporter(signal: str, environment: OtlpEnvironment) -> object:
    """OpenTelemetry's OTLP exporter over HTTP; it reads endpoint, headers and timeouts from the environment itself."""
    if environment.protocol != "http/protobuf":
        msg = (
            f"OTEL_EXPORTER_OTLP_PROTOCOL={environment.protocol!r} is not served; set it to 'http/protobuf' "
            "(and the endpoint to the HTTP port, usually 4318)"
        )
        raise ConfigurationError(msg)
    try:
        module = import_module(f"opentelemetry.exporter.otlp.proto.http.{signal}_exporter")
    except ImportError as error:
        package, purpose = "opentelemetry-exporter-otlp-proto-http", "Exporting to OTEL_EXPORTER_OTLP_ENDPOINT"
        raise MissingDependencyError(package, "otlp", purpose) from error
    name = "OTLPSpanExporter" if signal == "trace" else "OTLPMetricExporter"
    return cast("Callable[[], Any]", getattr(module, name))()


class TaskmeterInstrumentor:
    """The entry point that `opentelemetry-instrument` finds: hooks only, as that command sets the exporters up."""

    def instrument(self, **options: object) -> None:
        """Called by `opentelemetry-instrument`; `options` are its own and not needed here."""
        del options
        provider = trace.get_tracer_provider()
        if isinstance(provider, TracerProvider):
            provider.add_span_processor(TaskSpanProcessor())
        instrument()

    def uninstrument(self, **options: object) -> None:
        """The counterpart of `instrument`."""
        del options
        uninstrument()
