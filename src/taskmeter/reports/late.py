"""Money that a task's own span cannot have: booked after it ended, in another process, or before it ends at all.

Where the leaves of a task add up to more than its span says, they are right; to less (sampled, lost), the span is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from taskmeter.records import ZERO, add, subtract

if TYPE_CHECKING:
    from taskmeter.reports.relations import Leaf, Ref, Row, Task

_T = TypeVar("_T")


@dataclass(slots=True)
class _Found:
    """What the leaves of a task add up to; its nested tasks are added as they are settled."""

    cost: Decimal = ZERO
    wasted: Decimal = ZERO
    estimated: Decimal = ZERO
    nested: Decimal = ZERO
    late: Decimal = ZERO
    priced: bool = False
    calls: int = 0
    retries: int = 0
    unpriced_calls: int = 0
    exposed_attempts: int = 0
    tokens: tuple[int, ...] = (0, 0, 0, 0)

    def take_leaf(self, leaf: Leaf, *, wasted: bool) -> None:
        if leaf.cost is not None:
            self.priced = True
            self.cost = add(self.cost, leaf.cost)
            self.wasted = add(self.wasted, leaf.cost if wasted else ZERO)
            self.estimated = add(self.estimated, leaf.cost if leaf.status == "estimated" else ZERO)
        self.calls += leaf.kind == "call"
        self.retries += leaf.retries
        self.unpriced_calls += leaf.status == "unpriced"
        self.exposed_attempts += leaf.exposed_attempts
        if leaf.tokens is not None:
            self.tokens = _plus(self.tokens, leaf.tokens)

    def take_task(self, task: Task, *, wasted: bool) -> None:
        if task.cost is not None:
            self.priced = True
            self.nested = add(self.nested, task.cost)
            self.wasted = add(self.wasted, task.cost if wasted else task.wasted or ZERO)
            self.estimated = add(self.estimated, task.estimated or ZERO)
        self.late = add(self.late, task.late)
        self.calls += task.calls
        self.retries += task.retries
        self.unpriced_calls += task.unpriced_calls
        self.exposed_attempts += task.exposed_attempts
        self.tokens = _plus(self.tokens, task.tokens)


def settle(
    tasks: Mapping[str, Task], leaves: Iterable[Leaf], in_waste: Callable[[Ref], bool], unreadable: set[str]
) -> dict[str, Task]:
    """`tasks` with what came late added, to each and to those around it. `in_waste` says whether a row is inside a
    discarded step of its task; the own cost of `unreadable` tasks is not known, so nothing of theirs counts as late."""
    found: dict[str, _Found] = defaultdict(_Found)
    for leaf in leaves:
        if leaf.task_id is not None and leaf.task_id in tasks:
            found[leaf.task_id].take_leaf(leaf, wasted=leaf.wasted or in_waste(leaf.ref))
    settled: dict[str, Task] = {}
    for task in innermost_first(tasks):
        settled[task.id] = known = _settled(task, found[task.id], count_late=task.id not in unreadable)
        if task.parent_id is not None and task.parent_id in tasks:
            found[task.parent_id].take_task(known, wasted=in_waste(task.ref))
    return {task_id: settled[task_id] for task_id in tasks}


def _settled(task: Task, found: _Found, *, count_late: bool) -> Task:
    own_late = max(ZERO, subtract(found.cost, task.own)) if count_late else ZERO
    if task.outcome == "unfinished":
        known = found.priced or not found.unpriced_calls
        return replace(
            task,
            cost=add(found.cost, found.nested) if known else None,
            own=found.cost,
            late=found.late,
            **_counts(task, found),
            wasted=found.wasted if known else None,
            estimated=found.estimated if known else None,
        )
    before = task.cost or ZERO
    # A nested task's late money may have come in time for this task, and is then in `task.cost` already.
    cost = add(max(before, add(task.own, found.nested)), own_late)
    late = add(found.late, own_late)
    if cost == before and found.calls <= task.calls:
        return replace(task, late=late, own_late=own_late)
    wasted, estimated = task.wasted, task.estimated
    if cost != before:
        lost = task.outcome in ("failed", "abandoned")
        wasted = cost if lost else min(cost, max(task.wasted or ZERO, found.wasted))
        estimated = min(cost, max(task.estimated or ZERO, found.estimated))
    return replace(
        task,
        cost=cost if cost != before else task.cost,
        own=add(task.own, own_late),
        late=late,
        own_late=own_late,
        wasted=wasted,
        estimated=estimated,
        **_counts(task, found),
    )


def _counts(task: Task, found: _Found) -> dict[str, Any]:
    return {
        "calls": max(task.calls, found.calls),
        "retries": max(task.retries, found.retries),
        "unpriced_calls": max(task.unpriced_calls, found.unpriced_calls),
        "exposed_attempts": max(task.exposed_attempts, found.exposed_attempts),
        "tokens": type(task.tokens)(*map(max, task.tokens, found.tokens)),
    }


def _plus(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(one + other for one, other in zip(left, right, strict=True))


def innermost_first(tasks: Mapping[str, Task]) -> Iterator[Task]:
    """Each task after those nested in it."""
    nested = [(task.id, task.parent_id) for task in tasks.values()]
    above = {task_id: around for task_id, around in nested if around is not None and around in tasks}
    cut_cycles(above)
    inside: dict[str, int] = defaultdict(int)
    for around in above.values():
        inside[around] += 1
    ready = [task_id for task_id in tasks if not inside[task_id]]
    while ready:
        task_id = ready.pop()
        yield tasks[task_id]
        if (parent_id := above.get(task_id)) is not None:
            inside[parent_id] -= 1
            if not inside[parent_id]:
                ready.append(parent_id)


def cut_cycles(parents: dict[_T, _T]) -> None:
    """No honest writer makes a cycle, but whoever walks down from a task must not meet one."""
    sound: set[_T] = set()
    for start in list(parents):
        path: dict[_T, None] = {}
        node: _T | None = start
        while node is not None and node not in sound:
            path[node] = None
            above = parents.get(node)
            if above in path:
                del parents[node]
                break
            node = above
        sound.update(path)


def reaching(rows: Iterable[Row], parents: Mapping[Ref, Ref]) -> frozenset[Ref]:
    """`rows` and all that is around them."""
    reached: set[Ref] = set()
    for row in rows:
        ref: Ref | None = row.ref
        while ref is not None and ref not in reached:
            reached.add(ref)
            ref = parents.get(ref)
    return frozenset(reached)
