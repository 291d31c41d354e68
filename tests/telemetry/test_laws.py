"""Random programs of tasks, steps, tool runs and charges: every way to add up what they cost gives the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from taskmeter.records import Cost
from taskmeter.scopes import Step, Task, ToolRun, charge, track_step, track_task, track_tool
from taskmeter.telemetry import providers

CENT = Decimal(1) / 64
"""Amounts are multiples of this, so that the metrics' doubles are exact too."""


@dataclass(frozen=True)
class Do:
    """Part of a program."""

    what: str  # task, step, tool, charge
    amount: Decimal = Decimal(0)
    end: str = ""  # of a task: fail, raise, abandon; of a step: discard, discard first
    body: tuple[Do, ...] = ()


AMOUNTS = st.integers(0, 10**6).map(lambda count: count * CENT)
LEAVES = st.builds(Do, st.sampled_from(["tool", "charge"]), AMOUNTS)


def blocks(children: st.SearchStrategy[Do]) -> st.SearchStrategy[Do]:
    bodies = st.lists(children, max_size=4).map(tuple)
    tasks = st.builds(Do, st.just("task"), end=st.sampled_from(["", "", "fail", "raise", "abandon"]), body=bodies)
    steps = st.builds(Do, st.just("step"), end=st.sampled_from(["", "", "discard", "discard first"]), body=bodies)
    return tasks | steps


PROGRAMS = st.lists(st.recursive(LEAVES, blocks, max_leaves=25), max_size=4).map(tuple)


def run(program: tuple[Do, ...]) -> list[Task | Step | ToolRun]:
    """Runs it; returns the handles of its outermost scopes."""
    handles: list[Task | Step | ToolRun] = []
    for part in program:
        if part.what == "charge":
            charge(part.amount, item="bought")
        elif part.what == "tool":
            with track_tool("used", cost=part.amount):
                pass
        else:
            handles.append(run_block(part))
    return handles


def run_block(part: Do) -> Task | Step:
    opener: Any = track_task("work") if part.what == "task" else track_step("part")
    handle: Any = None
    try:
        with opener as handle:
            if part.end == "discard first":
                handle.discard()
            run(part.body)
            end = {"fail": "fail", "abandon": "abandon", "discard": "discard"}.get(part.end)
            if end is not None:
                getattr(handle, end)()
            if part.end == "raise":
                raise LookupError
    except LookupError:
        assert part.end == "raise"
    return handle


def leaves(program: tuple[Do, ...], *, wasted: bool = False, doomed: bool = False) -> Iterator[tuple[Decimal, bool]]:
    """Every amount spent, and whether its own task knew it for waste when it ended. `doomed`: the branch is."""
    for part in program:
        if part.what == "task":
            yield from leaves(part.body, wasted=doomed or part.end != "", doomed=doomed)
        elif part.what == "step":
            first = doomed or part.end == "discard first"
            yield from leaves(part.body, wasted=wasted or first or part.end == "discard", doomed=first)
        else:
            yield part.amount, wasted


@given(PROGRAMS)
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_roll_up_is_the_sum_of_the_leaves(backends: Any, program: tuple[Do, ...]) -> None:
    """To the last digit: each span's exact total is the sum of the exact leaves below it, and each leaf counts once."""
    backend = backends()
    run(program)
    spans = {span.context.span_id: span for span in backend.spans}
    below: dict[int, Decimal] = defaultdict(Decimal)
    spent = Decimal(0)
    for span in spans.values():
        if span.attributes["taskmeter.span.kind"] in {"tool", "charge"}:
            amount = Decimal(span.attributes["taskmeter.cost.exact"])
            spent += amount
            around = span.parent
            while around is not None:
                below[around.span_id] += amount
                around = spans[around.span_id].parent
    rollups = [span for span in spans.values() if span.attributes["taskmeter.span.kind"] in {"task", "step"}]
    for span in rollups:
        assert Decimal(span.attributes["taskmeter.cost.exact"]) == below[span.context.span_id]
    tasks = [span for span in rollups if span.attributes["taskmeter.span.kind"] == "task"]
    own = sum((Decimal(span.attributes["taskmeter.cost.self.exact"]) for span in tasks), Decimal(0))
    outside = sum((amount for amount, _ in outside_tasks(program)), Decimal(0))
    assert own + outside == spent == sum((amount for amount, _ in leaves(program)), Decimal(0))


def outside_tasks(program: tuple[Do, ...]) -> Iterator[tuple[Decimal, bool]]:
    """What is spent outside any task."""
    for part in program:
        if part.what == "step":
            yield from outside_tasks(part.body)
        elif part.what != "task":
            yield part.amount, False


@given(PROGRAMS)
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_cost_metric_counts_each_amount_once(backends: Any, program: tuple[Do, ...]) -> None:
    """In all, wasted and not, in and outside tasks: what the metric counted is what was spent."""
    backend = backends()
    run(program)
    counted: dict[bool, Decimal] = {True: Decimal(0), False: Decimal(0)}
    named = Decimal(0)
    for attributes, value in backend.values("taskmeter.cost").items():
        counted[dict(attributes)["taskmeter.cost.wasted"]] += Decimal(value)
        named += Decimal(value) if dict(attributes).get("taskmeter.task.name") == "work" else 0
    spent = list(leaves(program))
    assert counted[True] == sum((amount for amount, wasted in spent if wasted), Decimal(0))
    assert counted[False] == sum((amount for amount, wasted in spent if not wasted), Decimal(0))
    assert named == sum(counted.values()) - sum((amount for amount, _ in outside_tasks(program)), Decimal(0))


@given(PROGRAMS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_figures_do_not_depend_on_spans(backends: Any, program: tuple[Do, ...]) -> None:
    """The same with all traces, with none of them sampled, and with no provider at all; so are the metrics."""

    def figures() -> list[Cost]:
        return [handle.cost for handle in run(program) if isinstance(handle, Task | Step)]

    backend = backends()
    expected, metrics = figures(), backend.values("taskmeter.cost")
    unsampled = backends(sampler=ALWAYS_OFF)
    assert figures() == expected
    assert unsampled.spans == []
    assert unsampled.values("taskmeter.cost") == metrics
    providers.use(trace.NoOpTracerProvider(), None)
    assert figures() == expected


def test_the_model_of_waste_is_that_of_the_roll_up(backend: Any) -> None:
    """A root task's wasted amount holds what its discarded steps and its failed nested tasks cost."""
    program = (
        Do("charge", CENT),
        Do("step", end="discard", body=(Do("charge", 2 * CENT), Do("task", body=(Do("charge", 4 * CENT),)))),
        Do("task", end="raise", body=(Do("tool", 8 * CENT),)),
    )
    (task,) = run((Do("task", body=program),))
    assert isinstance(task, Task)
    assert (task.cost.total, task.cost.wasted) == (15 * CENT, 14 * CENT)
    (failed,) = run((replace(Do("task", body=program), end="fail"),))
    assert isinstance(failed, Task)
    assert failed.cost.wasted == failed.cost.total == 15 * CENT


@pytest.mark.parametrize("sampler", [None, ALWAYS_OFF])
def test_without_a_provider_remote_parents_still_pass_through(sampler: Any, backends: Any) -> None:
    """A scope that cannot record keeps the trace of the request it is part of."""
    parent = trace.SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=trace.TraceFlags(1))
    providers.use(trace.NoOpTracerProvider(), None) if sampler is None else backends(sampler=sampler)
    with trace.use_span(trace.NonRecordingSpan(parent)), track_task("work"), track_step("part"):
        assert trace.get_current_span().get_span_context().trace_id == 0xABC
