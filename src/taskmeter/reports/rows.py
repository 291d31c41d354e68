"""The rows that the spans of a spool become: tasks, steps, leaves (what carries money), failed attempts."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from taskmeter.records import ZERO
from taskmeter.reports.fields import LeafKind, Status, Tokens
from taskmeter.reports.waste import Waste, wasted

if TYPE_CHECKING:
    from taskmeter.reports.outcomes import Outcome


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
class Rollup(Row):
    """What sums up all that is inside: a task or a step."""

    cost: Decimal | None
    """Nested tasks included, and what came late; `None` when nothing in it could be priced."""
    waste: Waste
    """The part of `cost` whose result was thrown away, by class; nothing where `cost` is not known."""
    estimated: Decimal | None
    """`None` where `cost` is."""
    tokens: Tokens
    calls: int
    retries: int
    unpriced_calls: int
    exposed_attempts: int
    """HTTP requests without an answer that may be billed all the same."""
    list_cost: Decimal | None = None
    """`cost` at list prices, without what came late; `None` where it is the same."""

    @property
    def wasted(self) -> Decimal | None:
        """All waste; `None` where `cost` is."""
        return None if self.cost is None else wasted(self.waste)

    @property
    def status(self) -> Status:
        """The least sure of what is in it."""
        if self.unpriced_calls:
            return "unpriced" if self.cost is None else "partial"
        if self.cost is None:
            return ""
        return "estimated" if self.estimated else "exact"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Rollup):
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
    remote: Decimal = ZERO
    """The part of `cost` that was spent in other processes than its own, or with outcomes."""
    in_remote: bool = False
    """Whether it was opened in another process than the task around it, which thus does not have it in its span."""
    value: Decimal | None = None
    """What its result is worth, by the last that was said."""
    quality: Decimal | None = None
    human_minutes: Decimal = ZERO
    """Time that people spent on it, nested tasks included, priced or not."""
    said: str | None = None
    """What the task itself said at its end, where `revisions` came after it."""
    revisions: tuple[Outcome, ...] = ()
    """Outcomes recorded elsewhere, in the order in which they count; the last one is that of the task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Rollup):
    """A step that has ended."""

    discarded: bool
    reason: str | None
    remote: bool
    """Whether its task is another process's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf(Row):
    """A call, tool run or charge: what carries money of its own."""

    kind: LeafKind
    cost: Decimal | None
    status: Status
    reason: str | None
    """Why the status is not exact."""
    waste: str | None
    """Its class, if its result was thrown away at once."""
    tokens: Tokens | None
    retries: int
    exposed_attempts: int
    task_name: str | None
    late: bool
    """Whether it is known to be booked after the end of its task, so that the task's span does not have it."""
    remote: bool
    """Whether no span around it has it either: it was spent in another process than its task, or with an outcome."""
    human_minutes: Decimal = ZERO
    list_cost: Decimal | None = None
    """`cost` at list prices; `None` where it is the same."""
    reasoning: Decimal | None = None
    """The part of `cost` that reasoning tokens cost, if it is known and not 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt(Row):
    """A failed HTTP request of a call."""

    http_status: int | None
    wait_seconds: float | None


AnyRow: TypeAlias = Task | Step | Leaf | Attempt
