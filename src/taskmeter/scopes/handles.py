"""What `with track_task(...) as task`, `track_step` and `track_tool` give the application."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from taskmeter.account import Ledger, Scope, TaskIdentity
from taskmeter.errors import UsageError
from taskmeter.records import ZERO, Context, Cost, Outcome, OutcomeStatus, Usage, add
from taskmeter.scopes.arguments import Money, money, text
from taskmeter.scopes.outcomes import outcome_said
from taskmeter.scopes.people import hourly, minutes_of, spend


class _Account:
    """The figures a task and a step share. Each read is a consistent snapshot, right also after the scope ended."""

    __slots__ = ("_ledger", "_scope")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._ledger: Ledger = scope.ledger

    @property
    def cost(self) -> Cost:
        """What it cost so far, as `Decimal` amounts; `.total` includes nested tasks.

        A lower bound while `unpriced_calls` is not 0.
        """
        return self._ledger.cost()

    @property
    def usage(self) -> Usage:
        """Tokens so far, nested tasks included."""
        return self._ledger.usage()

    @property
    def context(self) -> Context:
        """What the input of its calls was made of so far, nested tasks included. Empty with `context=False`."""
        return self._ledger.context()

    @property
    def calls(self) -> int:
        """Calls of provider SDK methods so far, failed ones included."""
        return self._ledger.calls

    @property
    def attempts(self) -> int:
        """HTTP requests so far: calls and their retries."""
        return self._ledger.attempts

    @property
    def retries(self) -> int:
        """HTTP requests beyond the first of each call."""
        return self._ledger.retries

    @property
    def retry_seconds(self) -> float:
        """Time lost in attempts that were repeated and in the waits after them, summed over calls."""
        return self._ledger.retry_seconds

    @property
    def exposed_attempts(self) -> int:
        """HTTP requests that got no answer (timed out, cut, cancelled) and may be billed all the same."""
        return self._ledger.exposed_attempts

    @property
    def tool_runs(self) -> int:
        """Tool runs so far."""
        return self._ledger.tool_runs

    @property
    def unpriced_calls(self) -> int:
        """Calls, tool runs and human minutes whose price is not known: `cost` is a lower bound if there are any."""
        return self._ledger.unpriced_calls

    @property
    def human_minutes(self) -> Decimal:
        """Minutes that people spent so far, whether or not a rate for them is known."""
        return self._ledger.human_minutes

    @property
    def reasks(self) -> int:
        """Answers so far that were rejected and asked for anew."""
        return self._ledger.reasks

    @property
    def duplicate_calls(self) -> int:
        """Calls so far that asked again for an answer which their task had got."""
        return self._ledger.duplicate_calls

    @property
    def looped_tool_runs(self) -> int:
        """Tool runs so far that repeated those before them once too often."""
        return self._ledger.looped_tool_runs

    @property
    def growing_turns(self) -> int:
        """The most calls in a row so far, of one scope, each of which had more input than the one before."""
        return self._ledger.growing_turns

    def retry(self, reason: str | None = None) -> None:
        """Says that the answers so far were rejected, and that what comes now asks anew.

        What was booked in here since the beginning, or since the last `retry`, becomes waste: of the class `reask`, but
        for what is waste already. What is done from now on is not. Raises `UsageError` after the end.
        """
        if self._scope.closed:
            msg = f"{self!r} has ended, so nothing in it is asked anew; say it inside"
            raise UsageError(msg)
        self._scope.reask_reason = reason if reason is None else text(reason, "reason")
        self._ledger.reject()


class Task(_Account):
    """One unit of work with an outcome."""

    __slots__ = ("_identity",)

    def __init__(self, identity: TaskIdentity, scope: Scope) -> None:
        super().__init__(scope)
        self._identity = identity

    @property
    def name(self) -> str:
        """The workflow type, such as `"resolve_ticket"`."""
        return self._identity.name

    @property
    def id(self) -> str:
        """The id of this run: 32 hex digits."""
        return self._identity.id

    @property
    def key(self) -> str | None:
        """The business key, such as `"T-1"`."""
        return self._identity.key

    @property
    def customer(self) -> str | None:
        """Whom it was done for."""
        return self._identity.customer

    @property
    def outcome(self) -> Outcome | None:
        """What was said of it so far, and after its end what it came to; `None` before anything was said."""
        return self._scope.outcome

    def succeed(
        self,
        *,
        value: Money | None = None,
        reason: str | None = None,
        human_minutes: Money | None = None,
        quality: Money | None = None,
    ) -> None:
        """Says that the task reached its goal, what that is worth (`value`, in USD), and how good the result is
        (`quality`, on a scale of your own, more is better). `human_minutes` are booked as `review` does."""
        self._say("succeeded", reason, value, human_minutes, quality)

    def fail(
        self, reason: str | None = None, *, human_minutes: Money | None = None, quality: Money | None = None
    ) -> None:
        """Says that the task missed its goal, though nothing was raised. All it cost becomes waste."""
        self._say("failed", reason, None, human_minutes, quality)

    def abandon(self, reason: str | None = None, *, human_minutes: Money | None = None) -> None:
        """Says that nobody waits for the result any more. All it cost becomes waste."""
        self._say("abandoned", reason, None, human_minutes)

    def pending(self, reason: str | None = None, *, human_minutes: Money | None = None) -> None:
        """Says that the outcome is not known yet; `taskmeter.record_outcome` says it once it is."""
        self._say("pending", reason, None, human_minutes)

    def review(self, minutes: Money, *, rate: Money | None = None) -> None:
        """Books `minutes` of a person's time, at `rate` USD per hour, by default that of the price file.

        Without either the minutes are counted, and are `unpriced`. May be called after the end: late, then.
        """
        spent = minutes_of(minutes, "minutes")
        spend(self._scope, spent, hourly(spent, rate))

    def _say(
        self,
        status: OutcomeStatus,
        reason: str | None,
        value: Money | None = None,
        human_minutes: Money | None = None,
        quality: Money | None = None,
    ) -> None:
        if self._scope.closed:
            msg = (
                f"task {self.name!r} has ended, so its outcome cannot become {status!r} here; say it inside the task, "
                f"or by taskmeter.record_outcome(task_id=task.id, status={status!r})"
            )
            raise UsageError(msg)
        outcome = outcome_said(status, reason, value, human_minutes, quality)
        if (minutes := outcome.human_minutes) is not None:
            spend(self._scope, minutes, hourly(minutes, None))
        before = self._scope.outcome
        if before is not None and before.human_minutes is not None:
            # What was said before no longer counts, the time that was spent does.
            outcome = replace(outcome, human_minutes=add(before.human_minutes, minutes or ZERO))
        self._scope.outcome = outcome

    def __repr__(self) -> str:
        return f"<Task {self.name!r} id={self.id} cost={self.cost.total} {self.cost.currency}>"


class Step(_Account):
    """A named phase or branch inside a task."""

    __slots__ = ("_discard_reason", "_discarded")

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._discarded = False
        self._discard_reason: str | None = None

    @property
    def name(self) -> str:
        """The step's name, such as `"draft"`."""
        return self._scope.step or ""

    @property
    def discarded(self) -> bool:
        """Whether its result was thrown away."""
        return self._discarded

    @property
    def discard_reason(self) -> str | None:
        """Why it was."""
        return self._discard_reason

    def discard(self, reason: str | None = None) -> None:
        """Says that the result of this step is thrown away: what it cost, and will still cost, is waste.

        Where the step is opened again in the same scope, it is the waste of a re-ask."""
        self._discarded = True
        self._discard_reason = reason
        self._scope.rejected = True
        self._ledger.condemn("discarded_step")

    def __repr__(self) -> str:
        return f"<Step {self.name!r} cost={self.cost.total} {self.cost.currency}>"


class ToolRun:
    """One execution of a tool by the application."""

    __slots__ = ("_quantity", "call_id", "name")

    def __init__(self, name: str, call_id: str | None) -> None:
        self.name = name
        self.call_id = call_id
        self._quantity: Decimal | None = None

    @property
    def quantity(self) -> Decimal | None:
        """How many units this run used; `None` for one, or for its time where the unit is `second`."""
        return self._quantity

    def used(self, quantity: Money) -> None:
        """Says how many units this run used, of what its price is for. The last word counts."""
        self._quantity = money(quantity, "quantity")

    def __repr__(self) -> str:
        return f"<ToolRun {self.name!r}>"
