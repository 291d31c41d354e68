"""Money that a task's own span cannot have: booked after it ended, in another process, or before it ends at all.

Where the leaves of a task add up to more than its span says, they are right; to less (sampled, lost), the span is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeVar

from taskmeter.records import ZERO, add, subtract
from taskmeter.reports.rows import Leaf, Ref, Row, Step, Task
from taskmeter.reports.waste import NO_WASTE, OF_OUTCOME, Waste, capped, filled, plus, wasted

_T = TypeVar("_T")


@dataclass(slots=True)
class _Sum:
    """What some leaves and nested tasks add up to."""

    own: Decimal = ZERO
    nested: Decimal = ZERO
    waste: Waste = field(default_factory=dict[str, Decimal])
    estimated: Decimal = ZERO
    calls: int = 0
    retries: int = 0
    unpriced_calls: int = 0
    exposed_attempts: int = 0
    tokens: tuple[int, ...] = (0, 0, 0, 0)

    def take_leaf(self, leaf: Leaf, waste: str | None) -> None:
        if leaf.cost is not None:
            self.own = add(self.own, leaf.cost)
            if waste is not None:
                self.waste = plus(self.waste, {waste: leaf.cost})
            self.estimated = add(self.estimated, leaf.cost if leaf.status == "estimated" else ZERO)
        self.calls += leaf.kind == "call"
        self.retries += leaf.retries
        self.unpriced_calls += leaf.status == "unpriced"
        self.exposed_attempts += leaf.exposed_attempts
        if leaf.tokens is not None:
            self.tokens = _plus(self.tokens, leaf.tokens)

    def take_task(self, task: Task, waste: str | None) -> None:
        if task.cost is not None:
            self.nested = add(self.nested, task.cost)
            self.waste = plus(self.waste, filled(task.waste, task.cost, waste) if waste else task.waste)
            self.estimated = add(self.estimated, task.estimated or ZERO)
        self.calls += task.calls
        self.retries += task.retries
        self.unpriced_calls += task.unpriced_calls
        self.exposed_attempts += task.exposed_attempts
        self.tokens = _plus(self.tokens, task.tokens)


class _Found:
    """What is recorded of a task besides its own span; its nested tasks are added as they are settled."""

    def __init__(self) -> None:
        self.inside = _Sum()
        """What the task's span has as well, unless that came late for it."""
        self.apart = _Sum()
        """What it cannot have: marked as late, or done in another process."""
        self.own_remote = ZERO
        self.nested_remote = ZERO
        """The part of nested tasks that was spent in other processes than this task's."""
        self.late = ZERO
        self.priced = False

    def take_leaf(self, leaf: Leaf, waste: str | None) -> None:
        self.priced = self.priced or leaf.cost is not None
        (self.apart if leaf.late or leaf.remote else self.inside).take_leaf(leaf, waste)
        if leaf.remote:
            self.own_remote = add(self.own_remote, leaf.cost or ZERO)

    def take_task(self, task: Task, waste: str | None) -> None:
        self.priced = self.priced or task.cost is not None
        (self.apart if task.in_remote else self.inside).take_task(task, waste)
        self.nested_remote = add(self.nested_remote, (task.cost or ZERO) if task.in_remote else task.remote)
        self.late = add(self.late, task.late)


def settle(
    tasks: Mapping[str, Task], leaves: Iterable[Leaf], around: Callable[[Ref], str | None], unreadable: set[str]
) -> dict[str, Task]:
    """`tasks` with what came late added, to each and to those around it. `around` says whether a row is inside a
    rejected step of its task; of `unreadable` tasks the own cost is not known, so only what is marked is late."""
    found: dict[str, _Found] = defaultdict(_Found)
    for leaf in leaves:
        if leaf.task_id is not None and leaf.task_id in tasks:
            found[leaf.task_id].take_leaf(leaf, leaf.waste or around(leaf.ref))
    settled: dict[str, Task] = {}
    for task in innermost_first(tasks):
        settled[task.id] = known = _settled(task, found[task.id], count_late=task.id not in unreadable)
        if task.parent_id is not None and task.parent_id in tasks:
            found[task.parent_id].take_task(known, around(task.ref))
    return {task_id: settled[task_id] for task_id in tasks}


def _settled(task: Task, found: _Found, *, count_late: bool) -> Task:
    inside, apart = found.inside, found.apart
    remote = add(found.own_remote, found.nested_remote)
    own_found, nested_found = add(inside.own, apart.own), add(inside.nested, apart.nested)
    own_late = max(apart.own, subtract(own_found, task.own)) if count_late else apart.own
    if task.outcome == "unfinished":
        known = found.priced or not inside.unpriced_calls + apart.unpriced_calls
        return replace(
            task,
            cost=add(own_found, nested_found) if known else None,
            own=own_found,
            late=found.late,
            remote=remote,
            **_counts(task, found),
            waste=plus(inside.waste, apart.waste) if known else NO_WASTE,
            estimated=add(inside.estimated, apart.estimated) if known else None,
        )
    before = task.cost or ZERO
    # A nested task's late money may have come in time for this task, and is then in `task.cost` already; what was spent
    # elsewhere is not.
    here = add(task.own, subtract(nested_found, found.nested_remote))
    cost = add(add(max(before, here), found.nested_remote), own_late)
    late = add(found.late, own_late)
    if cost == before and inside.calls + apart.calls <= task.calls:
        return replace(task, late=late, own_late=own_late, remote=remote)
    waste, estimated = task.waste, task.estimated
    if cost != before:
        said = task.waste if wasted(task.waste) >= wasted(inside.waste) else inside.waste
        waste = capped(plus(said, apart.waste), cost)
        if task.outcome in OF_OUTCOME:
            waste = filled(waste, cost, OF_OUTCOME[task.outcome])
        estimated = min(cost, add(max(task.estimated or ZERO, inside.estimated), apart.estimated))
    return replace(
        task,
        cost=cost if cost != before else task.cost,
        own=add(task.own, own_late),
        late=late,
        own_late=own_late,
        remote=remote,
        waste=waste,
        estimated=estimated,
        **_counts(task, found),
    )


def _counts(task: Task, found: _Found) -> dict[str, Any]:
    inside, apart = found.inside, found.apart
    return {
        "calls": max(task.calls, inside.calls) + apart.calls,
        "retries": max(task.retries, inside.retries) + apart.retries,
        "unpriced_calls": max(task.unpriced_calls, inside.unpriced_calls) + apart.unpriced_calls,
        "exposed_attempts": max(task.exposed_attempts, inside.exposed_attempts) + apart.exposed_attempts,
        "tokens": type(task.tokens)(*_plus(tuple(map(max, task.tokens, inside.tokens)), apart.tokens)),
    }


def _plus(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(one + other for one, other in zip(left, right, strict=True))


def settled_steps(rows: Mapping[Ref, Row], parents: Mapping[Ref, Ref]) -> dict[Ref, Step]:
    """The steps that something was spent in by other processes, with that added."""
    elsewhere: dict[Ref, Decimal] = defaultdict(Decimal)
    for leaf in rows.values():
        if not isinstance(leaf, Leaf) or not leaf.cost:
            continue
        remote = leaf.remote
        above = parents.get(leaf.ref)
        while above is not None:
            row = rows[above]
            if isinstance(row, Step) and remote and not row.remote:
                elsewhere[above] = add(elsewhere[above], leaf.cost)
            elif isinstance(row, Task):
                remote = remote or row.in_remote
            above = parents.get(above)
    return {ref: _with(step, amount) for ref, amount in elsewhere.items() if isinstance(step := rows[ref], Step)}


def _with(step: Step, amount: Decimal) -> Step:
    cost = add(step.cost or ZERO, amount)
    return replace(step, cost=cost, waste=filled(step.waste, cost, "discarded_step") if step.discarded else step.waste)


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
