"""`configure()`: providers, exporters, spool and hooks in one line, by OpenTelemetry's own environment variables."""

from __future__ import annotations

import atexit
import copy
import os
import threading
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast
from weakref import WeakSet

import wrapt
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter

from taskmeter import pricing
from taskmeter._config import (
    Settings,
    WasteRules,
    checked_rules,
    otlp_from_environment,
    prices_from_environment,
    spool_from_environment,
)
from taskmeter.account import marks
from taskmeter.capture import finish, instrument, uninstrument
from taskmeter.capture.context import checked_context
from taskmeter.capture.tokens import use_tokenizer
from taskmeter.errors import ConfigurationError, MissingDependencyError
from taskmeter.spool.key import shared_key
from taskmeter.spool.write import SpoolExporter
from taskmeter.telemetry import durable
from taskmeter.telemetry.baggage import checked_trust
from taskmeter.telemetry.delivery import Ender, MetricReceipts, SpanQueue, within
from taskmeter.telemetry.exporter import CostExporter
from taskmeter.telemetry.processor import TaskSpanProcessor

SPOOL_QUEUE: Final = 65_536
"""Spans that may wait for the spool: a burst of this size is kept while the disk catches up."""
SPOOL_DELAY_MILLIS: Final = 200.0
"""How long a finished span waits for the spool at most."""
EXIT_SECONDS: Final = 5.0
"""How long the end of a program waits for an endpoint that does not answer. The spool is complete before that."""


class Setup:
    """What `configure()` put in place."""

    def __init__(
        self,
        settings: Settings,
        tracer_provider: TracerProvider,
        meter_provider: MeterProvider | None,
        *,
        own: bool,
        spool: SpanQueue | None,
        otlp: SpanQueue | None,
        receipts: MetricReceipts | None,
    ) -> None:
        self.settings = settings
        self.ended = False
        """Whether `shutdown()` was called."""
        self._tracer_provider = tracer_provider
        self._meter_provider = meter_provider
        self._spool: SpanProcessor | None = spool
        self._queues = [queue for queue in (spool, otlp) if queue is not None]
        self._receipts = receipts
        self._missing = 0
        self._exited_process: int | None = None
        ends: list[Callable[[], object]] = []
        if own:
            ends.append(tracer_provider.shutdown)
        if meter_provider is not None:
            ends.append(meter_provider.shutdown)
        self._enders = [Ender(end) for end in ends]
        atexit.register(self._exit)
        wrapt.register_post_import_hook(self._end_with_children, "multiprocessing.util")

    def hook(self) -> None:
        """Puts the hooks on; again, no effect."""
        settings = self.settings
        instrument(
            tracer_provider=self._tracer_provider,
            stream_usage=settings.stream_usage,
            tokenizer=settings.tokenizer,
            trust_remote_tasks=settings.trust_remote_tasks,
            context=settings.context,
            waste=settings.waste,
        )

    def flush(self, timeout_seconds: float = 10.0) -> bool:
        """Writes and sends what is waiting. Returns whether all that ended since the last flush went out, in time.

        `False` also when the disk is full, or an endpoint refuses, cannot be reached or cannot keep up. What is late
        is still on its way.
        """
        if self.ended:
            return False
        ended = [queue.ended for queue in self._queues]
        flushed = within(timeout_seconds, *self._flushes(int(timeout_seconds * 1000)))
        before = self._missing
        self._missing = sum(max(0, count - queue.exported) for count, queue in zip(ended, self._queues, strict=True))
        accepted = self._receipts is None or self._receipts.accepted
        return flushed and accepted and self._missing <= before

    def shutdown(self) -> None:
        """Takes the hooks off, writes and sends what is waiting, and ends the exporters for good.

        An application's own `TracerProvider` goes on, without the spool. What an endpoint has not taken within
        `EXIT_SECONDS` is lost there, not in the spool. At the end of the program this happens by itself.
        """
        if not self.ended:
            self.ended = True
            atexit.unregister(self._exit)
            uninstrument()
            durable.use(None)
            if self._spool is not None:
                self._spool.shutdown()
            self._end()

    def _exit(self) -> None:
        if self._exited_process == os.getpid():
            return
        self._exited_process = os.getpid()
        finish()
        if self._spool is not None:
            # The spool first: it is quick, and complete even if the program is killed while an endpoint is waited for.
            self._spool.force_flush()
        self._end()

    def _end_with_children(self, util: Any) -> None:
        """Processes of `multiprocessing`, those of pools included, end without `atexit` unless they are spawned."""
        from multiprocessing.process import parent_process

        def forked(setup: Setup) -> None:
            util.Finalize(setup, self._flush_fork, exitpriority=0)

        util.register_after_fork(self, forked)
        if parent_process() is not None:
            util.Finalize(self, self._exit, exitpriority=0)

    def _flush_fork(self) -> None:
        """Spans only: the metrics of a forked process start with a copy of its parent's sums."""
        if not self.ended:
            finish()
            within(EXIT_SECONDS, lambda: self._tracer_provider.force_flush(int(EXIT_SECONDS * 1000)))

    def _flushes(self, millis: int) -> list[Callable[[], object]]:
        flushes: list[Callable[[], object]] = [lambda: self._tracer_provider.force_flush(millis)]
        if self._meter_provider is not None:
            meter_provider = self._meter_provider
            flushes.append(lambda: meter_provider.force_flush(millis))
        return flushes

    def _end(self) -> None:
        deadline = time.monotonic() + EXIT_SECONDS
        for ender in self._enders:
            ender.begin()
        for ender in self._enders:
            ender.join(max(0.0, deadline - time.monotonic()))


_lock = threading.Lock()
_setup: Setup | None = None
_stamped: WeakSet[TracerProvider] = WeakSet()


Prices = str | Path | Mapping[str, object] | None
"""A price file or its content; `None` for the one that `TASKMETER_CONFIG` names, else `taskmeter.toml`, if any."""

Spool = str | Path | bool | None
"""A directory, `False` for no spool, `None` or `True` for the default directory."""


def configure(
    *,
    service_name: str | None = None,
    spool: Spool = None,
    stream_usage: bool = True,
    tokenizer: str | None = None,
    trust_remote_tasks: bool = False,
    context: bool = True,
    waste: WasteRules | None = None,
    prices: Prices = None,
) -> Setup:
    """Sets everything up; call it once, at the start of the program.

    Finished spans go to the local spool: the directory `spool`, by default `TASKMETER_SPOOL`, else `.taskmeter`;
    `False` for none. Where the standard `OTEL_EXPORTER_OTLP_*` variables name an endpoint, spans and metrics go there
    too (needs the extra `otlp`). `service_name` is for the resource, by default `OTEL_SERVICE_NAME`. `prices` is your
    price file, by default the one that `TASKMETER_CONFIG` names, else `taskmeter.toml` in the working directory, if it
    is there; or the content of one. For `stream_usage`, `tokenizer`,
    `trust_remote_tasks`, `context` and `waste` see `instrument`.

    An application that has set a `TracerProvider` of its own keeps it, with its resource: the task processor and the
    spool are added to it, and exporting its spans elsewhere stays its own business. So it is with a `MeterProvider`.
    Calling again with the same settings has no effect.
    Raises `ConfigurationError` for other settings than the first call's, after `Setup.shutdown()`, for a price file
    that is missing or makes no sense, and for a protocol that cannot be served; `MissingDependencyError` when
    an exporter's package is missing.
    """
    global _setup  # noqa: PLW0603 - OpenTelemetry's global provider is one per process, and so is this
    if service_name is not None and not _is_text(service_name):
        msg = f"service_name={service_name!r} names nothing; pass a name, or leave it out for OTEL_SERVICE_NAME"
        raise ConfigurationError(msg)
    settings = Settings(
        service_name,
        _spool_directory(spool),
        stream_usage=stream_usage,
        tokenizer=tokenizer,
        trust_remote_tasks=checked_trust(trust_remote_tasks),
        context=checked_context(context),
        waste=checked_rules(waste),
        prices=_prices(prices),
    )
    use_tokenizer(tokenizer)  # first what can be refused
    with _lock:
        if _setup is None:
            pricing.use(settings.prices)
            _setup = _set_up(settings)
        elif _setup.ended:
            msg = (
                "configure() was called after shutdown(); a process is set up once: shut down at its end, or not at all"
            )
            raise ConfigurationError(msg)
        elif _setup.settings != settings:
            msg = f"configure() was called before with {_setup.settings}, now with {settings}; call it once per process"
            raise ConfigurationError(msg)
        else:
            _setup.hook()  # again, if `uninstrument()` was called since
        return _setup


def current_setup() -> Setup | None:
    """What `configure()` put in place, if it was called."""
    return _setup


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _spool_directory(spool: Spool) -> Path | None:
    if spool is False:
        return None
    if spool is None or spool is True:
        return spool_from_environment()
    if not _is_text(spool) and not isinstance(spool, Path):
        msg = f"spool={spool!r} names no directory; pass a path, or False for no spool"
        raise ConfigurationError(msg)
    return Path(spool)


def _prices(prices: Prices) -> Path | Mapping[str, object] | None:
    if prices is None:
        return prices_from_environment()
    if isinstance(prices, Mapping):
        return copy.deepcopy(dict(prices))  # the caller's own may change
    if not _is_text(prices) and not isinstance(prices, Path):
        msg = f"prices={prices!r} is neither a path nor a mapping; pass the path of a price file, or its content"
        raise ConfigurationError(msg)
    return Path(prices)


def _set_up(settings: Settings) -> Setup:
    existing, environment = trace.get_tracer_provider(), otlp_from_environment()
    own = not isinstance(existing, TracerProvider)
    own_meters = not isinstance(metrics.get_meter_provider(), MeterProvider)
    # First whatever can be refused, so that a refusal leaves nothing behind.
    span_exporter = _otlp_exporter("trace", environment.traces) if own and environment.traces else None
    metric_exporter = _otlp_exporter("metric", environment.metrics) if own_meters and environment.metrics else None

    resource = Resource.create({} if settings.service_name is None else {"service.name": settings.service_name})
    # `Setup` ends them at exit, in bounded time; the providers' own handlers take up to 30 s each.
    tracer_provider = (
        existing if isinstance(existing, TracerProvider) else TracerProvider(resource=resource, shutdown_on_exit=False)
    )
    _stamp(tracer_provider)
    spool = otlp = receipts = meter_provider = None
    if settings.spool is not None:
        if settings.context and (key := shared_key(settings.spool)) is not None:
            marks.use_key(key)
        spool = SpanQueue(CostExporter(SpoolExporter(settings.spool)), SPOOL_QUEUE, SPOOL_DELAY_MILLIS)
        tracer_provider.add_span_processor(spool)
        durable.use(spool, tracer_provider.resource)
    if span_exporter is not None:
        otlp = SpanQueue(CostExporter(cast(SpanExporter, span_exporter)))
        tracer_provider.add_span_processor(otlp)
    if own:
        trace.set_tracer_provider(tracer_provider)
    if metric_exporter is not None:
        receipts = MetricReceipts(cast(MetricExporter, metric_exporter))
        meter_provider = MeterProvider([PeriodicExportingMetricReader(receipts)], resource, shutdown_on_exit=False)
        metrics.set_meter_provider(meter_provider)
    setup = Setup(settings, tracer_provider, meter_provider, own=own, spool=spool, otlp=otlp, receipts=receipts)
    setup.hook()
    return setup


def _stamp(provider: TracerProvider) -> None:
    if provider not in _stamped:
        _stamped.add(provider)
        provider.add_span_processor(TaskSpanProcessor())


def _otlp_exporter(signal: str, protocol: str) -> object:
    """OpenTelemetry's OTLP exporter over HTTP; it reads endpoint, headers and timeouts from the environment itself."""
    if protocol != "http/protobuf":
        msg = (
            f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol!r} is not served; set it (or OTEL_EXPORTER_OTLP_"
            f"{signal.upper()}S_PROTOCOL) to 'http/protobuf', and the endpoint to the HTTP port, usually 4318"
        )
        raise ConfigurationError(msg)
    try:
        module = import_module(f"opentelemetry.exporter.otlp.proto.http.{signal}_exporter")
    except ImportError as error:
        package, purpose = "opentelemetry-exporter-otlp-proto-http", "Exporting to OTEL_EXPORTER_OTLP_ENDPOINT"
        raise MissingDependencyError(package, "otlp", purpose) from error
    name = "OTLPSpanExporter" if signal == "trace" else "OTLPMetricExporter"
    return cast(Callable[[], Any], getattr(module, name))()


class TaskmeterInstrumentor:
    """The entry point that `opentelemetry-instrument` finds: hooks only, as that command sets the exporters up."""

    def instrument(self, **options: object) -> None:
        """Called by `opentelemetry-instrument`; `options` are its own and not needed here."""
        del options
        provider = trace.get_tracer_provider()
        if isinstance(provider, TracerProvider):
            _stamp(provider)
        instrument()

    def uninstrument(self, **options: object) -> None:
        """The counterpart of `instrument`."""
        del options
        uninstrument()
