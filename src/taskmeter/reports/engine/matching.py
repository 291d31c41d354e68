"""The tables `outcomes` and `said`: recorded outcomes, the task each is about, and the last word on each task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskmeter.records import WASTE_CLASSES
from taskmeter.reports.outcomes import Outcome
from taskmeter.reports.waste import CLASSES, UNCLASSIFIED

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from taskmeter.reports.engine.warehouse import Warehouse

_OUTCOMES = f"""
CREATE TABLE outcomes AS
SELECT trace, span, start_ns AS at_ns, coalesce(sequence, 0) AS sequence, task_id, task_key AS key, task_name AS name,
    CASE WHEN outcome IN ('succeeded', 'failed', 'abandoned', 'pending') THEN outcome ELSE 'pending' END AS outcome,
    reason, number(value) AS value, number(quality) AS quality, coalesce(number(minutes), zero()) AS minutes,
    money(cost) AS cost, status, waste IS NOT NULL AS is_wasted,
    CASE WHEN waste IN {WASTE_CLASSES} THEN waste WHEN waste IS NOT NULL THEN '{UNCLASSIFIED}' END AS waste,
    NULL::VARCHAR AS meant
FROM spans WHERE what = 'outcome'
"""

_BY_ID = """
UPDATE outcomes SET meant = t.id FROM raw_tasks t WHERE t.id = outcomes.task_id
"""

# By key: the latest task with that key that had started, of nested ones the outermost.
_BY_KEY = """
CREATE TEMP TABLE candidates AS
SELECT o.trace, o.span, t.id, t.start_ns, t.parent_id
FROM outcomes o JOIN raw_tasks t ON t.key = o.key AND t.start_ns <= o.at_ns AND (o.name IS NULL OR t.name = o.name)
WHERE o.task_id IS NULL;

CREATE TEMP TABLE inner_candidates AS
WITH RECURSIVE above(trace, span, id, around) AS (
    SELECT trace, span, id, parent_id FROM candidates WHERE parent_id IS NOT NULL
    UNION
    SELECT a.trace, a.span, a.id, t.parent_id FROM above a JOIN raw_tasks t ON t.id = a.around
    WHERE t.parent_id IS NOT NULL
)
SELECT DISTINCT a.trace, a.span, a.id FROM above a
JOIN candidates c ON c.trace = a.trace AND c.span = a.span AND c.id = a.around;

UPDATE outcomes SET meant = m.id
FROM (
    SELECT c.trace, c.span, arg_max(c.id, (c.start_ns, c.id)) AS id
    FROM candidates c ANTI JOIN inner_candidates i ON i.trace = c.trace AND i.span = c.span AND i.id = c.id
    GROUP BY c.trace, c.span
) m
WHERE m.trace = outcomes.trace AND m.span = outcomes.span;

DROP TABLE candidates;
DROP TABLE inner_candidates;
"""

_SAID = f"""
CREATE TABLE said AS
SELECT meant AS task_id,
    arg_max(struct_pack(outcome, value, quality), (at_ns, sequence, trace, span)) AS last,
    sum(minutes) AS minutes,
    count(*) FILTER (minutes <> zero() AND cost IS NULL) AS unpriced,
    sum(cost) FILTER (minutes <> zero()) AS cost,
    {", ".join(f"sum(cost) FILTER (minutes <> zero() AND waste = '{name}') AS wasted_{name}" for name in CLASSES)},
    sum(cost) FILTER (minutes <> zero() AND status = 'estimated') AS estimated,
    coalesce(bool_or(minutes <> zero() AND is_wasted AND status = 'estimated'), false) AS wasted_estimate,
    coalesce(bool_or(minutes <> zero() AND is_wasted AND status IN ('unpriced', 'partial')), false) AS wasted_bound
FROM outcomes WHERE meant IS NOT NULL GROUP BY meant
"""


def match_outcomes(database: DuckDBPyConnection) -> None:
    """Makes the tables from `spans` and `raw_tasks`."""
    database.execute(_OUTCOMES)
    database.execute(_BY_ID)
    database.execute(_BY_KEY)
    database.execute(_SAID)


def read_unmatched(warehouse: Warehouse) -> tuple[Outcome, ...]:
    """The outcomes that are about no task of the source, in the order in which they were said."""
    found = warehouse.ask("SELECT * FROM outcomes WHERE meant IS NULL ORDER BY at_ns, sequence, trace, span")
    return tuple(
        Outcome(
            at_ns=row["at_ns"],
            sequence=row["sequence"],
            trace_id=row["trace"],
            span_id=row["span"],
            task_id=row["task_id"],
            key=row["key"],
            name=row["name"],
            status=row["outcome"],
            reason=row["reason"],
            value=warehouse.amount(row["value"]),
            human_minutes=warehouse.known(row["minutes"]),
            cost=warehouse.amount(row["cost"]),
            quality=warehouse.amount(row["quality"]),
        )
        for row in found
    )
