"""`taskmeter breakdown`: where the money of the tasks of each name went, a section for each way to divide it.

A section is a record and a function that makes it of a `Group`; a row has one of each. Like those of `taskmeter
report`, a row's money is that of its tasks with all that is nested in them, counted once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import Literal, TypeAlias

from taskmeter.errors import SpoolError
from taskmeter.records import ZERO, total
from taskmeter.reports.context_section import ContextSection, context_section
from taskmeter.reports.relations import Relations
from taskmeter.reports.rows import Leaf, Task
from taskmeter.reports.unit_cost import exposed_note, late_notes, missing_notes, unpriced_note
from taskmeter.reports.waste_section import WasteSection, waste_section

Kind: TypeAlias = Literal["task", "unfinished", "no_task", "total"]


@dataclass(frozen=True, slots=True)
class Group:
    """What a row is about."""

    name: str
    kind: Kind
    tasks: Sequence[Task]
    outermost: Sequence[Task]
    """Those of `tasks` that are in no other of the group."""
    leaves: Sequence[Leaf]
    """What is in no task, where the group has that."""
    relations: Relations

    @property
    def unpriced_calls(self) -> int:
        """Calls that could not be priced: if there are any, each sum is a lower bound."""
        return sum(task.unpriced_calls for task in self.outermost) + sum(
            leaf.status == "unpriced" for leaf in self.leaves
        )

    @property
    def total(self) -> Decimal | None:
        """All that was spent; `None` where nothing of it could be priced."""
        parts: list[Task | Leaf] = [*self.outermost, *self.leaves]
        costs = [part.cost for part in parts if part.cost is not None]
        return total(costs) if costs or not self.unpriced_calls else None


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakdownRow:
    """One row. Amounts are exact, in the report's currency."""

    name: str
    kind: Kind
    """`unfinished`: tasks of which only what is inside is recorded. `no_task`: outside any."""
    tasks: int
    total: Decimal | None
    """`None` when nothing could be priced; a lower bound if there are `unpriced_calls`."""
    estimated: bool
    """Whether a part of `total` is an estimate."""
    unpriced_calls: int
    waste: WasteSection
    context: ContextSection


@dataclass(frozen=True, slots=True)
class BreakdownReport:
    """Rows by falling total, what is in no finished task, the total, and what to know when reading them."""

    currency: str
    rows: tuple[BreakdownRow, ...]
    total: BreakdownRow
    notes: tuple[str, ...]


def breakdown(relations: Relations, wanted: Collection[str] = ()) -> BreakdownReport:
    """Makes the report, of the tasks of the names `wanted` only if there are any.

    Raises `SpoolError` for a name that no task has, with what comes close.
    """
    known = {task.name for task in relations.tasks.values()}
    for name in wanted:
        if name not in known:
            raise SpoolError(_not_found(name, known))
    groups = list(_groups(relations, wanted))
    rows = [_row(group) for group in groups]
    tasks = [task for group in groups for task in group.tasks]
    leaves = [leaf for group in groups for leaf in group.leaves]
    whole = _row(Group("TOTAL", "total", tasks, _outermost(tasks, relations), leaves, relations))
    return BreakdownReport(relations.currency, tuple(rows), whole, tuple(_notes(whole, tasks, relations)))


def _groups(relations: Relations, wanted: Collection[str]) -> Iterable[Group]:
    finished: dict[str, list[Task]] = defaultdict(list)
    unfinished: dict[str, list[Task]] = defaultdict(list)
    for task in relations.tasks.values():
        if not wanted or task.name in wanted:
            (unfinished if task.outcome == "unfinished" else finished)[task.name].append(task)
    kinds: tuple[tuple[Kind, dict[str, list[Task]]], ...] = (("task", finished), ("unfinished", unfinished))
    for kind, by_name in kinds:
        found = [
            Group(name, kind, tasks, _outermost(tasks, relations), (), relations) for name, tasks in by_name.items()
        ]
        yield from sorted(found, key=lambda group: (-(group.total or ZERO), group.name))
    outside = [leaf for leaf in relations.leaves if not leaf.task_id]
    if outside and not wanted:
        yield Group("(no task)", "no_task", (), (), outside, relations)


def _outermost(tasks: Sequence[Task], relations: Relations) -> list[Task]:
    ids = {task.id for task in tasks}
    return [task for task in tasks if all(around.id not in ids for around in relations.ancestors(task))]


def _row(group: Group) -> BreakdownRow:
    return BreakdownRow(
        name=group.name,
        kind=group.kind,
        tasks=len(group.tasks),
        total=group.total,
        estimated=any(task.estimated for task in group.outermost)
        or any(leaf.status == "estimated" for leaf in group.leaves),
        unpriced_calls=group.unpriced_calls,
        waste=waste_section(group),
        context=context_section(group),
    )


def _not_found(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, known) or sorted(known)[:_SUGGESTIONS]
    hint = f" Closest: {', '.join(map(repr, close))}." if close else " The spool holds no task."
    return f"No task is named {name!r}.{hint}"


_SUGGESTIONS = 5


def _notes(whole: BreakdownRow, tasks: Sequence[Task], relations: Relations) -> Iterable[str]:
    if whole.unpriced_calls:
        yield unpriced_note(whole.unpriced_calls, reviews=any(task.human_minutes for task in tasks))
    if whole.waste.exposed_attempts:
        yield exposed_note(whole.waste.exposed_attempts)
    yield from late_notes(tasks, relations.currency)
    shown = {task.id for task in tasks}
    yield from missing_notes(relations, {id_: gap for id_, gap in relations.missing().items() if id_ in shown})
