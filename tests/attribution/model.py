"""What the account has to say after a program, computed from what the program did and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any

ZERO = Decimal(0)


@dataclass(eq=False)
class Booking:
    """Money, or a count, in one scope."""

    node: Node | None
    amount: Decimal
    waste: str | None
    counts: Counter[str]
    late: bool
    classes: dict[Node, tuple[str, Node | None]] = field(default_factory=dict)
    """Its class of waste as seen from each node, and the node whose end or word made it that."""

    def seen_from(self, node: Node) -> str | None:
        return self.classes.get(node, (None,))[0]


@dataclass(eq=False)
class Node:
    """A task or a step."""

    kind: str
    name: str
    parent: Node | None
    handle: Any = None
    condemned: str | None = None
    age: int = 0
    """When it was condemned."""
    closed: bool = False
    rejected: bool = False
    """Of a step: whether it was discarded, or ended by an exception."""
    beside: bool = False
    """Of a step: whether another of its name was open at the same time."""
    steps: dict[str, Node] = field(default_factory=dict)
    """The last step of each name that was opened inside."""
    reasks: int = 0
    retries: int = 0
    """How often `retry` was said of it."""
    answers: dict[object, tuple[Node, int | None]] = field(default_factory=dict)
    """Of a task that is open: where each answer was booked, and its standing then."""

    @property
    def standing(self) -> int | None:
        """Changes once what was done here is rejected; `None` if all of it is, up to the task."""
        path = [*self.upwards()]
        path = path[: path.index(self.account) + 1]
        return None if any(node.condemned for node in path) else sum(node.retries for node in path)

    said: dict[str, Decimal | None] = field(default_factory=dict)
    """What its span has to say, fixed when it is closed."""

    def upwards(self) -> Iterator[Node]:
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent

    @property
    def task(self) -> Node | None:
        return next((node for node in self.upwards() if node.kind == "task"), None)

    @property
    def account(self) -> Node:
        """Whose ending counts what is booked here: the task's, outside any the outermost step's."""
        return self.task or [*self.upwards()][-1]


class Model:
    """All that was booked, and what the metrics have to have counted."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.bookings: list[Booking] = []
        self.spent: Counter[tuple[str | None, str | None]] = Counter()
        self.late: Counter[str | None] = Counter()
        self._ages = count(1)

    def opened(self, kind: str, name: str, parent: Node | None, handle: Any) -> Node:
        node = Node(kind, name, parent, handle)
        self.nodes.append(node)
        if kind == "step" and parent is not None:
            self._reopened(node, parent)
        return node

    def _reopened(self, step: Node, parent: Node) -> None:
        before = parent.steps.get(step.name)
        parent.steps[step.name] = step
        if before is not None and not before.closed:
            before.beside = step.beside = True
        elif before is not None and before.rejected and not before.beside:
            before.reasks += 1
            if before.condemned is None:
                self.condemn(before, "reask")
            before.condemned = "reask"
            for booking in self.bookings:
                for node, (_, by) in list(booking.classes.items()):
                    if by is before:
                        booking.classes[node] = "reask", before

    def condemn(self, node: Node, waste: str) -> None:
        """All inside becomes waste, seen from here and from above, where it is not yet; and all that comes."""
        if node.condemned is not None:
            return
        for booking in self.inside(node):
            for above in node.upwards():
                booking.classes.setdefault(above, (waste, node))
        node.condemned, node.age = waste, next(self._ages)

    def retry(self, node: Node) -> None:
        """All inside so far becomes waste, seen from wherever it is not yet."""
        node.reasks += 1
        node.retries += 1
        for booking in self.inside(node):
            for seen_from in booking.node.upwards() if booking.node is not None else ():
                booking.classes.setdefault(seen_from, ("reask", None))

    def asks(self, node: Node | None, question: object) -> str | None:
        """The class of waste of a call, by what its task has been answered when it is sent."""
        known = node.task.answers.get(question) if node is not None and node.task is not None else None
        return "duplicate" if known is not None and known[1] == known[0].standing is not None else None

    def answered(self, node: Node | None, question: object) -> None:
        if node is not None and node.task is not None and not node.task.closed and node.standing is not None:
            node.task.answers[question] = node, node.standing

    def book(self, node: Node | None, amount: Decimal = ZERO, *, waste: str | None = None, **counts: int) -> None:
        late = node is not None and node.account.closed
        booking = Booking(node, amount, waste, Counter(counts), late and node is not None and node.task is not None)
        first: Node | None = None
        for above in node.upwards() if node is not None else ():
            if above.condemned is not None and (first is None or above.age < first.age):
                first = above
            if waste is not None:
                booking.classes[above] = waste, None
            elif first is not None and first.condemned is not None:
                booking.classes[above] = first.condemned, first
        self.bookings.append(booking)
        if node is None or late:
            self._count(booking, node.account if node is not None else None)

    def _count(self, booking: Booking, account: Node | None) -> None:
        name = account.name if account is not None and account.kind == "task" else None
        waste = booking.waste
        if booking.node is not None:
            own = booking.seen_from(booking.node.account)
            condemned = [node for node in booking.node.upwards() if node.condemned is not None]
            first = min(condemned, key=lambda node: node.age, default=None)
            waste = own or (first.condemned if first is not None else None)
        self.spent[name, waste] += booking.amount  # type: ignore[assignment]
        if booking.late:
            self.late[name] += booking.amount  # type: ignore[assignment]

    def close(self, node: Node, *, condemn: str | None = None, rejected: bool = False) -> None:
        node.closed = True
        node.steps.clear()
        node.answers.clear()
        node.rejected = node.rejected or rejected
        if condemn is not None:
            self.condemn(node, condemn)
        if node.account is node:
            for booking in self.bookings:
                if booking.node is not None and booking.node.account is node:
                    self._count(booking, node)
        known = not self.count(node, "unpriced") or self.total(node)
        node.said = {
            "total": self.total(node) if known else None,
            "own": self.own(node) if known else None,
            "wasted": sum(self.waste(node).values()) if known else None,
            **{waste: amount for waste, amount in self.waste(node).items() if known},
        }

    def inside(self, node: Node) -> list[Booking]:
        return [b for b in self.bookings if b.node is not None and node in b.node.upwards()]

    def total(self, node: Node) -> Decimal:
        return sum((booking.amount for booking in self.inside(node)), ZERO)

    def own(self, node: Node) -> Decimal:
        return sum((b.amount for b in self.bookings if b.node is not None and b.node.task is node), ZERO)

    def waste(self, node: Node) -> dict[str, Decimal]:
        found: Counter[str] = Counter()
        for booking in self.inside(node):
            waste = booking.seen_from(node)
            if waste is not None and booking.amount:
                found[waste] += booking.amount  # type: ignore[assignment]
        return dict(found)  # type: ignore[arg-type]

    def reasks(self, node: Node) -> int:
        return sum(other.reasks for other in self.nodes if node in other.upwards())

    def count(self, node: Node, what: str) -> int:
        return sum(booking.counts[what] for booking in self.inside(node))

    def everything(self, *, late: bool | None = None) -> Decimal:
        return sum((b.amount for b in self.bookings if late is None or b.late is late), ZERO)
