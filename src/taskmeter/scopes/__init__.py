"""What users touch: tasks, steps, tool runs, and charges of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import ParamSpec, TypeVar, get_args, overload

from taskmeter._guard import guarded
from taskmeter.account import Entry, Scope, stated_charge
from taskmeter.errors import UsageError
from taskmeter.records import Category, Charge
from taskmeter.scopes.arguments import Money, free_labels, money, text
from taskmeter.scopes.carry import carry
from taskmeter.scopes.handles import Step, Task, ToolRun
from taskmeter.scopes.measuring import Measure, tool_terms
from taskmeter.scopes.openers import StepOpener, TaskOpener, Text, ToolOpener
from taskmeter.scopes.outcomes import record_outcome
from taskmeter.scopes.retrieved import document
from taskmeter.scopes.runs import TaskRun, current_run
from taskmeter.telemetry import collected, leaves
from taskmeter.telemetry.booking import book
from taskmeter.telemetry.context import current_scope

__all__ = [
    "Step",
    "Task",
    "ToolRun",
    "carry",
    "charge",
    "current_task",
    "document",
    "record_outcome",
    "track_step",
    "track_task",
    "track_tool",
]

P = ParamSpec("P")
R = TypeVar("R")


@overload
def track_task(name: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def track_task(
    name: str | None = None, /, *, key: Text = None, customer: Text = None, labels: Mapping[str, str] | None = None
) -> TaskOpener: ...
def track_task(
    name: Callable[P, R] | str | None = None,
    /,
    *,
    key: Text = None,
    customer: Text = None,
    labels: Mapping[str, str] | None = None,
) -> Callable[P, R] | TaskOpener:
    """A task: everything inside is booked to it. `@track_task`, `@track_task(...)`, `with`, `async with`.

    `name` is the workflow type; a decorated function's own name by default. `key` (your business key) and `customer`
    are strings, or for a decorated function callables that get its arguments: `key=lambda ticket: ticket.id`.
    `labels` are free-form and few (32). A block gets the open `Task`; a function finds it by `current_task()`.
    """
    for argument, value in (("key", key), ("customer", customer)):
        if value is not None and not callable(value):
            text(value, argument)
    free = free_labels(labels)
    if name is not None and not isinstance(name, str):
        return TaskOpener(None, key, customer, free)(name)
    return TaskOpener(_name(name), key, customer, free)


@overload
def track_step(name: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def track_step(name: str | None = None, /) -> StepOpener: ...
def track_step(name: Callable[P, R] | str | None = None, /) -> Callable[P, R] | StepOpener:
    """A named phase or branch of a task; `step.discard(reason)` makes what it cost waste. Used as `track_task` is."""
    if name is not None and not isinstance(name, str):
        return StepOpener(None)(name)
    return StepOpener(_name(name))


@overload
def track_tool(name: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def track_tool(
    name: str | None = None,
    /,
    *,
    cost: Money | Measure | None = None,
    unit: str | None = None,
    per: Money | None = None,
    quantity: Measure | None = None,
    cost_per_second: Money | None = None,
    category: Category | None = None,
    call_id: Text = None,
) -> ToolOpener: ...
def track_tool(
    name: Callable[P, R] | str | None = None,
    /,
    *,
    cost: Money | Measure | None = None,
    unit: str | None = None,
    per: Money | None = None,
    quantity: Measure | None = None,
    cost_per_second: Money | None = None,
    category: Category | None = None,
    call_id: Text = None,
) -> Callable[P, R] | ToolOpener:
    """A tool run. Used as `track_task` is.

    `cost` is what one run costs in USD, booked when it ends, also when it fails; without it the price file is asked for
    a tool of this name. With `unit` and `per` it is the price of so many units (`cost="5", unit="query", per=1000`), of
    which a run uses one unless `quantity`, a callable that gets the result, or `run.used(...)` says how many.
    `cost_per_second` is for the time it takes. `cost` may be a callable as well: it gets the result and gives what this
    run cost. A callable that fails makes the run unpriced. `category` is `tools`, unless it is said to be another.
    `call_id` is the id that the model gave the call: a string, or for a decorated function a callable that gets its
    arguments. Raises `UsageError` for what makes no sense.
    """
    terms = tool_terms(cost, cost_per_second, unit, per, quantity, category)
    if call_id is not None and not callable(call_id):
        text(call_id, "call_id")
    if name is not None and not isinstance(name, str):
        return ToolOpener(None, terms, call_id)(name)
    return ToolOpener(_name(name), terms, call_id)


def current_task() -> Task | None:
    """The innermost open task of the current context, or `None`; none of another process."""
    run = current_run()
    # One that has ended stays in contexts that were copied while it was open: background work, other threads.
    while run is not None and not (run.is_open and isinstance(run, TaskRun)):
        run = run.parent
    return run.handle if isinstance(run, TaskRun) else None


def charge(
    amount: Money,
    *,
    category: Category = "other",
    item: str | None = None,
    quantity: Decimal | float = 1,
    unit: str = "unit",
    estimated: bool = False,
) -> None:
    """Books money that no hook sees.

    `charge("0.0004", category="retrieval", item="pinecone", quantity=3, unit="query")`: `amount` is USD in all, not
    per unit; `category` is `tools`, `retrieval`, `human`, `other` or `model`; `item` says what was bought (the
    category, by default). Outside any task it is still exported, under no task.
    Raises `UsageError` for an amount, category or quantity that makes no sense.
    """
    usd = money(amount, "amount")
    if category not in get_args(Category):
        msg = f"category={category!r} is not one of {', '.join(get_args(Category))}"
        raise UsageError(msg)
    count = money(quantity, "quantity")
    if not count:
        msg = "quantity=0 buys nothing; leave it out or pass a positive number"
        raise UsageError(msg)
    line = stated_charge(usd, category, text(item or category, "item"), count, text(unit, "unit"), estimated=estimated)
    collected.run(partial(_charge, line, current_scope()))


def _charge(line: Charge, scope: Scope | None) -> None:
    with guarded("scopes.charge"):
        book(scope, Entry(charges=(line,)))
        leaves.emit_charge(line, scope)


def _name(name: object) -> str | None:
    return None if name is None else text(name, "name")
