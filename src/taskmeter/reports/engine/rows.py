"""The tables `raw_tasks`, `leaves`, `doomed`: what the spans are, as `reports.rows` has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from taskmeter.records import SOURCES, WASTE_CLASSES
from taskmeter.reports.waste import UNCLASSIFIED

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

KINDS: Final = "('task', 'step', 'call', 'tool', 'charge', 'attempt', 'outcome')"
ROWS: Final = "('task', 'step', 'call', 'tool', 'charge', 'attempt')"
COUNTS: Final = ("calls", "retries", "unpriced_calls", "exposed", "input", "cached", "output", "reasoning")
REPEATS: Final = ("reasks", "duplicate_calls", "looped_tool_runs", "growing_turns")
"""What a task's span alone says of things done once too often."""
_OUTCOMES = "('succeeded', 'failed', 'abandoned', 'pending')"


def _is_true(database: DuckDBPyConnection, query: str) -> bool:
    row = database.execute(query).fetchone()
    return bool(row and row[0])


def make_rows(database: DuckDBPyConnection) -> None:
    """Makes the tables from `spans`, with the macros of `amounts`."""
    _find_doomed(database)
    _fold(database)
    database.execute(_LEAVES)
    database.execute(_RAW_TASKS)
    if _is_true(database, "SELECT count(*) > count(DISTINCT id) FROM raw_tasks"):
        database.execute(_ONE_PER_ID)


# --- what is inside a step of its own task that was discarded, or ended by an error and tried again

_REJECTED = "what = 'step' AND (discarded OR error IS NOT NULL)"
_SKELETON = f"""
CREATE TEMP TABLE skeleton AS
SELECT trace, span, parent, what, task_id, what IN {ROWS} AS is_row, coalesce(discarded, false) AS discarded,
    error IS NOT NULL AS failed, start_ns, end_ns, CASE WHEN what = 'step' THEN coalesce(step, span_name) END AS name,
    CASE WHEN what = 'task' THEN parent_task_id ELSE task_id END AS owner, what = 'call' AND money(cost) IS NULL AS open
FROM spans WHERE trace IN (SELECT trace FROM spans WHERE {{which}})
"""
# Steps of a task whose own span is not recorded may be in a trace each.
_NEAR_REJECTED = f"{_REJECTED} OR what = 'step' AND task_id IN (SELECT task_id FROM spans WHERE {_REJECTED})"
# The row around a step: the nearest in the same task, spans of other libraries passed over; else that task.
_AGAIN = """
CREATE TEMP TABLE again AS
WITH RECURSIVE above(trace, step, span) AS (
    SELECT trace, span, parent FROM skeleton WHERE what = 'step'
    UNION
    SELECT a.trace, a.step, s.parent FROM above a JOIN skeleton s ON s.trace = a.trace AND s.span = a.span
    WHERE s.is_row IS NOT true
), found AS (
    SELECT a.trace, a.step, CASE WHEN p.what = 'task' THEN '' ELSE p.span END AS place, p.task_id
    FROM above a JOIN skeleton p ON p.trace = a.trace AND p.span = a.span AND p.is_row
), placed AS (
    SELECT s.*, f.place, f.place IS NOT NULL OR s.task_id IS NOT NULL AS is_inside
    FROM skeleton s
    LEFT JOIN found f ON f.trace = s.trace AND f.step = s.span AND f.task_id IS NOT DISTINCT FROM s.task_id
    WHERE s.what = 'step'
)
SELECT trace, span FROM placed WHERE is_inside
WINDOW steps AS (
    PARTITION BY task_id, CASE WHEN coalesce(place, '') <> '' THEN trace END, coalesce(place, ''), name
    ORDER BY start_ns
)
QUALIFY (discarded OR failed)
    AND end_ns <= lead(start_ns) OVER steps
    AND coalesce(
        max(end_ns) OVER (
            PARTITION BY task_id, CASE WHEN coalesce(place, '') <> '' THEN trace END, coalesce(place, ''), name
            ORDER BY start_ns ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) <= start_ns,
        true
    )
"""
# The innermost rejected step around a row says why it is waste.
_WALK = """
CREATE TABLE doomed AS
WITH RECURSIVE rejected AS (
    SELECT s.*, CASE WHEN a.span IS NOT NULL THEN 'reask' WHEN s.what = 'step' AND s.discarded THEN 'discarded_step' END
        AS waste
    FROM skeleton s LEFT JOIN again a ON a.trace = s.trace AND a.span = s.span
), inside(trace, span, owner, carries, waste, is_step) AS (
    SELECT trace, span, owner, true, waste, true FROM rejected WHERE waste IS NOT NULL
    UNION
    SELECT c.trace, c.span, i.owner, c.is_row IS NOT true OR c.what = 'step' AND c.waste IS NULL, i.waste,
        coalesce(c.what = 'step', false)
    FROM inside i JOIN rejected c ON c.trace = i.trace AND c.parent = i.span
    WHERE i.carries AND (c.is_row IS NOT true OR c.owner IS NOT DISTINCT FROM i.owner)
)
SELECT DISTINCT trace, span, waste FROM inside WHERE NOT is_step
"""


def _find_doomed(database: DuckDBPyConnection) -> None:
    if _is_true(database, f"SELECT bool_or({_REJECTED}) FROM spans"):
        database.execute(_SKELETON.format(which=_NEAR_REJECTED))
        database.execute(_AGAIN)
        database.execute(_WALK)
        database.execute("DROP TABLE skeleton; DROP TABLE again")
    else:
        database.execute("CREATE TABLE doomed (trace VARCHAR, span VARCHAR, waste VARCHAR)")


# --- the money of a call whose span had ended before it was known is on a charge below it

_OF_MONEY = ("cost", "status", "waste", "cost_source", "reasoning_cost", "cache_saved", "listed", "terms", "parts")
_OF_INPUT = ("shares", "carried", *(f"sent_{source}" for source in SOURCES))
_FOLD = f"""
CREATE TABLE folded AS
WITH RECURSIVE above(trace, charge, span) AS (
    SELECT trace, span, parent FROM spans WHERE what = 'charge' AND call_cost IS NOT NULL
    UNION
    SELECT a.trace, a.charge, s.parent FROM above a JOIN skeleton s ON s.trace = a.trace AND s.span = a.span
    WHERE s.is_row IS NOT true
)
SELECT a.trace, a.charge, a.span AS call, {", ".join(f"c.{name}" for name in (*_OF_MONEY, *_OF_INPUT))}
FROM above a
JOIN skeleton s ON s.trace = a.trace AND s.span = a.span AND s.open
JOIN spans c ON c.trace = a.trace AND c.span = a.charge AND c.task_id IS NOT DISTINCT FROM s.owner
QUALIFY row_number() OVER (PARTITION BY a.trace, a.span ORDER BY c.start_ns DESC, a.charge) = 1
"""
_BOOKED = f"""
CREATE VIEW booked AS
SELECT s.* REPLACE (
    {", ".join(f"CASE WHEN f.call IS NULL THEN s.{name} ELSE f.{name} END AS {name}" for name in _OF_MONEY)},
    {", ".join(f"coalesce(f.{name}, s.{name}) AS {name}" for name in _OF_INPUT)}
)
FROM spans s LEFT JOIN folded f ON f.trace = s.trace AND f.call = s.span
ANTI JOIN folded g ON g.trace = s.trace AND g.charge = s.span
"""


def _fold(database: DuckDBPyConnection) -> None:
    which = "what = 'charge' AND call_cost IS NOT NULL"
    if _is_true(database, f"SELECT bool_or({which}) FROM spans"):
        database.execute(_SKELETON.format(which=which))
        database.execute(_FOLD)
        database.execute("DROP TABLE skeleton")
        database.execute(_BOOKED)
    else:
        database.execute("CREATE VIEW booked AS SELECT * FROM spans")


_WASTE = f"""
    CASE WHEN l.waste IN {WASTE_CLASSES} THEN l.waste WHEN l.waste IS NOT NULL THEN '{UNCLASSIFIED}' ELSE d.waste END
"""
_LEAVES = f"""
CREATE VIEW leaves AS
SELECT l.trace, l.parent, l.task_id, l.what, l.start_ns, l.response_model, l.request_model,
    money(l.cost) AS cost, l.status,
    l.waste IS NOT NULL AS is_wasted,
    {_WASTE} AS waste,
    l.waste IS NOT NULL OR d.span IS NOT NULL AS lost,
    coalesce(l.late, false) OR coalesce(l.remote, false) AS apart,
    coalesce(l.remote, false) AS remote,
    coalesce(l.resends, 0) AS retries,
    number(l.retry_seconds) AS retry_seconds,
    coalesce(l.exposed, 0) AS exposed,
    CASE WHEN l.what = 'call' THEN coalesce(l.input, 0) ELSE 0 END AS input,
    CASE WHEN l.what = 'call' AND (l.input IS NOT NULL OR l.output IS NOT NULL) THEN coalesce(l.cached, 0) ELSE 0 END
        AS cached,
    CASE WHEN l.what = 'call' THEN coalesce(l.output, 0) ELSE 0 END AS output,
    CASE WHEN l.what = 'call' AND (l.input IS NOT NULL OR l.output IS NOT NULL) THEN coalesce(l.reasoning, 0) ELSE 0 END
        AS reasoning,
    CASE WHEN l.category = 'human' AND l.unit = 'minute' THEN coalesce(number(l.quantity), zero()) ELSE zero() END
        AS minutes,
    l.what <> 'call' AND l.category IS DISTINCT FROM 'model' AND l.call_cost IS NULL AS is_elsewhere,
    number(l.reasoning_cost) AS reasoning_cost, number(l.cache_saved) AS cache_saved,
    coalesce(l.written, 0) AS written, l.cost_source, l.shares
FROM booked l LEFT JOIN doomed d ON d.trace = l.trace AND d.span = l.span
WHERE l.what IN ('call', 'tool', 'charge')
"""

_NAMED = {name: f"coalesce(money(waste_{name}), zero())" for name in WASTE_CLASSES}
_REST = f"greatest(coalesce(money(wasted), zero()) - ({' + '.join(_NAMED.values())}), zero())"
_OF_CLASS = ", ".join(
    f"CASE WHEN money(cost) IS NULL THEN zero() ELSE {amount} END AS waste_{name}"
    for name, amount in (*_NAMED.items(), (UNCLASSIFIED, _REST))
)
_RAW_TASKS = f"""
CREATE TABLE raw_tasks AS
SELECT task_id AS id, coalesce(task_name, span_name) AS name, task_key AS key, customer, parent_task_id AS parent_id,
    CASE WHEN outcome IN {_OUTCOMES} THEN outcome ELSE 'pending' END AS outcome,
    coalesce(remote, false) AS in_remote,
    money(cost) AS cost,
    coalesce(money(own), zero()) AS own,
    own IS NOT NULL AND money(own) IS NULL AS unreadable,
    {_OF_CLASS},
    CASE WHEN money(cost) IS NOT NULL THEN coalesce(number(estimated), zero()) END AS estimated,
    coalesce(calls, 0) AS calls, coalesce(retries, 0) AS retries, coalesce(unpriced_calls, 0) AS unpriced_calls,
    coalesce(exposed, 0) AS exposed, coalesce(rolled_input, 0) AS input, coalesce(rolled_cached, 0) AS cached,
    coalesce(rolled_output, 0) AS output, coalesce(rolled_reasoning, 0) AS reasoning,
    coalesce(number(retry_seconds), zero()) AS retry_seconds,
    {", ".join(f"coalesce({name}, 0) AS {name}" for name in REPEATS)},
    number(value) AS value, number(quality) AS quality, coalesce(number(minutes), zero()) AS minutes,
    start_ns, end_ns, trace, span, service, version, attributes, 0::BIGINT AS depth, NULL::VARCHAR AS parent
FROM spans WHERE what = 'task' AND task_id IS NOT NULL
"""
_ONE_PER_ID = """
CREATE OR REPLACE TABLE raw_tasks AS
SELECT * FROM raw_tasks QUALIFY row_number() OVER (PARTITION BY id ORDER BY start_ns DESC, trace, span) = 1
"""
