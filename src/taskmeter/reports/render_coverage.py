"""What a report covers -> a line for people, and the columns of a CSV."""

from __future__ import annotations

from taskmeter.reports.coverage import Coverage
from taskmeter.reports.text import percent


def coverage_line(cover: Coverage) -> str:
    """As in `coverage: 98.4% of tasks priced, 6% of cost estimated, 0.9% pending; genai-prices 0.2.3 (2026-11-09)`."""
    shares = ((cover.priced_share, "of tasks priced"), (cover.estimated_share, "of cost estimated"))
    said = [
        f"{percent(share)} {what}" for share, what in (*shares, (cover.pending_share, "pending")) if share is not None
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
