"""What people's time costs: at the rate that is said, else the price file's; without one it is counted only."""

from __future__ import annotations

from decimal import Decimal
from functools import partial

from taskmeter import pricing
from taskmeter._bounds import shown
from taskmeter._guard import guarded
from taskmeter.account import Entry, Scope, human_charge
from taskmeter.account.money import LIMIT, Money, money
from taskmeter.errors import UsageError
from taskmeter.records import Charge
from taskmeter.telemetry import collected, leaves
from taskmeter.telemetry.attributes import unpriced_attributes
from taskmeter.telemetry.booking import book
from taskmeter.telemetry.outcomes import NO_RATE, REVIEW


def minutes_of(value: Money, argument: str) -> Decimal:
    """`value` as minutes. Raises `UsageError` unless it is a positive number."""
    minutes = money(value, argument)
    if not minutes:
        msg = f"{argument}={shown(value)}: no time was spent; leave it out, or pass a positive number of minutes"
        raise UsageError(msg)
    return minutes


def hourly(minutes: Decimal, rate: Money | None) -> Charge | None:
    """The charge for `minutes` at `rate` USD per hour, by default the price file's; `None` where neither is known.
    Raises `UsageError` for a rate that makes no sense."""
    usd = pricing.human_rate() if rate is None else money(rate, "rate")
    if usd is None:
        return None
    charge = human_charge(minutes, usd, REVIEW)
    if charge.amount >= LIMIT:
        msg = f"{minutes} minutes at {usd} USD per hour cost {charge.amount} USD, which must be less than {LIMIT}"
        raise UsageError(msg)
    return charge


def spend(scope: Scope, minutes: Decimal, charge: Charge | None) -> None:
    """Books people's time to `scope`, with its price where there is one."""
    collected.run(partial(_spend, scope, minutes, charge))


def _spend(scope: Scope, minutes: Decimal, charge: Charge | None) -> None:
    with guarded("scopes.review"):
        if charge is not None:
            book(scope, Entry(charges=(charge,), human_minutes=minutes))
            leaves.emit_charge(charge, scope)
            return
        book(scope, Entry(unpriced_calls=1, human_minutes=minutes))
        leaves.emit_leaf(REVIEW, unpriced_attributes("human", REVIEW, minutes, "minute", NO_RATE), scope)
