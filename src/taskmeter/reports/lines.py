"""A line of the breakdown's table."""

from __future__ import annotations

from typing import NamedTuple


class Line(NamedTuple):
    """One line below a row: what, how much, which share of all, and a remark."""

    what: str
    amount: str = ""
    share: str = ""
    remark: str = ""
