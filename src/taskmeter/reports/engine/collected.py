"""The Collector's table in ClickHouse as span records, for `taskmeter show`."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from taskmeter.errors import SourceError
from taskmeter.reports.engine import clickhouse
from taskmeter.spool import parquet
from taskmeter.spool.columns import ATTRIBUTES, ColumnType
from taskmeter.spool.read import SpanRecord

_KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUSES: Final = ("unset", "ok", "error")
_BATCH = 2_000
_TRACES = 1_000
"""That one query names; ClickHouse takes 256 KB of text."""
_INT64_LIMIT = 1 << 63


def records(
    fetch: clickhouse.Fetch, table: str = clickhouse.TABLE, traces: Collection[str] | None = None
) -> Iterator[SpanRecord]:
    """Every span that is ours or inside a task, once: of `traces`, else all. Raises `SourceError` if there is none."""
    ordered = sorted(traces or ())
    parts = [ordered[first : first + _TRACES] for first in range(0, len(ordered), _TRACES)]
    queries = [clickhouse.records_query(table, part) for part in parts] or [clickhouse.records_query(table)]
    is_empty = True
    with TemporaryDirectory(prefix="taskmeter-") as scratch, parquet.connect(scratch=Path(scratch)) as database:
        path = Path(scratch) / "records.parquet"
        for query in queries:
            with path.open("wb") as file:
                file.writelines(fetch(query))
            found = database.execute("SELECT * FROM read_parquet(?)", [str(path)])
            columns = [column[0] for column in found.description or ()]
            while rows := found.fetchmany(_BATCH):
                is_empty = False
                for row in rows:
                    yield _record(dict(zip(columns, row, strict=True)))
    if is_empty:
        raise SourceError(f"The table {table} holds no spans of tasks")


def _record(row: dict[str, Any]) -> SpanRecord:
    attributes: dict[str, str] = json.loads(row["attributes"])
    return SpanRecord(
        trace_id=row["trace_id"],
        span_id=row["span_id"],
        parent_span_id=row["parent_span_id"] or None,
        name=row["name"],
        kind=_number(row["kind"], _KINDS),
        start_ns=row["start_ns"],
        end_ns=row["end_ns"],
        attributes={name: _value(ATTRIBUTES.get(name), text) for name, text in attributes.items()},
        status_code=_number(row["status"], _STATUSES),
        scope=row["scope"],
        service=row["service"],
    )


def _number(text: str, known: tuple[str, ...]) -> int:
    """OTLP's number of `Client` or `SPAN_KIND_CLIENT`, as versions of the Collector write it; 0 for any other."""
    word = text.lower().rpartition("_")[2]
    return known.index(word) if word in known else 0


def _value(column: ColumnType | None, text: str) -> str | int | float | bool | None:
    """The table has every value as a string: what reports read is given its type back, all else stays one. `None` for
    what is no such value, as a spool's reader has it."""
    try:
        if column == "BIGINT":
            return number if -_INT64_LIMIT <= (number := int(text)) < _INT64_LIMIT else None
        if column == "DOUBLE":
            return float(text)
    except ValueError:
        return None
    return text == "true" if column == "BOOLEAN" else text
