"""The account as span attributes. Here and only here `Decimal` becomes a double, beside its exact decimal string."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Final, cast

from opentelemetry.util.types import AttributeValue

from taskmeter import _semconv as names
from taskmeter._bounds import bounded
from taskmeter.account import Ledger, Purse, Scope, Shares, TaskIdentity, rules
from taskmeter.records import CATEGORIES, ZERO, Category, Charge, Context, ContextShare, Cost, Priced, Usage, add

Attributes = dict[str, AttributeValue]

_TOLD: Final = frozenset(
    ("input", "cache_read", "cache_write", "cache_write_5m", "output", "reasoning", "request", "call")
)
"""Parts of a call's cost that its token counts tell, or that are the price of the call as a whole."""


def exact(amount: Decimal) -> str:
    """`amount` in plain digits, without exponent or trailing zeros: the form that is summed without drift."""
    text = format(amount, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def identity_attributes(task: TaskIdentity | None) -> Attributes:
    """What every span started inside `task` carries; nothing outside any."""
    if task is None:
        return {}
    attributes: Attributes = {names.TASK_ID: task.id, names.TASK_NAME: task.name}
    if task.key is not None:
        attributes[names.TASK_KEY] = task.key
    if task.customer is not None:
        attributes[names.CUSTOMER] = task.customer
    if task.remote:
        attributes[names.TASK_REMOTE] = True
    return attributes


def late_attributes(scope: Scope | None) -> Attributes:
    """What a leaf that is booked to `scope` now carries if its task has ended: it is not in that task's roll-up."""
    return {names.COST_LATE: True} if scope is not None and scope.is_late else {}


def known_cost(ledger: Ledger) -> Cost | None:
    """The ledger's cost; `None` when there were calls and none of them could be priced: unknown is not 0."""
    cost = ledger.cost()
    return None if ledger.unpriced_calls and not cost.total else cost


def rollup_attributes(ledger: Ledger, *, is_task: bool) -> Attributes:
    """The roll-up of a task or step span."""
    usage = ledger.usage()
    attributes: Attributes = {
        names.USAGE_INPUT: usage.input_tokens,
        names.USAGE_CACHE_READ: usage.cache_read_tokens,
        names.USAGE_CACHE_WRITE: usage.cache_write_tokens,
        names.USAGE_OUTPUT: usage.output_tokens,
        names.USAGE_REASONING: usage.reasoning_tokens,
        names.CALLS: ledger.calls,
        names.ATTEMPTS: ledger.attempts,
        names.RETRIES: ledger.retries,
        names.RETRY_SECONDS: ledger.retry_seconds,
        names.EXPOSED_ATTEMPTS: ledger.exposed_attempts,
        names.TOOL_RUNS: ledger.tool_runs,
        names.UNPRICED_CALLS: ledger.unpriced_calls,
    }
    if ledger.human_minutes:
        attributes[names.HUMAN_MINUTES] = float(ledger.human_minutes)
    attributes |= _context_rollup(ledger.context())
    attributes |= _repeat_attributes(ledger)
    cost = known_cost(ledger)
    if cost is None:
        return attributes
    if cost.reasoning:
        attributes[names.COST_REASONING] = float(cost.reasoning)
    if cost.cache_saved:
        attributes[names.CACHE_SAVED] = float(cost.cache_saved)
    attributes |= {
        names.COST_TOTAL: float(cost.total),
        names.COST_SELF: float(cost.self),
        names.COST_LIST: float(cost.list),
        names.COST_CONTRACTED: float(cost.contracted),
        names.COST_WASTED: float(cost.wasted),
        names.COST_ESTIMATED: float(cost.estimated),
        names.COST_CURRENCY: cost.currency,
        names.COST_EXACT: exact(cost.total),
        names.COST_WASTED_EXACT: exact(cost.wasted),
    }
    for waste, amount in cost.waste.items():
        attributes[names.WASTE_PREFIX + waste] = float(amount)
        attributes[names.WASTE_PREFIX + waste + names.WASTE_EXACT_SUFFIX] = exact(amount)
    for category in CATEGORIES:
        attributes[names.COST_CATEGORY_PREFIX + category] = float(getattr(cost, category))
    if is_task:
        attributes[names.COST_SELF_EXACT] = exact(cost.self)
    return attributes


def _repeat_attributes(ledger: Ledger) -> Attributes:
    """What was done once too often, where anything was."""
    attributes: Attributes = {
        names.REASKS: ledger.reasks,
        names.DUPLICATE_CALLS: ledger.duplicate_calls,
        names.LOOPED_TOOL_RUNS: ledger.looped_tool_runs,
    }
    most = rules().growing_turns
    if most is not None and ledger.growing_turns >= most:
        attributes[names.GROWING_TURNS] = ledger.growing_turns
    return {name: count for name, count in attributes.items() if count}


def budget_attributes(scope: Scope) -> Attributes:
    """What a task's budget came to, and what budgets did to its calls; nothing where none had a say in it."""
    purse = scope.purse
    if not isinstance(purse, Purse):
        return {}
    attributes: Attributes = {}
    for account in purse.own:  # one; else the last, which was given to the task itself, has the say
        limits, state = account.budget.limits, account.tally.state()
        said = {
            names.BUDGET_USD: None if limits.usd is None else float(limits.usd),
            names.BUDGET_TOKENS: limits.tokens,
            names.BUDGET_CALLS: limits.calls,
            names.BUDGET_SECONDS: account.budget.seconds,
            names.BUDGET_EXPOSED_USD: float(state.exposed.usd) or None,
        }
        attributes |= {name: value for name, value in said.items() if value is not None}
        attributes |= {
            names.BUDGET_SPENT_USD: float(state.spent.usd),
            names.BUDGET_SPENT_TOKENS: state.spent.tokens,
            names.BUDGET_SPENT_CALLS: state.spent.calls,
        }
    if purse.stopped is not None:
        attributes |= {names.BUDGET_STOPPED: purse.stopped, names.BUDGET_STOPPED_BY: purse.stopped_by}
    if purse.warned is not None:
        attributes[names.BUDGET_WARNED] = purse.warned
    counts = {
        names.BUDGET_STOPPED_CALLS: purse.stopped_calls,
        names.BUDGET_DEGRADED_CALLS: purse.degraded_calls,
        names.BUDGET_UNPRICED_CALLS: purse.unpriced_calls,
    }
    return attributes | {name: count for name, count in counts.items() if count}


def usage_attributes(usage: Usage) -> Attributes:
    """The token counts of a call."""
    attributes: Attributes = {names.INPUT_TOKENS: usage.input_tokens, names.OUTPUT_TOKENS: usage.output_tokens}
    if usage.cache_read_tokens:
        attributes[names.CACHE_READ_TOKENS] = usage.cache_read_tokens
    if usage.cache_write_tokens:
        attributes[names.CACHE_WRITE_TOKENS] = usage.cache_write_tokens
    if usage.reasoning_tokens:
        attributes[names.REASONING_TOKENS] = usage.reasoning_tokens
    return attributes


def context_attributes(shares: Shares) -> Attributes:
    """What a call's input was made of. Amounts only in one text: a span has room for so many attributes."""
    attributes: Attributes = {}
    stated: dict[str, list[int | str | None]] = {}
    for (source, label), share in shares.by_source.items():
        name = names.CONTEXT_TOKENS.format(source=source)
        attributes[name] = cast("int", attributes.get(name, 0)) + share.tokens
        stated[f"{source}/{label}" if label else source] = _stated_share(share)
    if shares.carried.tokens:
        attributes[names.CONTEXT_CARRIED_TOKENS] = shares.carried.tokens
        stated["carried"] = _stated_share(shares.carried)
    attributes[names.CONTEXT_SHARES] = _json(stated)
    return attributes


def _stated_share(share: ContextShare) -> list[int | str | None]:
    return [share.tokens, None if share.cost is None else exact(share.cost)]


def _context_rollup(context: Context) -> Attributes:
    attributes: Attributes = {}
    for source, share in context.by_source.items():
        attributes[names.CONTEXT_TOKENS.format(source=source)] = share.tokens
        if share.cost is not None:
            attributes[names.CONTEXT_COST.format(source=source)] = float(share.cost)
    if context.carried.tokens:
        attributes[names.CONTEXT_CARRIED_TOKENS] = context.carried.tokens
        if context.carried.cost is not None:
            attributes[names.CONTEXT_CARRIED_COST] = float(context.carried.cost)
    if context.unmeasured_calls and context.calls:
        attributes[names.CONTEXT_UNMEASURED] = context.unmeasured_calls
    return attributes


def cost_attributes(priced: Priced) -> Attributes:
    """What a call cost, and by whose word; without any amount where that is not known."""
    attributes: Attributes = {names.COST_STATUS: priced.status}
    if priced.origin:
        attributes[names.PRICE_ORIGIN] = bounded(priced.origin)
    if priced.reason:
        attributes[names.COST_REASON] = bounded(priced.reason)
    amount, listed, contracted = priced.amount, priced.list_amount, priced.contracted_amount
    if amount is not None and listed is not None and contracted is not None:
        attributes |= {
            names.CALL_COST: float(amount),
            names.CALL_COST_CURRENCY: "USD",
            names.CALL_COST_SOURCE: "provider" if any(each.basis == "provider" for each in priced.charges) else "local",
            names.COST_EXACT: exact(amount),
            names.CALL_COST_LIST: float(listed),
            names.CALL_COST_CONTRACTED: float(contracted),
        }
    if priced.terms:
        attributes[names.PRICE_TERMS] = bounded(_json(dict(priced.terms)))
    if apart := [charge for charge in priced.charges if charge.part not in _TOLD]:
        attributes[names.COST_PARTS] = bounded(_parts(apart))
    if reasoning := priced.reasoning:
        attributes[names.COST_REASONING] = float(reasoning)
    if priced.cache_saved:
        attributes[names.CACHE_SAVED] = float(priced.cache_saved)
    return attributes


def _parts(charges: Iterable[Charge]) -> str:
    found: dict[str, tuple[Decimal, Decimal]] = {}
    for charge in charges:
        count, amount = found.get(charge.part, (ZERO, ZERO))
        found[charge.part] = add(count, charge.quantity), add(amount, charge.amount)
    return _json({part: [int(count), exact(amount)] for part, (count, amount) in found.items()})


def charge_attributes(charge: Charge) -> Attributes:
    """A charge as a leaf span of its own."""
    return {
        names.LEAF_COST: float(charge.amount),
        names.COST_EXACT: exact(charge.amount),
        names.COST_CURRENCY: charge.currency,
        names.COST_STATUS: "estimated" if charge.estimated else "exact",
        names.CHARGE_CATEGORY: charge.category,
        names.CHARGE_ITEM: charge.item,
        names.CHARGE_QUANTITY: float(charge.quantity),
        names.CHARGE_UNIT: charge.unit,
    }


def unpriced_attributes(category: Category, item: str, quantity: Decimal, unit: str, reason: str) -> Attributes:
    """Something of which is known how much there was, and not what it cost."""
    return {
        names.COST_STATUS: "unpriced",
        names.COST_REASON: reason,
        names.CHARGE_CATEGORY: category,
        names.CHARGE_ITEM: item,
        names.CHARGE_QUANTITY: float(quantity),
        names.CHARGE_UNIT: unit,
    }
