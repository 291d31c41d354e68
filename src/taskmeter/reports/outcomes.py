"""Outcomes that were recorded apart from the end of their task: which task each is about, and what it changes.

The task's own word at its end comes first, then the recorded ones by time, sequence and span id: the last one counts,
all are kept. One that is about no task of the spool is kept as unmatched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from taskmeter import _semconv as names
from taskmeter.records import ZERO, add, subtract, total
from taskmeter.reports import fields
from taskmeter.reports.late import innermost_first
from taskmeter.reports.text import plain
from taskmeter.reports.waste import OF_OUTCOME, Waste, capped, filled, minus, plus, without_verdict

if TYPE_CHECKING:
    from taskmeter.reports.rows import Leaf, Ref, Task
    from taskmeter.spool.read import SpanRecord

OUTCOMES = ("succeeded", "failed", "abandoned", "pending")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One recorded outcome."""

    at_ns: int
    """When it became known: Unix time."""
    sequence: int
    trace_id: str
    span_id: str
    task_id: str | None
    """The task it names; else its `key`, and maybe its `name`."""
    key: str | None
    name: str | None
    status: str
    reason: str | None
    value: Decimal | None
    human_minutes: Decimal
    cost: Decimal | None
    """Of the human minutes; `None` without any, or where no rate for them was known."""
    quality: Decimal | None

    @property
    def is_unpriced(self) -> bool:
        """Whether people's time was spent at a rate that is not known."""
        return bool(self.human_minutes) and self.cost is None

    @property
    def order(self) -> tuple[int, int, str, str]:
        """By which the last one is found, however the files were read."""
        return (self.at_ns, self.sequence, self.trace_id, self.span_id)


def read_outcome(span: SpanRecord, cost: Decimal | None) -> Outcome:
    """What the span of an outcome says."""
    status = fields.text(span, names.OUTCOME)
    return Outcome(
        at_ns=span.start_ns,
        sequence=fields.count(span, names.OUTCOME_SEQUENCE),
        trace_id=span.trace_id,
        span_id=span.span_id,
        task_id=fields.text(span, names.TASK_ID),
        key=fields.text(span, names.TASK_KEY),
        name=fields.text(span, names.TASK_NAME),
        status=status if status in OUTCOMES else "pending",
        reason=fields.text(span, names.OUTCOME_REASON),
        value=fields.decimal(span, names.VALUE),
        human_minutes=fields.decimal(span, names.HUMAN_MINUTES) or ZERO,
        cost=cost,
        quality=fields.decimal(span, names.QUALITY),
    )


class Matching:
    """Which task each recorded outcome is about."""

    def __init__(self, outcomes: Iterable[Outcome], tasks: Mapping[str, Task]) -> None:
        self._tasks = tasks
        self._by_key: dict[str, list[Task]] = defaultdict(list)
        for task in tasks.values():
            if task.key is not None:
                self._by_key[task.key].append(task)
        self.of_task: dict[str, list[Outcome]] = defaultdict(list)
        """By task id, in the order in which they count."""
        self.unmatched: list[Outcome] = []
        for outcome in sorted(outcomes, key=lambda outcome: outcome.order):
            meant = self.task_of(outcome.task_id, outcome.key, outcome.name, outcome.at_ns)
            (self.unmatched if meant is None else self.of_task[meant.id]).append(outcome)

    def task_of(self, task_id: str | None, key: str | None, name: str | None, at_ns: int) -> Task | None:
        """By id; else the latest task with that key that had started, of nested ones the outermost."""
        if task_id is not None:
            return self._tasks.get(task_id)
        meant = [
            task
            for task in self._by_key.get(key or "", ())
            if task.start_ns <= at_ns and (name is None or task.name == name)
        ]
        ids = {task.id for task in meant}
        outermost = [task for task in meant if not any(around in ids for around in self._around(task))]
        return max(outermost, key=lambda task: (task.start_ns, task.id), default=None)

    def _around(self, task: Task) -> Iterable[str]:
        seen: set[str] = set()
        around = task.parent_id
        while around is not None and around not in seen:
            seen.add(around)
            yield around
            above = self._tasks.get(around)
            around = None if above is None else above.parent_id


@dataclass(slots=True)
class _Inside:
    """What is in a task: its leaves, then its nested tasks as they are revised."""

    minutes: Decimal = ZERO
    late_minutes: Decimal = ZERO
    """Said with an outcome that was recorded elsewhere: no task's span has them."""
    late_unpriced: int = 0
    """How many of those outcomes had minutes without a price."""
    shift: Waste = field(default_factory=dict[str, Decimal])
    """By how much revisions changed what nested tasks wasted, by class."""
    said: list[Waste] = field(default_factory=list[Waste])
    """The waste of nested tasks as they themselves said it."""


def revise(
    tasks: Mapping[str, Task],
    leaves: Iterable[Leaf],
    of_task: Mapping[str, Sequence[Outcome]],
    around: Callable[[Ref], str | None],
) -> dict[str, Task]:
    """`tasks` with the last outcome of each, with what that changes about waste in it and around it, and with their
    human minutes. `around` says whether a row is inside a rejected step of its task."""
    inside: dict[str, _Inside] = defaultdict(_Inside)
    for task_id, said in of_task.items():
        inside[task_id].late_minutes = total(outcome.human_minutes for outcome in said)
        inside[task_id].late_unpriced = sum(outcome.is_unpriced for outcome in said)
    for leaf in leaves:
        if leaf.task_id is not None and leaf.task_id in tasks:
            found = inside[leaf.task_id]
            found.minutes = add(found.minutes, leaf.human_minutes)
    revised: dict[str, Task] = {}
    for task in innermost_first(tasks):
        found = inside[task.id]
        known = revised[task.id] = _revised(task, found, of_task.get(task.id, ()))
        if task.parent_id is not None and task.parent_id in tasks:
            outer = inside[task.parent_id]
            outer.minutes = add(outer.minutes, subtract(known.human_minutes, found.late_minutes))
            outer.late_minutes = add(outer.late_minutes, found.late_minutes)
            outer.late_unpriced += found.late_unpriced
            outer.said.append(task.waste)
            if around(task.ref) is None:
                outer.shift = plus(outer.shift, minus(known.waste, task.waste))
    return {task_id: revised[task_id] for task_id in tasks}


def _revised(task: Task, found: _Inside, said: Sequence[Outcome]) -> Task:
    minutes = add(max(task.human_minutes, found.minutes), found.late_minutes)
    task = replace(task, unpriced_calls=task.unpriced_calls + found.late_unpriced, human_minutes=minutes)
    cost = task.cost or ZERO
    if not said:
        kept = task.outcome in OF_OUTCOME or not found.shift
        return task if kept else replace(task, waste=capped(plus(task.waste, found.shift), cost))
    last = said[-1]
    waste = capped(plus(without_verdict(task.waste, task.outcome, found.said), found.shift), cost)
    return replace(
        task,
        waste=filled(waste, cost, OF_OUTCOME[last.status]) if last.status in OF_OUTCOME else waste,
        outcome=last.status,
        reason=last.reason,
        value=last.value,
        quality=last.quality,
        said=task.outcome,
        revisions=tuple(said),
    )


def outcome_notes(unmatched: Sequence[Outcome], tasks: Iterable[Task], currency: str) -> Iterable[str]:
    """What to say about tasks whose outcome is not known, and about outcomes whose task is not known."""
    pending = [task for task in tasks if task.outcome == "pending"]
    if pending:
        yield pending_note(len(pending), total(task.cost or ZERO for task in pending), currency)
    yield from unmatched_notes(unmatched)


def pending_note(tasks: int, amount: Decimal, currency: str) -> str:
    """What to say about tasks without an outcome."""
    return (
        f"{tasks} pending task{'s' * (tasks != 1)}: {amount:f} {currency} "
        "of these totals has no outcome yet, and is no success."
    )


def unmatched_notes(unmatched: Sequence[Outcome]) -> Iterable[str]:
    """What to say about outcomes without a task."""
    for outcome in unmatched[:_LISTED]:
        yield f"No task for the outcome {outcome.status} of {_meant(outcome)}: it is kept, and counts for nothing yet."
    if len(unmatched) > _LISTED:
        yield f"{len(unmatched) - _LISTED} more outcomes match no task."


_LISTED = 5
"""Unmatched outcomes that are named one by one."""


def _meant(outcome: Outcome) -> str:
    if outcome.task_id is not None:
        return f"task {plain(outcome.task_id)!r}"
    return f"{plain(outcome.key or '')!r}" + (f" ({plain(outcome.name)})" if outcome.name else "")
