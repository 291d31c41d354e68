"""Parts of what tasks cost that leaves tell: context sent again, reasoning, caches, what no model provider bills."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from taskmeter.reports.waste_section import share_of

if TYPE_CHECKING:
    from taskmeter.reports.engine.spending import Spending

NAMES = ("context_tax", "reasoning_cost", "cache_saved", "outside_model")


def parts_of(found: Spending, spent: Decimal | None, calls: int) -> dict[str, Any]:
    """The fields of a row that cost `spent`, in so many `calls`; `None` where nothing of a part is known."""
    is_dark = calls > 0 and not found.leaves
    tax = None if is_dark else _tax(found)
    reasoning = None if is_dark else _known(found.reasoning_cost, found.reasoning_known, found.reasoning_unknown)
    saved = None if is_dark else _known(found.cache_saved, found.cache_known, found.cache_unknown)
    elsewhere = None if is_dark else _known(found.elsewhere, found.elsewhere_known, found.elsewhere_unknown)
    return {
        "context_tax": tax,
        "context_tax_share": share_of(tax, spent),
        "unmeasured_calls": found.unmeasured_calls,
        "reasoning_cost": reasoning,
        "reasoning_share": share_of(reasoning, spent),
        "cache_saved": saved,
        "outside_model": elsewhere,
        "outside_model_share": share_of(elsewhere, spent),
    }


def estimated_parts(found: Spending) -> dict[str, bool]:
    """Which of `NAMES` contain estimates. How input is divided always is one."""
    return {
        "context_tax": found.carried_tokens > 0,
        "reasoning_cost": found.reasoning_estimated > 0,
        "cache_saved": found.cache_estimated > 0,
        "outside_model": found.elsewhere_estimated > 0,
    }


def lacking_parts(found: Spending, *, lacks_leaves: bool) -> dict[str, bool]:
    """Which of `NAMES` leave something out: its price or its size is not known, or its span is not recorded."""
    return {
        "context_tax": lacks_leaves or found.unmeasured_calls + found.carried_unknown > 0,
        "reasoning_cost": lacks_leaves or found.reasoning_unknown > 0,
        "cache_saved": lacks_leaves or found.cache_unknown > 0,
        "outside_model": lacks_leaves or found.elsewhere_unknown > 0,
    }


def _tax(found: Spending) -> Decimal | None:
    if not found.measured_calls:
        return None
    return _known(found.carried_cost, found.carried_cost_known, found.carried_unknown)


def _known(amount: Decimal, known: int, unknown: int) -> Decimal | None:
    """`None` where there is something, and nothing of it is known."""
    return amount if known or not unknown else None
