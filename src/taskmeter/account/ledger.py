"""The running account of a task or step: exact, thread-safe, independent of spans and of sampling.

Ledgers form a tree like their scopes. An entry is booked once, at the innermost, and counts in the total of every
ledger above it; it is the *own* cost of the innermost task (and of the steps on the way there), of no other. One
lock per tree makes each booking atomic; it is held for arithmetic only, never across code of the application.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from typing import Final, NamedTuple

from taskmeter._bounds import MAX_ITEMS, OTHER_ITEM
from taskmeter.account.context import Shares
from taskmeter.account.pots import Pot, Sums
from taskmeter.records import NO_USAGE, ZERO, Category, Charge, Context, Cost, Usage, WasteClass, add, total

_Key = tuple[Category, str]
_order: Final = count(1)
"""Of condemnations, so that the first reason for an amount can be told."""


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
    context: Shares | None = None
    """What the input of the call was made of; `None` where that was not measured."""
    cache_saved: Decimal = ZERO
    waste: WasteClass | None = None
    """Why it is waste at once: a billed call that raised, an aborted stream, a duplicate."""


class LedgerLine(NamedTuple):
    """An own cost by what it was spent on; what is in `waste`, by class, is part of `amount`."""

    category: Category
    item: str
    amount: Decimal
    waste: Mapping[WasteClass, Decimal]


class _Tree:
    """What all ledgers of a tree share."""

    __slots__ = ("lock", "rejections")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rejections = 0


class _Turns:
    """The calls of one scope, one after the other."""

    __slots__ = ("_growing", "_input_tokens")

    def __init__(self) -> None:
        self._input_tokens = self._growing = 0

    def growing(self, entry: Entry) -> int:
        """How many calls in a row, with that of `entry`, had more input than the one before."""
        if entry.calls == 1 and (tokens := entry.usage.input_tokens):
            self._growing = self._growing + 1 if tokens > self._input_tokens else 1
            self._input_tokens = tokens
        return self._growing


class Ledger:
    """The account of one scope. Every method may be called from any thread, also after the scope has ended.

    An amount is waste for one reason at most in each ledger: the first that was known there. What `condemn` finds
    wasted already keeps its class, here and in every ledger above.
    """

    __slots__ = (
        "_condemned",
        "_drained",
        "_epoch",
        "_given",
        "_is_task",
        "_order",
        "_own",
        "_owner",
        "_parent",
        "_rejections",
        "_sums",
        "_tree",
        "_turns",
    )

    def __init__(self, parent: Ledger | None = None, *, is_task: bool = True, is_attempt: bool = False) -> None:
        self._parent = parent
        self._is_task = is_task
        self._owner: Ledger | None = None if is_task or parent is None else parent._owner or parent
        """Of a step, that of the task it is in, or of the outermost step."""
        self._tree: _Tree = parent._tree if parent is not None else _Tree()
        self._sums = Sums()
        self._own: dict[_Key, Pot] = {}
        self._condemned: WasteClass | None = None
        self._order = 0
        self._given: dict[_Key | None, Decimal] = {}
        """What is waste because this ledger is condemned, by own line; in all under `None`."""
        self._rejections = 0
        self._epoch = 0
        """How many rejections, here and above, this ledger has heard of."""
        self._drained = False
        self._turns: _Turns = parent._turns if is_attempt and parent is not None else _Turns()
        if self._tree.rejections:
            self._epoch = sum(ledger._rejections for ledger in self._upwards())

    def book(self, entry: Entry) -> list[LedgerLine]:
        """Books `entry` here and in every ledger above. Returns its lines if it came late, after its task was drained;
        else none, as `drain` will give them."""
        with self._tree.lock:
            self._hear()
            turns = self._turns.growing(entry)
            waste, by, owner = entry.waste, None, self._owner or self
            amounts = [(owner._own_key(charge), charge.amount) for charge in entry.charges]
            is_own, by_own = True, False
            for ledger in self._upwards():
                if entry.waste is None and ledger._condemned and (by is None or ledger._order < by._order):
                    if by is not None:
                        by._give(amounts, own=by_own)
                    waste, by, by_own = ledger._condemned, ledger, is_own
                ledger._sums.add(entry, waste)
                ledger._sums.growing_turns = max(ledger._sums.growing_turns, turns)
                if is_own:
                    for key, amount in amounts:
                        ledger._line(key).add(amount, waste)
                    is_own = not ledger._is_task
            if by is not None:
                by._give(amounts, own=by_own)
            if not owner._drained:
                return []
            return [LedgerLine(*key, amount, {} if waste is None else {waste: amount}) for key, amount in amounts]

    def _give(self, amounts: list[tuple[_Key, Decimal]], *, own: bool) -> None:
        for key, amount in amounts:
            self._given[None] = add(self._given.get(None, ZERO), amount)
            if own:
                self._given[key] = add(self._given.get(key, ZERO), amount)

    def condemn(self, waste: WasteClass) -> None:
        """Makes what was booked here, and what comes later, waste of that class. For discarded steps, failed tasks."""
        with self._tree.lock:
            if self._condemned:
                return
            self._hear()
            self._given = self._reject(waste)
            self._condemned, self._order = waste, next(_order)

    def reject(self) -> None:
        """Makes what was booked here so far, in open scopes inside as well, the waste of a re-ask; not what comes
        later."""
        with self._tree.lock:
            self._hear()
            self._reject("reask")
            self._rejections += 1
            self._epoch += 1
            self._tree.rejections += 1
            self._count_reask()

    def reask(self) -> None:
        """Says that what was done here is done anew, as its result was rejected: what is not waste for another reason
        than that is the waste of a re-ask."""
        with self._tree.lock:
            self._hear()
            if self._sums.all.amount or self._sums.calls or self._sums.tool_runs:  # else nothing was asked yet
                self._count_reask()
            if self._condemned is None:
                self._given = self._reject("reask")
                self._order = next(_order)
            else:
                self._move("reask")
            self._condemned = "reask"

    def _count_reask(self) -> None:
        for ledger in self._upwards():
            ledger._sums.reasks += 1

    def _hear(self) -> None:
        """Makes waste here, and in the ledgers above, of what was rejected above since. They have it already where it
        was rejected, and beyond."""
        if not self._tree.rejections:
            return
        heard = 0
        for ledger in reversed(list(self._upwards())):
            heard += ledger._rejections
            if ledger._epoch != heard:
                ledger._epoch = heard
                for pot in (ledger._sums.all, *ledger._own.values()):
                    pot.waste_rest("reask")

    def _reject(self, waste: WasteClass) -> dict[_Key | None, Decimal]:
        """Makes what is not waste yet waste, here and above; up to where all is waste already. Returns how much."""
        given: dict[_Key | None, Decimal] = {None: self._sums.all.waste_rest(waste)}
        given |= {key: pot.waste_rest(waste) for key, pot in self._own.items()}
        own = not self._is_task
        for ledger in self._above():
            if ledger._condemned:
                break
            ledger._sums.all.waste_more(given[None], waste)
            if own:
                for key, pot in ledger._own.items():
                    pot.waste_more(given.get(key, ZERO), waste)
                own = not ledger._is_task
        return given

    def _move(self, waste: WasteClass) -> None:
        """Gives what is waste because this ledger is condemned another class, wherever it has the one from here."""
        before, own = self._condemned, True
        if before is None or before == waste:
            return
        for ledger in self._upwards():
            if ledger._condemned and ledger._order < self._order:
                break
            ledger._sums.all.move(self._given.get(None, ZERO), before, waste)
            if own:
                for key, pot in ledger._own.items():
                    pot.move(self._given.get(key, ZERO), before, waste)
                own = not ledger._is_task

    def drain(self) -> list[LedgerLine]:
        """The own lines of a task that has ended, once; entries booked from now on are late. All of it is waste inside
        a step or task that is waste already."""
        with self._tree.lock:
            if self._drained:
                return []
            self._hear()
            self._drained = True
            doom = min(
                (ledger for ledger in self._upwards() if ledger._condemned),
                key=lambda ledger: ledger._order,
                default=None,
            )
            if doom is None or doom._condemned is None:
                return [LedgerLine(*key, pot.amount, dict(pot.waste)) for key, pot in self._own.items()]
            return [LedgerLine(*key, pot.amount, pot.wasted_with(doom._condemned)) for key, pot in self._own.items()]

    def cost(self) -> Cost:
        """A consistent snapshot."""
        with self._tree.lock:
            self._hear()
            sums = self._sums
            return Cost(
                total=sums.all.amount,
                self=total(pot.amount for pot in self._own.values()),
                wasted=sums.all.wasted,
                waste=dict(sums.all.waste),
                estimated=sums.estimated,
                list=sums.list,
                contracted=sums.contracted,
                model=sums.by_category["model"],
                tools=sums.by_category["tools"],
                retrieval=sums.by_category["retrieval"],
                human=sums.by_category["human"],
                other=sums.by_category["other"],
                reasoning=sums.reasoning,
                cache_saved=sums.cache_saved,
            )

    def context(self) -> Context:
        """What the input of all calls was made of, nested tasks included."""
        with self._tree.lock:
            return self._sums.context.snapshot()

    def usage(self) -> Usage:
        """Tokens and fees of all calls, nested tasks included."""
        with self._tree.lock:
            return Usage(dict(self._sums.tokens), dict(self._sums.fees))

    def standing(self, since: int | None = None) -> int | None:
        """A stamp for what is done here now, to be given back as `since`: `None` if its result was rejected by then,
        as was that of all here, up to the task."""
        stamp = 0
        for ledger in self._upwards():
            if ledger._condemned:
                return None
            stamp += ledger._rejections
            if ledger._is_task:
                break
        return stamp if since is None or since == stamp else None

    @property
    def is_drained(self) -> bool:
        """Whether its task has ended, so that an entry now comes late."""
        return (self._owner or self)._drained

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
        with self._tree.lock:
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

    @property
    def reasks(self) -> int:
        """Answers that were rejected and asked for anew, nested tasks included."""
        return self._sums.reasks

    @property
    def duplicate_calls(self) -> int:
        """Calls that asked again for an answer that the task had got, nested tasks included."""
        return self._sums.duplicate_calls

    @property
    def looped_tool_runs(self) -> int:
        """Tool runs that repeated those before them once too often, nested tasks included."""
        return self._sums.looped_tool_runs

    @property
    def growing_turns(self) -> int:
        """The most calls in a row, of one scope in here, each of which had more input than the one before."""
        return self._sums.growing_turns

    def _upwards(self) -> Iterator[Ledger]:
        ledger: Ledger | None = self
        while ledger is not None:
            yield ledger
            ledger = ledger._parent

    def _above(self) -> Iterator[Ledger]:
        return iter(()) if self._parent is None else self._parent._upwards()

    def _own_key(self, charge: Charge) -> _Key:
        """Under what an own line of this task is kept, from now on: its overflow line once there are too many."""
        key = (charge.category, charge.item)
        if key not in self._own and len(self._own) >= MAX_ITEMS:
            key = (charge.category, OTHER_ITEM)
        self._line(key)
        return key

    def _line(self, key: _Key) -> Pot:
        pot = self._own.get(key)
        if pot is None:
            pot = self._own[key] = Pot()
        return pot
