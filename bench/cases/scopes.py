"""What a task, a step and a tool run cost by themselves, with a real provider behind them."""

from __future__ import annotations

from collections.abc import Iterator

import taskmeter
from bench.harness import Plan, Result, measure
from bench.wire import instrumented
from taskmeter import track_step, track_task, track_tool


@track_task("bench")
def task() -> None:
    """An empty task."""


@track_step("bench")
def step() -> None:
    """An empty step."""


@track_tool("bench", cost="0.002")
def tool() -> None:
    """An empty tool run that is paid for."""


def charge() -> None:
    """A charge."""
    taskmeter.charge("0.0004", category="retrieval", item="index")


def run(plan: Plan) -> Iterator[Result]:
    """Each by itself, and without a provider."""
    yield measure("task, no provider", task, plan)
    with instrumented():
        yield measure("task", task, plan)
        with track_task("outer"):
            yield measure("step", step, plan)
            yield measure("tool run", tool, plan)
            yield measure("charge", charge, plan)
