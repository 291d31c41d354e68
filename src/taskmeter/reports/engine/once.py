"""The view `spans` over the view `recorded`, where a span that was sent again is there again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_REPEATED = """
CREATE TEMP TABLE repeated AS
SELECT hash(trace, span) AS key FROM recorded GROUP BY key HAVING count(*) > 1
"""
_ONCE = """
CREATE TEMP TABLE once AS
SELECT DISTINCT ON (trace, span) * FROM recorded WHERE hash(trace, span) IN (SELECT key FROM repeated)
"""
_SPANS = """
CREATE VIEW spans AS
SELECT * FROM recorded WHERE hash(trace, span) NOT IN (SELECT key FROM repeated) UNION ALL SELECT * FROM once
"""


def count_once(database: DuckDBPyConnection) -> tuple[int, int]:
    """Makes the view `spans`, of what is recorded more than once with one. Returns how many it has, and how many more
    are recorded."""
    database.execute(_REPEATED)
    recorded = _number(database, "SELECT count(*) FROM recorded")
    if _number(database, "SELECT count(*) FROM repeated"):
        database.execute(_ONCE)
        database.execute(_SPANS)
    else:
        database.execute("CREATE VIEW spans AS SELECT * FROM recorded")
    spans = _number(database, "SELECT count(*) FROM spans")
    return spans, recorded - spans


def _number(database: DuckDBPyConnection, query: str) -> int:
    row = database.execute(query).fetchone()
    return int(row[0]) if row else 0
