"""What was spent and is reserved of a budget in this process.

One lock makes a reservation atomic over every budget that a call draws on, whoever else reserves meanwhile. It is held
for arithmetic only.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from taskmeter.account.budget import NOTHING, Amounts, Limits, Unit
from taskmeter.records import multiply

_lock: Final = threading.Lock()
# A forked process finds it free, and the figures whole.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


class State(NamedTuple):
    """A consistent snapshot of one budget in one period."""

    spent: Amounts = NOTHING
    """What the ledger has."""
    exposed: Amounts = NOTHING
    """The worst case of what got no answer, or no price, and may be billed: it counts towards the limits."""
    reserved: Amounts = NOTHING
    """The worst case of the calls under way."""

    @property
    def held(self) -> Amounts:
        """What may still be spent of the limits by what was sent already."""
        return self.exposed.plus(self.reserved)


class Tally:
    """The running figures of one budget in one period."""

    __slots__ = ("_process", "exposed", "reserved", "spent")

    def __init__(self) -> None:
        # Read and written under the lock only.
        self.spent = self.exposed = self.reserved = NOTHING
        self._process = os.getpid()

    def state(self) -> State:
        """How it stands."""
        with _lock:
            return self.locked_state()

    def locked_state(self) -> State:
        """The same, for who has the lock."""
        if self._process != os.getpid():  # what was under way at the fork is settled in the parent
            self._process, self.reserved = os.getpid(), NOTHING
        return State(self.spent, self.exposed, self.reserved)


class Outlay(NamedTuple):
    """What a call came to."""

    spent: Amounts = NOTHING
    unknown_costs: int = 0
    """How many times its worst case in money may be billed beside that."""
    unknown_tokens: int = 0
    """And in tokens."""

    def exposed(self, reserved: Amounts) -> Amounts:
        """What stays at risk of what was `reserved` for it."""
        if not self.unknown_costs and not self.unknown_tokens:
            return NOTHING
        usd = multiply(reserved.usd, Decimal(self.unknown_costs))
        return Amounts(usd, reserved.tokens * self.unknown_tokens)


class Draw(NamedTuple):
    """What one call may cost one budget at most."""

    tally: Tally
    amounts: Amounts
    limits: Limits
    """Without any where this budget is not to stop this call."""


class Refused(NamedTuple):
    """There is no room for a draw."""

    number: int
    """Of the draw, from 0."""
    unit: Unit
    state: State


def reserve(draws: Sequence[Draw]) -> Refused | None:
    """Reserves all of `draws`, or none."""
    with _lock:
        for number, (tally, amounts, limits) in enumerate(draws):
            state = tally.locked_state()
            unit = limits.exceeded_by(state.spent.plus(state.held).plus(amounts))
            if unit is not None:
                return Refused(number, unit, state)
        for tally, amounts, _ in draws:
            tally.reserved = tally.reserved.plus(amounts)
    return None


def settle(draws: Sequence[Draw], came_to: Outlay) -> None:
    """Gives back all that is reserved by `draws`, and counts what the call came to in each."""
    with _lock:
        for tally, amounts, _ in draws:
            tally.reserved = tally.locked_state().reserved.minus(amounts)
            tally.spent = tally.spent.plus(came_to.spent)
            tally.exposed = tally.exposed.plus(came_to.exposed(amounts))
