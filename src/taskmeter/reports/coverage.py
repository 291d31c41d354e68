"""How much of what a report is made of is known."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Shares are 0 to 1; `None` where there is nothing to have a share of."""

    tasks: int
    """What the report is made of."""
    priced_share: float | None
    """Of the tasks: those in which every call has a price."""
    estimated_share: float | None
    """Of the money: what is an estimate."""
    pending_share: float | None
    """Of the tasks: those of which nobody knows yet what came of them."""
    price_data: str
    """The version of the list prices that are installed: `genai-prices 0.2.3`."""
