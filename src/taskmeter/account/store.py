"""What a store of budgets that several processes share has to do. Write your own by these methods."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple, Protocol

from taskmeter.account.budget import Amounts, Limits, Unit
from taskmeter.account.tally import Outlay, State


class SharedDraw(NamedTuple):
    """What one call may cost one shared budget at most."""

    key: str
    """The account: whose it is, and of which period. The same in every process with the same budgets."""
    amounts: Amounts
    limits: Limits
    """Without any where this budget is not to stop this call."""
    ends_at: float | None
    """Unix time at which its period ends; `None` for one that lasts. May be forgotten some time after."""


class SharedRefused(NamedTuple):
    """There is no room for a draw."""

    number: int
    """Of the draw, from 0."""
    unit: Unit
    state: State


class BudgetStore(Protocol):
    """Accounts that several processes draw on. Called from any thread, and inside of calls: never to wait for long.

    Whatever a method raises means that the store does not answer; `fail_open` says what then happens to a call.
    """

    fail_open: bool
    """Whether calls go on while the store does not answer; else they are stopped."""
    largest_usd: Decimal | None
    """The largest limit in money that it counts exactly; `None` where there is none."""

    def reserve(self, hold: str, draws: Sequence[SharedDraw]) -> SharedRefused | None:
        """Reserves all of `draws` under the id `hold`, or none, atomically.

        A draw has room if what is spent, exposed and reserved of its account, with its amounts, exceeds no limit. A
        reservation that is not settled in reasonable time is of a process that died, and is to be given back.
        """
        ...

    def settle(self, hold: str, draws: Sequence[SharedDraw], came_to: Outlay) -> None:
        """Gives back what `hold` reserved, if it did, and counts what the call came to in each account.

        Also for money that nothing was reserved for, under an id of its own and with draws of nothing.
        """
        ...

    def state(self, key: str) -> State:
        """How an account stands; `State()` for one that nobody drew on."""
        ...
