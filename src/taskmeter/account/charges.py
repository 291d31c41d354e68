"""Charges whose price the application states: tools, retrieval, people."""

from __future__ import annotations

from decimal import Context, Decimal

from taskmeter.pricing import ToolPrice
from taskmeter.records import Category, Charge, divide, multiply

_DECIMALS = 30
_SMALLEST = Decimal(1).scaleb(-_DECIMALS)
"""Amounts keep 30 decimals, so that sums of them are exact in the 60 digits of `records.add`."""
_EXACT = Context(prec=60)
_MINUTES_PER_HOUR = Decimal(60)


def stated_charge(
    amount: Decimal, category: Category, item: str, quantity: Decimal, unit: str, *, estimated: bool = False
) -> Charge:
    """A charge of `amount` USD in all for `quantity` (> 0) of `unit`."""
    return Charge(
        category=category,
        item=item,
        part=unit,
        quantity=quantity,
        unit=unit,
        unit_price=divide(amount, quantity),
        list_amount=amount,
        amount=amount,
        basis="stated",
        estimated=estimated,
    )


def human_charge(minutes: Decimal, hourly: Decimal, item: str) -> Charge:
    """A charge for `minutes` (> 0) of a person's time at `hourly` USD."""
    amount = rounded(divide(multiply(minutes, hourly), _MINUTES_PER_HOUR))
    return stated_charge(amount, "human", item, minutes, "minute")


def tool_charge(price: ToolPrice, name: str, quantity: Decimal) -> Charge:
    """A charge for `quantity` (> 0) of what `price` is for."""
    amount = rounded(divide(multiply(price.cost, quantity), price.per))
    return stated_charge(amount, price.category, name, quantity, price.unit)


def rounded(amount: Decimal) -> Decimal:
    """`amount` to 30 decimals, if it has more."""
    exponent = amount.as_tuple().exponent
    too_long = isinstance(exponent, int) and exponent < -_DECIMALS
    return amount.quantize(_SMALLEST, context=_EXACT) if too_long else amount
