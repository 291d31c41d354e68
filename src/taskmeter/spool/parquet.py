"""Spans of OTLP/JSON lines <-> rows of Parquet, with nothing lost on the way. DuckDB writes and reads the files.

A row is checked and given its types here, in Python: what a hostile or broken line holds never meets a parser that
guesses. DuckDB gets explicit schemas, and paths as parameters.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskmeter.errors import MissingDependencyError, SpoolError
from taskmeter.spool.columns import ATTRIBUTES, COLUMNS, FIELDS, ColumnType, otlp_value, typed
from taskmeter.spool.read import MALFORMED, plain_attributes, readable, record

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_BATCH = 2_000


def connect(*, memory_limit: str = "1GB", scratch: Path | None = None) -> DuckDBPyConnection:
    """A database in memory that fetches no extension. What is over `memory_limit` goes to files in `scratch`."""
    try:
        import duckdb
    except ImportError:
        raise MissingDependencyError("duckdb", "report", "Parquet in the spool") from None
    config: dict[str, Any] = {
        "memory_limit": memory_limit,
        "temp_directory": str(scratch or ""),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    return duckdb.connect(config=config)


def span_rows(document: Mapping[str, Any]) -> tuple[list[dict[str, Any]], int]:
    """The rows of one `TracesData`, and how many of its spans no report can use. Raises one of `MALFORMED`."""
    rows: list[dict[str, Any]] = []
    unusable = 0
    for resource_spans in document.get("resourceSpans", ()):
        resource = plain_attributes(resource_spans.get("resource", {}).get("attributes", ()))
        for scope_spans in resource_spans.get("scopeSpans", ()):
            common = {
                "scope": readable(scope_spans.get("scope", {}).get("name", "")),
                "service": readable(resource.get("service.name", "")),
                "version": readable(resource.get("service.version", "")),
                "rest_of_scope": _json_without(scope_spans, ("spans",)),
                "rest_of_resource": _json_without(resource_spans, ("scopeSpans",)),
            }
            for span in scope_spans.get("spans", ()):
                try:
                    rows.append(_row(span, common))
                except MALFORMED:
                    unusable += 1
    return rows, unusable


def create_table(database: DuckDBPyConnection, columns: Mapping[str, ColumnType] = COLUMNS) -> None:
    """Makes the table `spans_of_lines`, for `insert`."""
    names = ", ".join(f"{quoted(name)} {column}" for name, column in columns.items())
    database.execute(f"CREATE TABLE spans_of_lines ({names})")


def insert(
    database: DuckDBPyConnection, rows: list[dict[str, Any]], columns: Mapping[str, ColumnType] = COLUMNS
) -> None:
    """Appends rows of `span_rows` to the table."""
    database.execute(
        "INSERT INTO spans_of_lines SELECT unnest(from_json(?, ?), recursive := true)",
        [json.dumps(rows), json.dumps([columns])],
    )


def _row(span: Mapping[str, Any], common: Mapping[str, str]) -> dict[str, Any]:
    known = record(span, common["scope"], common["service"])
    row: dict[str, Any] = {name: getattr(known, name) for name in _OF_SPAN} | dict(common)
    given: dict[str, Any] = {
        pair["key"]: pair.get("value") or {} for pair in span.get("attributes", ()) if "key" in pair
    }
    for name in ATTRIBUTES.keys() & given.keys():
        column = ATTRIBUTES[name]
        row[name] = value = typed(column, known.attributes[name])
        if value is not None and given[name] in _spellings(otlp_value(column, value)):
            del given[name]
    has_column = _IN_COLUMNS if known.name == span.get("name", "") else _IN_COLUMNS - {"name"}
    return row | {"attributes": json.dumps(given), "rest_of_span": _json_without(span, has_column)}


def _json_without(message: Mapping[str, Any], left_out: Collection[str]) -> str:
    return json.dumps({field: value for field, value in message.items() if field not in left_out})


_OF_SPAN = FIELDS.keys() - {"scope", "service", "version"}
_IN_COLUMNS = frozenset(
    ("traceId", "spanId", "parentSpanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano", "attributes")
)


def _spellings(value: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Writers of JSON differ in whether a whole number is a string."""
    return (value, {"intValue": int(value["intValue"])}) if "intValue" in value else (value,)


def documents(path: Path, traces: Collection[str] | None = None) -> Iterator[dict[str, Any]]:
    """The spans of a Parquet file, or only those of `traces`, as `TracesData` again.

    Raises `SpoolError` when it is none of ours, or damaged."""
    with connect() as database:
        import duckdb

        try:
            known = columns_of(database, path)
            # What another version of this library has no column for is in the JSON.
            selected = ", ".join(quoted(name) if known.get(name) == COLUMNS[name] else "NULL" for name in COLUMNS)
            query = f"SELECT {selected} FROM read_parquet(?)"
            if traces is None:
                found = database.execute(query, [str(path)])
            else:
                found = database.execute(f"{query} WHERE list_contains(?, trace_id)", [str(path), list(traces)])
            while rows := found.fetchmany(_BATCH):
                named = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
                for (resource, scope), group in groupby(named, key=_around):
                    spans = [_span(row) for row in group]
                    scopes = [{**json.loads(scope), "spans": spans}]
                    yield {"resourceSpans": [{**json.loads(resource), "scopeSpans": scopes}]}
        except (duckdb.Error, *MALFORMED) as error:
            message = f"Cannot read the spool file {str(path)!r}: {str(error).splitlines()[0]}."
            raise SpoolError(message) from error


def columns_of(database: DuckDBPyConnection, path: Path) -> dict[str, str]:
    """Name and type of each column of a Parquet file."""
    found = database.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)])
    return {name: column for name, column, *_ in found.fetchall()}


def sources(path: Path) -> dict[str, str]:
    """Name and stamp of each file whose spans are in a Parquet file; empty for one that is none of ours."""
    import duckdb

    with connect() as database:
        try:
            found = database.execute("SELECT value FROM parquet_kv_metadata(?) WHERE key = 'sources'", [str(path)])
            row = found.fetchone()
            return {str(name): str(stamp) for name, stamp in json.loads(row[0]).items()} if row else {}
        except (duckdb.Error, *MALFORMED):
            return {}


def quoted(name: str) -> str:
    """A name of SQL."""
    return '"' + name.replace('"', '""') + '"'


def _around(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["rest_of_resource"], row["rest_of_scope"]


def _span(row: Mapping[str, Any]) -> dict[str, Any]:
    attributes = {name: otlp_value(ATTRIBUTES[name], row[name]) for name in ATTRIBUTES if row[name] is not None}
    attributes |= json.loads(row["attributes"])
    return {
        "traceId": row["trace_id"],
        "spanId": row["span_id"],
        "parentSpanId": row["parent_span_id"] or "",
        "name": row["name"],
        "kind": row["kind"],
        "startTimeUnixNano": str(row["start_ns"]),
        "endTimeUnixNano": str(row["end_ns"]),
        "attributes": [{"key": name, "value": value} for name, value in attributes.items()],
        **json.loads(row["rest_of_span"]),
    }
