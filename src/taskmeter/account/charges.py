"""Charges whose price the application states: tools, retrieval, people."""

from __future__ import annotations

from decimal import Decimal

from taskmeter.records import Category, Charge, divide


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
