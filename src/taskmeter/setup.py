"""`configure()`: providers, exporters, spool and hooks in one line, by OpenTelemetry's own environment variables."""

from __future__ import annotations

import atexit
import copy
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, cast
from weakref import WeakSet

import wrapt
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from taskmeter import pricing
from taskmeter._bounds import shown
from taskmeter._config import (
    EXIT_SECONDS,
    ContentCapture,
    Delivery,
    Settings,
    Spool,
    WasteRules,
    checked_rules,
    otlp_from_environment,
    prices_from_environment,
)
from taskmeter.account import Budget, BudgetStore, checked, marks
from taskmeter.capture import finish, instrument, uninstrument
from taskmeter.capture.context import checked_context
from taskmeter.capture.tokens import use_tokenizer
from taskmeter.errors import ConfigurationError
from taskmeter.spool.key import shared_key
from taskmeter.telemetry import durable
from taskmeter.telemetry.baggage import checked_trust
from taskmeter.telemetry.content import checked_content
from taskmeter.telemetry.delivery import Ender, MetricReceipts, within
from taskmeter.telemetry.endings import Endings
from taskmeter.telemetry.otlp import OtlpTarget, otlp_exporter
from taskmeter.telemetry.processor import TaskSpanProcessor
from taskmeter.telemetry.queue import SpanQueue
from taskmeter.telemetry.ways import check_ways, checked_delivery, checked_number, kept, queues


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
        self._spool, self._otlp = spool, otlp
        self._receipts = receipts
        self._exited_process: int | None = None
        ends: list[Callable[[], object]] = []
        if own:
            ends.append(tracer_provider.shutdown)
        if meter_provider is not None:
            ends.append(meter_provider.shutdown)
        self._enders = [Ender(end) for end in ends]
        self._endings = Endings(self._save)
        self._endings.on()
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
            budgets=cast("tuple[Budget, ...] | None", settings.budgets),
            budget_store=cast("BudgetStore | None", settings.budget_store),
            content=settings.content,
        )

    def flush(self, timeout_seconds: float = 10.0) -> bool:
        """Writes and sends what is waiting. Returns whether all that ended since the last flush went out, in time.

        `False` also when the disk is full, or an endpoint refuses, cannot be reached or cannot keep up. What is late
        is still on its way.
        """
        if self.ended:
            return False
        flushed = within(timeout_seconds, *self._flushes(int(timeout_seconds * 1000)))
        return flushed and (self._receipts is None or self._receipts.accepted)

    def shutdown(self) -> None:
        """Takes the hooks off, writes and sends what is waiting, and ends the exporters for good.

        An application's own `TracerProvider` goes on, without the spool. What an endpoint has not taken within
        `exit_seconds` is lost there, not in the spool. At the end of the program this happens by itself.
        """
        if not self.ended:
            self.ended = True
            atexit.unregister(self._exit)
            uninstrument()
            durable.use(None)
            self._end()

    def _exit(self) -> None:
        if self._exited_process == os.getpid():
            return
        self._exited_process = os.getpid()
        finish()
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
            self._save()

    def _save(self) -> None:
        """What waits, before the process ends all at once: to where it is kept, which is not an endpoint if that can
        be helped."""
        if self._spool is not None:
            self._spool.save(self.settings.exit_seconds, while_moving=True)
        elif self._otlp is not None:
            self._otlp.save(self.settings.exit_seconds)

    def _flushes(self, millis: int) -> list[Callable[[], object]]:
        """Our queues also by themselves: a provider asks no further processor after one that failed."""
        flushes: list[Callable[[], object]] = [
            partial(each.force_flush, millis)
            for each in (self._spool, self._otlp, self._tracer_provider)
            if each is not None
        ]
        if self._meter_provider is not None:
            flushes.append(partial(self._meter_provider.force_flush, millis))
        return flushes

    def _end(self) -> None:
        # The spool first: it is quick, and complete even if the program is killed while an endpoint is waited for.
        if self._spool is not None:
            self._spool.shutdown()
        deadline = time.monotonic() + self.settings.exit_seconds
        for ender in self._enders:
            ender.begin()
        for ender in self._enders:
            ender.join(max(0.0, deadline - time.monotonic()))
        if self._otlp is not None:
            self._otlp.give_up()
        self._endings.off()


_lock = threading.Lock()
_setup: Setup | None = None
_stamped: WeakSet[TracerProvider] = WeakSet()


Prices = str | Path | Mapping[str, object] | None
"""A price file or its content; `None` for the one that `TASKMETER_CONFIG` names, else `taskmeter.toml`, if any."""

SpoolChoice = str | Path | Spool | bool | None
"""A directory, how the spool is kept, `False` for no spool, `None` or `True` for the default directory."""


def configure(  # noqa: PLR0913 - each setting is said by name
    *,
    service_name: str | None = None,
    spool: SpoolChoice = None,
    delivery: Delivery | None = None,
    exit_seconds: float = EXIT_SECONDS,
    stream_usage: bool = True,
    tokenizer: str | None = None,
    trust_remote_tasks: bool = False,
    context: bool = True,
    waste: WasteRules | None = None,
    prices: Prices = None,
    budgets: Iterable[Budget] | Budget | None = None,
    budget_store: BudgetStore | None = None,
    content: ContentCapture | None = None,
) -> Setup:
    """Sets everything up; call it once, at the start of the program.

    Finished spans go to the local spool: the directory `spool`, by default `TASKMETER_SPOOL`, else `.taskmeter`;
    a `taskmeter.Spool` also says how it is kept; `False` for none. Where the standard `OTEL_EXPORTER_OTLP_*` variables
    name an endpoint, spans and metrics go there too (needs the extra `otlp`). `delivery` asks for one way: `"both"` for
    these two, `"direct"` for the endpoint alone, `"spool"` for the spool alone, from which `taskmeter ship` delivers;
    metrics go to the endpoint with any of them. The end of the program waits for an endpoint for up to `exit_seconds`.

    `service_name` is for the resource, by default `OTEL_SERVICE_NAME`. `prices` is your
    price file, by default the one that `TASKMETER_CONFIG` names, else `taskmeter.toml` in the working directory, if it
    is there; or the content of one. For `stream_usage`, `tokenizer`,
    `trust_remote_tasks`, `context`, `waste`, `budgets`, `budget_store` and `content` see `instrument`.

    An application that has set a `TracerProvider` of its own keeps it, with its resource: the task processor and the
    spool are added to it, and exporting its spans elsewhere stays its own business. So it is with a `MeterProvider`.
    Calling again with the same settings has no effect.
    Raises `ConfigurationError` for other settings than the first call's, after `Setup.shutdown()`, for a price file
    that is missing or makes no sense, for a delivery that lacks what it needs, and for a protocol or an endpoint
    that cannot be served; `MissingDependencyError` when an exporter's package is missing.
    """
    global _setup  # noqa: PLW0603 - OpenTelemetry's global provider is one per process, and so is this
    if service_name is not None and not _is_text(service_name):
        msg = f"service_name={shown(service_name)} names nothing; pass a name, or leave it out for OTEL_SERVICE_NAME"
        raise ConfigurationError(msg)
    directory, policy = kept(spool, delivery)
    settings = Settings(
        service_name,
        directory,
        policy,
        checked_delivery(delivery),
        checked_number("exit_seconds", exit_seconds),
        stream_usage=stream_usage,
        tokenizer=tokenizer,
        trust_remote_tasks=checked_trust(trust_remote_tasks),
        context=checked_context(context),
        waste=checked_rules(waste),
        prices=_prices(prices),
        budgets=checked(budgets, budget_store),
        budget_store=budget_store,
        content=checked_content(content),
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
            differing = _other(_setup.settings, settings)
            msg = f"configure() was called before with other settings: {differing}; call it once per process"
            raise ConfigurationError(msg)
        else:
            _setup.hook()  # again, if `uninstrument()` was called since
        return _setup


def current_setup() -> Setup | None:
    """What `configure()` put in place, if it was called."""
    return _setup


def _other(before: Settings, now: Settings) -> str:
    """Which settings differ, and how."""
    values = ((each.name, getattr(before, each.name), getattr(now, each.name)) for each in fields(Settings))
    return ", ".join(f"{name} was {shown(old)}, is {shown(new)}" for name, old, new in values if old != new)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _prices(prices: Prices) -> Path | Mapping[str, object] | None:
    if prices is None:
        return prices_from_environment()
    if isinstance(prices, Mapping):
        return copy.deepcopy(dict(prices))  # the caller's own may change
    if not _is_text(prices) and not isinstance(prices, Path):
        msg = f"prices={shown(prices)} is neither a path nor a mapping; pass the path of a price file, or its content"
        raise ConfigurationError(msg)
    return Path(prices)


def _set_up(settings: Settings) -> Setup:
    existing, environment = trace.get_tracer_provider(), otlp_from_environment()
    own = not isinstance(existing, TracerProvider)
    own_meters = not isinstance(metrics.get_meter_provider(), MeterProvider)
    # First whatever can be refused, so that a refusal leaves nothing behind.
    check_ways(settings, environment, own=own)
    direct = own and environment.traces is not None and settings.delivery != "spool"
    target = OtlpTarget(environment.traces) if direct and environment.traces is not None else None
    metric_exporter = otlp_exporter("metric", environment.metrics) if own_meters and environment.metrics else None

    resource = Resource.create({} if settings.service_name is None else {"service.name": settings.service_name})
    # `Setup` ends them at exit, in bounded time; the providers' own handlers take up to 30 s each.
    tracer_provider = (
        existing if isinstance(existing, TracerProvider) else TracerProvider(resource=resource, shutdown_on_exit=False)
    )
    _stamp(tracer_provider)
    if settings.spool is not None and settings.context and (key := shared_key(settings.spool)) is not None:
        marks.use_key(key)
    spool, otlp = queues(settings, target)
    for queue in (spool, otlp):
        if queue is not None:
            tracer_provider.add_span_processor(queue)
    if spool is not None:
        durable.use(spool, tracer_provider.resource)
    if own:
        trace.set_tracer_provider(tracer_provider)
    receipts = meter_provider = None
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
