"""Checks of what users pass in: each error shows the value and the fix."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from taskmeter.errors import UsageError

Money = Decimal | int | float | str
"""An amount of money: a string such as `"0.002"` (best), a `Decimal`, an int, or a float, taken as it prints."""


def money(value: Money, argument: str, *, negative: bool = False) -> Decimal:
    """`value` as `Decimal`. Raises `UsageError` unless it is a finite amount, and not negative unless allowed."""
    try:
        # A float is taken as it prints: 0.1 is 0.1, not its binary neighbour. A bool is a mistake.
        amount = Decimal(repr(value) if isinstance(value, float | bool) else value)
    except (InvalidOperation, TypeError, ValueError):
        msg = f"{argument}={value!r} is not a number; pass a string such as '0.002', a Decimal or an int"
        raise UsageError(msg) from None
    if not amount.is_finite() or (amount < 0 and not negative):
        msg = f"{argument}={value!r} must be finite{'' if negative else ' and not negative'}"
        raise UsageError(msg)
    return amount


def text(value: object, argument: str) -> str:
    """`value` if it is a non-empty string; raises `UsageError` otherwise."""
    if not isinstance(value, str) or not value:
        msg = f"{argument}={value!r} must be a non-empty string"
        raise UsageError(msg)
    return value
