"""Which tasks a cohort is: `version=1.4`, `customer=acme`, `label:prompt=a`, or a window `2026-11-01..2026-11-08`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from taskmeter.errors import UsageError
from taskmeter.reports.engine.cohort import LABEL, date_tasks, label_pointer
from taskmeter.reports.engine.warehouse import Warehouse

_SHOWN = 5
_COLUMNS = {"version": "coalesce(version, '')", "customer": "coalesce(customer, '')"}


@dataclass(frozen=True, slots=True)
class Selector:
    """`text` is as it was written. A window begins at `since_ns`, if at all, and ends before `until_ns`; a nested task
    is in that of the outermost around it."""

    text: str
    group: str = ""
    value: str = ""
    since_ns: int | None = None
    until_ns: int | None = None

    def condition(self, warehouse: Warehouse, side: Literal["before", "after"]) -> str:
        """In SQL, of a row of tasks; what the selector says is in variables, never in the text."""
        if not self.group:
            date_tasks(warehouse)
            warehouse.run(f"SET VARIABLE {side}_since = ?::BIGINT", [self.since_ns])
            warehouse.run(f"SET VARIABLE {side}_until = ?::BIGINT", [self.until_ns])
            return (
                f"id IN (SELECT id FROM began WHERE began_ns >= coalesce(getvariable('{side}_since'), began_ns) "
                f"AND began_ns < coalesce(getvariable('{side}_until'), began_ns + 1))"
            )
        warehouse.run(f"SET VARIABLE {side}_value = ?", [self.value])
        return f"coalesce({self._column(warehouse, side)}, '') = getvariable('{side}_value')"

    def values(self, warehouse: Warehouse) -> list[str]:
        """What there is to choose by the same name, those of most tasks first."""
        if not self.group:
            return []
        column = self._column(warehouse, "before")
        found = warehouse.ask(f"SELECT {column} AS value, count(*) AS tasks FROM cohort GROUP BY ALL")
        known = sorted((-row["tasks"], row["value"]) for row in found if row["value"])
        return [value for _, value in known[:_SHOWN]]

    def _column(self, warehouse: Warehouse, side: str) -> str:
        if self.group in _COLUMNS:
            return _COLUMNS[self.group]
        warehouse.run(f"SET VARIABLE {side}_pointer = ?", [label_pointer(self.group.removeprefix(LABEL))])
        return f"TRY(json_extract_string(attributes, getvariable('{side}_pointer')))"


def read_selector(text: str, moment: Callable[[str], int]) -> Selector:
    """Raises `UsageError` for what is none; `moment` reads a time, and raises for what is none."""
    since, dots, until = text.partition("..")
    group, equals, value = text.partition("=")
    if equals and value and (group in _COLUMNS or (group.startswith(LABEL) and group != LABEL)):
        return Selector(text, group, value)
    if dots and (since or until) and not equals:
        selector = Selector(text, since_ns=moment(since) if since else None, until_ns=moment(until) if until else None)
        if selector.since_ns is None or selector.until_ns is None or selector.since_ns < selector.until_ns:
            return selector
        raise UsageError(f"{text!r} ends before it begins; write the earlier time first")
    raise UsageError(
        f"{text!r} chooses no tasks; write version=1.4, customer=acme, label:prompt=a, or 2026-11-01..2026-11-08"
    )
