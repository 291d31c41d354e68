"""What leaves say besides what they cost, summed for the rows of a report: what input was made of and what of it had
been sent before, reasoning, caches, and what is on no model provider's invoice.

A row has what is in its outermost tasks, at any depth, so each leaf is in a row once. Rows may share leaves: of tasks
nested in others, and tasks are in few sets of rows. Leaves are summed by that set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from taskmeter.records import ZERO, ContextShare, add
from taskmeter.reports.engine import cohort

if TYPE_CHECKING:
    from taskmeter.reports.engine.warehouse import Warehouse

CARRIED: Final = "carried"
"""What of all sources an earlier call of the same task had sent already."""

RowKey: TypeAlias = tuple[str, bool]
"""Name of the group, and whether its tasks are unfinished."""

# Numbers of rows, then of sets of several; `inside` says which each task is in.
_ROWS = """
CREATE OR REPLACE TEMP TABLE row_numbers AS
SELECT (row_number() OVER ())::BIGINT AS place, grouped, is_open
FROM (SELECT DISTINCT grouped, is_open FROM cohort WHERE is_outer);

CREATE OR REPLACE TEMP TABLE nested_in AS
WITH RECURSIVE around(id, above) AS (
    SELECT id, id FROM tasks WHERE parent IS NOT NULL
    UNION ALL
    SELECT a.id, t.parent FROM around a JOIN tasks t ON t.id = a.above WHERE t.parent IS NOT NULL
)
SELECT a.id, list_sort(list(DISTINCT n.place)) AS rows_of
FROM around a JOIN cohort c ON c.id = a.above AND c.is_outer
JOIN row_numbers n ON n.grouped = c.grouped AND n.is_open = c.is_open
GROUP BY a.id;

CREATE OR REPLACE TEMP TABLE row_sets AS
SELECT -(row_number() OVER ())::BIGINT AS place, rows_of
FROM (SELECT DISTINCT rows_of FROM nested_in WHERE len(rows_of) > 1);

CREATE OR REPLACE TEMP TABLE inside AS
SELECT c.id, n.place FROM cohort c JOIN row_numbers n ON n.grouped = c.grouped AND n.is_open = c.is_open
WHERE c.parent IS NULL
UNION ALL
SELECT i.id, coalesce(s.place, i.rows_of[1]) FROM nested_in i LEFT JOIN row_sets s ON s.rows_of = i.rows_of;
"""
_SETS = """
SELECT place, grouped, is_open FROM row_numbers
UNION ALL
SELECT s.place, n.grouped, n.is_open FROM (SELECT place, unnest(rows_of) AS row_of FROM row_sets) s
JOIN row_numbers n ON n.place = s.row_of
"""

_WORD = r'"([^"\\]|\\.)*"'
_AMOUNT = "[0-9]{1,15}([.][0-9]{0,40})?"
_PART = rf'{_WORD}\s*:\s*\[\s*[0-9]{{1,15}}\s*,\s*("{_AMOUNT}"|null)\s*\]'
_SHARES = rf"\s*\{{\s*({_PART}(\s*,\s*{_PART})*)?\s*\}}\s*"
_MEASURED = f"""
CREATE OR REPLACE TEMP MACRO is_measured(x) AS coalesce(json_valid(x) AND regexp_full_match(x, '{_SHARES}'), false)
"""
"""A call that says anything else of its input is not measured: spools are written by whoever can."""

# Amounts inside JSON are no part of the survey of all amounts: those of one scale are added up as whole numbers.
_SHORT_DIGITS = 28
_EXACT = f"""
    sum(CASE WHEN length({{0}}) <= {_SHORT_DIGITS} THEN replace({{0}}, '.', '')::HUGEINT END) AS {{0}}_units,
    sum(CASE WHEN length({{0}}) > {_SHORT_DIGITS} THEN replace({{0}}, '.', '')::BIGNUM END) AS {{0}}_long_units,
    count({{0}}) AS {{0}}_known
"""

# Where a leaf is: in the rows of a task, or in its own, by model and by step; else outside any task.
_IN_TASKS = "leaves l LEFT JOIN inside i ON i.id = l.task_id"
_IN_GROUPS = "leaves l LEFT JOIN chosen i ON i.id = l.task_id {besides}"
_WHERE = """
    i.id IS NOT NULL OR l.task_id IS NULL
    AND l.start_ns >= coalesce($since, l.start_ns) AND l.start_ns < coalesce($until, l.start_ns + 1)
"""
_OF_TASKS = "l.task_id IS NULL AS is_outside, i.place AS place"
_OF_GROUPS = "l.task_id IS NULL AS is_outside, {group} AS grouped, i.outcome = 'unfinished' AS is_open"

# An amount that is not said although there is something it would be of is not known, unless nothing was paid.
_NO_PRICE = "l.cost IS NULL OR coalesce(l.status, '') IN ('unpriced', 'partial') OR l.cost_source = 'provider'"
_FIGURES = f"""
SELECT {{keys}}, decimals(carried_cost) AS scale, sum(carried_tokens) AS carried_tokens,
    count(*) FILTER (carried_tokens > 0 AND carried_cost IS NULL) AS carried_unknown,
    {_EXACT.format("carried_cost")},
    count(*) FILTER (is_measured) AS measured_calls,
    count(*) FILTER (NOT is_measured AND input > 0) AS unmeasured_calls,
    sum(input) AS input_tokens, sum(cached) AS cache_read_tokens,
    sum(output) AS output_tokens, sum(reasoning) AS reasoning_tokens,
    sum(reasoning_cost) AS reasoning_cost, sum(cache_saved) AS cache_saved,
    sum(cost) FILTER (is_elsewhere) AS elsewhere,
    count(*) AS leaves, count(reasoning_cost) AS reasoning_known, count(cache_saved) AS cache_known,
    count(cost) FILTER (is_elsewhere) AS elsewhere_known,
    count(*) FILTER (reasoning > 0 AND reasoning_cost IS NULL AND cost IS DISTINCT FROM zero()) AS reasoning_unknown,
    count(*) FILTER (has_cache AND cache_saved IS NULL AND has_no_price) AS cache_unknown,
    count(*) FILTER (is_elsewhere AND status = 'unpriced') AS elsewhere_unknown,
    count(*) FILTER (status = 'estimated' AND reasoning_cost IS NOT NULL) AS reasoning_estimated,
    count(*) FILTER (status = 'estimated' AND cache_saved IS NOT NULL) AS cache_estimated,
    count(*) FILTER (status = 'estimated' AND is_elsewhere) AS elsewhere_estimated
FROM (
    SELECT *, carried[1]::BIGINT AS carried_tokens, carried[2] AS carried_cost
    FROM (
        SELECT *, CASE WHEN is_measured AND contains(shares, '{CARRIED}')
            THEN json_extract_string(shares, ['$.{CARRIED}[0]', '$.{CARRIED}[1]']) END AS carried
        FROM (
            SELECT l.*, {{columns}}, is_measured(l.shares) AS is_measured, l.cached + l.written > 0 AS has_cache,
                {_NO_PRICE} AS has_no_price
            FROM {{leaves}} WHERE {_WHERE}
        )
    )
)
GROUP BY {{keys}}, scale
"""
_PARTS = f"""
SELECT {{keys}}, source, decimals(cost) AS scale, sum(tokens) AS tokens, {_EXACT.format("cost")}
FROM (
    SELECT {{keys}}, source, tokens, CASE WHEN tokens > 0 THEN cost END AS cost
    FROM (
        SELECT {{columns}}, unnest(json_keys(l.shares)) AS source,
            unnest(json_extract_string(l.shares, '$.*[0]'))::BIGINT AS tokens,
            unnest(json_extract_string(l.shares, '$.*[1]')) AS cost
        FROM {{leaves}} WHERE ({_WHERE}) AND is_measured(l.shares)
    )
)
GROUP BY {{keys}}, source, scale
"""
# What people's time cost that was told with an outcome.
_TOLD = """
SELECT meant IS NULL AS is_outside, {place} AS place, sum(cost) AS elsewhere, count(*) AS leaves,
    count(cost) AS elsewhere_known, count(*) FILTER (cost IS NULL) AS elsewhere_unknown,
    count(*) FILTER (cost IS NOT NULL AND status = 'estimated') AS elsewhere_estimated
FROM outcomes {inside}
WHERE minutes <> zero() AND (
    {is_inside} OR meant IS NULL AND at_ns >= coalesce($since, at_ns) AND at_ns < coalesce($until, at_ns + 1)
)
GROUP BY ALL
"""


@dataclass(slots=True, kw_only=True)
class Spending:
    """Sums of leaves. An amount is of those of which it is known, so many are `..._known`; the others `..._unknown`."""

    leaves: int = 0
    measured_calls: int = 0
    """Calls whose input was measured."""
    unmeasured_calls: int = 0
    """Calls with input that was not."""
    carried_tokens: int = 0
    """Of input that an earlier call of the same task had sent already."""
    carried_cost: Decimal = ZERO
    carried_cost_known: int = 0
    carried_unknown: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    reasoning_cost: Decimal = ZERO
    reasoning_known: int = 0
    reasoning_unknown: int = 0
    reasoning_estimated: int = 0
    cache_saved: Decimal = ZERO
    """Net of what writing to caches cost more."""
    cache_known: int = 0
    cache_unknown: int = 0
    cache_estimated: int = 0
    elsewhere: Decimal = ZERO
    """What no model provider bills: tool runs, and charges but for those of models."""
    elsewhere_known: int = 0
    elsewhere_unknown: int = 0
    elsewhere_estimated: int = 0
    parts: dict[str, ContextShare] = field(default_factory=dict[str, ContextShare])
    """Of measured input: a source, `documents/` and where they are from, or `CARRIED`."""

    def take(self, found: Mapping[str, Any]) -> None:
        """Adds sums."""
        for each in fields(self):
            value = found.get(each.name)
            if value is not None and each.name != "parts":
                known = getattr(self, each.name)
                setattr(self, each.name, add(known, value) if isinstance(known, Decimal) else known + int(value))

    def take_part(self, source: str, share: ContextShare) -> None:
        """Adds a part of the input."""
        before = self.parts.get(source)
        self.parts[source] = share if before is None else before + share


@dataclass(frozen=True, slots=True)
class Spendings:
    """By row, outside any task, and in all."""

    rows: Mapping[RowKey, Spending]
    outside: Spending
    total: Spending

    def of(self, grouped: str, *, is_open: bool) -> Spending:
        """Of one row."""
        return self.rows.get((grouped, is_open)) or Spending()


def spendings(
    warehouse: Warehouse,
    by: str,
    since_ns: int | None,
    until_ns: int | None,
    *,
    outside: bool = True,
    parts: bool = False,
) -> Spendings:
    """Of the cohort that was made; with what is `outside` any task, and with the `parts` of the input."""
    warehouse.run(_MEASURED)
    window = {"since": since_ns, "until": until_ns}
    in_group = cohort.GROUP_OF_LEAVES.get(by)
    if in_group is None:
        warehouse.run(_ROWS)
        places = {"keys": "is_outside, place", "columns": _OF_TASKS, "leaves": _IN_TASKS}
        told = {"place": "i.place", "inside": "LEFT JOIN inside i ON i.id = meant", "is_inside": "i.id IS NOT NULL"}
    else:
        group, besides = in_group
        columns = _OF_GROUPS.format(group=group)
        places = {"keys": "is_outside, grouped, is_open", "columns": columns}
        places["leaves"] = _IN_GROUPS.format(besides=besides)
        told = {
            "place": "0",
            "inside": "LEFT JOIN (SELECT id FROM chosen) i ON i.id = meant",
            "is_inside": "i.id IS NOT NULL",
        }
    found = _Sums(warehouse, _sets(warehouse) if in_group is None else {}, outside=outside)
    for row in warehouse.ask(_FIGURES.format(**places), window):
        found.take({**row, "carried_cost": _exact(row, "carried_cost"), **_amounts(row, warehouse)})
    for row in warehouse.ask(_TOLD.format(**told), window):
        found.take({**row, "grouped": None, **_amounts(row, warehouse)})
    if parts:
        for row in warehouse.ask(_PARTS.format(**places), window):
            tokens = int(row["tokens"])
            cost = _exact(row, "cost") if row["cost_known"] or not tokens else None
            found.take_part(row, ContextShare(tokens, cost))
    return Spendings(found.rows, found.outside, found.total)


class _Sums:
    """What the rows of answers add up to."""

    def __init__(self, warehouse: Warehouse, sets: Mapping[int, Iterable[RowKey]], *, outside: bool) -> None:
        self.rows: dict[RowKey, Spending] = {}
        self.outside = Spending()
        self.total = Spending()
        self._warehouse = warehouse
        self._sets = sets
        self._with_outside = outside

    def take(self, found: Mapping[str, Any]) -> None:
        for spending in self._meant(found):
            spending.take(found)

    def take_part(self, found: Mapping[str, Any], share: ContextShare) -> None:
        for spending in self._meant(found):
            spending.take_part(found["source"], share)

    def _meant(self, found: Mapping[str, Any]) -> Iterator[Spending]:
        if found["is_outside"]:
            if self._with_outside:
                yield self.outside
                yield self.total
            return
        yield self.total
        keys = self._sets.get(found["place"], ()) if "place" in found else ()
        if found.get("grouped") is not None:
            keys = ((found["grouped"], found["is_open"]),)
        for key in keys:
            yield self.rows.setdefault(key, Spending())


def _sets(warehouse: Warehouse) -> Mapping[int, Iterable[RowKey]]:
    sets: dict[int, list[RowKey]] = {}
    for row in warehouse.ask(_SETS):
        sets.setdefault(row["place"], []).append((row["grouped"], row["is_open"]))
    return sets


def _amounts(row: Mapping[str, Any], warehouse: Warehouse) -> dict[str, Decimal]:
    return {name: warehouse.known(row.get(name)) for name in ("reasoning_cost", "cache_saved", "elsewhere")}


def _exact(row: Mapping[str, Any], name: str) -> Decimal:
    units = (row[f"{name}_units"], row[f"{name}_long_units"])
    parts = [Decimal(f"{value}e-{row['scale']}") for value in units if value is not None]
    return add(*parts) if len(parts) > 1 else parts[0] if parts else ZERO
