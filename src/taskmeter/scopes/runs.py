"""One run of a scope: opened, current for a while, closed once. Spans and metrics may fail; the account does not."""

from __future__ import annotations

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
from taskmeter.account import Entry, Ledger, Scope, TaskIdentity, outcome_of, stated_charge
from taskmeter.records import Charge, Outcome
from taskmeter.scopes.handles import Step, Task, ToolRun
from taskmeter.telemetry import collected, leaves, providers, spans, suppression
from taskmeter.telemetry.attributes import (
    Attributes,
    charge_attributes,
    identity_attributes,
    known_cost,
    rollup_attributes,
)
from taskmeter.telemetry.booking import book
from taskmeter.telemetry.context import current_scope, with_scope

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


@dataclass(frozen=True, slots=True)
class ToolSettings:
    """What `track_tool` was told."""

    name: str
    cost: Decimal | None = None
    call_id: str | None = None


def error_type_of(error: BaseException | None) -> str | None:
    """The `error.type` of an error: its class only, as a message may hold a prompt or a secret."""
    return None if error is None else type(error).__name__


class Run(ABC):
    """Entered once, by `with`; a generator's run is instead stepped into, see `wrapping`."""

    def __init__(self, opener: object) -> None:
        collected.notice()
        self.opener = opener
        self.closed = False
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

    def close(self, error: BaseException | None) -> None:
        """Ends the run; `error` is what left its body. Once: what comes after the first does nothing."""
        if not self.closed:
            self.closed = True
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
        self._handle = Task(self.task, self.scope)
        self.context = with_scope(self.scope, self.context)
        with guarded("scopes.open_task"):
            self._picture(f"invoke_workflow {settings.name}", self._start_attributes())

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
        for label, value in task.labels.items():
            attributes[names.LABEL_PREFIX + label] = value
        return attributes

    def _close(self, error: BaseException | None) -> None:
        self.scope.closed = True
        ledger = self.scope.ledger
        outcome = self.scope.outcome = self.scope.outcome or outcome_of(error)
        if outcome.status in ("failed", "abandoned"):
            ledger.condemn()
        lines = ledger.drain()
        with guarded("scopes.leaves"):
            leaves.picture(self.scope, self.span)
        with guarded("scopes.task_span"):
            attributes = {**rollup_attributes(ledger, is_task=True), **_outcome_attributes(outcome)}
            spans.end(self.span, attributes, error_type=error_type_of(error))
        with guarded("scopes.task_metrics"):
            providers.account_instruments().spent(lines, self.task.name)
            providers.instruments().task_ended(self.task.name, outcome.status, known_cost(ledger), self._seconds())


def _outcome_attributes(outcome: Outcome) -> Attributes:
    attributes: Attributes = {names.OUTCOME: outcome.status}
    if outcome.reason is not None:
        attributes[names.OUTCOME_REASON] = outcome.reason
    if outcome.value is not None:
        attributes[names.VALUE] = float(outcome.value)
    return attributes


class StepRun(Run):
    """A run of a step."""

    def __init__(self, opener: object, name: str) -> None:
        super().__init__(opener)
        outer = current_scope()
        self.scope = Scope(
            task=outer.task if outer is not None else None,
            ledger=Ledger(outer.ledger if outer is not None else None, is_task=False),
            parent=outer,
            step=name,
        )
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
        self.scope.closed = True
        ledger = self.scope.ledger
        with guarded("scopes.step_span"):
            attributes = {**rollup_attributes(ledger, is_task=False), names.STEP_DISCARDED: self._handle.discarded}
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
        with guarded("scopes.open_tool"):
            attributes: Attributes = {
                names.SPAN_KIND: "tool",
                names.OPERATION: names.OPERATION_TOOL,
                names.TOOL_NAME: settings.name,
            }
            if settings.call_id is not None:
                attributes[names.TOOL_CALL_ID] = settings.call_id
            attributes |= identity_attributes(self._scope.task if self._scope is not None else None)
            self._picture(f"execute_tool {settings.name}", attributes)

    @property
    def handle(self) -> ToolRun:
        """What the application gets."""
        return self._handle

    def _close(self, error: BaseException | None) -> None:
        settings = self._settings
        charges: tuple[Charge, ...] = ()
        if settings.cost is not None:
            charges = (stated_charge(settings.cost, "tools", settings.name, Decimal(1), "run"),)
        book(self._scope, Entry(charges=charges, tool_runs=1))
        error_type = error_type_of(error)
        if charges and self.span is trace.INVALID_SPAN and suppression.silent():
            leaves.emit_charge(charges[0], self._scope)
        spans.end(self.span, charge_attributes(charges[0]) if charges else None, error_type=error_type)
        if (seconds := self._seconds()) is not None:
            providers.instruments().tool_ended(settings.name, seconds, error_type)
