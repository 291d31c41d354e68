"""Faults of ours and of OpenTelemetry, injected one by one: the program and its account go on unharmed."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler

from taskmeter import _guard
from taskmeter.scopes import charge, current_task, people, record_outcome, runs, track_step, track_task, track_tool
from taskmeter.telemetry import leaves, outcomes, processor, providers, spans

Break = Callable[[pytest.MonkeyPatch, Any], object]


class OurError(Exception):
    """What the broken part raises."""


class TheirError(Exception):
    """What the program raises."""


def broken(*args: Any, **kwargs: Any) -> Any:
    raise OurError


def breaks(target: object, name: str) -> Break:
    """Makes a function of ours raise."""
    return lambda patch, backend: patch.setattr(target, name, broken)


class BrokenSampler(Sampler):
    should_sample = broken

    def get_description(self) -> str:
        return "broken"


class BrokenAtStart(SpanProcessor):
    on_start = broken


class BrokenAtEnd(SpanProcessor):
    on_end = broken


def uses(*, sampler: Sampler | None = None, span_processor: SpanProcessor | None = None) -> Break:
    """Puts a tracer provider in use that fails in one place."""

    def apply(patch: pytest.MonkeyPatch, backend: Any) -> None:
        provider = TracerProvider(sampler=sampler)
        if span_processor is not None:
            provider.add_span_processor(span_processor)
        providers.use(provider, backend.meter_provider)

    return apply


def spans_break(*methods: str) -> Break:
    """A tracer whose spans fail in these methods, as another SDK's may."""
    kind = type(
        "BrokenSpan", (trace.NonRecordingSpan,), {"is_recording": lambda self: True} | dict.fromkeys(methods, broken)
    )

    def apply(patch: pytest.MonkeyPatch, backend: Any) -> None:
        tracer = SimpleNamespace(start_span=lambda *args, **kwargs: kind(trace.INVALID_SPAN_CONTEXT))
        patch.setattr(providers, "tracer", lambda: tracer)

    return apply


def instruments_break(patch: pytest.MonkeyPatch, backend: Any) -> None:
    """Every instrument of a real meter fails when it is used."""
    meters = MeterProvider()
    providers.use(backend.tracer_provider, meters)
    for instrument in vars(providers.instruments()).values():
        method = next((each for each in ("add", "record") if hasattr(instrument, each)), None)
        if method is not None:
            patch.setattr(type(instrument), method, broken)


def meter_breaks(patch: pytest.MonkeyPatch, backend: Any) -> None:
    """A meter provider that gives no meter."""
    providers.use(backend.tracer_provider, SimpleNamespace(get_meter=broken))  # type: ignore[arg-type]


def clock_breaks(patch: pytest.MonkeyPatch, backend: Any) -> None:
    patch.setattr(runs, "time", SimpleNamespace(perf_counter=broken))


METERS = {"scopes.task_metrics", "scopes.close", "telemetry.tool_metrics", "telemetry.outcome_metrics"}

FAULTS: list[tuple[Break, set[str]]] = [
    (breaks(runs, "identity_attributes"), {"scopes.open_task", "scopes.open_step", "scopes.open_tool"}),
    (breaks(runs, "rollup_attributes"), {"scopes.task_span", "scopes.step_span"}),
    (breaks(runs, "outcome_of"), {"scopes.close"}),
    (breaks(runs, "known_cost"), {"scopes.task_metrics"}),
    (breaks(leaves, "picture"), {"scopes.leaves"}),
    (clock_breaks, {"scopes.clock"}),
    (breaks(processor, "identity_attributes"), {"telemetry.processor"}),
    (breaks(processor, "current_scope"), {"telemetry.processor"}),
    (breaks(processor.pictures, "span_ended"), {"telemetry.processor_end"}),
    (breaks(providers, "tracer"), {"telemetry.start_span"}),
    (breaks(spans, "Status"), {"telemetry.end_span"}),
    (uses(sampler=BrokenSampler()), {"telemetry.start_span"}),
    (uses(span_processor=BrokenAtStart()), {"telemetry.start_span"}),
    (uses(span_processor=BrokenAtEnd()), {"telemetry.end_span"}),
    (spans_break("set_attributes"), {"telemetry.end_span"}),
    (spans_break("is_recording"), {"telemetry.end_span", "telemetry.outcome"}),
    (spans_break("set_status", "set_attribute"), {"telemetry.end_span"}),
    (spans_break("end"), {"telemetry.end_span"}),
    (instruments_break, {*METERS, "telemetry.spent"}),
    (meter_breaks, {*METERS, "telemetry.spent"}),
    (breaks(outcomes, "remember"), {"scopes.open_task"}),
    (breaks(runs, "tool_price"), {"scopes.tool_price"}),
    (breaks(people, "book"), {"scopes.review"}),
    (breaks(leaves, "emit_charge"), {"scopes.charge", "scopes.review"}),
    (breaks(outcomes, "record_attributes"), {"scopes.record_outcome"}),
    (breaks(outcomes, "Context"), {"telemetry.outcome"}),
    (breaks(runs.ToolUse, "measure"), {"scopes.measure"}),
]

faults = pytest.mark.parametrize(
    ("fault", "places"),
    FAULTS,
    ids=[f"{number}-{'+'.join(sorted(places))}" for number, (_, places) in enumerate(FAULTS)],
)


@track_tool("lookup", cost="4")
def lookup() -> str:
    return "found"


@track_tool("count", cost=lambda found: len(found) - 5)
def count() -> str:
    return "found"


@track_step("part")
def pages() -> Iterator[int]:
    charge("8")
    yield 1
    charge("16")


def program(outer: trace.Tracer) -> tuple[Decimal, Decimal, list[object]]:
    """One of everything; returns what it cost, in and outside its step, and what it saw."""
    seen: list[object] = []
    with track_step("outside"):
        charge("1000")
    with track_task("work", customer="acme") as task:
        seen.append(current_task() is task)
        charge("1")
        outer.start_span("foreign").end()
        with track_step("draft") as step:
            charge("2")
            step.discard()
            seen.append(lookup())
        seen.append(list(pages()))
        count()
        task.review(3, rate=0)
        task.succeed(value="1")
    charge("1000")
    record_outcome(task_id=task.id, status="failed")
    try:
        with track_task("work"), track_tool("lookup"), track_step("draft"):
            raise TheirError
    except TheirError as error:
        seen.append(error.__context__)
    return task.cost.total, step.cost.wasted, seen


@faults
def test_a_fault_changes_nothing_for_the_program(
    fault: Break, places: set[str], backend: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Results, errors, account and context are right; the fault is counted, and logged once per place."""
    monkeypatch.setattr(_guard, "strict", False)
    monkeypatch.setattr(_guard, "faults", Counter())
    tracer = backend.tracer_provider.get_tracer("http")
    before = otel.get_current()
    fault(monkeypatch, backend)
    with caplog.at_level(logging.WARNING):
        assert program(tracer) == (Decimal(31), Decimal(6), [True, "found", [1], None])
    assert otel.get_current() == before
    assert set(_guard.faults) == places
    logged = [record.args[0] for record in caplog.records if "taskmeter failed" in record.getMessage()]  # type: ignore[index]
    assert sorted(map(str, logged)) == sorted(places)


@faults
def test_the_next_program_is_recorded_again(
    fault: Break, places: set[str], backends: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault that passes leaves nothing broken behind."""
    monkeypatch.setattr(_guard, "strict", False)
    backend = backends()
    with monkeypatch.context() as patch:
        fault(patch, backend)
        program(backend.tracer_provider.get_tracer("http"))
    backend = backends()
    monkeypatch.setattr(_guard, "strict", True)
    program(backend.tracer_provider.get_tracer("http"))
    names = Counter(span.name for span in backend.spans)
    assert names["invoke_workflow work"] == names["execute_tool lookup"] == names["step draft"] == 2
    assert sum(backend.values("taskmeter.cost").values()) == 2031.0


def test_without_our_span_others_keep_their_parent(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a task's span cannot start, spans inside it hang where they would without us."""
    monkeypatch.setattr(_guard, "strict", False)
    monkeypatch.setattr(providers, "tracer", broken)
    tracer = backend.tracer_provider.get_tracer("http")
    with tracer.start_as_current_span("request"), track_task("work") as task, tracer.start_as_current_span("query"):
        pass
    assert backend.span("query").parent.span_id == backend.span("request").context.span_id
    assert backend.span("query").attributes["taskmeter.task.id"] == task.id


def test_a_broken_clock_costs_durations_only(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts, costs and spans are all there."""
    monkeypatch.setattr(_guard, "strict", False)
    clock_breaks(monkeypatch, backend)
    with track_task("work"):
        charge("1")
    assert list(backend.values("taskmeter.tasks").values()) == list(backend.values("taskmeter.cost").values()) == [1]
    assert backend.points("gen_ai.invoke_workflow.duration") == []
    assert backend.span("invoke_workflow work").attributes["taskmeter.cost.exact"] == "1"


def test_under_our_own_tests_a_fault_is_raised(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that none goes unnoticed, and still no context is left behind."""
    monkeypatch.setattr(runs, "rollup_attributes", broken)
    with pytest.raises(OurError), track_task("work"):
        pass


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, MemoryError])
def test_stopping_the_program_is_never_swallowed(stop: type[BaseException], backend: Any) -> None:
    """What the program raises to stop itself arrives, through every kind of scope."""
    error = stop()
    with pytest.raises(stop) as caught, track_task("work"), track_step("draft"), track_tool("lookup"):
        raise error
    assert caught.value is error
