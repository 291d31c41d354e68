"""One run of a scope: opened, current for a while, closed once. Spans and metrics may fail; the account does not."""

from __future__ import annotations

import os
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from types import TracebackType
from typing import Self

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context

from taskmeter import _semconv as names
from taskmeter._guard import guarded
from taskmeter.account import Budget, Ledger, Scope, TaskIdentity, budgets, outcome_of
from taskmeter.pricing import ToolPrice, tool_price
from taskmeter.scopes.handles import Step, Task, ToolRun
from taskmeter.telemetry import collected, leaves, outcomes, providers, spans, watching
from taskmeter.telemetry.attributes import (
    Attributes,
    budget_attributes,
    identity_attributes,
    known_cost,
    rollup_attributes,
)
from taskmeter.telemetry.baggage import with_task
from taskmeter.telemetry.context import current_scope, with_scope
from taskmeter.telemetry.toolruns import Bill, OpenRun, bill, end_span, settle, start_attributes

_RUN = otel.create_key("taskmeter-run")


def current_run(context: Context | None = None) -> Run | None:
    """The innermost run of `context`, by default of the current one; it may have ended elsewhere."""
    run = otel.get_value(_RUN, context)
    return run if isinstance(run, Run) else None


def _now() -> float | None:
    """Seconds on a clock that only goes forward."""
    with guarded("scopes.clock"):
        return time.perf_counter()
    return None


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """What `track_task` was told, callables resolved."""

    name: str
    key: str | None = None
    customer: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    budget: Budget | None = None


@dataclass(frozen=True, slots=True)
class ToolSettings:
    """What `track_tool` was told."""

    name: str
    price: ToolPrice | None = None
    """`None` for what the price file says."""
    call_id: str | None = None
    measured: str = ""
    """What is to be found out from the result: `cost` or `quantity`."""
    toolprint: bytes | None = None
    """The fingerprint of the tool and its arguments, where they are known."""


def error_type_of(error: BaseException | None) -> str | None:
    """The `error.type` of an error: its class only, as a message may hold a prompt or a secret."""
    return None if error is None else type(error).__name__


class Run(ABC):
    """Entered once, by `with`; a generator's run is instead stepped into, see `wrapping`."""

    def __init__(self, opener: object) -> None:
        collected.notice()
        self.opener = opener
        self.closed = False
        self._process = os.getpid()
        self.parent = current_run()
        self.span: trace.Span = trace.INVALID_SPAN
        self._started = _now()
        self._left = False
        self._previous = otel.get_current()
        self.context = otel.set_value(_RUN, self, self._previous)
        """What the body of the scope runs in."""

    def _picture(self, name: str, attributes: Attributes) -> None:
        """Starts the span. Without one, spans started inside stay children of the span outside."""
        self.span = spans.start(name, attributes, context=self.context)
        if self.span is not trace.INVALID_SPAN:
            self.context = trace.set_span_in_context(self.span, self.context)

    def _seconds(self) -> float | None:
        """Since it was opened."""
        now = _now()
        return None if now is None or self._started is None else now - self._started

    def __enter__(self) -> Self:
        self._previous = otel.get_current()
        otel.attach(self.context)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        innermost = current_run()
        while innermost is not None and innermost.closed and innermost is not self:
            innermost = innermost.parent
        # Restoring by attaching works in any `contextvars.Context`; where the current context is not of this run
        # (an exit in another thread or task), it is not ours to replace.
        if innermost is self:
            otel.attach(self._outside())
        elif innermost is not None and innermost.is_within(self):
            self._left = True  # a run opened inside is still open here: it restores what was outside of both
        self.close(error)

    def _outside(self) -> Context:
        """The context to go back to."""
        context = self._previous
        while (run := current_run(context)) is not None and run._left:  # noqa: SLF001 - a run as well
            context = run._previous  # noqa: SLF001
        return context

    def is_within(self, other: Run) -> bool:
        """Whether this run is `other` or was opened inside it."""
        run: Run | None = self
        while run is not None:
            if run is other:
                return True
            run = run.parent
        return False

    @property
    def is_open(self) -> bool:
        """Whether it has not ended, and is of this process."""
        return not self.closed and self._process == os.getpid()

    def close(self, error: BaseException | None) -> None:
        """Ends the run; `error` is what left its body. Once: what comes after the first does nothing."""
        if not self.closed:
            self.closed = True
            if self._process == os.getpid():  # a forked process has but a copy of what its parent ends
                collected.run(partial(self._close_guarded, error))

    def _close_guarded(self, error: BaseException | None) -> None:
        with guarded("scopes.close"):
            self._close(error)

    @property
    @abstractmethod
    def handle(self) -> object:
        """What the application gets."""

    @abstractmethod
    def _close(self, error: BaseException | None) -> None: ...


class TaskRun(Run):
    """A run of a task."""

    def __init__(self, opener: object, settings: TaskSettings) -> None:
        super().__init__(opener)
        outer = current_scope()
        around = outer.task if outer is not None else None
        self.task = TaskIdentity(
            id=uuid.uuid4().hex,
            name=settings.name,
            key=settings.key,
            customer=settings.customer or (around.customer if around is not None else None),
            labels=settings.labels,
            parent_id=around.id if around is not None else None,
        )
        self.scope = Scope(
            task=self.task,
            ledger=Ledger(outer.ledger if outer is not None else None),
            parent=outer,
        )
        if settings.budget is not None or budgets.active:
            with guarded("scopes.budget"):
                self.scope.purse = budgets.open(self.task, budgets.purse_of(outer), settings.budget)
        self._handle = Task(self.task, self.scope)
        self._in_remote_task = around is not None and around.remote
        self.context = with_scope(self.scope, self.context)
        with guarded("scopes.open_task"):
            self.context = with_task(self.task, self.context)
            self._picture(f"invoke_workflow {settings.name}", self._start_attributes())
            outcomes.remember(self.task, self.span)

    @property
    def handle(self) -> Task:
        """What the application gets."""
        return self._handle

    def _start_attributes(self) -> Attributes:
        task = self.task
        attributes: Attributes = {
            names.SPAN_KIND: "task",
            names.OPERATION: names.OPERATION_TASK,
            names.WORKFLOW_NAME: task.name,
            names.AGENT_NAME: task.name,
            **identity_attributes(task),
        }
        if task.parent_id is not None:
            attributes[names.PARENT_TASK_ID] = task.parent_id
        if self._in_remote_task:
            attributes[names.TASK_REMOTE] = True
        for label, value in task.labels.items():
            attributes[names.LABEL_PREFIX + label] = value
        return attributes

    def _close(self, error: BaseException | None) -> None:
        self.scope.end()
        ledger = self.scope.ledger
        outcome = self.scope.outcome = self.scope.outcome or outcome_of(error)
        if outcome.status == "failed":
            ledger.condemn("failed_task")
        elif outcome.status == "abandoned":
            ledger.condemn("abandoned_task")
        attributes = outcomes.said_attributes(outcome)
        with guarded("scopes.task_span"):
            # Before the ledger is drained: what is marked as late must not be in here as well.
            attributes |= rollup_attributes(ledger, is_task=True) | _reask_attributes(self.scope)
            attributes |= budget_attributes(self.scope)
        lines = ledger.drain()
        with guarded("scopes.leaves"):
            leaves.picture(self.scope, self.span)
        spans.end(self.span, attributes, error_type=error_type_of(error))
        for watcher in watching.watchers:
            watcher.ended(self.scope)
        with guarded("scopes.task_metrics"):
            providers.account_instruments().spent(lines, self.task.name)
            providers.instruments().task_ended(self.task.name, outcome.status, known_cost(ledger), self._seconds())


def _reask_attributes(scope: Scope) -> Attributes:
    return {} if scope.reask_reason is None else {names.REASK_REASON: scope.reask_reason}


class StepRun(Run):
    """A run of a step."""

    def __init__(self, opener: object, name: str) -> None:
        super().__init__(opener)
        outer = current_scope()
        self.scope = outer.within(name) if outer is not None else Scope(None, Ledger(is_task=False), step=name)
        if outer is not None:
            with guarded("scopes.reask"):
                outer.opens(name, self.scope)
        self._handle = Step(self.scope)
        self.context = with_scope(self.scope, self.context)
        with guarded("scopes.open_step"):
            attributes: Attributes = {
                names.SPAN_KIND: "step",
                names.STEP_NAME: name,
                **identity_attributes(self.scope.task),
            }
            self._picture(f"step {name}", attributes)

    @property
    def handle(self) -> Step:
        """What the application gets."""
        return self._handle

    def _close(self, error: BaseException | None) -> None:
        self.scope.end()
        self.scope.rejected = self.scope.rejected or isinstance(error, Exception)
        ledger = self.scope.ledger
        with guarded("scopes.step_span"):
            attributes = {**rollup_attributes(ledger, is_task=False), names.STEP_DISCARDED: self._handle.discarded}
            attributes |= _reask_attributes(self.scope)
            if self._handle.discard_reason is not None:
                attributes[names.STEP_DISCARD_REASON] = self._handle.discard_reason
            spans.end(self.span, attributes, error_type=error_type_of(error))
        if self.scope.task is None and self.scope.parent is None:
            with guarded("scopes.leaves"):
                leaves.picture(self.scope, self.span)
            providers.account_instruments().spent(ledger.drain(), None)


class ToolUse(Run):
    """A run of a tool: a leaf of the account. Calls made inside belong to the scope around it."""

    def __init__(self, opener: object, settings: ToolSettings) -> None:
        super().__init__(opener)
        self._settings = settings
        self._scope = current_scope()
        self._handle = ToolRun(settings.name, settings.call_id)
        self._price = settings.price
        self._cost: Decimal | None = None
        if self._price is None:
            with guarded("scopes.tool_price"):
                self._price = tool_price(settings.name)
        self._open = OpenRun(
            settings.name, self._scope, stated=True, priced=self._price is not None, toolprint=settings.toolprint
        )
        self.context = self._open.within(self.context)
        with guarded("scopes.open_tool"):
            attributes = {names.SPAN_KIND: "tool", **start_attributes(settings.name, settings.call_id)}
            attributes |= identity_attributes(self._scope.task if self._scope is not None else None)
            self._picture(f"execute_tool {settings.name}", attributes)

    @property
    def handle(self) -> ToolRun:
        """What the application gets."""
        return self._handle

    def measure(self, amount: Decimal) -> None:
        """What the result says: the cost of the run, or how much of the unit it used."""
        if self._settings.measured == "cost":
            self._cost = amount
        else:
            self._handle.used(amount)

    def _close(self, error: BaseException | None) -> None:
        seconds, error_type = self._seconds(), error_type_of(error)
        attributes = settle(self._open, self._bill(seconds, error), seconds, error_type)
        end_span(self._open, self.span, attributes, error_type, own=True)

    def _bill(self, seconds: float | None, error: BaseException | None) -> Bill:
        settings, name = self._settings, self._settings.name
        quantity = self._handle.quantity
        if self._cost is not None:
            price = ToolPrice(self._cost, "run", Decimal(1), settings.price.category if settings.price else "tools")
            return bill(price, name, seconds)
        if settings.measured and self._price is not None and quantity is None:
            why = "the run failed" if error is not None else f"{settings.measured}= said nothing"
            return Bill(unknown=why, unit=self._price.unit)
        return bill(self._price, name, seconds, quantity)
