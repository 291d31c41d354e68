"""Before a call: does every budget that it draws on have room for its worst case? And what is done where one has not.

Nothing here runs while no budget is in force. The worst case is the text of the request at bytes / 4, and as many
tokens of output as the request allows, at the price that the call would have.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, cast

from taskmeter import _semconv as names
from taskmeter._guard import warn
from taskmeter.account import (
    Account,
    Amounts,
    Ask,
    BudgetExceeded,
    BudgetStop,
    Hold,
    Purse,
    Refusal,
    Scope,
    State,
    budgets,
    partial_of,
    reserve,
)
from taskmeter.capture.clock import now_ns
from taskmeter.capture.priced import price_reading
from taskmeter.capture.provider import Client, Options, Provider, request_body, request_path
from taskmeter.capture.reading import Reading
from taskmeter.capture.terms import terms_of
from taskmeter.capture.tokens import estimated_tokens, request_weight
from taskmeter.errors import UsageError
from taskmeter.records import ZERO, Usage
from taskmeter.telemetry.attributes import Attributes
from taskmeter.telemetry.context import current_scope

_WRITING: Final = frozenset({"chat", "text_completion", "compact", "invoke_agent"})
"""Operations whose answer is text, and may be as long as the request allows."""
_OUTPUT_LIMITS: Final = ("max_output_tokens", "max_completion_tokens", "max_tokens")
_CHOICES: Final = ("n", "best_of")
_CHANGEABLE: Final = frozenset({"model", "max_tokens"})


@dataclass(frozen=True, slots=True)
class Admission:
    """A call that may be made."""

    options: Options | None = None
    """The request to make instead, where a budget changed it."""
    hold: Hold | None = None
    attributes: Attributes = field(default_factory=dict[str, Any])
    """What its span says of that."""

    def release(self) -> None:
        """Gives back what is reserved: the call is not made, or nobody knows what it came to."""
        if self.hold is not None:
            self.hold.release()


UNLIMITED: Final = Admission()


def admit(provider: Provider, client: Client, options: Options, operation: str) -> Admission:
    """Reserves the worst case of a call in every budget that it draws on.

    Raises `BudgetExceeded` where one has no room for it and says so, or where its `on_exceeded` fails.
    """
    scope = current_scope()
    purse = budgets.purse_of(scope)
    if purse is None:
        return UNLIMITED
    candidate = _Candidate(provider, client, options, operation)
    hold = _reserved(candidate, purse, scope)
    try:
        return _admission(candidate, purse, hold)
    except BaseException:
        hold.release()
        raise


def _reserved(candidate: _Candidate, purse: Purse, scope: Scope | None) -> Hold:
    """A hold on what `candidate` costs at worst, after what the budgets that have no room for it do about that."""
    waived: set[Account] = set()
    asked: set[Account] = set()
    while True:
        asks = [
            Ask(account, candidate.worst_case(account), enforced=account not in waived) for account in purse.accounts
        ]
        found = _beforehand(asks, candidate) or reserve(asks)
        if isinstance(found, Hold):
            return found
        stop = _stop(found, candidate)
        if stop.budget.on_exceeded == "warn":
            purse.note_warning(stop.reason)
            _warn_once(found.account, stop)
            waived.add(found.account)
            continue
        try:
            change = _decision(stop, again=found.account in asked)
        except BudgetExceeded as error:
            purse.note_stop(error.reason, error.stop.owner)
            if error.partial is None:
                error.partial = partial_of(scope)
            raise
        asked.add(found.account)
        if change is None:
            waived.add(found.account)
        else:
            candidate.change(change)


def _admission(candidate: _Candidate, purse: Purse, hold: Hold) -> Admission:
    """Of a call that `hold` is for, with what the spans say of it."""
    in_money = any(account.budget.limits.usd is not None for account in purse.accounts)
    unpriced, changes = in_money and candidate.unpriced, candidate.changes
    if unpriced or changes:
        purse.note(degraded=bool(changes), unpriced=unpriced)
    if not changes:
        return Admission(hold=hold)
    attributes: Attributes = {
        names.BUDGET_DEGRADED: ", ".join(changes),
        names.BUDGET_REQUESTED_MODEL: candidate.requested_model,
    }
    return Admission(candidate.options, hold, attributes)


def _beforehand(asks: list[Ask], candidate: _Candidate) -> Refusal | None:
    """What no reservation can tell: that the time is over, or that there is no price."""
    for account, amounts, enforced in asks:
        budget = account.budget
        if enforced and budget.seconds is not None and account.seconds >= budget.seconds:
            return Refusal(account, "seconds", State(), amounts)
        if enforced and budget.unpriced == "stop" and candidate.unpriced:
            return Refusal(account, "unpriced", account.tally.state(), amounts)
    return None


def _stop(refusal: Refusal, candidate: _Candidate) -> BudgetStop:
    account, reason, state, amounts = refusal
    spent = held = requested = 0.0
    limit = None
    if reason == "seconds":
        spent, limit = account.seconds, account.budget.seconds
    elif reason != "store":
        unit = "usd" if reason == "unpriced" else reason
        spent, held, requested = (getattr(each, unit) for each in (state.spent, state.held, amounts))
        limit = getattr(account.budget.limits, unit) if reason != "unpriced" else None
    request = MappingProxyType(dict(candidate.request))
    return BudgetStop(account.budget, account.owner, reason, spent, held, limit, requested, candidate.model, request)


def _decision(stop: BudgetStop, *, again: bool) -> Mapping[str, Any] | None:
    """What the budget's callable says, the first time. Runs code of the application; raises `BudgetExceeded` only."""
    on_exceeded = stop.budget.on_exceeded
    if again or not callable(on_exceeded):
        raise BudgetExceeded(stop)
    try:
        return _checked(on_exceeded(stop))
    except BudgetExceeded:
        raise
    except Exception as error:
        raise BudgetExceeded(stop) from error


def _checked(change: object) -> Mapping[str, Any] | None:
    if change is None:
        return None
    known: Mapping[str, Any] = cast("Mapping[str, Any]", change) if isinstance(change, Mapping) else {}
    limit, model = known.get("max_tokens", 1), known.get("model", "any")
    sane = isinstance(limit, int) and limit > 0 and isinstance(model, str) and model
    if not known or set(known) - _CHANGEABLE or not sane:
        raise UsageError(
            f"on_exceeded= returned {change!r}; return what to change, as in "
            "{'model': 'gpt-5-nano', 'max_tokens': 300}, or None to go on"
        )
    return known


def _warn_once(account: Account, stop: BudgetStop) -> None:
    if not account.warned:
        account.warned = True
        warn("%s; going on, as on_exceeded='warn'", stop)


class _Candidate:
    """A request as it would be sent, and what it costs at worst."""

    def __init__(self, provider: Provider, client: Client, options: Options, operation: str) -> None:
        self._provider = provider
        self._client = client
        self._writes = operation in _WRITING
        self._at_ns = now_ns()
        self._provider_name = provider.name(client)
        self.options = options
        self.changes: list[str] = []
        """What was changed of it, for people."""
        self._look()
        self.requested_model = self.model

    def _look(self) -> None:
        self.request: Mapping[str, object] = request_body(self.options)
        self.model = str(self.request.get("model", ""))
        self._terms = terms_of(self._client, self.request, self._provider.served_as_asked, self._provider_name)
        self._input_tokens = estimated_tokens(request_weight(self.request))
        self._limit = next((limit for name in _OUTPUT_LIMITS if (limit := _count(self.request.get(name)))), None)
        self._choices = max(_count(self.request.get(name)) or 1 for name in _CHOICES)
        self._prices: dict[int, Decimal | None] = {}

    @property
    def unpriced(self) -> bool:
        """Whether nobody knows what it will cost."""
        return self._price(0) is None

    def worst_case(self, account: Account) -> Amounts:
        """What it may cost `account`; no money where that is not limited, or where the price is not known."""
        output = (self._limit or account.budget.assumed_output_tokens) * self._choices if self._writes else 0
        usd = self._price(output) if account.budget.limits.usd is not None else None
        return Amounts(ZERO if usd is None else usd, self._input_tokens + output, 1)

    def _price(self, output_tokens: int) -> Decimal | None:
        if output_tokens not in self._prices:
            self._prices[output_tokens] = price_reading(
                Reading(Usage({"input": max(self._input_tokens, 1), "output": output_tokens})),
                provider=self._provider_name,
                at_ns=self._at_ns,
                model=self.model,
                terms=self._terms,
            ).amount
        return self._prices[output_tokens]

    def change(self, change: Mapping[str, Any]) -> None:
        """Makes it another request."""
        body, changes = dict(self.request), list[str]()
        if change.get("model", self.model) != self.model:
            body["model"] = change["model"]
            changes.append(f"model {self.model} -> {change['model']}")
        clamp = change.get("max_tokens")
        if clamp is not None and self._writes and (self._limit is None or self._limit > clamp):
            name = next((name for name in _OUTPUT_LIMITS if _count(body.get(name))), self._limit_name())
            body[name] = clamp
            changes.append(f"{name} {self._limit or 'unlimited'} -> {clamp}")
        if changes:
            self.options = copy.copy(self.options)
            self.options.json_data, self.options.extra_json = body, None  # `body` has what was extra
            self.changes += changes
            self._look()

    def _limit_name(self) -> str:
        if self._provider.package == "anthropic" or request_path(self.options).endswith("/v1/completions"):
            return "max_tokens"
        return "max_output_tokens" if request_path(self.options).endswith("/responses") else "max_completion_tokens"


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
