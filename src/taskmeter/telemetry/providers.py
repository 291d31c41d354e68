"""Which tracer and meter we write to: the providers `instrument` was given, else OpenTelemetry's global ones."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cache

from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider, NoOpMeter
from opentelemetry.trace import Tracer, TracerProvider

from taskmeter import _semconv as names
from taskmeter._version import __version__
from taskmeter.telemetry import suppression
from taskmeter.telemetry.metrics import Instruments


@dataclass(slots=True)
class _Providers:
    tracer_provider: TracerProvider | None = None
    meter_provider: MeterProvider | None = None
    tracer: Tracer | None = None
    instruments: Instruments | None = field(default=None)


_current = _Providers()
_lock = threading.Lock()
_silent = Instruments(NoOpMeter(names.INSTRUMENTATION_NAME))


def use(tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None) -> None:
    """From now on write to these; `None` means OpenTelemetry's global provider."""
    global _current  # noqa: PLW0603 - one swap, so that a reader sees either the old pair or the new one
    _current = _Providers(tracer_provider, meter_provider)


def in_use() -> tuple[TracerProvider, MeterProvider]:
    """Where our spans and metrics go."""
    current = _current
    return (
        current.tracer_provider or trace.get_tracer_provider(),
        current.meter_provider or metrics.get_meter_provider(),
    )


def tracer() -> Tracer:
    """The tracer for our spans."""
    current = _current
    if current.tracer is None:
        current.tracer = trace.get_tracer(
            names.INSTRUMENTATION_NAME, __version__, current.tracer_provider, names.SCHEMA_URL
        )
    return current.tracer


def instruments() -> Instruments:
    """The metric instruments; where somebody asked for silence, some that measure nothing."""
    return _silent if suppression.silent() else account_instruments()


def account_instruments() -> Instruments:
    """Those for money, which is counted also where no work is to be measured: each dollar is, once."""
    current = _current
    if current.instruments is None:
        with _lock:  # a second set would be refused as a duplicate
            return _instruments_of(current)
    return current.instruments


def _instruments_of(current: _Providers) -> Instruments:
    if current.instruments is None:
        given = current.meter_provider
        current.instruments = _global_instruments() if given is None else _made(given)
    return current.instruments


@cache
def _global_instruments() -> Instruments:
    """Once: until the application sets a provider, OpenTelemetry keeps every meter that was ever asked for."""
    return _made(None)


def _made(provider: MeterProvider | None) -> Instruments:
    return Instruments(metrics.get_meter(names.INSTRUMENTATION_NAME, __version__, provider, names.SCHEMA_URL))
