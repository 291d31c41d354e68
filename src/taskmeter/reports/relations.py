"""Span records -> relations: the rows they become, what is inside what, and what each task came to."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from taskmeter import _semconv as names
from taskmeter.errors import UsageError
from taskmeter.records import WASTE_CLASSES, ZERO, add, subtract
from taskmeter.reports import fields
from taskmeter.reports.fields import LARGEST_AMOUNT, LeafKind, Tokens
from taskmeter.reports.late import MOST_NESTED, cut_cycles, cut_depth, innermost_first, reaching, settle, settled_steps
from taskmeter.reports.outcomes import OUTCOMES, Matching, Outcome, read_outcome, revise
from taskmeter.reports.rejected import around, as_reasks, reasked
from taskmeter.reports.rows import AnyRow, Attempt, Leaf, Ref, Rollup, Step, Task
from taskmeter.reports.waste import UNCLASSIFIED, Waste, plus, wasted
from taskmeter.spool.read import SpanRecord

_CURRENCY = re.compile("[A-Z]{3}")
_MOST_DECIMALS = 40


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
    reasked: frozenset[Ref]
    """Steps that were rejected, and then tried again."""
    wasted_estimates: frozenset[Ref]
    """Rows whose waste contains estimates."""
    wasted_bounds: frozenset[Ref]
    """Rows whose waste is a lower bound."""
    unmatched: tuple[Outcome, ...] = ()
    """Recorded outcomes that are about no task of the spool."""

    @property
    def leaves(self) -> Iterator[Leaf]:
        """Calls, tool runs and charges."""
        return (row for row in self.rows.values() if isinstance(row, Leaf))

    def ancestors(self, task: Task) -> Iterator[Task]:
        """The recorded tasks around `task`, innermost first."""
        seen = {task.id}
        parent_id = task.parent_id
        while parent_id is not None and parent_id not in seen and (parent := self.tasks.get(parent_id)):
            if len(seen) > MOST_NESTED:
                return
            yield parent
            seen.add(parent.id)
            parent_id = parent.parent_id

    def missing(self) -> dict[str, Decimal]:
        """By task id, where there is a gap: the task's total less what the recorded leaves in it add up to."""
        found = dict.fromkeys(self.tasks, ZERO)
        for leaf in self.leaves:
            task = self.tasks.get(leaf.task_id or "")
            if task is not None and leaf.cost is not None:
                found[task.id] = add(found[task.id], leaf.cost)
        for task in innermost_first(self.tasks):
            if task.parent_id in found:
                found[task.parent_id] = add(found[task.parent_id], found[task.id])
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
        self.outcomes: dict[Ref, SpanRecord] = {}

    def take(self, span: SpanRecord) -> None:
        ref = Ref(span.trace_id, span.span_id)
        if span.parent_span_id is not None:
            self.around[ref] = span.parent_span_id
        if fields.text(span, names.SPAN_KIND) == "outcome":
            self.outcomes[ref] = span
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
        outcomes = self._matched()
        parents = {ref: parent for ref, row in self.rows.items() if (parent := self._parent(row)) is not None}
        cut_cycles(parents)
        cut_depth(parents)
        self._fold_calls_money(parents)
        leaves = [row for row in self.rows.values() if isinstance(row, Leaf)]
        again = reasked(self.rows, parents)
        wasteful = around(self.rows, parents, again)
        # What nobody can price changes no sum, and `revise` counts it.
        known = [leaf for leaf in leaves if leaf.cost is not None or leaf.ref not in self.outcomes]
        self.tasks = settle(self.tasks, known, wasteful, self.unreadable_tasks)
        self.tasks = revise(self.tasks, leaves, outcomes.of_task, wasteful)
        self.rows |= {task.ref: task for task in self.tasks.values()}
        self.rows |= settled_steps(self.rows, parents)
        self.rows |= as_reasks(self.rows, again)
        waste = [row for row in self.rows.values() if _is_waste(row)]
        return Relations(
            self.tasks,
            self.rows,
            parents,
            next(iter(self.currencies), "USD"),
            self.unreadable_costs,
            again,
            wasted_estimates=reaching((row for row in waste if _has_estimates(row)), parents),
            wasted_bounds=reaching((row for row in waste if _is_bound(row)), parents),
            unmatched=tuple(outcomes.unmatched),
        )

    def _matched(self) -> Matching:
        """Which task each recorded outcome is about. What its human minutes cost is a charge of that task."""
        leaves = {
            # No span of a task has that money, wherever the outcome was recorded.
            ref: replace(self._leaf(span, "charge", self._common(span, ref)), late=True, remote=True)
            for ref, span in self.outcomes.items()
        }
        outcomes = {ref: read_outcome(span, leaves[ref].cost) for ref, span in self.outcomes.items()}
        matching = Matching(outcomes.values(), self.tasks)
        for ref, outcome in outcomes.items():
            if outcome.human_minutes:
                task = matching.task_of(outcome.task_id, outcome.key, outcome.name, outcome.at_ns)
                self.rows[ref] = (
                    replace(leaves[ref], task_id=None, human_minutes=outcome.human_minutes)
                    if task is None
                    else replace(leaves[ref], task_id=task.id, human_minutes=ZERO)  # the outcome itself has them
                )
        return matching

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
        folded: dict[Ref, Ref] = {}
        for ref in sorted(self.calls_money, key=lambda ref: self.rows[ref].start_ns, reverse=True):
            charge, call = self.rows[ref], self.rows.get(parents.get(ref, ref))
            if isinstance(charge, Leaf) and isinstance(call, Leaf) and call.kind == "call" and call.cost is None:
                self.rows[call.ref] = replace(
                    call,
                    cost=charge.cost,
                    status=charge.status,
                    reason=charge.reason,
                    waste=charge.waste,
                    reasoning=charge.reasoning,
                )
                folded[ref] = parents.pop(ref)
                del self.rows[ref]
        if folded:  # no honest charge has anything inside
            for ref, around in parents.items():
                while around in folded:
                    around = folded[around]  # noqa: PLW2901 - upwards to what is still there
                parents[ref] = around

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

    def _common(self, span: SpanRecord, ref: Ref) -> dict[str, Any]:
        return {
            "ref": ref,
            "task_id": fields.text(span, names.TASK_ID),
            "start_ns": span.start_ns,
            "end_ns": span.end_ns,
            "error": fields.text(span, names.ERROR_TYPE),
        }

    def _row(self, span: SpanRecord, ref: Ref) -> AnyRow | None:
        common = self._common(span, ref)
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
                    remote=span.attributes.get(names.TASK_REMOTE) is True,
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
            outcome=outcome if outcome in OUTCOMES else "pending",
            reason=fields.text(span, names.OUTCOME_REASON),
            own=own or ZERO,
            in_remote=span.attributes.get(names.TASK_REMOTE) is True,
            value=fields.decimal(span, names.VALUE),
            quality=fields.decimal(span, names.QUALITY),
            human_minutes=fields.decimal(span, names.HUMAN_MINUTES) or ZERO,
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
            waste=fields.waste(span),
            tokens=fields.call_tokens(span) if kind == "call" else None,
            retries=fields.count(span, names.RESEND_COUNT),
            exposed_attempts=fields.count(span, names.EXPOSED_ATTEMPTS),
            task_name=fields.text(span, names.TASK_NAME),
            late=span.attributes.get(names.COST_LATE) is True,
            remote=span.attributes.get(names.TASK_REMOTE) is True,
            human_minutes=fields.human_minutes(span),
            list_cost=fields.list_cost(span, names.CALL_COST_LIST, cost),
            reasoning=fields.decimal(span, names.COST_REASONING),
        )

    def _rollup(self, span: SpanRecord) -> dict[str, Any]:
        cost, estimated = self._money(span, names.COST_EXACT), fields.number(span, names.COST_ESTIMATED)
        return {
            "cost": cost,
            "list_cost": fields.list_cost(span, names.COST_LIST, cost),
            "waste": {} if cost is None else self._waste(span),
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

    def _waste(self, span: SpanRecord) -> Waste:
        """By class; what the span does not give a class has none."""
        named: Waste = {
            name: self._money(span, names.WASTE_PREFIX + name + names.WASTE_EXACT_SUFFIX) or ZERO
            for name in WASTE_CLASSES
        }
        said = self._money(span, names.COST_WASTED_EXACT) or ZERO
        rest = subtract(said, wasted(named))
        return plus(named, {UNCLASSIFIED: rest}) if rest > 0 else plus(named)

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


def _is_waste(row: AnyRow) -> bool:
    match row:
        case Task():
            return row.outcome in ("failed", "abandoned")
        case Step():
            return row.discarded
        case Leaf():
            return row.waste is not None
        case Attempt():
            return False


def _has_estimates(row: AnyRow) -> bool:
    return row.status == "estimated" if isinstance(row, Leaf) else isinstance(row, Rollup) and bool(row.estimated)


def _is_bound(row: AnyRow) -> bool:
    unsure = ("unpriced", "partial")
    return row.status in unsure if isinstance(row, Leaf) else isinstance(row, Rollup) and bool(row.unpriced_calls)
