"""Tool runs, tracked by the application or seen by a hook: which of them are one and the same, and what they cost.

A run that the application tracks itself is its word. One that a hook sees inside or around it is taken for the same
run, unless it has a price of its own under another name: then both cost something, and both count.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span

from taskmeter import _semconv as names
from taskmeter._guard import guarded
from taskmeter.account import Entry, Scope, StartedRun, ToolRuns, tool_charge
from taskmeter.pricing import ToolPrice
from taskmeter.records import Charge, WasteClass, divide
from taskmeter.telemetry import leaves, providers, spans, suppression
from taskmeter.telemetry.attributes import Attributes, charge_attributes, late_attributes, unpriced_attributes
from taskmeter.telemetry.booking import book

_RUN = otel.create_key("taskmeter-tool-run")


class OpenRun:
    """A tool run that has not ended. It travels in the context."""

    __slots__ = ("_started", "around", "counts", "ended", "looped", "name", "priced", "scope", "stated")

    def __init__(
        self, name: str, scope: Scope | None, *, stated: bool, priced: bool, toolprint: bytes | None = None
    ) -> None:
        self.name = name
        self.scope = scope
        self.stated = stated
        """Whether the application tracks it itself."""
        self.priced = priced
        self.ended = False
        self.around = _innermost()
        self.counts = stated or not any(self._is_same(other) for other in self._enclosing())
        self.looped = False
        """Whether it repeats the runs before it once too often."""
        self._started: StartedRun | None = None
        if self.counts:
            others = [other for other in self._enclosing() if not other.stated and other._is_same(self)]  # noqa: SLF001
            for other in others:
                other.counts = False
            self.looped = any(other.looped for other in others) if others else self._repeats(toolprint)

    def _repeats(self, toolprint: bytes | None) -> bool:
        scope = self.scope
        if scope is None or scope.task is None or scope.task.remote or scope.owner.closed:
            return False
        branch = scope.branch
        branch.runs = branch.runs or ToolRuns()
        self._started = branch.runs.starts(toolprint)
        return self._started is not None and self._started.looped

    def end(self) -> None:
        """It is over."""
        self.ended = True
        if self._started is not None:
            self._started.over = True

    def _is_same(self, other: OpenRun) -> bool:
        return other.name == self.name or not self.priced

    def _enclosing(self) -> Iterator[OpenRun]:
        """Those that count in the same task: a nested task has tool runs of its own."""
        run = self.around
        while run is not None:
            if run.counts and not run.ended and _task(run.scope) is _task(self.scope):
                yield run
            run = run.around

    def within(self, context: Context | None = None) -> Context:
        """`context` inside this run."""
        return otel.set_value(_RUN, self, context)


def _innermost() -> OpenRun | None:
    """The run around, without those that have ended: background work may be left inside one."""
    run = otel.get_value(_RUN)
    while isinstance(run, OpenRun) and run.ended:
        run = run.around
    return run if isinstance(run, OpenRun) else None


def _task(scope: Scope | None) -> object:
    return None if scope is None else scope.task


class Bill(NamedTuple):
    """What one run costs: a charge, nothing, or something that is not known."""

    charge: Charge | None = None
    unknown: str = ""
    """Why its price is not known."""
    unit: str = "run"


NOTHING = Bill()
_SECONDS = {"second": 1, "minute": 60, "hour": 3600}


def bill(price: ToolPrice | None, name: str, seconds: float | None, quantity: Decimal | None = None) -> Bill:
    """What a run of the tool `name` costs at `price`: for `quantity` units, by default for one, or for its time where
    the unit is one of time."""
    if price is None:
        return NOTHING
    if quantity is None:
        quantity = Decimal(1)
        if (unit_seconds := _SECONDS.get(price.unit)) is not None:
            if seconds is None:
                return Bill(unknown="the clock failed", unit=price.unit)
            quantity = divide(Decimal(repr(round(seconds, 9))), Decimal(unit_seconds))
    return Bill(tool_charge(price, name, quantity)) if quantity else NOTHING


def start_attributes(name: str, call_id: str | None) -> Attributes:
    """What the span of a tool run says from the start."""
    attributes: Attributes = {names.OPERATION: names.OPERATION_TOOL, names.TOOL_NAME: name}
    if call_id is not None:
        attributes[names.TOOL_CALL_ID] = call_id
    return attributes


def settle(run: OpenRun, bill: Bill, seconds: float | None, error_type: str | None) -> Attributes:
    """Ends `run`: books and counts it, if it counts. Returns what its span is to say of it; nothing if it does not."""
    run.end()
    if not run.counts:
        return {}
    charges = () if bill.charge is None else (bill.charge,)
    waste: WasteClass | None = "loop" if run.looped else None
    book(run.scope, Entry(charges, tool_runs=1, unpriced_calls=int(bool(bill.unknown)), waste=waste))
    with guarded("telemetry.tool_metrics"):
        if seconds is not None:
            providers.instruments().tool_ended(run.name, seconds, error_type)
    attributes: Attributes = {names.SPAN_KIND: "tool"}
    if waste is not None:
        attributes[names.WASTE_CLASS] = waste
    if bill.charge is not None:
        attributes |= charge_attributes(bill.charge)
    elif bill.unknown:
        attributes |= unpriced_attributes("tools", run.name, Decimal(1), bill.unit, bill.unknown)
    return attributes | late_attributes(run.scope) if bill.charge is not None else attributes


def end_span(run: OpenRun, span: Span, attributes: Attributes, error_type: str | None, *, own: bool) -> None:
    """Puts `attributes` on the span of `run`, and ends it if it is ours."""
    if span is trace.INVALID_SPAN and names.COST_EXACT in attributes and suppression.silent():
        with guarded("telemetry.tool_leaf"):
            leaves.emit_leaf(run.name, attributes, run.scope)
    if own:
        spans.end(span, attributes, error_type=error_type)
        return
    with guarded("telemetry.end_span"):
        if attributes and span.is_recording():
            span.set_attributes(attributes)
