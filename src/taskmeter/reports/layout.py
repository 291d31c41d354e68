"""A table that is wider than the terminal becomes several, with its first column in each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Column, Table

LEAST_TEXT = 16
"""Columns of the terminal, at least, for names and other text that is folded."""


def fitting(table: Table, width: int) -> Iterator[Table]:
    """`table`, or the tables with all its columns of which none is wider than `width`, if each of these alone allows
    it. No number is cut, text is folded."""
    first, *others = table.columns
    if _needs(table.columns) <= width:
        yield table
        return
    first = replace(first, no_wrap=False, overflow="fold", min_width=None)
    while others:
        taken = 1
        while taken < len(others) and _needs([first, *others[: taken + 1]]) <= width:
            taken += 1
        part = copy(table)
        part.columns = [replace(column, _index=index) for index, column in enumerate([first, *others[:taken]])]
        yield part
        others = others[taken:]


def _needs(columns: Sequence[Column]) -> int:
    """How wide they are, with a space between two."""
    return sum(map(_least, columns)) + len(columns) - 1


def _least(column: Column) -> int:
    from rich.cells import cell_len

    texts = (str(cell) for cell in (column.header, column.footer, *column.cells))
    widest = max(cell_len(line) for text in texts for line in text.split("\n"))
    return widest if column.no_wrap else min(widest, LEAST_TEXT)
