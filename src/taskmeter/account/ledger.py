"""The running account of a task or step: exact, thread-safe, independent of spans and of sampling.

Ledgers form a tree like their scopes. An entry is booked once, at the innermost, and counts in the total of every
ledger above it; it is the *own* cost of the innermost task (and of the steps on the way there), of no other. One
lock per tree makes each booking atomic; it is held for arithmetic only, never across code of the application.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from taskmeter._bounds import MAX_ITEMS, OTHER_ITEM
from taskmeter.records import CATEGORIES, NO_USAGE, ZERO, Category, Charge, Cost, Part, Usage, add, subtract

_Key = tuple[Category, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """What is booked at once: the charges and counts of one call, tool run or application charge."""

    charges: tuple[Charge, ...] = ()
    usage: Usage = NO_USAGE
    calls: int = 0
    attempts: int = 0
    exposed_attempts: int = 0
    """Attempts that were sent and never answered: they may be billed all the same."""
    retry_ns: int = 0
    """Time lost: attempts that were repeated, and the waits after them."""
    tool_runs: int = 0
    unpriced_calls: int = 0
    human_minutes: Decimal = ZERO
    wasted: bool = False
    """Whether the result was thrown away at once: a billed call that raised, an aborted stream."""


class LedgerLine(NamedTuple):
    """An own cost by what it was spent on; `wasted` is part of `amount`."""

    category: Category
    item: str
    amount: Decimal
    wasted: Decimal


class Ledger:
    """The account of one scope. Every method may be called from any thread, also after the scope has ended."""

    __slots__ = ("_condemned", "_drained", "_is_task", "_lock", "_own", "_parent", "_sums", "_task")

    def __init__(self, parent: Ledger | None = None, *, is_task: bool = True) -> None:
        self._parent = parent
        self._is_task = is_task
        self._task: Ledger = self if is_task or parent is None else parent._task
        self._lock: threading.Lock = parent._lock if parent is not None else threading.Lock()
        self._sums = _Sums()
        self._own: dict[_Key, list[Decimal]] = {}
        self._condemned = False
        self._drained = False

    def book(self, entry: Entry) -> list[LedgerLine]:
        """Books `entry` here and in every ledger above. Returns its lines if it came late, after its task was drained;
        else none, as `drain` will give them."""
        with self._lock:
            wasted = entry.wasted
            amounts = [(self._task._own_key(charge), charge.amount) for charge in entry.charges]
            is_own = True
            for ledger in self._upwards():
                wasted = wasted or ledger._condemned
                ledger._sums.add(entry, wasted=wasted)
                if is_own:
                    ledger._book_own(amounts, wasted=wasted)
                    is_own = not ledger._is_task
            if not self._task._drained:
                return []
            return [LedgerLine(*key, amount, amount if wasted else ZERO) for key, amount in amounts]

    def condemn(self) -> None:
        """Makes everything booked here waste, and everything that comes later. For discarded steps, failed tasks."""
        with self._lock:
            if self._condemned:
                return
            self._condemned = True
            moved = self._sums.waste_all()
            own_moved = {key: subtract(line[0], line[1]) for key, line in self._own.items()}
            own = True
            for ledger in self._upwards():
                if ledger is not self:
                    if ledger._condemned:
                        break  # already waste there, and above
                    ledger._sums.wasted = add(ledger._sums.wasted, moved)
                if own:
                    for key, amount in own_moved.items():
                        line = ledger._own[key]
                        line[1] = add(line[1], amount)
                    own = not ledger._is_task

    def drain(self) -> list[LedgerLine]:
        """The own lines of a task that has ended, once; entries booked from now on are late. All of it is waste inside
        a step or task that is waste already."""
        with self._lock:
            if self._drained:
                return []
            self._drained = True
            doomed = any(ledger._condemned for ledger in self._upwards())
            return [
                LedgerLine(*key, amount, amount if doomed else wasted) for key, (amount, wasted) in self._own.items()
            ]

    def cost(self) -> Cost:
        """A consistent snapshot."""
        with self._lock:
            sums = self._sums
            own = ZERO
            for line in self._own.values():
                own = add(own, line[0])
            return Cost(
                total=sums.total,
                self=own,
                wasted=sums.wasted,
                estimated=sums.estimated,
                list=sums.list,
                contracted=sums.contracted,
                model=sums.by_category["model"],
                tools=sums.by_category["tools"],
                retrieval=sums.by_category["retrieval"],
                human=sums.by_category["human"],
                other=sums.by_category["other"],
            )

    def usage(self) -> Usage:
        """Tokens and fees of all calls, nested tasks included."""
        with self._lock:
            return Usage(dict(self._sums.tokens), dict(self._sums.fees))

    @property
    def is_drained(self) -> bool:
        """Whether its task has ended, so that an entry now comes late."""
        return self._task._drained

    @property
    def calls(self) -> int:
        """Calls, nested tasks included; failed ones too."""
        return self._sums.calls

    @property
    def attempts(self) -> int:
        """HTTP requests those calls needed."""
        return self._sums.attempts

    @property
    def retries(self) -> int:
        """Attempts beyond the first of each call."""
        with self._lock:
            return self._sums.attempts - self._sums.calls

    @property
    def exposed_attempts(self) -> int:
        """Attempts without an answer that may be billed all the same: no cost of theirs is in `cost()`."""
        return self._sums.exposed_attempts

    @property
    def retry_seconds(self) -> float:
        """Time lost in attempts that were repeated and in the waits after them, summed over calls."""
        return self._sums.retry_ns / 1e9

    @property
    def tool_runs(self) -> int:
        """Tool runs, nested tasks included."""
        return self._sums.tool_runs

    @property
    def unpriced_calls(self) -> int:
        """Calls that were, or may be, billed at a price not known: `cost().total` is a lower bound if there are any."""
        return self._sums.unpriced_calls

    @property
    def human_minutes(self) -> Decimal:
        """Minutes that people spent, nested tasks included."""
        return self._sums.human_minutes

    def _upwards(self) -> Iterator[Ledger]:
        ledger: Ledger | None = self
        while ledger is not None:
            yield ledger
            ledger = ledger._parent

    def _own_key(self, charge: Charge) -> _Key:
        """Under what an own line of this task is kept, from now on: its overflow line once there are too many."""
        key = (charge.category, charge.item)
        if key not in self._own and len(self._own) >= MAX_ITEMS:
            key = (charge.category, OTHER_ITEM)
        self._own.setdefault(key, [ZERO, ZERO])
        return key

    def _book_own(self, amounts: list[tuple[_Key, Decimal]], *, wasted: bool) -> None:
        for key, amount in amounts:
            line = self._own.setdefault(key, [ZERO, ZERO])
            line[0] = add(line[0], amount)
            if wasted:
                line[1] = add(line[1], amount)


class _Sums:
    """The inclusive totals of a ledger. Mutated under the tree's lock."""

    __slots__ = (
        "attempts",
        "by_category",
        "calls",
        "contracted",
        "estimated",
        "exposed_attempts",
        "fees",
        "human_minutes",
        "list",
        "retry_ns",
        "tokens",
        "tool_runs",
        "total",
        "unpriced_calls",
        "wasted",
    )

    def __init__(self) -> None:
        self.total = self.wasted = self.estimated = self.list = self.contracted = ZERO
        self.by_category: dict[Category, Decimal] = dict.fromkeys(CATEGORIES, ZERO)
        self.tokens: dict[Part, int] = {}
        self.fees: dict[str, int] = {}
        self.calls = self.attempts = self.tool_runs = self.unpriced_calls = 0
        self.exposed_attempts = self.retry_ns = 0
        self.human_minutes = ZERO

    def add(self, entry: Entry, *, wasted: bool) -> None:
        self.calls += entry.calls
        self.attempts += entry.attempts
        self.exposed_attempts += entry.exposed_attempts
        self.retry_ns += entry.retry_ns
        self.tool_runs += entry.tool_runs
        self.unpriced_calls += entry.unpriced_calls
        if entry.human_minutes:
            self.human_minutes = add(self.human_minutes, entry.human_minutes)
        for part, count in entry.usage.tokens.items():
            self.tokens[part] = self.tokens.get(part, 0) + count
        for fee, count in entry.usage.fees.items():
            self.fees[fee] = self.fees.get(fee, 0) + count
        for charge in entry.charges:
            amount = charge.amount
            self.total = add(self.total, amount)
            self.list = add(self.list, charge.list_amount)
            self.contracted = add(self.contracted, charge.contracted_amount)
            self.by_category[charge.category] = add(self.by_category[charge.category], amount)
            if charge.estimated:
                self.estimated = add(self.estimated, amount)
            if wasted:
                self.wasted = add(self.wasted, amount)

    def waste_all(self) -> Decimal:
        """Makes the whole total waste; returns by how much the waste grew."""
        moved = subtract(self.total, self.wasted)
        self.wasted = self.total
        return moved
