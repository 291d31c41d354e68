"""Reserving the worst case of a call in every budget that it draws on, and settling what it came to."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Final, NamedTuple

from taskmeter._guard import warn
from taskmeter.account import tally
from taskmeter.account.accounts import Account, Purse, budgets
from taskmeter.account.budget import NOTHING, Amounts, BudgetReason, Limits
from taskmeter.account.ledger import Entry
from taskmeter.account.store import BudgetStore, SharedDraw
from taskmeter.account.tally import Draw, Outlay, State
from taskmeter.records import total

_NO_LIMITS: Final = Limits()
_LOG_SECONDS: Final = 60.0
"""A store that does not answer is logged so often at most."""


class Ask(NamedTuple):
    """What one call may cost one account at most."""

    account: Account
    amounts: Amounts
    enforced: bool
    """Whether there has to be room for it."""


class Refusal(NamedTuple):
    """An account that has no room."""

    account: Account
    reason: BudgetReason
    state: State
    amounts: Amounts


class Hold:
    """What is reserved for one call. Settled once, however the call ends."""

    __slots__ = ("_draws", "_id", "_shared", "_store", "_unsettled")

    def __init__(self, draws: Sequence[Draw], shared: Sequence[SharedDraw], store: BudgetStore | None) -> None:
        self._draws = draws
        self._shared = shared
        self._store = store
        self._id = uuid.uuid4().hex if shared else ""
        self._unsettled = [True]

    def reserve(self) -> tuple[int, BudgetReason, State] | None:
        """Reserves all, or nothing: then the number of the draw that there is no room for, the shared ones last."""
        refused: tuple[int, BudgetReason, State] | None = tally.reserve(self._draws)
        if refused is not None:
            return refused
        try:
            refused = self._reserve_shared()
        except BaseException:
            self.settle(Outlay())
            raise
        if refused is None:
            return None
        tally.settle(self._draws, Outlay())
        return refused

    def _reserve_shared(self) -> tuple[int, BudgetReason, State] | None:
        store = self._store
        if store is None or not self._shared:
            return None
        try:
            refused = store.reserve(self._id, self._shared)
        except Exception as error:  # noqa: BLE001 - whatever it raises, it does not answer
            _unanswered(store, error)
            strict = [number for number, draw in enumerate(self._shared) if draw.limits != _NO_LIMITS]
            if store.fail_open or not strict:
                return None
            _settle_shared(store, self._id, self._shared, Outlay())  # it may have been reserved all the same
            return len(self._draws) + strict[0], "store", State()
        return None if refused is None else (len(self._draws) + refused.number, refused.unit, refused.state)

    def settle(self, came_to: Outlay) -> None:
        """Gives back what is reserved, and counts what the call came to. Who comes second does nothing."""
        try:
            self._unsettled.pop()
        except IndexError:
            return
        tally.settle(self._draws, came_to)
        if self._store is not None and self._shared:
            _settle_shared(self._store, self._id, self._shared, came_to)

    def release(self) -> None:
        """Gives back what is reserved, as nothing is known to have been spent."""
        self.settle(Outlay())


def reserve(asks: Sequence[Ask]) -> Hold | Refusal:
    """Reserves all of `asks`, or none."""
    ordered, hold = _hold(asks)
    refused = hold.reserve()
    if refused is None:
        return hold
    number, reason, state = refused
    return Refusal(ordered[number].account, reason, state, ordered[number].amounts)


def draw(purse: Purse | None, entry: Entry, hold: Hold | None) -> None:
    """Counts what was booked: in the accounts that `hold` reserved in, else in those of `purse`."""
    usd = total(charge.amount for charge in entry.charges)
    spent = Amounts(usd, entry.usage.input_tokens + entry.usage.output_tokens, entry.calls)
    if hold is not None:
        unpriced = max(entry.exposed_attempts, min(entry.unpriced_calls, 1))
        hold.settle(Outlay(spent, unpriced, entry.exposed_attempts if spent.tokens else unpriced))
    elif purse is not None and spent != NOTHING:
        _, spending = _hold([Ask(account, NOTHING, enforced=False) for account in purse.accounts])
        spending.settle(Outlay(spent))


def _hold(asks: Sequence[Ask]) -> tuple[list[Ask], Hold]:
    """A hold on `asks`, and these in its order: those of this process first."""
    store = budgets.store
    shared = [ask for ask in asks if store is not None and ask.account.key is not None]
    here = [ask for ask in asks if store is None or ask.account.key is None]
    draws = [Draw(ask.account.tally, ask.amounts, _limits(ask)) for ask in here]
    elsewhere: list[SharedDraw] = []
    for ask in shared:
        key, ends_at = ask.account.shared_key()
        elsewhere.append(SharedDraw(key, ask.amounts, _limits(ask), ends_at))
    return [*here, *shared], Hold(draws, elsewhere, store)


def _limits(ask: Ask) -> Limits:
    return ask.account.budget.limits if ask.enforced else _NO_LIMITS


def _settle_shared(store: BudgetStore, hold: str, draws: Sequence[SharedDraw], came_to: Outlay) -> None:
    try:
        store.settle(hold, draws, came_to)
    except Exception as error:  # noqa: BLE001 - whatever it raises, it does not answer
        _unanswered(store, error)


class _Log:
    """When it was last said that a store does not answer."""

    def __init__(self) -> None:
        self.said_at = -_LOG_SECONDS


_log: Final = _Log()


def _unanswered(store: BudgetStore, error: Exception) -> None:
    now = time.monotonic()
    if now - _log.said_at >= _LOG_SECONDS:
        _log.said_at = now
        does = "go on without it" if store.fail_open else "under its budgets are stopped"
        warn("the store of shared budgets does not answer (%s); calls %s", type(error).__name__, does)
