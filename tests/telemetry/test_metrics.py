"""The metrics, as a real reader collects them."""

from __future__ import annotations

import contextvars
import threading
import time
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from taskmeter.account import Entry
from taskmeter.records import Charge, WasteClass
from taskmeter.scopes import charge, track_step, track_task, track_tool
from taskmeter.telemetry.booking import book
from taskmeter.telemetry.context import current_scope


def call(amount: str, model: str = "gpt-x", *, waste: WasteClass | None = None) -> Entry:
    """What a priced call books."""
    cost = Decimal(amount)
    line = Charge("model", model, "input", Decimal(1), "token", cost, cost, cost)
    return Entry(charges=(line,), calls=1, attempts=1, waste=waste)


def spent(name: str | None, category: str, waste: str | None, model: str | None = None) -> frozenset[tuple[str, Any]]:
    attributes: dict[str, Any] = {"taskmeter.cost.category": category, "taskmeter.cost.wasted": waste is not None}
    if waste is not None:
        attributes["taskmeter.waste.class"] = waste
    if name is not None:
        attributes["taskmeter.task.name"] = name
    if model is not None:
        attributes["gen_ai.response.model"] = model
    return frozenset(attributes.items())


def test_cost_is_counted_by_task_category_model_and_waste(backend: Any) -> None:
    """Only low-cardinality attributes: no ids, keys, customers, items or labels."""
    with track_task("resolve", key="T-1", customer="acme", labels={"tier": "gold"}):
        book(current_scope(), call("1"))
        book(current_scope(), call("2", "claude-y"))
        book(current_scope(), call("4", waste="failed_call"))
        with track_step("draft") as step:
            book(current_scope(), call("8"))
            charge("16", category="retrieval", item="pinecone")
            step.discard()
        charge("32", category="human", item="anna")
        charge("64", category="human", item="bert")
    assert backend.values("taskmeter.cost") == {
        spent("resolve", "model", None, "gpt-x"): 1.0,
        spent("resolve", "model", None, "claude-y"): 2.0,
        spent("resolve", "model", "failed_call", "gpt-x"): 4.0,
        spent("resolve", "model", "discarded_step", "gpt-x"): 8.0,
        spent("resolve", "retrieval", "discarded_step"): 16.0,
        spent("resolve", "human", None): 96.0,
    }


def test_a_failed_task_is_all_waste(backend: Any) -> None:
    """Its nested task, which succeeded, counts its own as it saw it."""
    with track_task("resolve") as task:
        charge("1")
        with track_task("ask"):
            charge("2")
        task.fail()
    assert backend.values("taskmeter.cost") == {
        spent("resolve", "other", "failed_task"): 1.0,
        spent("ask", "other", None): 2.0,
    }


@pytest.mark.parametrize("failed", [False, True])
def test_a_late_charge_is_counted_at_once_and_as_what_it_is(failed: bool, backend: Any) -> None:
    """After the end of its task; it is waste if the task failed."""
    with track_task("resolve") as task:
        background = contextvars.copy_context()
        charge("1")
        if failed:
            task.fail()
    background.run(charge, "2")
    assert backend.values("taskmeter.cost") == {spent("resolve", "other", "failed_task" if failed else None): 3.0}
    assert task.cost.wasted == (Decimal(3) if failed else Decimal(0))


def test_spending_outside_any_task_is_counted_without_a_name(backend: Any) -> None:
    """Alone, or in a step."""
    charge("1")
    book(None, call("2", waste="failed_call"))
    with track_step("draft") as step:
        charge("4")
        with track_step("inner"):
            charge("8")
        step.discard()
    assert backend.values("taskmeter.cost") == {
        spent(None, "other", None): 1.0,
        spent(None, "model", "failed_call", "gpt-x"): 2.0,
        spent(None, "other", "discarded_step"): 12.0,
    }


def test_tasks_are_counted_by_outcome(backend: Any) -> None:
    """One count, one cost and one duration per task, nested ones as well."""
    for outcome in ("succeed", "fail", "fail"):
        with track_task("resolve") as task:
            charge("0.25")
            getattr(task, outcome)()
    with track_task("ask"):
        time.sleep(0.01)

    def ended(name: str, outcome: str) -> frozenset[tuple[str, str]]:
        return frozenset({"taskmeter.task.name": name, "taskmeter.task.outcome": outcome}.items())

    assert backend.values("taskmeter.tasks") == {
        ended("resolve", "succeeded"): 1,
        ended("resolve", "failed"): 2,
        ended("ask", "succeeded"): 1,
    }
    assert backend.values("taskmeter.task.cost") == {
        ended("resolve", "succeeded"): 0.25,
        ended("resolve", "failed"): 0.5,
        ended("ask", "succeeded"): 0.0,
    }
    durations = {
        (point.attributes["gen_ai.workflow.name"], point.attributes["taskmeter.task.outcome"]): point
        for point in backend.points("gen_ai.invoke_workflow.duration")
    }
    assert {key: point.count for key, point in durations.items()} == {
        ("resolve", "succeeded"): 1,
        ("resolve", "failed"): 2,
        ("ask", "succeeded"): 1,
    }
    assert 0.01 <= durations["ask", "succeeded"].sum < 5


def test_tool_runs_are_timed(backend: Any) -> None:
    """By tool, and by type of error where one left it."""
    with track_tool("crm.lookup"):
        time.sleep(0.01)
    with pytest.raises(LookupError), track_tool("crm.lookup"):
        raise LookupError
    points = {point.attributes.get("error.type"): point for point in backend.points("gen_ai.execute_tool.duration")}
    assert {key: point.count for key, point in points.items()} == {None: 1, "LookupError": 1}
    assert dict(points[None].attributes) == {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "crm.lookup"}
    assert 0.01 <= points[None].sum < 5


def test_metrics_are_complete_without_traces(backends: Any) -> None:
    """A trace that is sampled out is counted all the same."""
    backend = backends(sampler=ALWAYS_OFF)
    with track_task("resolve"):
        charge("1")
    assert backend.spans == []
    assert backend.values("taskmeter.cost") == {spent("resolve", "other", None): 1.0}
    assert list(backend.values("taskmeter.tasks").values()) == [1]


def test_sixteen_threads_start_with_the_same_instruments(backend: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The first use of a meter may come from many threads at once: nothing is lost, nothing is logged."""
    start = threading.Barrier(16)

    def work() -> None:
        start.wait()
        for _ in range(100):
            with track_task("resolve"):
                charge("0.25")

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert backend.values("taskmeter.cost") == {spent("resolve", "other", None): 400.0}
    assert list(backend.values("taskmeter.tasks").values()) == [1600]
    assert caplog.records == []
