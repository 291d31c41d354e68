"""What a budget is: its limits, what happens at them, and the error that says that one was reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

from taskmeter.account.money import Money, money
from taskmeter.errors import TaskmeterError, UsageError
from taskmeter.records import ZERO, add, subtract

Unit = Literal["usd", "tokens", "calls"]
UNITS: Final[tuple[Unit, ...]] = ("usd", "tokens", "calls")
"""What is reserved before a call, in the order of `Amounts`."""

BudgetReason = Literal["usd", "tokens", "calls", "seconds", "unpriced", "store"]
"""The limit that was reached; `unpriced` for a call without a known price, `store` for a store that does not answer."""

Period = Literal["task", "hour", "day"]


class Amounts(NamedTuple):
    """So much money, so many tokens and calls."""

    usd: Decimal = ZERO
    tokens: int = 0
    calls: int = 0

    def plus(self, other: Amounts) -> Amounts:
        """The sum."""
        return Amounts(add(self.usd, other.usd), self.tokens + other.tokens, self.calls + other.calls)

    def minus(self, other: Amounts) -> Amounts:
        """The difference."""
        return Amounts(subtract(self.usd, other.usd), self.tokens - other.tokens, self.calls - other.calls)


NOTHING: Final = Amounts()


class Limits(NamedTuple):
    """The most that a budget allows of each; `None` for no limit."""

    usd: Decimal | None = None
    tokens: int | None = None
    calls: int | None = None

    def exceeded_by(self, amounts: Amounts) -> Unit | None:
        """Which of them is less than `amounts`, if any."""
        if self.usd is not None and amounts.usd > self.usd:
            return "usd"
        if self.tokens is not None and amounts.tokens > self.tokens:
            return "tokens"
        return "calls" if self.calls is not None and amounts.calls > self.calls else None


@dataclass(frozen=True, slots=True)
class BudgetStop:
    """A call that a budget has no room for, as an `on_exceeded` callable gets it."""

    budget: Budget
    owner: str
    """Whose budget it is: `task 'resolve_ticket'`, `customer 'acme'`, `this process`."""
    reason: BudgetReason
    spent: Decimal | float
    """In the unit of `reason`: USD, tokens, calls or seconds."""
    held: Decimal | float
    """The worst case of calls under way, and of those that got no answer and may be billed. Not in `spent`."""
    limit: Decimal | float | None
    """`None` where the reason is no limit: `unpriced`, `store`."""
    requested: Decimal | float
    """The worst case of this call."""
    model: str
    request: Mapping[str, Any] = field(repr=False)
    """The body of the request. A view: it cannot be changed. Empty in `BudgetExceeded`: an error holds no prompt."""

    def __str__(self) -> str:
        call = f"a call of {self.model or 'no model'}"
        if self.reason == "unpriced":
            return (
                f"the budget of {self.owner} stops calls without a known price, and there is none for {call}; "
                "add its price to your price file, or set unpriced='allow'"
            )
        if self.reason == "store":
            return (
                f"the store of the budget of {self.owner} does not answer, so {call} was not sent; "
                "with on_failure='allow' calls go on without it"
            )
        if self.reason == "seconds":
            return f"the budget of {self.owner} is over: {self.spent:.3f} of {self.limit:g} seconds had passed"
        held = f" + {_shown(self.held)} held by calls under way or unanswered" if self.held else ""
        fix = "" if self.reason == "calls" else ", limit the output of the request"
        return (
            f"the budget of {self.owner} is exceeded: {_shown(self.spent)} spent{held} + {_shown(self.requested)} for "
            f"{call} at worst > {_shown(self.limit or 0)} {self.reason}; raise the budget{fix}, "
            "or let on_exceeded= decide"
        )


def _shown(amount: Decimal | float) -> str:
    text = format(amount, "f") if isinstance(amount, Decimal) else str(amount)
    return text.rstrip("0").rstrip(".") if "." in text else text


class BudgetExceeded(TaskmeterError):  # noqa: N818 - it says what happened, and is no misuse
    """A call was not sent, because a budget has no room for its worst case.

    `budget`, and its `limit`, what was `spent` of it, and what the call `requested`, in the unit of `reason`: `usd`,
    `tokens`, `calls`, `seconds`; `unpriced` for a call without a known price, `store` for a store that does not answer.
    `partial` is what the task had said by `task.partial(...)`.
    """

    def __init__(self, stop: BudgetStop, partial: Any = None) -> None:
        super().__init__(str(stop))
        self.stop = replace(stop, request={})
        self.partial: Any = partial

    def __reduce__(self) -> tuple[object, ...]:
        budget = self.budget
        if callable(budget.on_exceeded):  # seldom can be pickled, and has been asked
            budget = replace(budget, on_exceeded="raise")
        return type(self), (replace(self.stop, budget=budget), self.partial)

    @property
    def budget(self) -> Budget:
        """The budget that was reached."""
        return self.stop.budget

    @property
    def reason(self) -> BudgetReason:
        """Which of its limits."""
        return self.stop.reason

    @property
    def spent(self) -> Decimal | float:
        """What was spent of it."""
        return self.stop.spent

    @property
    def limit(self) -> Decimal | float | None:
        """That limit; `None` for `unpriced` and `store`."""
        return self.stop.limit

    @property
    def requested(self) -> Decimal | float:
        """The worst case of the call."""
        return self.stop.requested


OnExceeded = Callable[[BudgetStop], "Mapping[str, Any] | None"]
"""Gets the stop. Returns what to change of the request (`model`, `max_tokens`), or `None` to go on; may raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The most that a task, all tasks of a name, a customer or the process may spend.

    `usd`, `tokens` (input and output), `calls` and, for a task, `seconds` since it began: at least one of them.
    Checked before each call, at its worst case. `on_exceeded` is `"raise"`, `"warn"` (logs once and goes on), or a
    callable that gets a `BudgetStop` and returns a change such as `{"model": "gpt-5-nano", "max_tokens": 300}`, or
    `None` to go on. `unpriced="stop"` refuses calls without a known price. `task` and `customer` are names, or globs of
    which each matching name has an account of its own; `per` is what the limits are for: `"day"` and `"hour"` of UTC,
    `"task"`, or by default the life of the process. A request without a limit of its own is taken to write
    `assumed_output_tokens` at most. Raises `UsageError` for what makes no sense.
    """

    usd: Money | None = None
    tokens: int | None = None
    calls: int | None = None
    seconds: float | None = None
    on_exceeded: Literal["raise", "warn"] | OnExceeded = "raise"
    unpriced: Literal["allow", "stop"] = "allow"
    task: str | None = None
    customer: str | None = None
    per: Period | None = None
    assumed_output_tokens: int = 4096
    limits: Limits = field(init=False, repr=False, compare=False)
    """The same three as numbers."""

    def __post_init__(self) -> None:
        usd = None if self.usd is None else money(self.usd, "usd")
        if usd is not None and not usd:
            raise UsageError(f"usd={self.usd!r} allows nothing; pass a positive amount, or leave it out for no limit")
        if all(limit is None for limit in (usd, self.tokens, self.calls, self.seconds)):
            raise UsageError("Budget() limits nothing; pass usd=, tokens=, calls= or seconds=")
        for argument in ("tokens", "calls", "assumed_output_tokens"):
            _positive(getattr(self, argument), argument, int)
        _positive(self.seconds, "seconds", int | float)
        self._check_words()
        object.__setattr__(self, "usd", usd)
        object.__setattr__(self, "limits", Limits(usd, self.tokens, self.calls))

    def _check_words(self) -> None:
        if self.on_exceeded not in ("raise", "warn") and not callable(self.on_exceeded):
            raise UsageError(f"on_exceeded={self.on_exceeded!r} must be 'raise', 'warn' or a callable")
        if self.unpriced not in ("allow", "stop"):
            raise UsageError(f"unpriced={self.unpriced!r} must be 'allow' or 'stop'")
        if self.unpriced == "stop" and self.usd is None:
            raise UsageError("unpriced='stop' is about a limit in money; pass usd= too")
        if self.per not in ("task", "hour", "day", None):
            raise UsageError(f"per={self.per!r} must be 'task', 'hour' or 'day', or left out")
        for argument in ("task", "customer"):
            name = getattr(self, argument)
            if name is not None and (not isinstance(name, str) or not name):
                raise UsageError(f"{argument}={name!r} must be a name or a glob")


def _positive(value: Any, argument: str, kind: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, kind) or not 0 < value < 1e15:  # noqa: PLR2004 - sane
        raise UsageError(f"{argument}={value!r} must be a positive {'number' if kind is not int else 'int'}")
