"""Arguments: strings and callables that make them, amounts, and what is refused."""

from __future__ import annotations

import contextvars
import decimal
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from taskmeter import _guard
from taskmeter.errors import TaskmeterError, UsageError
from taskmeter.scopes import charge, current_task, track_step, track_task, track_tool


@dataclass
class Ticket:
    id: int
    org: str | None


def test_key_and_customer_may_come_from_the_arguments() -> None:
    """Callables get the call's arguments, by position and by name; what they give is kept as a string."""

    @track_task("work", key=lambda ticket, urgent=False: ticket.id, customer=lambda ticket, urgent=False: ticket.org)
    def work(ticket: Ticket, urgent: bool = False) -> tuple[str | None, str | None]:
        task = current_task()
        assert task is not None
        return task.key, task.customer

    assert work(Ticket(7, "acme")) == ("7", "acme")
    assert work(ticket=Ticket(8, "acme"), urgent=True) == ("8", "acme")
    assert work(Ticket(9, None)) == ("9", None)


def test_key_customer_and_labels_are_exported(spans: Any) -> None:
    """They are on the task's span; key and customer on all inside, labels on the task only."""
    with track_task("work", key="T-1", customer="acme", labels={"tier": "gold"}), track_step("draft"):
        pass
    task, step = spans.only("invoke_workflow work"), spans.only("step draft")
    assert (task["taskmeter.task.key"], task["taskmeter.customer"]) == ("T-1", "acme")
    assert (step["taskmeter.task.key"], step["taskmeter.customer"]) == ("T-1", "acme")
    assert task["taskmeter.label.tier"] == "gold"
    assert "taskmeter.label.tier" not in step


def test_labels_are_copied() -> None:
    """A dictionary changed later changes no task."""
    labels = {"tier": "gold"}
    opener = track_task("work", labels=labels)
    labels["tier"] = "tin"
    with opener as task:
        assert task._identity.labels == {"tier": "gold"}


def test_a_tools_call_id_may_come_from_the_arguments(spans: Any) -> None:
    """As the id comes with the model's request for the run."""

    @track_tool("crm.lookup", call_id=lambda customer, call_id: call_id)
    def lookup(customer: str, call_id: str) -> str:
        return customer

    assert lookup("acme", "call_1") == "acme"
    assert spans.only("execute_tool crm.lookup")["gen_ai.tool.call.id"] == "call_1"


@pytest.mark.parametrize(
    ("argument", "decorate"),
    [
        ("key", lambda broken: track_task("work", key=broken, customer="acme")),
        ("customer", lambda broken: track_task("work", customer=broken)),
        ("call_id", lambda broken: track_tool("work", call_id=broken)),
    ],
)
@pytest.mark.parametrize(
    "broken", [lambda ticket: ticket.nothing, lambda: "too few arguments"], ids=["raises", "misfit"]
)
def test_a_callable_that_fails_costs_only_what_it_makes(
    argument: str,
    decorate: Callable[[Any], Any],
    broken: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    spans: Any,
) -> None:
    """The function runs as ever, in a scope without that; it is logged once and counted each time."""
    monkeypatch.setattr(_guard, "strict", False)
    monkeypatch.setattr(_guard, "faults", Counter())
    work = decorate(broken)(lambda ticket: ticket * 2)
    with caplog.at_level(logging.WARNING):
        assert [work(1), work(2), work(3)] == [2, 4, 6]
    assert _guard.faults == {f"scopes.{argument}": 3}
    assert len([record for record in caplog.records if f"scopes.{argument}" in record.getMessage()]) == 1
    exported = {"key": "taskmeter.task.key", "customer": "taskmeter.customer", "call_id": "gen_ai.tool.call.id"}
    assert all(exported[argument] not in span.attributes for span in spans.all())


class Loud(float):
    """A float that prints its type, as NumPy's do."""

    def __repr__(self) -> str:
        return f"np.float64({float(self)!r})"


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("0.002", "0.002"),
        (Decimal("0.002"), "0.002"),
        (3, "3"),
        (0.1, "0.1"),
        (1e-7, "1E-7"),
        (Loud(0.1), "0.1"),
        (0, "0"),
        ("999999999999999.99", "999999999999999.99"),
        ("0.0000000000000000000000000000001", "0"),
    ],
)
def test_amounts_are_taken_as_they_print(amount: Any, expected: str) -> None:
    """Strings, decimals, ints and floats, exact whatever the host's decimal context; beyond 30 decimals, rounded."""
    with track_task("work") as task, decimal.localcontext(prec=3):
        charge(amount)
    assert task.cost.total == Decimal(expected)


def test_the_smallest_and_the_largest_amount_add_up_exactly(spans: Any) -> None:
    """Sums have room for both."""
    with track_task("work"):
        charge("999999999999999")
        charge("0.000000000000000000000000000001")
    expected = "999999999999999.000000000000000000000000000001"
    assert spans.only("invoke_workflow work")["taskmeter.cost.exact"] == expected


BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: track_task(""), "name='' must be a non-empty string"),
    (lambda: track_step(3), "track_step decorates functions, not 3; pass a function, or a name"),  # type: ignore[call-overload]
    (lambda: track_task("work", key=7), "key=7 must be a non-empty string"),  # type: ignore[call-overload]
    (lambda: track_task("work", customer=""), "customer='' must be a non-empty string"),
    (lambda: track_task("work", labels={"tier": 1}), r"labels\['tier'\]=1 must be"),  # type: ignore[dict-item]
    (lambda: track_task("work", labels={"": "x"}), "labels key='' must be a non-empty string"),
    (lambda: track_tool("work", call_id=5), "call_id=5 must be a non-empty string"),  # type: ignore[call-overload]
    (lambda: track_tool("work", cost="cheap"), "cost='cheap' is not a number; pass a string such as '0.002'"),
    (lambda: track_tool("work", cost=True), "cost=True is not a number"),
    (lambda: track_tool("work", cost="-1"), "cost='-1' must be finite and not negative"),
    (lambda: track_task("work").__enter__().succeed(value="much"), "value='much' is not a number"),
    (lambda: track_task().__enter__(), r"track_task needs a name in a with block: with track_task\('name'\)"),
    (lambda: track_step().__enter__(), r"track_step needs a name in a with block: with track_step\('name'\)"),
    (lambda: track_tool().__enter__(), r"track_tool needs a name in a with block: with track_tool\('name'\)"),
    (lambda: track_task("work", key=lambda: "T-1").__enter__(), "key=.*pass a string in a with block"),
    (lambda: track_task(int), "track_task decorates functions, not <class 'int'>; decorate the method"),
    (lambda: track_step("work")(3), "track_step decorates functions, not 3"),  # type: ignore[type-var]
    (lambda: track_task(staticmethod(len)), "put @staticmethod above it"),
    (lambda: track_tool("work")(classmethod(len)), "put @classmethod above it"),  # type: ignore[type-var]
    (lambda: track_task(classmethod(len)), "put @classmethod above it"),  # type: ignore[call-overload]
    (lambda: charge("a lot"), "amount='a lot' is not a number"),
    (lambda: charge("nan"), "amount='nan' must be finite and not negative"),
    (lambda: charge(float("inf")), "amount=inf must be finite and not negative"),
    (lambda: charge("1e15"), r"amount='1e15' must be less than 1E\+15; is it in another unit\?"),
    (lambda: charge(None), "amount=None is not a number"),  # type: ignore[arg-type]
    (lambda: charge(1, category="food"), "category='food' is not one of model, tools, retrieval, human, other"),  # type: ignore[arg-type]
    (lambda: charge(1, quantity=0), "quantity=0 buys nothing; leave it out or pass a positive number"),
    (lambda: charge(1, quantity=-2), "quantity=-2 must be finite and not negative"),
    (lambda: charge(1, unit=""), "unit='' must be a non-empty string"),
    (lambda: charge(1, item=3), "item=3 must be a non-empty string"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("misuse", "message"), BAD, ids=[message for _, message in BAD])
def test_what_makes_no_sense_is_refused(misuse: Callable[[], object], message: str) -> None:
    """The error shows the value and the fix, and is both ours and a ValueError."""
    with pytest.raises(UsageError, match=message) as caught:
        contextvars.copy_context().run(misuse)
    assert isinstance(caught.value, TaskmeterError)
    assert isinstance(caught.value, ValueError)


def test_bad_text_is_refused_also_where_decimals_do_not_raise() -> None:
    """A host that switched the decimal traps off gets the same kind of error."""
    with decimal.localcontext() as host:
        host.traps[decimal.InvalidOperation] = False
        with pytest.raises(UsageError, match="amount='a lot'"):
            charge("a lot")


def test_more_labels_than_a_span_holds_are_refused() -> None:
    """Otherwise the span would drop what it knows first: whose it is."""
    with pytest.raises(UsageError, match="33 labels, more than 32"):
        track_task("work", labels={f"label-{number}": "x" for number in range(33)})


def test_labels_that_map_nothing_are_refused() -> None:
    """The message shows the value and what it should be."""
    with pytest.raises(UsageError, match=r"labels=\['a'\] must map names to strings"):
        track_task("work", labels=["a"])  # type: ignore[arg-type]
