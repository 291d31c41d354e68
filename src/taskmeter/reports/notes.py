"""Sentences below the tables of reports."""

from __future__ import annotations

from decimal import Decimal


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


def heavy_note(name: str, share: float) -> str:
    """What to say where one task of `name`, which is safe to print, has much of the money."""
    return (
        f"{name}: one task has {share:.0%} of the money. Its intervals cannot know how often such a one comes, and may "
        "be too narrow."
    )


def plural(count: int, noun: str) -> str:
    """So many of them."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun.replace(' or ', 's or ')}s"
