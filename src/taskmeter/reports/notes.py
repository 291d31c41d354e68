"""Sentences below the tables of reports."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from taskmeter.reports.coverage import Coverage
from taskmeter.reports.text import percent


def unpriced_note(calls: int, *, reviews: bool) -> str:
    """What to say about what could not be priced; `reviews` if people's time may be among it."""
    what = "call or review" if reviews else "call"
    return f"{plural(calls, what)} could not be priced: totals that include one are lower bounds."


def exposed_note(attempts: int) -> str:
    """What to say about attempts that got no answer."""
    return f"{plural(attempts, 'HTTP request')} got no answer and may be billed all the same: not in any total."


def late_note(tasks: int, amount: Decimal, currency: str) -> str:
    """What to say about money that came when the span of its task had ended."""
    return (
        f"{plural(tasks, 'task')}: {amount:f} {currency} was booked after the task had ended, or in "
        "another process; it is in these figures."
    )


def missing_note(tasks: int, amount: Decimal, currency: str) -> str:
    """What to say about tasks whose total is more than the sum of the spans recorded in them."""
    return (
        f"{plural(tasks, 'task')}: the spans recorded inside add up to {amount:f} {currency} "
        "less than the task's total (sampled, lost or not yet flushed); totals are the tasks' own."
    )


def price_gaps(name: str, cover: Coverage) -> Iterable[str]:
    """What to say about the costs of `name`, which is safe to print, where not all of them are known."""
    if cover.priced_share is not None and cover.priced_share < 1:
        yield f"{name}: {percent(1 - cover.priced_share)} of its tasks have calls without a price: a lower bound."
    if cover.estimated_share:
        yield f"{name}: {percent(cover.estimated_share)} of its cost is estimated."


def pending_gap(name: str, cover: Coverage) -> Iterable[str]:
    """The same about outcomes that are not known yet."""
    if cover.pending_share:
        yield f"{name}: {percent(cover.pending_share)} of its tasks have no outcome yet, and count as no success."


def heavy_note(name: str, share: float) -> str:
    """What to say where one task of `name`, which is safe to print, has much of the money."""
    return (
        f"{name}: one task has {share:.0%} of the money. Its intervals cannot know how often such a one comes, and may "
        "be too narrow."
    )


def plural(count: int, noun: str) -> str:
    """So many of them."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun.replace(' or ', 's or ')}s"
