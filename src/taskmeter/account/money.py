"""Amounts of money as users write them: each error shows the value and the fix."""

from __future__ import annotations

from decimal import Context, Decimal, InvalidOperation

from taskmeter._bounds import shown
from taskmeter.errors import UsageError

Money = Decimal | int | float | str
"""An amount of money: a string such as `"0.002"` (best), a `Decimal`, an int, or a float, taken as it prints."""

LIMIT = Decimal("1E+15")
"""Amounts stay below this, and keep 30 decimals: sums of them are then exact in the 60 digits of `records.add`."""
DECIMALS = 30
_SMALLEST = Decimal(1).scaleb(-DECIMALS)
_EXACT = Context(prec=60)


def money(value: Money, argument: str, *, negative: bool = False) -> Decimal:
    """`value` as `Decimal`. Raises `UsageError` unless it is a sane amount, and not negative unless allowed."""
    try:
        # A float is taken as it prints: 0.1 is 0.1, not its binary neighbour; a subclass may print otherwise. A bool
        # is a mistake, and `float.__repr__` refuses it.
        amount = Decimal(float.__repr__(value) if isinstance(value, float | bool) else value)
    except (InvalidOperation, TypeError, ValueError):
        msg = f"{argument}={shown(value)} is not a number; pass a string such as '0.002', a Decimal or an int"
        raise UsageError(msg) from None
    if not amount.is_finite() or (amount < 0 and not negative):
        msg = f"{argument}={shown(value)} must be finite{'' if negative else ' and not negative'}"
        raise UsageError(msg)
    if not -LIMIT < amount < LIMIT:
        msg = f"{argument}={shown(value)} must be less than {LIMIT}; is it in another unit?"
        raise UsageError(msg)
    exponent = amount.as_tuple().exponent
    return amount.quantize(_SMALLEST, context=_EXACT) if isinstance(exponent, int) and exponent < -DECIMALS else amount
