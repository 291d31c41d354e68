"""Temporary, until the price file is there."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from taskmeter.records import Category


@dataclass(frozen=True, slots=True)
class ToolPrice:
    """What a tool costs: `cost` USD for `per` of `unit`."""

    cost: Decimal
    unit: str = "run"
    per: Decimal = Decimal(1)
    category: Category = "tools"


class _Rates:
    human: Decimal | None = None
    tools: ClassVar[dict[str, ToolPrice]] = {}


def tool_price(name: str) -> ToolPrice | None:
    """What the price file says of the tool `name`."""
    return _Rates.tools.get(name)


def human_rate() -> Decimal | None:
    """USD per hour of a person's time."""
    return _Rates.human
