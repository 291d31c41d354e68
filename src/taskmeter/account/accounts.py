"""The budgets in force, whom they are for, and what each of them has left: one account per budget and owner."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Final, cast
from urllib.parse import urlencode

from taskmeter.account.budget import Budget, BudgetReason, Period
from taskmeter.account.scope import Scope, TaskIdentity
from taskmeter.account.store import BudgetStore
from taskmeter.account.tally import Tally
from taskmeter.errors import ConfigurationError, UsageError

MOST_ACCOUNTS: Final = 65_536
"""Accounts of names and customers that are kept; the one longest not asked for is forgotten for the next."""
_SECONDS: Final[dict[Period | None, int]] = {"hour": 3600, "day": 86_400}

_lock: Final = threading.Lock()
if hasattr(os, "register_at_fork"):  # a forked process finds it free
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


class Account:
    """One budget, as it is drawn on by whom it is for."""

    __slots__ = ("_period", "_started", "_tally", "budget", "key", "owner", "warned")

    def __init__(self, budget: Budget, owner: str, key: str | None = None) -> None:
        self.budget = budget
        self.owner = owner
        """For people: `task 'resolve_ticket'`, `customer 'acme'`, `this process`."""
        self.key = key
        """In a store; `None` for a budget of one task, which no other process has."""
        self.warned = False
        self._started = time.monotonic()
        self._period = self.period()
        self._tally = Tally()

    def period(self) -> int:
        """The number of the present one; 0 where the limits are for all time."""
        seconds = _SECONDS.get(self.budget.per)
        return 0 if seconds is None else int(time.time()) // seconds

    @property
    def tally(self) -> Tally:
        """That of the present period, in this process. Calls under way keep the one that they were reserved in."""
        period = self.period()
        if period != self._period:
            with _lock:
                if period != self._period:
                    self._tally, self._period = Tally(), period
        return self._tally

    @property
    def seconds(self) -> float:
        """Since it was opened."""
        return time.monotonic() - self._started

    def shared_key(self) -> tuple[str, float | None]:
        """Its key in a store in the present period, and when that ends, in Unix time."""
        seconds, period = _SECONDS.get(self.budget.per), self.period()
        if seconds is None:
            return self.key or "", None
        return f"{self.key}/{self.budget.per}/{period}", float((period + 1) * seconds)


class Purse:
    """What a task spends from: the budgets that it draws on, and what those did to its calls, nested tasks included."""

    __slots__ = (
        "accounts",
        "degraded_calls",
        "outer",
        "own",
        "stopped",
        "stopped_by",
        "stopped_calls",
        "unpriced_calls",
        "warned",
    )

    def __init__(
        self, accounts: tuple[Account, ...], own: tuple[Account, ...] = (), outer: Purse | None = None
    ) -> None:
        self.accounts = accounts
        self.own = own
        """Those of this task alone."""
        self.outer = outer
        self.stopped: BudgetReason | None = None
        """Why the last call that was stopped was."""
        self.stopped_by = ""
        """The owner of the budget that stopped it."""
        self.warned: BudgetReason | None = None
        """Why the last call that only a warning was about should have been."""
        self.stopped_calls = self.degraded_calls = self.unpriced_calls = 0

    def note(self, *, degraded: bool = False, unpriced: bool = False) -> None:
        """Counts a call here and in every purse around."""
        with _lock:
            for purse in self.and_outer():
                purse.degraded_calls += degraded
                purse.unpriced_calls += unpriced

    def note_stop(self, reason: BudgetReason, owner: str) -> None:
        """Counts a call that was not sent, here and in every purse around."""
        with _lock:
            for purse in self.and_outer():
                purse.stopped_calls += 1
                purse.stopped, purse.stopped_by = reason, owner

    def note_warning(self, reason: BudgetReason) -> None:
        """Of a call that was sent though it is over a budget."""
        for purse in self.and_outer():
            purse.warned = reason

    def and_outer(self) -> Iterator[Purse]:
        """This one and those around it."""
        purse: Purse | None = self
        while purse is not None:
            yield purse
            purse = purse.outer


class Budgets:
    """The budgets of the process, and which of them a task draws on."""

    def __init__(self) -> None:
        self.active = False
        """Whether there ever was any: as long as not, nothing is looked up."""
        self.store: BudgetStore | None = None
        self._budgets: tuple[Budget, ...] = ()
        self._accounts: OrderedDict[tuple[Budget, str], Account] = OrderedDict()

    def use(self, budgets: tuple[Budget, ...], store: BudgetStore | None) -> None:
        """Puts `budgets` in force; those that were go on from what was spent of them."""
        with _lock:
            self._budgets, self.store = budgets, store
            self.active = self.active or bool(budgets)
            for place in [place for place in self._accounts if place[0] not in budgets]:
                del self._accounts[place]

    def open(self, task: TaskIdentity, outer: Purse | None, own: Budget | None) -> Purse | None:
        """The purse of a task that begins; `None` where nothing limits it."""
        self.active = self.active or own is not None
        mine = [each for each in self._budgets if each.per == "task" and _is_for(each, task)]
        mine += [own] if own is not None else []
        accounts = tuple(Account(budget, f"task {task.name!r}") for budget in mine)
        around = outer.accounts if outer is not None else ()
        every = tuple(dict.fromkeys((*around, *self.lasting(task), *accounts)))
        return Purse(every, accounts, outer) if every else None

    def lasting(self, task: TaskIdentity | None) -> list[Account]:
        """The accounts that outlast `task`: those of its name, of its customer, and of the process."""
        return [
            self._account(budget, task) for budget in self._budgets if budget.per != "task" and _is_for(budget, task)
        ]

    def purse_of(self, scope: Scope | None) -> Purse | None:
        """That of `scope`, by default what is spent outside of any task comes from."""
        if scope is not None and scope.purse is not None:
            return cast("Purse", scope.purse)
        accounts = self.lasting(scope.task if scope is not None else None) if self._budgets else []
        return Purse(tuple(accounts)) if accounts else None

    def _account(self, budget: Budget, task: TaskIdentity | None) -> Account:
        parts: list[tuple[str, str]] = []
        owners: list[str] = []
        for word, owner, pattern, name in (
            ("task", "tasks named", budget.task, task.name if task else None),
            ("customer", "customer", budget.customer, task.customer if task else None),
        ):
            if pattern is not None and name is not None:
                parts += [(word, pattern)] if pattern == name else [(word, pattern), ("of", name)]
                owners.append(f"{owner} {name!r}")
        key = urlencode(parts) or "process"
        with _lock:
            place = (budget, key)
            account = self._accounts.get(place)
            if account is None:
                account = self._accounts[place] = Account(budget, " of ".join(owners) or "this process", key)
                if len(self._accounts) > MOST_ACCOUNTS:
                    self._accounts.popitem(last=False)
            else:
                self._accounts.move_to_end(place)
            return account


def _is_for(budget: Budget, task: TaskIdentity | None) -> bool:
    if budget.task is not None and (task is None or not fnmatchcase(task.name, budget.task)):
        return False
    return budget.customer is None or (
        task is not None and task.customer is not None and fnmatchcase(task.customer, budget.customer)
    )


budgets: Final = Budgets()
"""Those of this process."""


def checked(given: object, store: object = None) -> tuple[Budget, ...] | None:
    """What `configure(budgets=..., budget_store=...)` was given, as budgets; `None` for none.

    Raises `ConfigurationError` for what makes no sense.
    """
    if given is None:
        if store is not None:
            raise ConfigurationError(f"budget_store={store!r} keeps budgets for several processes; pass budgets= too")
        return None
    if store is not None and not all(callable(getattr(store, name, None)) for name in ("reserve", "settle", "state")):
        raise ConfigurationError(f"budget_store={store!r} is no BudgetStore; pass RedisBudgets('redis://...')")
    several = (given,) if isinstance(given, Budget) else given
    if not isinstance(several, Iterable):
        raise ConfigurationError(f"budgets={given!r} must be a Budget or a list of them")
    found = tuple(cast("Iterable[object]", several))
    places: set[object] = set()
    for each in found:
        if not isinstance(each, Budget):
            raise ConfigurationError(f"budgets= has {each!r}; pass Budget objects")
        if each.seconds is not None and each.per != "task":
            raise ConfigurationError(f"budgets= has {each!r}: seconds= is for each task; say per='task' as well")
        largest, usd = getattr(store, "largest_usd", None), each.limits.usd
        if largest is not None and usd is not None and usd > largest and each.per != "task":
            raise ConfigurationError(f"budgets= has {each!r}, but {store!r} counts exactly up to {largest} USD only")
        place = (each.task, each.customer, each.per)
        if place in places:
            raise ConfigurationError(f"budgets= has two budgets for the same as {each!r}; say both limits in one")
        places.add(place)
    return cast("tuple[Budget, ...]", found)


def own_budget(given: object) -> Budget | None:
    """`given` as the budget of one task. Raises `UsageError` for what makes no sense."""
    if given is None:
        return None
    if not isinstance(given, Budget):
        raise UsageError(f"budget={given!r} is no budget; pass taskmeter.Budget(usd='0.50')")
    if given.task is not None or given.customer is not None or given.per not in ("task", None):
        raise UsageError(f"budget={given!r} is of this task; task=, customer= and per= are for configure(budgets=...)")
    return given
