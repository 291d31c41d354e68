"""Span records -> relations: tasks, steps, leaves (calls, tool runs, charges: what carries money), failed attempts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from taskmeter import _semconv as names
from taskmeter.errors import UsageError
from taskmeter.records import ZERO, add
from taskmeter.reports import fields
from taskmeter.reports.fields import LARGEST_AMOUNT, LeafKind, Status, Tokens
from taskmeter.reports.late import cut_cycles, reaching, settle
from taskmeter.spool.read import SpanRecord

_OUTCOMES = ("succeeded", "failed", "abandoned", "pending")
_CURRENCY = re.compile("[A-Z]{3}")
_MOST_DECIMALS = 40


class Ref(NamedTuple):
    """What identifies a span."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What every relation has."""

    ref: Ref
    task_id: str | None
    name: str
    start_ns: int
    end_ns: int
    error: str | None
    """Type of the error it ended with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rollup(Row):
    cost: Decimal | None
    """Nested tasks included, and what came late; `None` when nothing in it could be priced."""
    wasted: Decimal | None
    """`None` where `cost` is, like `estimated`."""
    estimated: Decimal | None
    tokens: Tokens
    calls: int
    retries: int
    unpriced_calls: int
    exposed_attempts: int
    """HTTP requests without an answer that may be billed all the same."""
    list_cost: Decimal | None = None
    """`cost` at list prices, without what came late; `None` where it is the same."""

    @property
    def status(self) -> Status:
        """The least sure of what is in it."""
        if self.unpriced_calls:
            return "unpriced" if self.cost is None else "partial"
        if self.cost is None:
            return ""
        return "estimated" if self.estimated else "exact"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(_Rollup):
    """A task that has ended; or, with the outcome `unfinished`, one of which so far only what is inside is recorded."""

    id: str
    key: str | None
    customer: str | None
    parent_id: str | None
    outcome: str
    reason: str | None
    own: Decimal
    """Its cost without nested tasks."""
    late: Decimal = ZERO
    """The part of `cost` that was booked after the end of the task it was spent in, or in another process."""
    own_late: Decimal = ZERO
    """The part of `own` that is late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(_Rollup):
    """A step that has ended."""

    discarded: bool
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf(Row):
    """A call, tool run or charge: what carries money of its own."""

    kind: LeafKind
    cost: Decimal | None
    status: Status
    reason: str | None
    """Why the status is not exact."""
    wasted: bool
    """Whether its result was thrown away at once."""
    tokens: Tokens | None
    retries: int
    exposed_attempts: int
    task_name: str | None
    list_cost: Decimal | None = None
    """`cost` at list prices; `None` where it is the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt(Row):
    """A failed HTTP request of a call."""

    http_status: int | None
    wait_seconds: float | None


AnyRow: TypeAlias = Task | Step | Leaf | Attempt


@dataclass(frozen=True, slots=True)
class Relations:
    """All that a spool says about tasks."""

    tasks: Mapping[str, Task]
    """By task id."""
    rows: Mapping[Ref, AnyRow]
    parents: Mapping[Ref, Ref]
    """For each row inside another: the nearest around it. Spans of other libraries in between are passed over."""
    currency: str
    unreadable_costs: int
    """Spans whose amount is no sensible number; it is taken as unknown."""
    wasted_estimates: frozenset[Ref]
    """Rows whose waste contains estimates."""
    wasted_bounds: frozenset[Ref]
    """Rows whose waste is a lower bound."""

    @property
    def leaves(self) -> Iterator[Leaf]:
        """Calls, tool runs and charges."""
        return (row for row in self.rows.values() if isinstance(row, Leaf))

    def ancestors(self, task: Task) -> Iterator[Task]:
        """The recorded tasks around `task`, innermost first."""
        seen = {task.id}
        parent_id = task.parent_id
        while parent_id is not None and parent_id not in seen and (parent := self.tasks.get(parent_id)):
            yield parent
            seen.add(parent.id)
            parent_id = parent.parent_id

    def is_wasted(self, leaf: Leaf) -> bool:
        """Whether its result was thrown away, at once or with a step around it."""
        return leaf.wasted or _in_discarded_step(leaf.ref, self.rows, self.parents)

    def missing(self) -> dict[str, Decimal]:
        """By task id, where there is a gap: the task's total less what the recorded leaves in it add up to."""
        found = dict.fromkeys(self.tasks, ZERO)
        for leaf in self.leaves:
            task = self.tasks.get(leaf.task_id or "")
            if task is not None and leaf.cost is not None:
                for owner in (task, *self.ancestors(task)):
                    found[owner.id] = add(found[owner.id], leaf.cost)
        gaps = {task.id: add(task.cost or ZERO, found[task.id].copy_negate()) for task in self.tasks.values()}
        return {task_id: gap for task_id, gap in gaps.items() if gap > 0}


def relate(spans: Iterable[SpanRecord]) -> Relations:
    """Builds the relations. Raises `UsageError` when the amounts are in several currencies: they cannot be added."""
    builder = _Builder()
    for span in spans:
        builder.take(span)
    return builder.relations()


class _Builder:
    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.rows: dict[Ref, AnyRow] = {}
        self.around: dict[Ref, str] = {}
        self.currencies: set[str] = set()
        self.unreadable_costs = 0
        self.unreadable_tasks: set[str] = set()
        self.calls_money: list[Ref] = []
        self.inner: dict[str, SpanRecord] = {}

    def take(self, span: SpanRecord) -> None:
        ref = Ref(span.trace_id, span.span_id)
        if span.parent_span_id is not None:
            self.around[ref] = span.parent_span_id
        row = self._row(span, ref)
        if row is None:
            return
        self.rows[ref] = row
        if isinstance(row, Task):
            self.tasks[row.id] = row
        elif row.task_id is not None:
            self.inner.setdefault(row.task_id, span)
        if isinstance(row, Leaf) and row.kind == "charge" and names.CALL_COST in span.attributes:
            self.calls_money.append(ref)
        for name in (names.COST_CURRENCY, names.CALL_COST_CURRENCY):
            currency = fields.text(span, name)
            if currency is not None and _CURRENCY.fullmatch(currency):
                self.currencies.add(currency)

    def relations(self) -> Relations:
        if len(self.currencies) > 1:
            message = (
                f"The spool holds amounts in several currencies ({', '.join(sorted(self.currencies))}), "
                "which cannot be added. Report on a directory with spans of one currency"
            )
            raise UsageError(message)
        self._add_unfinished()
        parents = {ref: parent for ref, row in self.rows.items() if (parent := self._parent(row)) is not None}
        cut_cycles(parents)
        self._fold_calls_money(parents)
        leaves = [row for row in self.rows.values() if isinstance(row, Leaf)]
        in_waste = partial(_in_discarded_step, rows=self.rows, parents=parents)
        self.tasks = settle(self.tasks, leaves, in_waste, self.unreadable_tasks)
        self.rows |= {task.ref: task for task in self.tasks.values()}
        waste = [row for row in self.rows.values() if _is_waste(row)]
        return Relations(
            self.tasks,
            self.rows,
            parents,
            next(iter(self.currencies), "USD"),
            self.unreadable_costs,
            wasted_estimates=reaching((row for row in waste if _has_estimates(row)), parents),
            wasted_bounds=reaching((row for row in waste if _is_bound(row)), parents),
        )

    def _add_unfinished(self) -> None:
        """A task without a span of its own, by what the spans inside say of it: it was killed, or is still open."""
        times: dict[str, list[int]] = defaultdict(list)
        for row in self.rows.values():
            times[row.task_id or ""] += (row.start_ns, row.end_ns)
        for task_id in self.inner.keys() - self.tasks.keys():
            span = self.inner[task_id]
            given = {name: span.attributes.get(name) for name in (names.TASK_NAME, names.TASK_KEY, names.CUSTOMER)}
            common: dict[str, Any] = {
                "ref": Ref(span.trace_id, f"task {task_id}"),  # no span can have it
                "task_id": task_id,
                "start_ns": min(times[task_id]),
                "end_ns": max(times[task_id]),
                "error": None,
            }
            task = self._task(replace(span, name="(unnamed)", attributes=given), common)
            self.tasks[task_id] = self.rows[task.ref] = replace(task, outcome="unfinished")

    def _fold_calls_money(self, parents: dict[Ref, Ref]) -> None:
        """Puts the money of a call whose span had ended before it was known, on a charge below it, on the call."""
        for ref in sorted(self.calls_money, key=lambda ref: self.rows[ref].start_ns, reverse=True):
            charge, call = self.rows[ref], self.rows.get(parents.get(ref, ref))
            if isinstance(charge, Leaf) and isinstance(call, Leaf) and call.kind == "call" and call.cost is None:
                self.rows[call.ref] = replace(
                    call, cost=charge.cost, status=charge.status, reason=charge.reason, wasted=charge.wasted
                )
                del self.rows[ref], parents[ref]

    def _parent(self, row: AnyRow) -> Ref | None:
        """The nearest row around it that is in the same task; else, where spans between are missing, that task."""
        task_id = row.parent_id if isinstance(row, Task) else row.task_id
        seen: set[str] = set()
        span_id = self.around.get(row.ref)
        while span_id is not None and span_id not in seen:
            seen.add(span_id)
            ref = Ref(row.ref.trace_id, span_id)
            if (known := self.rows.get(ref)) is not None:
                if known.task_id == task_id or isinstance(row, Attempt):
                    return ref
                break
            span_id = self.around.get(ref)
        task = self.tasks.get(task_id or "")
        return task.ref if task is not None and task is not row else None

    def _row(self, span: SpanRecord, ref: Ref) -> AnyRow | None:
        common: dict[str, Any] = {
            "ref": ref,
            "task_id": fields.text(span, names.TASK_ID),
            "start_ns": span.start_ns,
            "end_ns": span.end_ns,
            "error": fields.text(span, names.ERROR_TYPE),
        }
        match fields.text(span, names.SPAN_KIND):
            case "task" if common["task_id"]:
                return self._task(span, common)
            case "step":
                return Step(
                    **common,
                    **self._rollup(span),
                    name=fields.text(span, names.STEP_NAME) or span.name,
                    discarded=span.attributes.get(names.STEP_DISCARDED) is True,
                    reason=fields.text(span, names.STEP_DISCARD_REASON),
                )
            case "call" | "tool" | "charge" as kind:
                return self._leaf(span, kind, common)
            case "attempt":
                return Attempt(
                    **common,
                    name=span.name,
                    http_status=fields.count(span, names.HTTP_STATUS) or None,
                    wait_seconds=fields.number(span, names.ATTEMPT_WAIT),
                )
            case _:
                return None

    def _task(self, span: SpanRecord, common: dict[str, Any]) -> Task:
        outcome = fields.text(span, names.OUTCOME)
        own = self._money(span, names.COST_SELF_EXACT)
        if own is None and names.COST_SELF_EXACT in span.attributes:
            self.unreadable_tasks.add(common["task_id"])
        return Task(
            **common,
            **self._rollup(span),
            id=common["task_id"],
            name=fields.text(span, names.TASK_NAME) or span.name,
            key=fields.text(span, names.TASK_KEY),
            customer=fields.text(span, names.CUSTOMER),
            parent_id=fields.text(span, names.PARENT_TASK_ID),
            outcome=outcome if outcome in _OUTCOMES else "pending",
            reason=fields.text(span, names.OUTCOME_REASON),
            own=own or ZERO,
        )

    def _leaf(self, span: SpanRecord, kind: LeafKind, common: dict[str, Any]) -> Leaf:
        cost = self._money(span, names.COST_EXACT)
        return Leaf(
            **common,
            kind=kind,
            name=fields.leaf_name(span, kind),
            cost=cost,
            status=fields.status(fields.text(span, names.COST_STATUS), cost),
            reason=fields.text(span, names.COST_REASON),
            wasted=span.attributes.get(names.CALL_WASTED) is True,
            tokens=fields.call_tokens(span) if kind == "call" else None,
            retries=fields.count(span, names.RESEND_COUNT),
            exposed_attempts=fields.count(span, names.EXPOSED_ATTEMPTS),
            task_name=fields.text(span, names.TASK_NAME),
            list_cost=fields.list_cost(span, names.CALL_COST_LIST, cost),
        )

    def _rollup(self, span: SpanRecord) -> dict[str, Any]:
        cost, estimated = self._money(span, names.COST_EXACT), fields.number(span, names.COST_ESTIMATED)
        wasted = self._money(span, names.COST_WASTED_EXACT)
        return {
            "cost": cost,
            "list_cost": fields.list_cost(span, names.COST_LIST, cost),
            "wasted": None if cost is None else wasted or ZERO,
            "estimated": None if cost is None else Decimal(repr(estimated)) if estimated else ZERO,
            "tokens": Tokens(
                input=fields.count(span, names.USAGE_INPUT),
                cached=fields.count(span, names.USAGE_CACHE_READ),
                output=fields.count(span, names.USAGE_OUTPUT),
                reasoning=fields.count(span, names.USAGE_REASONING),
            ),
            "calls": fields.count(span, names.CALLS),
            "retries": fields.count(span, names.RETRIES),
            "unpriced_calls": fields.count(span, names.UNPRICED_CALLS),
            "exposed_attempts": fields.count(span, names.EXPOSED_ATTEMPTS),
        }

    def _money(self, span: SpanRecord, name: str) -> Decimal | None:
        text = span.attributes.get(name)
        if text is None:
            return None
        try:
            amount = Decimal(text)
        except (InvalidOperation, TypeError, ValueError):
            amount = Decimal("NaN")
        exponent = amount.as_tuple().exponent
        if isinstance(exponent, int) and exponent >= -_MOST_DECIMALS and abs(amount) < LARGEST_AMOUNT:
            return amount
        self.unreadable_costs += 1
        return None


def _in_discarded_step(ref: Ref, rows: Mapping[Ref, AnyRow], parents: Mapping[Ref, Ref]) -> bool:
    above = parents.get(ref)
    while above is not None and isinstance(row := rows[above], Step):
        if row.discarded:
            return True
        above = parents.get(above)
    return False


def _is_waste(row: AnyRow) -> bool:
    match row:
        case Task():
            return row.outcome in ("failed", "abandoned")
        case Step():
            return row.discarded
        case Leaf():
            return row.wasted
        case Attempt():
            return False


def _has_estimates(row: AnyRow) -> bool:
    return row.status == "estimated" if isinstance(row, Leaf) else isinstance(row, _Rollup) and bool(row.estimated)


def _is_bound(row: AnyRow) -> bool:
    unsure = ("unpriced", "partial")
    return row.status in unsure if isinstance(row, Leaf) else isinstance(row, _Rollup) and bool(row.unpriced_calls)
