"""What the account has to say after a program, computed from what the program did and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

ZERO = Decimal(0)


@dataclass(eq=False)
class Booking:
    """Money, or a count, in one scope."""

    node: Node | None
    amount: Decimal
    wasted: bool
    counts: Counter[str]
    late: bool


@dataclass(eq=False)
class Node:
    """A task or a step."""

    kind: str
    name: str
    parent: Node | None
    handle: Any = None
    condemned: bool = False
    closed: bool = False
    said: dict[str, Decimal | None] = field(default_factory=dict)
    """What its span has to say, fixed when it is closed."""

    def upwards(self) -> Iterator[Node]:
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent

    def up_to(self, top: Node) -> Iterator[Node]:
        for node in self.upwards():
            yield node
            if node is top:
                return

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
        self.spent: Counter[tuple[str | None, bool]] = Counter()
        self.late: Counter[str | None] = Counter()

    def opened(self, kind: str, name: str, parent: Node | None, handle: Any) -> Node:
        node = Node(kind, name, parent, handle)
        self.nodes.append(node)
        return node

    def book(self, node: Node | None, amount: Decimal = ZERO, *, wasted: bool = False, **counts: int) -> None:
        late = node is not None and node.account.closed
        booking = Booking(node, amount, wasted, Counter(counts), late and node is not None and node.task is not None)
        self.bookings.append(booking)
        if node is None or late:
            self._count(booking, node.account if node is not None else None)

    def _count(self, booking: Booking, account: Node | None) -> None:
        name = account.name if account is not None and account.kind == "task" else None
        doomed = booking.node is not None and any(node.condemned for node in booking.node.upwards())
        self.spent[name, booking.wasted or doomed] += booking.amount  # type: ignore[assignment]
        if booking.late:
            self.late[name] += booking.amount  # type: ignore[assignment]

    def close(self, node: Node, *, condemn: bool = False) -> None:
        node.closed = True
        node.condemned = node.condemned or condemn
        if node.account is node:
            for booking in self.bookings:
                if booking.node is not None and booking.node.account is node:
                    self._count(booking, node)
        known = not self.count(node, "unpriced") or self.total(node)
        node.said = {
            "total": self.total(node) if known else None,
            "own": self.own(node) if known else None,
            "wasted": self.wasted(node) if known else None,
        }

    def inside(self, node: Node) -> list[Booking]:
        return [b for b in self.bookings if b.node is not None and node in b.node.upwards()]

    def total(self, node: Node) -> Decimal:
        return sum((booking.amount for booking in self.inside(node)), ZERO)

    def own(self, node: Node) -> Decimal:
        return sum((b.amount for b in self.bookings if b.node is not None and b.node.task is node), ZERO)

    def wasted(self, node: Node) -> Decimal:
        return sum(
            (
                b.amount
                for b in self.inside(node)
                if b.node is not None and (b.wasted or any(above.condemned for above in b.node.up_to(node)))
            ),
            ZERO,
        )

    def count(self, node: Node, what: str) -> int:
        return sum(booking.counts[what] for booking in self.inside(node))

    def everything(self, *, late: bool | None = None) -> Decimal:
        return sum((b.amount for b in self.bookings if late is None or b.late is late), ZERO)
