"""What the tables of reports have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from taskmeter.reports.text import plain

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


def titled(table: Table, first: str, others: Sequence[str], last: Iterable[RenderableType] = ()) -> None:
    """Gives a table its columns: one of names, which fold, and others of numbers, which do not. `last` are the cells of
    its footer, where it has one."""
    footers = tuple(last) or ("",) * (1 + len(others))
    for title, footer in zip((first, *others), footers, strict=True):
        is_name = title is first
        table.add_column(
            title,
            footer,
            justify="left" if is_name else "right",
            overflow="fold",
            no_wrap=not is_name,
            vertical="bottom",
        )


def title_of(by: str) -> str:
    """The title of a column of groups."""
    return "task" if by == "name" else plain(by.removeprefix("label:"))
