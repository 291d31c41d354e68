"""The spans of tasks, steps, tool runs and charges, as a backend gets them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context

from taskmeter.account import Entry, Ledger, Scope, TaskIdentity
from taskmeter.records import Usage
from taskmeter.scopes import Task, charge, track_step, track_task, track_tool
from taskmeter.telemetry.attributes import exact
from taskmeter.telemetry.booking import book
from taskmeter.telemetry.context import current_scope

ROLLUP = {
    "taskmeter.cost.total": 4.75,
    "taskmeter.cost.list": 4.75,
    "taskmeter.cost.contracted": 4.75,
    "taskmeter.cost.wasted": 0.0,
    "taskmeter.cost.estimated": 0.25,
    "taskmeter.cost.currency": "USD",
    "taskmeter.cost.exact": "4.75",
    "taskmeter.cost.wasted.exact": "0",
    "taskmeter.cost.model": 0.0,
    "taskmeter.cost.tools": 0.5,
    "taskmeter.cost.retrieval": 0.25,
    "taskmeter.cost.human": 0.0,
    "taskmeter.cost.other": 4.0,
    "taskmeter.usage.input_tokens": 14,
    "taskmeter.usage.cache_read_tokens": 4,
    "taskmeter.usage.cache_write_tokens": 0,
    "taskmeter.usage.output_tokens": 3,
    "taskmeter.usage.reasoning_tokens": 1,
    "taskmeter.calls": 1,
    "taskmeter.attempts": 3,
    "taskmeter.retries": 2,
    "taskmeter.retry_seconds": 1.5,
    "taskmeter.exposed_attempts": 1,
    "taskmeter.tool_runs": 1,
    "taskmeter.unpriced_calls": 0,
}
CALL = Entry(
    usage=Usage({"input": 10, "cache_read": 4, "output": 2, "reasoning": 1}),
    calls=1,
    attempts=3,
    exposed_attempts=1,
    retry_ns=1_500_000_000,
)


@track_tool("crm.lookup", cost="0.50", call_id="call_1")
def lookup() -> None:
    """Costs half a dollar."""


def resolve() -> tuple[Task, Task]:
    """A task with one of everything, and a nested task."""
    with track_task("resolve", key="T-1", customer="acme", labels={"tier": "gold"}) as task:
        with track_step("draft"):
            lookup()
            charge("0.25", category="retrieval", item="pinecone", quantity=3, unit="query", estimated=True)
            book(current_scope(), CALL)
        with track_task("ask") as nested:
            charge("4")
        task.succeed(value="12.50", reason="paid")
    return task, nested


def test_a_task_span_says_what_the_design_says(backend: Any) -> None:
    """Name, kind, identity, outcome and roll-up: amounts are doubles, counts are ints, nothing else is there."""
    task, _ = resolve()
    span = backend.span("invoke_workflow resolve")
    assert span.kind is trace.SpanKind.INTERNAL
    assert span.parent is None
    assert dict(span.attributes) == ROLLUP | {
        "taskmeter.span.kind": "task",
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "resolve",
        "gen_ai.agent.name": "resolve",
        "taskmeter.task.id": task.id,
        "taskmeter.task.name": "resolve",
        "taskmeter.task.key": "T-1",
        "taskmeter.customer": "acme",
        "taskmeter.label.tier": "gold",
        "taskmeter.cost.self": 0.75,
        "taskmeter.cost.self.exact": "0.75",
        "taskmeter.task.outcome": "succeeded",
        "taskmeter.task.outcome.reason": "paid",
        "taskmeter.task.value": 12.5,
    }
    assert_types(span)


def test_a_nested_task_has_its_own_identity(backend: Any) -> None:
    """It names its parent and has that one's customer, not its key or labels."""
    task, nested = resolve()
    attributes = backend.span("invoke_workflow ask").attributes
    assert attributes["taskmeter.task.id"] == nested.id != task.id
    assert attributes["taskmeter.task.parent.id"] == task.id
    assert attributes["taskmeter.customer"] == "acme"
    assert not {"taskmeter.task.key", "taskmeter.label.tier"} & set(attributes)
    assert attributes["taskmeter.cost.exact"] == attributes["taskmeter.cost.self.exact"] == "4"


def test_a_nested_task_may_be_for_another_customer(backend: Any) -> None:
    """Its own customer wins over the outer task's."""
    with track_task("resolve", customer="acme"), track_task("ask", customer="globex"):
        pass
    assert backend.span("invoke_workflow ask").attributes["taskmeter.customer"] == "globex"


def test_a_step_span_says_what_the_design_says(backend: Any) -> None:
    """Its roll-up, its task's identity, and whether it was discarded."""
    task, _ = resolve()
    span = backend.span("step draft")
    assert span.kind is trace.SpanKind.INTERNAL
    assert dict(span.attributes) == ROLLUP | {
        "taskmeter.span.kind": "step",
        "taskmeter.step.name": "draft",
        "taskmeter.step.discarded": False,
        "taskmeter.task.id": task.id,
        "taskmeter.task.name": "resolve",
        "taskmeter.task.key": "T-1",
        "taskmeter.customer": "acme",
        "taskmeter.cost.total": 0.75,
        "taskmeter.cost.list": 0.75,
        "taskmeter.cost.contracted": 0.75,
        "taskmeter.cost.exact": "0.75",
        "taskmeter.cost.self": 0.75,
        "taskmeter.cost.other": 0.0,
    }
    assert_types(span)


def test_a_tool_span_says_what_the_design_says(backend: Any) -> None:
    """The convention's names, and what the run cost."""
    task, _ = resolve()
    span = backend.span("execute_tool crm.lookup")
    assert span.kind is trace.SpanKind.INTERNAL
    assert dict(span.attributes) == {
        "taskmeter.span.kind": "tool",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "crm.lookup",
        "gen_ai.tool.call.id": "call_1",
        "taskmeter.task.id": task.id,
        "taskmeter.task.name": "resolve",
        "taskmeter.task.key": "T-1",
        "taskmeter.customer": "acme",
        "taskmeter.cost.amount": 0.5,
        "taskmeter.cost.exact": "0.5",
        "taskmeter.cost.currency": "USD",
        "taskmeter.cost.status": "exact",
        "taskmeter.charge.category": "tools",
        "taskmeter.charge.item": "crm.lookup",
        "taskmeter.charge.quantity": 1.0,
        "taskmeter.charge.unit": "run",
    }
    assert_types(span)


def test_a_charge_span_says_what_was_bought(backend: Any) -> None:
    """The application's own charge is a leaf span, marked as an estimate if it is one."""
    task, _ = resolve()
    span = backend.span("charge pinecone")
    assert dict(span.attributes) == {
        "taskmeter.span.kind": "charge",
        "taskmeter.task.id": task.id,
        "taskmeter.task.name": "resolve",
        "taskmeter.task.key": "T-1",
        "taskmeter.customer": "acme",
        "taskmeter.cost.amount": 0.25,
        "taskmeter.cost.exact": "0.25",
        "taskmeter.cost.currency": "USD",
        "taskmeter.cost.status": "estimated",
        "taskmeter.charge.category": "retrieval",
        "taskmeter.charge.item": "pinecone",
        "taskmeter.charge.quantity": 3.0,
        "taskmeter.charge.unit": "query",
    }
    assert_types(span)


def assert_types(span: Any) -> None:
    """Amounts are doubles, counts ints, also where the value is a whole number."""
    for name, value in span.attributes.items():
        if name.endswith((".exact", ".currency", ".status")):
            assert type(value) is str
        elif name.startswith("taskmeter.cost.") or name in {"taskmeter.task.value", "taskmeter.charge.quantity"}:
            assert type(value) is float
        elif name.endswith(("tokens", "calls", "attempts", "retries", "tool_runs")):
            assert type(value) is int


def test_each_span_is_a_child_of_the_scope_it_ran_in(backend: Any) -> None:
    """One trace: task, in it step and nested task, in these tool run and charges."""
    resolve()
    parents = {
        "step draft": "invoke_workflow resolve",
        "execute_tool crm.lookup": "step draft",
        "charge pinecone": "step draft",
        "invoke_workflow ask": "invoke_workflow resolve",
        "charge other": "invoke_workflow ask",
    }
    for child, parent in parents.items():
        assert backend.span(child).parent.span_id == backend.span(parent).context.span_id
    assert len({span.context.trace_id for span in backend.spans}) == 1


def test_a_tool_run_without_a_price_has_no_cost(backend: Any) -> None:
    """Unknown is not zero."""
    with track_tool("crm.lookup"):
        pass
    assert not [name for name in backend.span("execute_tool crm.lookup").attributes if "cost" in name]


@pytest.mark.parametrize("raises", [False, True])
def test_a_tool_run_is_booked_when_it_ends(raises: bool, backend: Any) -> None:
    """Also when it fails: it was run. What it does inside belongs to the scope around it."""

    @track_tool("crm.lookup", cost="0.50")
    def fetch() -> None:
        charge("0.25")
        if raises:
            raise LookupError

    with track_task("resolve") as task:
        try:
            fetch()
        except LookupError:
            assert raises
    assert (task.cost.total, task.tool_runs) == (Decimal("0.75"), 1)
    assert backend.span("execute_tool crm.lookup").attributes.get("error.type") == ("LookupError" if raises else None)


def test_a_task_whose_calls_have_no_price_exports_no_cost(backend: Any) -> None:
    """Not `0.0`: the counts are there, the amounts are not, on span and metric alike."""
    with track_task("resolve") as task, track_step("draft"):
        book(current_scope(), Entry(calls=1, attempts=1, unpriced_calls=1))
    assert (task.unpriced_calls, task.cost.total) == (1, Decimal(0))
    for name in ("invoke_workflow resolve", "step draft"):
        attributes = backend.span(name).attributes
        assert attributes["taskmeter.unpriced_calls"] == 1
        assert not [attribute for attribute in attributes if "cost" in attribute]
    assert backend.points("taskmeter.task.cost") == backend.points("taskmeter.cost") == []
    assert len(backend.points("taskmeter.tasks")) == 1


def test_a_partly_priced_task_exports_what_is_known(backend: Any) -> None:
    """A lower bound, with the number of calls that are missing in it."""
    with track_task("resolve"):
        charge("0.25")
        book(current_scope(), Entry(calls=1, attempts=1, unpriced_calls=1))
    attributes = backend.span("invoke_workflow resolve").attributes
    assert (attributes["taskmeter.cost.exact"], attributes["taskmeter.unpriced_calls"]) == ("0.25", 1)


def test_a_task_that_cost_nothing_says_so(backend: Any) -> None:
    """Nothing was bought, so zero is known."""
    with track_task("resolve"):
        pass
    assert backend.span("invoke_workflow resolve").attributes["taskmeter.cost.total"] == 0.0


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0", "0"), ("0E-9", "0"), ("1E+3", "1000"), ("1.500", "1.5"), ("1E-7", "0.0000001"), ("100", "100")],
)
def test_exact_amounts_are_plain_digits(amount: str, text: str) -> None:
    """No exponent, no trailing zeros."""
    assert exact(Decimal(amount)) == text


# --- spans that others start


def test_foreign_spans_inside_a_task_carry_it(backend: Any) -> None:
    """Whoever starts it; a nested task's spans carry the nested task, without the outer one's key."""
    tracer = backend.tracer_provider.get_tracer("http")
    tracer.start_span("before").end()
    with track_task("resolve", key="T-1", customer="acme") as task:
        with tracer.start_as_current_span("request"):
            tracer.start_span("query").end()
        with track_step("draft"), track_task("ask") as nested:
            tracer.start_span("nested").end()
        tracer.start_span("elsewhere", context=Context()).end()
    tracer.start_span("after").end()
    identity = {
        "taskmeter.task.id": task.id,
        "taskmeter.task.name": "resolve",
        "taskmeter.task.key": "T-1",
        "taskmeter.customer": "acme",
    }
    assert {
        span.name: dict(span.attributes) for span in backend.spans if span.instrumentation_scope.name == "http"
    } == {
        "before": {},
        "query": identity,
        "request": identity,
        "nested": {"taskmeter.task.id": nested.id, "taskmeter.task.name": "ask", "taskmeter.customer": "acme"},
        "elsewhere": {},
        "after": {},
    }
    assert backend.span("request").parent.span_id == backend.span("invoke_workflow resolve").context.span_id


def test_a_span_outside_any_task_carries_none(backend: Any) -> None:
    """A step outside any task has no task to name."""
    with track_step("draft"):
        charge("1")
    for span in backend.spans:
        assert "taskmeter.task.id" not in span.attributes


def test_late_bookings_reach_the_ledger_of_a_scope() -> None:
    """A scope is usable on its own, without spans or providers."""
    scope = Scope(TaskIdentity("1", "resolve"), Ledger())
    book(scope, CALL)
    assert (scope.ledger.calls, scope.ledger.retries) == (1, 2)
