"""The Collector's `otel_traces` table in ClickHouse as the view `spans`.

ClickHouse finds the spans of tasks among all traces, takes each once, and gives the attributes their types; what it
answers, in Parquet and with the columns of a compacted spool, is settled here like any spool. Its stock schema keeps
every attribute as a string, and a span that was sent again twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast
from urllib.parse import parse_qs, unquote, urlsplit

from taskmeter import _semconv as names
from taskmeter.errors import MissingDependencyError, SourceError, UsageError
from taskmeter.reports.engine import spans
from taskmeter.spool.columns import ATTRIBUTES, COLUMNS, ColumnType

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SCHEMES: Final = ("clickhouse", "clickhouses")
"""Of a source's URL; with the second one over TLS."""
TABLE: Final = "otel_traces"

_CHUNK = 1 << 20

Fetch = Callable[[str], Iterable[bytes]]
"""Runs a query and streams its answer in Parquet."""

_FIELDS: Final = {
    "trace_id": "lower(TraceId)",
    "span_id": "lower(SpanId)",
    "parent_span_id": "nullIf(lower(ParentSpanId), '')",
    "name": "CAST(SpanName AS String)",
    "start_ns": "toUnixTimestamp64Nano(Timestamp)",
    "end_ns": "toUnixTimestamp64Nano(Timestamp) + toInt64(Duration)",
    "service": "CAST(ServiceName AS String)",
    "version": "CAST(ResourceAttributes['service.version'] AS String)",
    # The form of a compacted spool: each label as an OTLP value.
    "attributes": "toJSONString(mapApply((k, v) -> (k, map('stringValue', v)), "
    f"mapFilter((k, v) -> startsWith(k, '{names.LABEL_PREFIX}'), SpanAttributes)))",
}
_OF_RECORDS: Final = ("trace_id", "span_id", "parent_span_id", "name", "start_ns", "end_ns", "service")
_TYPED: Final[dict[ColumnType, str]] = {
    "VARCHAR": "CAST(if(mapContains(SpanAttributes, '{0}'), SpanAttributes['{0}'], NULL) AS Nullable(String))",
    "BIGINT": "toInt64OrNull(SpanAttributes['{0}'])",
    "DOUBLE": "toFloat64OrNull(SpanAttributes['{0}'])",
    "BOOLEAN": "if(mapContains(SpanAttributes, '{0}'), SpanAttributes['{0}'] = 'true', NULL)",
}


def query(table: str = TABLE, materialised: Collection[str] = ()) -> str:
    """The spans of tasks. `table` is a name, maybe with a database before it; `materialised` are the columns of
    `materialise` that it has."""
    known = {name: column for name in ATTRIBUTES if (column := column_of(name)) in materialised}
    selected = ", ".join(f"{_expression(name, known)} AS {_quoted(name)}" for name in spans.SHORT.values())
    wanted = [_expression(name, known) for name in (names.SPAN_KIND, names.TASK_ID)]
    # Without this setting the last digit of a double may be another than the one that was written.
    return (
        f"SELECT {selected} FROM {_table(table)} WHERE {' OR '.join(f'{one} IS NOT NULL' for one in wanted)} "
        "LIMIT 1 BY TraceId, SpanId SETTINGS precise_float_parsing = 1"
    )


def records_query(table: str = TABLE) -> str:
    """The same spans whole, with their attributes as JSON."""
    fields = ", ".join(f"{_FIELDS[name]} AS {name}" for name in _OF_RECORDS)
    return (
        f"SELECT {fields}, CAST(SpanKind AS String) AS kind, CAST(StatusCode AS String) AS status, "
        f"CAST(ScopeName AS String) AS scope, toJSONString(SpanAttributes) AS attributes FROM {_table(table)} "
        f"WHERE mapContains(SpanAttributes, '{names.SPAN_KIND}') OR mapContains(SpanAttributes, '{names.TASK_ID}') "
        "LIMIT 1 BY TraceId, SpanId"
    )


def materialise(table: str = TABLE) -> Iterable[str]:
    """Statements that give `table` a typed column for each attribute that reports read, filled from then on; doubles
    stay in the map, as a column would not have all of their digits."""
    for name, column in ATTRIBUTES.items():
        if column != "DOUBLE" and name in spans.SHORT.values():
            expression = _TYPED[column].format(name)
            yield (
                f"ALTER TABLE {_table(table)} ADD COLUMN IF NOT EXISTS {column_of(name)} {_NULLABLE[column]}\n"
                f"    MATERIALIZED {expression};"
            )


def column_of(name: str) -> str:
    """The column of an attribute; dots would make it a part of a nested one."""
    return name.replace(".", "_")


_NULLABLE: Final[dict[ColumnType, str]] = {
    "VARCHAR": "Nullable(String)",
    "BIGINT": "Nullable(Int64)",
    "BOOLEAN": "Nullable(Bool)",
}


def _expression(name: str, known: Mapping[str, str]) -> str:
    return known.get(name) or _FIELDS.get(name) or _TYPED[ATTRIBUTES[name]].format(name)


def _table(name: str) -> str:
    return ".".join(map(_quoted, name.split(".")))


def _quoted(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def load(database: DuckDBPyConnection, fetch: Fetch, scratch: Path, table: str = TABLE) -> int:
    """Makes the view; the answers stay in `scratch`. Returns the number of spans."""
    columns = f"SELECT name FROM system.columns WHERE table = {_text(table.rsplit('.', maxsplit=1)[-1])}"
    named = _answer(fetch(columns), scratch / "columns.parquet")
    found = database.execute("SELECT name FROM read_parquet(?)", [named]).fetchall()
    answer = _answer(fetch(query(table, {name for (name,) in found})), scratch / "spans.parquet")
    database.execute("SET VARIABLE files = ?", [[answer]])
    database.execute(f"CREATE VIEW spans AS {spans.select(_AS_SPOOL)}")
    row = database.execute("SELECT count(*) FROM spans").fetchone()
    return row[0] if row else 0


def _answer(parts: Iterable[bytes], path: Path) -> str:
    with path.open("wb") as file:
        file.writelines(parts)
    return str(path)


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


_NEITHER = (
    "--source {} is neither a spool directory nor a ClickHouse; write it as in clickhouse://user@host:8123/default"
)
_CASTS = ", ".join(f'"{name}"::{COLUMNS[name]} AS "{name}"' for name in spans.SHORT.values())
_AS_SPOOL = f"(SELECT {_CASTS} FROM read_parquet(getvariable('files')))"


def connect(url: str) -> tuple[Fetch, str]:
    """How to ask the ClickHouse at `clickhouse://user:password@host:port/database?table=otel_traces`, and the table.

    Raises `UsageError` for another URL, `SourceError` when it cannot be reached.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 0
    except ValueError:  # half of brackets, or a port that is no number
        raise UsageError(_NEITHER.format(repr(url.rpartition("@")[2].partition("?")[0]))) from None
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise UsageError(_NEITHER.format(repr(_without_password(url))))
    table = parse_qs(parts.query).get("table", [TABLE])[0]
    try:
        import clickhouse_connect
        from clickhouse_connect.driver.exceptions import Error
    except ImportError:
        raise MissingDependencyError("clickhouse-connect", "clickhouse", "A ClickHouse source") from None
    logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())  # what fails is raised here
    try:
        client = cast("Any", clickhouse_connect).get_client(
            host=parts.hostname,
            port=port,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password or ""),
            database=parts.path.strip("/") or "__default__",
            secure=parts.scheme == "clickhouses",
        )
    except Error as error:
        raise SourceError(_failed(url, error)) from None

    def fetch(text: str) -> Iterable[bytes]:
        try:
            with cast("BinaryIO", client.raw_stream(text, fmt="Parquet")) as answer:
                while part := answer.read(_CHUNK):
                    yield part
        except Error as error:
            raise SourceError(_failed(url, error)) from None

    return fetch, table


def _failed(url: str, error: Exception) -> str:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"Cannot read spans from {_without_password(url)}: {first[:300]}"


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    user, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user.partition(':')[0]}@{host}").geturl()
