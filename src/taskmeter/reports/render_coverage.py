"""What a report covers -> a line for people, notes, and the columns of a CSV."""

from __future__ import annotations

from collections.abc import Iterable

from taskmeter.reports.coverage import Coverage


def coverage_line(cover: Coverage) -> str:
    """As in `coverage: 98.4% of tasks priced, 6% of cost estimated, 0.9% pending; genai-prices 0.2.3 (2026-11-09)`."""
    shares = ((cover.priced_share, "of tasks priced"), (cover.estimated_share, "of cost estimated"))
    said = [
        f"{_percent(share)} {what}" for share, what in (*shares, (cover.pending_share, "pending")) if share is not None
    ]
    return f"coverage: {', '.join(said) or 'no tasks'}; {cover.price_data or 'prices not recorded'}"


def coverage_columns(cover: Coverage) -> dict[str, object]:
    """All but the number of tasks, which each report counts in its own column."""
    return {
        "priced_share": cover.priced_share,
        "estimated_share": cover.estimated_share,
        "pending_share": cover.pending_share,
        "price_data": cover.price_data,
    }


def price_gaps(name: str, cover: Coverage) -> Iterable[str]:
    """What to say about the costs of `name`, which is safe to print, where not all of them are known."""
    if cover.priced_share is not None and cover.priced_share < 1:
        yield f"{name}: {_percent(1 - cover.priced_share)} of its tasks have calls without a price: a lower bound."
    if cover.estimated_share:
        yield f"{name}: {_percent(cover.estimated_share)} of its cost is estimated."


def pending_gap(name: str, cover: Coverage) -> Iterable[str]:
    """The same about outcomes that are not known yet."""
    if cover.pending_share:
        yield (f"{name}: {_percent(cover.pending_share)} of its tasks have no outcome yet, and count as no success.")


def _percent(share: float) -> str:
    """To a tenth, and neither all nor nothing unless it is."""
    tenths = f"{share * 100:.1f}".removesuffix(".0")
    if tenths == "0" and share > 0:
        return "<0.1%"
    return ">99.9%" if tenths == "100" and share < 1 else f"{tenths}%"
