"""The tasks that `taskmeter show` is about, of a source of any size: SQL finds their traces, Python relates those."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from taskmeter.reports.engine import clickhouse, spool
from taskmeter.reports.engine.collected import records
from taskmeter.reports.relations import Relations, relate
from taskmeter.spool import parquet
from taskmeter.spool.read import SpoolReading

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_NEEDED: Final = ("trace", "start_ns", "what", "task_id", "task_key", "parent_task_id")
# Tasks that `wanted` may mean, those around and inside them, and others of the same key, which outcomes may be about.
_TRACES = """
WITH RECURSIVE links AS (
    SELECT DISTINCT task_id, parent_task_id FROM recorded WHERE what = 'task' AND parent_task_id IS NOT NULL
), family(id) AS (
    SELECT DISTINCT task_id FROM recorded
    WHERE task_id IS NOT NULL AND (task_id = $wanted OR task_key = $wanted OR starts_with(task_id, $wanted))
    UNION
    SELECT l.there FROM family f
    JOIN (
        SELECT task_id AS here, parent_task_id AS there FROM links
        UNION ALL
        SELECT parent_task_id, task_id FROM links
    ) l ON l.here = f.id
), keys AS (
    SELECT DISTINCT task_key FROM recorded WHERE task_id IN (SELECT id FROM family) AND task_key IS NOT NULL
)
SELECT DISTINCT trace FROM recorded
WHERE task_id IN (SELECT id FROM family) OR task_key IN (SELECT task_key FROM keys)
"""
# What is said where there is no such task names some of the last ones.
_RECENT = """
SELECT trace FROM recorded WHERE what = 'task' GROUP BY trace ORDER BY max(start_ns) DESC, trace LIMIT 1000
"""


def relate_task(reading: SpoolReading, wanted: str) -> Relations:
    """The relations of the tasks with id, key or beginning of an id `wanted`, and of what bears on them; where there is
    none, or nothing of the spool is compacted, of all of it. `reading` counts what was read.

    Raises as `relate` does, and `SpoolError` as reading a spool does.
    """
    if wanted and any(path.suffix == ".parquet" for path in reading.files()):
        with (
            TemporaryDirectory(prefix="taskmeter-") as scratch,
            parquet.connect(scratch=Path(scratch)) as database,
        ):
            spool.load(database, SpoolReading(reading.directory))
            reading.traces = _traces(database, wanted)
    return relate(reading)


def relate_collected_task(fetch: clickhouse.Fetch, table: str, wanted: str) -> Relations:
    """The relations of those tasks of a Collector's table; where there is none, of its last ones.

    Raises as `relate` and `records` do.
    """
    with (
        TemporaryDirectory(prefix="taskmeter-") as scratch,
        parquet.connect(scratch=Path(scratch)) as database,
    ):
        clickhouse.read(database, fetch, Path(scratch), table, _NEEDED)
        traces = (wanted and _traces(database, wanted)) or _column(database.execute(_RECENT))
    return relate(records(fetch, table, traces))


def _traces(database: DuckDBPyConnection, wanted: str) -> frozenset[str] | None:
    return _column(database.execute(_TRACES, {"wanted": wanted})) or None


def _column(found: DuckDBPyConnection) -> frozenset[str]:
    return frozenset(value for (value,) in found.fetchall())
