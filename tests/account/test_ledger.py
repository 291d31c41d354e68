"""The ledger against a model that keeps every booking and adds it all up anew."""

from __future__ import annotations

import decimal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from taskmeter.account import Entry, Ledger, LedgerLine
from taskmeter.records import CATEGORIES, WASTE_CLASSES, Category, Charge, Usage, WasteClass

FREE = Decimal(0)


def line(amount: Decimal, category: Category = "other", item: str = "x", *, estimated: bool = False) -> Charge:
    """A charge of `amount`, at twice that list price."""
    return Charge(category, item, "unit", Decimal(1), "unit", amount, amount * 2, amount, estimated=estimated)


def entry(amount: str, category: Category = "other", item: str = "x", *, waste: WasteClass | None = None) -> Entry:
    return Entry(charges=(line(Decimal(amount), category, item),), waste=waste)


@dataclass(eq=False)
class Booked:
    """An entry, and its class of waste as seen from each ledger, with the node whose condemnation made it that."""

    entry: Entry
    classes: dict[Node, tuple[WasteClass, Node | None]] = field(default_factory=dict[Any, Any])

    def waste(self, node: Node) -> WasteClass | None:
        return self.classes.get(node, (None,))[0]


@dataclass(eq=False)
class Node:
    """The model of a ledger: nothing but its bookings."""

    ledger: Ledger
    parent: Node | None
    is_task: bool
    condemned: WasteClass | None = None
    age: int = 0
    drained: bool = False
    reasks: int = 0
    booked: list[Booked] = field(default_factory=list[Booked])
    children: list[Node] = field(default_factory=list["Node"])

    def owner(self) -> Node:
        """The task it belongs to; outside any, its outermost step."""
        return self if self.is_task or self.parent is None else self.parent.owner()

    def upwards(self) -> Iterator[Node]:
        yield self
        if self.parent is not None:
            yield from self.parent.upwards()

    def doom(self) -> WasteClass | None:
        """For what it or anything around it was condemned first."""
        first = min((node for node in self.upwards() if node.condemned), key=lambda node: node.age, default=None)
        return None if first is None else first.condemned

    def book(self, entry: Entry) -> Booked:
        booked = Booked(entry)
        by: Node | None = None
        for node in self.upwards():
            if node.condemned and (by is None or node.age < by.age):
                by = node
            if entry.waste is not None:
                booked.classes[node] = entry.waste, None
            elif by is not None and by.condemned is not None:
                booked.classes[node] = by.condemned, by
        self.booked.append(booked)
        return booked

    def spoil(self, waste: WasteClass, by: Node | None) -> None:
        """All at or below this node becomes waste, wherever it is not yet: above; below too, unless `by` it is."""
        for origin in self.below():
            for booked in origin.booked:
                for node in origin.upwards():
                    if by is None or node in self.upwards():
                        booked.classes.setdefault(node, (waste, by))

    def below(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            yield from child.below()

    def entries(self, *, own: bool = False) -> list[Booked]:
        """Every entry at or below this node."""
        found = list(self.booked)
        for child in self.children:
            if not (own and child.is_task):
                found += child.entries(own=own)
        return found


def added(entries: list[Booked], **having: object) -> Decimal:
    """The sum of the amounts of those charges that have such attributes."""
    charges = [charge for booked in entries for charge in booked.entry.charges]
    return sum((c.amount for c in charges if all(getattr(c, name) == value for name, value in having.items())), FREE)


def by_class(parts: Iterable[tuple[WasteClass | None, Decimal]]) -> dict[WasteClass, Decimal]:
    """The waste in `parts`, added up by class, without what is nothing."""
    found: dict[WasteClass, Decimal] = {}
    for waste, amount in parts:
        if waste is not None and amount:
            found[waste] = found.get(waste, FREE) + amount
    return found


def summed(wastes: Iterable[Mapping[WasteClass, Decimal]]) -> dict[WasteClass, Decimal]:
    return by_class(part for waste in wastes for part in waste.items())


AMOUNTS = st.decimals(min_value=0, max_value=10**9, places=12)
CHARGES = st.builds(line, AMOUNTS, st.sampled_from(CATEGORIES), st.sampled_from("abc"), estimated=st.booleans())
COUNTS = st.integers(0, 3)
ENTRIES = st.builds(
    Entry,
    charges=st.lists(CHARGES, max_size=3).map(tuple),
    usage=st.builds(Usage, st.dictionaries(st.sampled_from(["input", "output", "cache_read"]), st.integers(1, 10**6))),
    calls=COUNTS,
    attempts=st.integers(3, 9),
    exposed_attempts=COUNTS,
    retry_ns=st.integers(0, 10**12),
    tool_runs=COUNTS,
    unpriced_calls=COUNTS,
    waste=st.sampled_from([None, None, *WASTE_CLASSES]),
)


class LedgerTree(RuleBasedStateMachine):
    """Opens, books, condemns and drains in any order, also after the end, under a host that rounds to 3 digits."""

    nodes = Bundle("nodes")

    def __init__(self) -> None:
        super().__init__()
        self.tree: list[Node] = []
        self.age = 0
        self.host = decimal.getcontext().copy()

    def teardown(self) -> None:
        decimal.setcontext(self.host)

    @initialize(target=nodes, is_task=st.booleans())
    def root(self, is_task: bool) -> Node:
        return self.add(None, is_task=is_task)

    @rule(target=nodes, parent=nodes, is_task=st.booleans())
    def child(self, parent: Node, is_task: bool) -> Node:
        return self.add(parent, is_task=is_task)

    def add(self, parent: Node | None, *, is_task: bool) -> Node:
        node = Node(Ledger(parent.ledger if parent else None, is_task=is_task), parent, is_task)
        if parent is not None:
            parent.children.append(node)
        self.tree.append(node)
        return node

    @rule(node=nodes, entry=ENTRIES)
    def book(self, node: Node, entry: Entry) -> None:
        with decimal.localcontext(prec=3):
            late = node.ledger.book(entry)
        booked = node.book(entry)
        with decimal.localcontext(prec=60):
            spent = added([booked]) if node.owner().drained else FREE
            assert sum((line.amount for line in late), FREE) == spent
            waste = entry.waste or node.doom()
            assert summed(line.waste for line in late) == by_class([(waste, spent)])

    @rule(node=nodes, waste=st.sampled_from(WASTE_CLASSES))
    def condemn(self, node: Node, waste: WasteClass) -> None:
        with decimal.localcontext(prec=3):
            node.ledger.condemn(waste)
        if node.condemned is None:
            self.condemned(node, waste)

    def condemned(self, node: Node, waste: WasteClass) -> None:
        node.spoil(waste, node)
        self.age += 1
        node.condemned, node.age = waste, self.age

    @rule(node=nodes)
    def reject(self, node: Node) -> None:
        with decimal.localcontext(prec=3):
            node.ledger.reject()
        node.spoil("reask", None)
        node.reasks += 1

    @rule(node=nodes)
    def reask(self, node: Node) -> None:
        with decimal.localcontext(prec=3):
            node.ledger.reask()
        entries = [booked.entry for booked in node.entries()]
        spent = any(charge.amount for entry in entries for charge in entry.charges)
        node.reasks += spent or any(entry.calls or entry.tool_runs for entry in entries)
        if node.condemned is None:
            self.condemned(node, "reask")
            return
        node.condemned = "reask"
        for origin in node.below():
            for booked in origin.booked:
                for seen_from, (_, by) in list(booked.classes.items()):
                    if by is node:
                        booked.classes[seen_from] = "reask", node

    @rule(node=nodes)
    def drain(self, node: Node) -> None:
        if node is not node.owner() or node.drained:
            return
        lines = node.ledger.drain()
        node.drained = True
        with decimal.localcontext(prec=60):
            own, doom = node.entries(own=True), node.doom()
            assert sum((line.amount for line in lines), FREE) == added(own)
            wasted = [(each.waste(node) or doom, added([each])) for each in own]
            assert summed(line.waste for line in lines) == by_class(wasted)

    @invariant()
    def every_ledger_agrees_with_its_bookings(self) -> None:
        for node in self.tree:
            entries = node.entries()
            with decimal.localcontext(prec=3):
                cost, usage = node.ledger.cost(), node.ledger.usage()
            with decimal.localcontext(prec=60):
                assert cost.total == added(entries)
                assert cost.self == added(node.entries(own=True))
                assert cost.estimated == added(entries, estimated=True)
                assert cost.list == cost.total * 2
                assert cost.contracted == cost.total
                assert cost.waste == by_class([(each.waste(node), added([each])) for each in entries])
                assert sum(cost.waste.values(), FREE) == cost.wasted <= cost.total
                for category in CATEGORIES:
                    assert getattr(cost, category) == added(entries, category=category)
            for counter in ("calls", "attempts", "exposed_attempts", "tool_runs", "unpriced_calls"):
                assert getattr(node.ledger, counter) == sum(getattr(booked.entry, counter) for booked in entries)
            assert node.ledger.retry_seconds == sum(booked.entry.retry_ns for booked in entries) / 1e9
            assert node.ledger.reasks == sum(below.reasks for below in node.below())
            assert node.ledger.retries == node.ledger.attempts - node.ledger.calls
            assert usage.input_tokens == sum(booked.entry.usage.input_tokens for booked in entries)
            assert usage.output_tokens == sum(booked.entry.usage.output_tokens for booked in entries)

    @invariant()
    def each_booking_is_the_own_cost_of_one_task(self) -> None:
        with decimal.localcontext(prec=60):
            owners = [node for node in self.tree if node.is_task or node.parent is None]
            assert sum((node.ledger.cost().self for node in owners), FREE) == self.tree[0].ledger.cost().total


TestLedgerTree = LedgerTree.TestCase
TestLedgerTree.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_own_lines_add_up_to_the_own_cost_and_its_waste() -> None:
    """`drain` gives what the task itself spent, by item, with what of it was wasted, steps included."""
    task = Ledger()
    step = Ledger(task, is_task=False)
    nested = Ledger(step)
    task.book(entry("1", "model", "m"))
    step.book(entry("2", "model", "m"))
    step.book(entry("4", "tools", "t", waste="failed_call"))
    nested.book(entry("8"))
    step.condemn("discarded_step")
    assert task.drain() == [
        LedgerLine("model", "m", Decimal(3), {"discarded_step": Decimal(2)}),
        LedgerLine("tools", "t", Decimal(4), {"failed_call": Decimal(4)}),
    ]
    assert task.drain() == []


def test_a_task_inside_a_discarded_step_drains_as_waste() -> None:
    """What a nested task spends in a branch that was already thrown away is waste when it is counted."""
    step = Ledger(Ledger(), is_task=False)
    step.condemn("discarded_step")
    nested = Ledger(step)
    nested.book(entry("1"))
    assert nested.drain() == [LedgerLine("other", "x", Decimal(1), {"discarded_step": Decimal(1)})]


@pytest.mark.parametrize(
    ("condemned", "waste", "expected"),
    [
        (False, None, {}),
        (False, "failed_call", {"failed_call": Decimal(1)}),
        (True, None, {"failed_task": Decimal(1)}),
        (True, "failed_call", {"failed_call": Decimal(1)}),
    ],
)
def test_a_late_booking_returns_its_lines(
    condemned: bool, waste: WasteClass | None, expected: dict[WasteClass, Decimal]
) -> None:
    """After the drain an entry is handed back to be counted, as waste if it is."""
    task = Ledger()
    if condemned:
        task.condemn("failed_task")
    task.drain()
    assert task.book(entry("1", waste=waste)) == [LedgerLine("other", "x", Decimal(1), expected)]
    assert task.cost().total == Decimal(1)


def test_a_booking_in_time_returns_nothing() -> None:
    """What `drain` will give is not given twice."""
    assert Ledger().book(entry("1")) == []


@pytest.mark.parametrize("at_once", [False, True], ids=["one entry each", "all in one entry"])
def test_items_beyond_256_share_an_overflow_line(at_once: bool) -> None:
    """Memory and metrics stay bounded, and no cent is lost."""
    task = Ledger()
    charges = [line(Decimal("0.01"), "model", f"m{number}") for number in range(300)]
    if at_once:
        task.book(Entry(charges=tuple(charges)))
    else:
        for charge in charges:
            task.book(Entry(charges=(charge,)))
    task.book(entry("5", "model", "m0"))
    lines = task.drain()
    assert len(lines) == 257
    assert lines[0] == LedgerLine("model", "m0", Decimal("5.01"), {})
    assert lines[-1] == LedgerLine("model", "(other)", Decimal("0.44"), {})
    assert task.cost().total == task.cost().self == Decimal("8.00")


def test_late_items_are_bounded_too() -> None:
    """After the drain, an item beyond 256 is counted under the overflow line."""
    task = Ledger()
    task.book(Entry(charges=tuple(line(Decimal(1), "model", f"m{number}") for number in range(256))))
    task.drain()
    assert task.book(entry("1", "model", "new")) == [LedgerLine("model", "(other)", Decimal(1), {})]


def test_overflow_lines_become_waste_with_their_step() -> None:
    """Condemning finds the money under the overflow line it was booked on."""
    task = Ledger()
    for number in range(256):
        task.book(entry("1", "model", f"m{number}"))
    step = Ledger(task, is_task=False)
    step.book(entry("1", "model", "late model"))
    step.condemn("discarded_step")
    assert task.drain()[-1] == LedgerLine("model", "(other)", Decimal(1), {"discarded_step": Decimal(1)})


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads take turns after microseconds, not milliseconds, so that they do meet inside a booking."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("hasty_threads")
def test_sixteen_threads_book_exactly() -> None:
    """16 threads x 500 bookings, of a tenth of a cent each, to two steps of one task."""
    task = Ledger()
    steps = [Ledger(task, is_task=False) for _ in range(2)]
    start = threading.Barrier(16)

    def work(number: int) -> None:
        start.wait()
        for _ in range(500):
            steps[number % 2].book(Entry(charges=(line(Decimal("0.001")),), calls=1, attempts=2))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert task.cost().total == task.cost().self == Decimal("8.000")
    assert [step.cost().total for step in steps] == [Decimal("4.000"), Decimal("4.000")]
    assert (task.calls, task.attempts, task.retries) == (8000, 16000, 8000)
