"""What the application brings along may fail as well: its telemetry, its clock, the callables it gives us."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import time
import typing
from collections.abc import Callable
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import context as otel
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler

import taskmeter
from taskmeter import _guard, instrument, uninstrument
from taskmeter.demo.stub import Error, Sse, anthropic_message, openai_chat, openai_chat_stream
from tests.capture import programs as p
from tests.capture.harness import CLAUDE, GPT, Meter, Program, run_bare, run_metered

CHAT = openai_chat(GPT)
RETRY = Error(429, retry_after=0.01)
PROGRAMS: list[tuple[Program, tuple[Any, ...]]] = [
    (p.chat, (RETRY, CHAT)),
    (p.chat_async, (RETRY, CHAT)),
    (p.chat, (Error(400),)),
    (p.chat_stream, (CHAT,)),
    (p.chat_stream_async, (CHAT,)),
    (p.chat_stream_closed, (CHAT,)),
    (p.chat_stream, (Sse(openai_chat_stream(CHAT), cut_after=2),)),
    (p.message, (anthropic_message(CLAUDE),)),
]


class SurroundingError(Exception):
    """What fails."""


def broken(*_: Any, **__: Any) -> Any:
    raise SurroundingError


class BrokenSampler(Sampler):
    should_sample = broken
    get_description = broken


class BrokenIds(RandomIdGenerator):
    generate_span_id = broken
    generate_trace_id = broken


def processor(**methods: Any) -> SpanProcessor:
    return type("BrokenProcessor", (SpanProcessor,), methods)()


def exporter() -> SpanExporter:
    return type("BrokenExporter", (SpanExporter,), {"export": broken, "shutdown": lambda self: None})()


class BrokenMetricExporter(MetricExporter):
    export = broken
    force_flush = broken

    def shutdown(self, timeout_millis: float = 0, **kwargs: Any) -> None:
        pass


def tracers(span_processor: SpanProcessor | None = None, **options: Any) -> Callable[[], dict[str, Any]]:
    def make() -> dict[str, Any]:
        provider = TracerProvider(shutdown_on_exit=False, **options)
        if span_processor is not None:
            provider.add_span_processor(span_processor)
        return {"tracer_provider": provider}

    return make


def meters(*readers: Any) -> Callable[[], dict[str, Any]]:
    return lambda: {"meter_provider": MeterProvider([make() for make in readers], shutdown_on_exit=False)}


def instruments_break() -> dict[str, Any]:
    meter = SimpleNamespace(
        create_counter=lambda *_, **__: SimpleNamespace(add=broken),
        create_histogram=lambda *_, **__: SimpleNamespace(record=broken),
        create_observable_counter=lambda *_, **__: None,
        create_observable_gauge=lambda *_, **__: None,
    )
    return {"meter_provider": SimpleNamespace(get_meter=lambda *_, **__: meter)}


PROVIDERS: dict[str, Callable[[], dict[str, Any]]] = {
    "processor, at start": tracers(processor(on_start=broken)),
    "processor, at ending": tracers(processor(_on_ending=broken)),
    "processor, at end": tracers(processor(on_end=broken)),
    "sampler": tracers(sampler=BrokenSampler()),
    "sampler that drops all": tracers(sampler=ALWAYS_OFF),
    "exporter": tracers(SimpleSpanProcessor(exporter())),
    "id generator": tracers(id_generator=BrokenIds()),
    "tracer provider": lambda: {"tracer_provider": SimpleNamespace(get_tracer=broken)},
    "tracer": lambda: {"tracer_provider": SimpleNamespace(get_tracer=lambda *_: SimpleNamespace(start_span=broken))},
    "metric exporter": meters(lambda: PeriodicExportingMetricReader(BrokenMetricExporter())),
    "meter provider": lambda: {"meter_provider": SimpleNamespace(get_meter=broken)},
    "meter": lambda: {"meter_provider": SimpleNamespace(get_meter=lambda *_, **__: SimpleNamespace())},
    "instruments": instruments_break,
}


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_guard, "strict", False)
    monkeypatch.setattr("taskmeter._guard.log.disabled", True)


@functools.cache
def bare_run(number: int) -> Any:
    return run_bare(*PROGRAMS[number])


def same(meter: Meter, *, calls: bool = True) -> None:
    """Every program sees what it sees bare, in the context it had; and its call is counted."""
    before = otel.get_current()
    for number, (program, replies) in enumerate(PROGRAMS):
        run = run_metered(program, replies, meter)
        assert (run.seen, run.bodies) == bare_run(number)
        assert run.task.calls == 1 or not calls
        assert otel.get_current() == before


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_telemetry_that_fails(name: str) -> None:
    """Programs run as ever, and the account, which is no telemetry, is whole."""
    meter = Meter()
    instrument(**PROVIDERS[name]())
    try:
        same(meter)
    finally:
        uninstrument()
        meter.close()


def clocks(**functions: Any) -> SimpleNamespace:
    return SimpleNamespace(**{**vars(time), **functions})


BACKWARDS = count(2_000_000_000_000_000_000, -1_000_000_000)
CLOCKS = {
    "raises": (clocks(time_ns=broken, perf_counter=broken), False),
    "goes back": (clocks(time_ns=lambda: next(BACKWARDS), perf_counter=lambda: next(BACKWARDS) / 1e9), True),
    "stands still": (clocks(time_ns=lambda: 0, perf_counter=lambda: 0.0), True),
}


@pytest.mark.parametrize("name", CLOCKS)
def test_clock_that_fails(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every module of ours that reads it. Without any clock calls cannot be pictured, but they go through."""
    clock, counted = CLOCKS[name]
    meter = Meter()
    meter.instrument()
    ours = [
        module for room, module in list(sys.modules.items()) if room.startswith("taskmeter.") and "demo" not in room
    ]
    readers = [module for module in ours if getattr(module, "time", None) is time]
    assert len(readers) > 5
    for module in readers:
        if not module.__name__.endswith(("open_calls", "delivery", "setup")):  # waiting with a deadline, at the end
            monkeypatch.setattr(module, "time", clock)
    try:
        same(meter, calls=counted)
    finally:
        monkeypatch.undo()
        meter.close()


@pytest.mark.parametrize(
    "clock", [broken, lambda: "no time", lambda: -1, lambda: 1 << 63, lambda _: 0], ids=lambda clock: clock.__name__
)
def test_clock_of_the_applications_own_that_fails(clock: Any) -> None:
    """Calls are made, counted and pictured as ever. What they cost is unknown, not that of another day, and not 0."""
    meter = Meter()
    meter.instrument(clock=clock)
    try:
        same(meter)
        run = run_metered(*PROGRAMS[0], meter)
    finally:
        meter.close()
    assert (run.task.calls, run.task.unpriced_calls, run.task.usage.input_tokens) == (1, 1, 120)
    assert (meter.spans("call")[-1].attributes or {})["taskmeter.cost.status"] == "unpriced"
    assert set(_guard.faults) == {"capture.clock"}


def callables() -> list[tuple[str, str]]:
    """Every named parameter of the public functions that takes a callable of the application's."""
    return sorted(
        {
            (name, parameter.name)
            for name in taskmeter.__all__
            if inspect.isfunction(function := getattr(taskmeter, name))
            for overload in (*typing.get_overloads(function), function)
            for parameter in inspect.signature(overload).parameters.values()
            if parameter.kind is parameter.KEYWORD_ONLY
            and "Callable" in str(_meant(parameter.annotation, inspect.unwrap(overload)))
        }
    )


def _meant(annotation: Any, function: Any) -> Any:
    return eval(annotation, function.__globals__) if isinstance(annotation, str) else annotation  # noqa: S307 - ours


async def work_async(value: int) -> int:
    return value


def work_pieces(value: int) -> Any:
    yield value


CLOCK = ("instrument", "clock")
"""It is shown above: all others are given to decorators."""
BUDGET = ("track_task", "budget")
"""Without the budget that it would give, the work is not to run: its error is the application's, and is raised."""
AFTER = {("track_tool", "cost"), ("track_tool", "quantity")}
"""What is asked about the result, once there is one."""


@pytest.mark.parametrize(("function", "parameter"), [each for each in callables() if each not in (CLOCK, BUDGET)])
def test_callable_that_fails(function: str, parameter: str) -> None:
    """Or does not fit the arguments: the decorated function runs, with the same results and exceptions."""
    after = (function, parameter) in AFTER
    for failing in (broken, lambda: "takes nothing", lambda *_: object.__new__(Unprintable)):
        track = getattr(taskmeter, function)("work", **{parameter: failing})
        assert track(abs)(-3) == 3
        assert asyncio.run(track(work_async)(3)) == 3
        assert list(track(work_pieces)(3)) == [3]
        with pytest.raises(ZeroDivisionError) as caught:
            track(divmod)(1, 0)
        assert caught.value.__context__ is None
    place, asked = ("scopes.measure", 3) if after else (f"scopes.{parameter}", 4)
    assert _guard.faults == {place: 3 * asked}


class Unprintable:
    def __str__(self) -> str:
        raise SurroundingError


def test_callables_are_found() -> None:
    """The list above is not empty by mistake."""
    assert {("track_task", "key"), ("track_task", "customer"), ("track_tool", "call_id"), CLOCK, BUDGET, *AFTER} <= set(
        callables()
    )
