"""`taskmeter show`: the tree of one task, node by node: steps, calls with failed attempts, tools, charges, tasks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Literal

from taskmeter._bounds import bounded, shown
from taskmeter.errors import SpoolError
from taskmeter.records import ZERO, add, total
from taskmeter.reports.fields import LeafKind, Status
from taskmeter.reports.notes import exposed_note, late_note, missing_note
from taskmeter.reports.outcomes import outcome_notes
from taskmeter.reports.relations import Relations
from taskmeter.reports.rows import Attempt, Leaf, Ref, Row, Step, Task
from taskmeter.reports.text import plain
from taskmeter.reports.waste import Waste

_SUGGESTIONS = 5
_SHORTEST_PREFIX = 4
_COMPARED = 1_000
"""Tasks, the most recent ones, among which names that come close are looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeNode:
    """One line of the tree. Amounts are exact, in the tree's currency; what does not apply is `None`."""

    depth: int
    """0 for the task shown. A node is inside the nearest one before it that is one less deep."""
    kind: Literal["task", "step", "attempt", "outcome"] | LeafKind
    name: str
    key: str | None = None
    task_id: str | None
    trace_id: str
    span_id: str
    cost: Decimal | None = None
    """Of tasks and steps with all that is in them, of the others their own. `None` when not known (`unpriced`) and
    where there is nothing to pay."""
    status: Status = ""
    list_cost: Decimal | None = None
    """`cost` at list prices, where a contract makes it another. `None` for tasks with late spending."""
    wasted: Decimal | None = None
    """The part of `cost` whose result was thrown away, where it is known."""
    waste: Waste = field(default_factory=dict[str, Decimal])
    """`wasted` by class."""
    wasted_status: Status = ""
    """How sure `wasted` is: `partial` if it is a lower bound. Of tasks and steps."""
    late: Decimal | None = None
    """Of tasks: the part of `cost` booked after the end of the task it was spent in, or in another process."""
    discarded: bool = False
    reasked: bool = False
    """Of steps: whether its result was rejected, and it was tried again."""
    input_tokens: int | None = None
    cached_tokens: int | None = None
    """Part of `input_tokens`."""
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    """Part of `output_tokens`."""
    reasoning_cost: Decimal | None = None
    """The part of `cost` that those cost, of tasks and steps with all calls that are in the tree below; `None` where
    it is not known, or there is none."""
    seconds: float
    calls: int | None = None
    retries: int = 0
    outcome: str | None = None
    error: str | None = None
    http_status: int | None = None
    wait_seconds: float | None = None
    """Slept after a failed attempt."""
    reason: str | None = None
    """Why it failed, was discarded, or is not priced exactly."""
    at: str | None = None
    """Of outcomes that were recorded apart from the task's end: when each became known."""
    value: Decimal | None = None
    human_minutes: Decimal | None = None
    """Of tasks with all that is in them, of outcomes what was said with each."""
    quality: Decimal | None = None


@dataclass(frozen=True, slots=True)
class TaskTree:
    """A task and all in it, depth first, in the order things started."""

    currency: str
    nodes: tuple[TreeNode, ...]
    notes: tuple[str, ...]


def task_tree(relations: Relations, wanted: str) -> TaskTree:
    """The tree of the task with id, key or beginning (4 characters or more) of an id `wanted`: the most recent if there
    are several.

    Raises `SpoolError` when there is none, with what comes close.
    """
    matches = find_tasks(relations, wanted)
    if not matches:
        raise SpoolError(_not_found(relations, wanted))
    task = max(matches, key=lambda match: (match.start_ns, match.id))
    notes: list[str] = []
    if len(matches) > 1:
        notes.append(f"{len(matches)} tasks match {shown(wanted)}; this is the most recent. Name another by its id.")
    nodes = _nodes(relations, task)
    if task.unpriced_calls:
        what = "Calls and reviews" if task.human_minutes else "Calls"
        notes.append(
            f"{what} that could not be priced: {task.unpriced_calls}. Totals that include one are lower bounds."
        )
    if task.exposed_attempts:
        notes.append(exposed_note(task.exposed_attempts))
    in_tree = {node.task_id for node in nodes if node.kind == "task"}
    notes.extend(outcome_notes((), (task,), relations.currency))
    late = [inner.own_late for id_ in in_tree if id_ and (inner := relations.tasks[id_]).own_late]
    if late:
        notes.append(late_note(len(late), total(late), relations.currency))
    missing = {task_id: gap for task_id, gap in relations.missing().items() if task_id in in_tree}
    lost = [
        gap
        for task_id, gap in missing.items()
        if all(around.id not in missing for around in relations.ancestors(relations.tasks[task_id]))
    ]
    if lost:
        notes.append(missing_note(len(lost), total(lost), relations.currency))
    return TaskTree(relations.currency, tuple(nodes), tuple(notes))


def find_tasks(relations: Relations, wanted: str) -> list[Task]:
    """The tasks with id, else key, else beginning (4 characters or more) of an id `wanted`."""
    tasks, keys = relations.tasks.values(), {wanted, bounded(wanted)}
    return (
        [task for task in tasks if task.id == wanted]
        or [task for task in tasks if task.key in keys]
        or [task for task in tasks if len(wanted) >= _SHORTEST_PREFIX and task.id.startswith(wanted)]
    )


def _not_found(relations: Relations, wanted: str) -> str:
    """What comes close."""
    tasks = relations.tasks.values()
    if not tasks:
        return f"No task {shown(wanted)}: the spool holds no task."
    recent = sorted(tasks, key=lambda task: (task.start_ns, task.id), reverse=True)
    # Comparing takes its time: with long names quadratically, and with many of them.
    names = dict.fromkeys(plain(name) for task in recent[:_COMPARED] for name in (task.key, task.id) if name)
    if close := get_close_matches(plain(wanted), names, n=_SUGGESTIONS):
        hint = f"Closest: {', '.join(map(repr, close))}"
    else:
        hint = f"The most recent: {', '.join(repr(plain(task.key or task.id)) for task in recent[:_SUGGESTIONS])}"
    if wanted and any(task.id.startswith(wanted) for task in tasks):
        hint += f". Of an id, give {_SHORTEST_PREFIX} characters or more"
    return f"No task with id or key {shown(wanted)} in the spool. {hint}."


def _nodes(relations: Relations, root: Task) -> list[TreeNode]:
    inside: dict[Ref, list[Task | Step | Leaf | Attempt]] = defaultdict(list)
    for ref, parent in relations.parents.items():
        inside[parent].append(relations.rows[ref])
    nodes: list[TreeNode] = []
    waiting: list[tuple[Task | Step | Leaf | Attempt | TreeNode, int]] = [(root, 0)]
    while waiting:  # a stack, not recursion: tasks may nest deeper than Python does
        row, depth = waiting.pop()
        if isinstance(row, TreeNode):
            nodes.append(row)
            continue
        nodes.append(_node(row, depth, relations))
        if isinstance(row, Task):
            waiting.extend((node, depth + 1) for node in reversed(_outcome_nodes(row, depth + 1)))
        children = sorted(inside[row.ref], key=lambda child: (child.start_ns, child.end_ns, child.ref), reverse=True)
        waiting.extend((child, depth + 1) for child in children)
    return _with_reasoning(nodes)


def _with_reasoning(nodes: Sequence[TreeNode]) -> list[TreeNode]:
    """Each node with what the reasoning of all calls below it cost."""
    costs = [node.reasoning_cost for node in nodes]
    sums: dict[int, Decimal] = {}
    """By depth, of the nodes after the one at hand that are inside the next one before it which is less deep."""
    for at in range(len(nodes) - 1, -1, -1):
        depth = nodes[at].depth
        found = [cost for cost in (costs[at], sums.pop(depth + 1, None)) if cost is not None]
        costs[at] = total(found) if found else None
        if found:
            sums[depth] = add(sums.get(depth, ZERO), total(found))
    return [replace(node, reasoning_cost=cost) if cost else node for node, cost in zip(nodes, costs, strict=True)]


def _node(row: Task | Step | Leaf | Attempt, depth: int, relations: Relations) -> TreeNode:
    match row:
        case Task() | Step():
            return _rollup_node(row, depth, relations)
        case Leaf():
            return _leaf_node(row, depth)
        case Attempt():
            return TreeNode(
                depth=depth,
                kind="attempt",
                name=row.name,
                task_id=row.task_id,
                trace_id=row.ref.trace_id,
                span_id=row.ref.span_id,
                seconds=_seconds(row),
                error=row.error,
                http_status=row.http_status,
                wait_seconds=row.wait_seconds,
            )


def _rollup_node(row: Task | Step, depth: int, relations: Relations) -> TreeNode:
    task = row if isinstance(row, Task) else None
    return TreeNode(
        depth=depth,
        kind="task" if task else "step",
        name=row.name,
        key=task.key if task else None,
        task_id=row.task_id,
        trace_id=row.ref.trace_id,
        span_id="" if task and task.outcome == "unfinished" else row.ref.span_id,
        cost=row.cost,
        status=row.status,
        list_cost=None if task and task.late else row.list_cost,
        wasted=row.wasted,
        waste=row.waste,
        wasted_status=_wasted_status(row, relations),
        late=task.late if task else None,
        discarded=isinstance(row, Step) and row.discarded,
        reasked=row.ref in relations.reasked,
        input_tokens=row.tokens.input,
        cached_tokens=row.tokens.cached,
        output_tokens=row.tokens.output,
        reasoning_tokens=row.tokens.reasoning,
        seconds=_seconds(row),
        calls=row.calls,
        retries=row.retries,
        outcome=task.outcome if task else None,
        error=row.error,
        reason=row.reason,
        value=task.value if task else None,
        human_minutes=(task.human_minutes or None) if task else None,
        quality=task.quality if task else None,
    )


def _outcome_nodes(task: Task, depth: int) -> list[TreeNode]:
    """What the task said at its end and what was recorded of it since, if anything was: the last one counts."""
    said = [(task.said, None)] if task.revisions and task.said != "unfinished" else []
    return [
        TreeNode(
            depth=depth,
            kind="outcome",
            name=str(status),
            task_id=task.id,
            trace_id=task.ref.trace_id if recorded is None else recorded.trace_id,
            span_id=task.ref.span_id if recorded is None else recorded.span_id,
            seconds=0,
            reason=None if recorded is None else recorded.reason,
            at=_time(task.end_ns if recorded is None else recorded.at_ns),
            value=None if recorded is None else recorded.value,
            human_minutes=None if recorded is None else recorded.human_minutes or None,
            quality=None if recorded is None else recorded.quality,
        )
        for status, recorded in [*said, *((outcome.status, outcome) for outcome in task.revisions)]
    ]


def _time(nanos: int) -> str:
    """To the second, as ISO 8601 in UTC."""
    return datetime.fromtimestamp(nanos // 1_000_000_000, UTC).isoformat().replace("+00:00", "Z")


def _wasted_status(row: Task | Step, relations: Relations) -> Status:
    if row.wasted is None:
        return ""
    if row.ref in relations.wasted_bounds:
        return "partial"
    return "estimated" if row.ref in relations.wasted_estimates else "exact"


def _leaf_node(row: Leaf, depth: int) -> TreeNode:
    tokens = row.tokens
    return TreeNode(
        depth=depth,
        kind=row.kind,
        name=row.name,
        task_id=row.task_id,
        trace_id=row.ref.trace_id,
        span_id=row.ref.span_id,
        cost=row.cost,
        status=row.status,
        list_cost=row.list_cost,
        wasted=row.cost if row.waste else None,
        waste={row.waste: row.cost} if row.waste and row.cost else {},
        input_tokens=tokens.input if tokens else None,
        cached_tokens=tokens.cached if tokens else None,
        output_tokens=tokens.output if tokens else None,
        reasoning_tokens=tokens.reasoning if tokens else None,
        reasoning_cost=row.reasoning,
        seconds=_seconds(row),
        retries=row.retries,
        error=row.error,
        reason=row.reason,
    )


def _seconds(row: Row) -> float:
    return max(0, row.end_ns - row.start_ns) / 1e9
