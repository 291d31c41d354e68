"""How much of what a report is made of is known, and by which prices it was made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from taskmeter.records import divide, total
from taskmeter.reports.text import plain

if TYPE_CHECKING:
    from taskmeter.reports.engine.warehouse import Warehouse

SUMS: Final = """
    count(*) AS tasks, count(*) FILTER (cost IS NULL OR all_unpriced <> 0) AS unpriced,
    count(*) FILTER (outcome = 'pending') AS pending, sum(cost) AS spent, sum(estimated) AS estimated
"""
"""What `cover` needs to know of some tasks, in SQL."""

# Each call says by what it was priced: another version that is installed by now has nothing to do with it.
_ORIGINS: Final = (
    "SELECT DISTINCT origin FROM spans WHERE origin IS NOT NULL AND ({which}) ORDER BY origin LIMIT 10_000"
)
_BOOK = re.compile(r"genai-prices (\S+)(?: \((\d{4}-\d\d-\d\d)\))? ")
_PARTS = re.compile(r" \+ |; ")
_ALIAS = "alias of "
_STATED = "stated in the response"
_SHOWN = 3


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
    price_data: str | None
    """By what the calls were priced: the list prices with version and date, and rules of price files by their id, as in
    `genai-prices 0.2.3 (2026-11-09), rule acme-2026`. `None` where no call says."""


def cover(found: Iterable[Mapping[str, Any]], warehouse: Warehouse, price_data: str | None) -> Coverage:
    """Of groups of tasks of which `SUMS` are known."""
    groups = list(found)
    return coverage_of(
        tasks=sum(group["tasks"] for group in groups),
        unpriced=sum(group["unpriced"] for group in groups),
        pending=sum(group["pending"] for group in groups),
        spent=total(warehouse.known(group["spent"]) for group in groups),
        estimated=total(warehouse.known(group["estimated"]) for group in groups),
        price_data=price_data,
    )


def coverage_of(
    *,
    tasks: int,
    unpriced: int,
    pending: int,
    spent: Decimal | None,
    estimated: Decimal | None,
    price_data: str | None,
) -> Coverage:
    """Of so many tasks, of which `unpriced` have a call without a price, and of so much money."""
    return Coverage(
        tasks=tasks,
        priced_share=round(1 - unpriced / tasks, 6) if tasks else None,
        estimated_share=round(float(divide(estimated, spent)), 6) if spent and estimated is not None else None,
        pending_share=round(pending / tasks, 6) if tasks else None,
        price_data=price_data,
    )


def with_coverage(found: Mapping[str, Any], amounts: dict[str, Any], price_data: str | None) -> dict[str, Any]:
    """The amounts of a row, with the coverage that follows from `total` and `estimated` among them. What came of a task
    that has not ended nobody knows yet."""
    return amounts | {
        "coverage": coverage_of(
            tasks=found["tasks"],
            unpriced=found["unpriced"],
            pending=found["pending"] + found["unfinished"],
            spent=amounts["total"],
            estimated=amounts["estimated"],
            price_data=price_data,
        )
    }


def read_price_data(warehouse: Warehouse, since_ns: int | None, until_ns: int | None) -> str | None:
    """By what the calls of the tasks in `chosen` were priced, and those in a window that are in no task."""
    if since_ns is None and until_ns is None:
        return _described(warehouse.ask(_ORIGINS.format(which="true")))
    outside = "task_id IS NULL AND start_ns >= coalesce($since, start_ns) AND start_ns < coalesce($until, start_ns + 1)"
    which = f"task_id IN (SELECT id FROM chosen) OR {outside}"
    return _described(warehouse.ask(_ORIGINS.format(which=which), {"since": since_ns, "until": until_ns}))


def read_price_data_of(warehouse: Warehouse, tasks: str) -> str | None:
    """The same of tasks whose ids a query answers."""
    return _described(warehouse.ask(_ORIGINS.format(which=f"task_id IN ({tasks})")))


def _described(found: Iterable[Mapping[str, Any]]) -> str | None:
    dates: dict[str, str] = {}
    rules: set[str] = set()
    is_stated = False
    for row in found:
        for part in _PARTS.split(row["origin"]):
            if book := _BOOK.match(part):
                dates[book[1]] = max(dates.get(book[1], ""), book[2] or "")
            elif part == _STATED:
                is_stated = True
            elif part and not part.startswith(_ALIAS):
                rules.add(part)
    books = [f"genai-prices {version}" + (f" ({day})" if day else "") for version, day in sorted(dates.items())]
    said = [_listed("", books), _listed("rule " if len(rules) == 1 else "rules ", sorted(rules))]
    return ", ".join(filter(None, (*said, "amounts that responses state" if is_stated else ""))) or None


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return what + ", ".join(map(plain, names[:_SHOWN])) + more
