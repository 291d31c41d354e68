"""The Collector's `otel_traces` table in ClickHouse as the view `spans`.

ClickHouse finds the spans of tasks among all traces and gives the attributes their types; what it answers, in Parquet
and with the columns of a compacted spool, is settled here like any spool. Its stock schema keeps every attribute as a
string, and a span that was sent again twice: here one is taken, as telling them apart there costs it 2 GB of memory for
10 million spans, while an answer as it is found costs it next to none.
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
from taskmeter.reports.engine.once import count_once
from taskmeter.spool.columns import ATTRIBUTES, COLUMNS, ColumnType

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SCHEMES: Final = ("clickhouse", "clickhouses")
"""Of a source's URL; with the second one over TLS."""
TABLE: Final = "otel_traces"

_CHUNK = 1 << 20

Fetch = Callable[[str], Iterable[bytes]]
"""Runs a query and streams its answer in Parquet."""

_MARKS: Final = (names.SPAN_KIND, names.TASK_ID)
"""Attributes of the spans that are ours or in a task: one of them at least."""
_LABELS: Final = "attributes"
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
    _LABELS: "toJSONString(mapApply((k, v) -> (k, map('stringValue', v)), "
    f"mapFilter((k, v) -> startsWith(k, '{names.LABEL_PREFIX}'), SpanAttributes)))",
}
_OF_RECORDS: Final = ("trace_id", "span_id", "parent_span_id", "name", "start_ns", "end_ns", "service")
_STRING: Final = "CAST(if(mapContains(SpanAttributes, '{0}'), SpanAttributes['{0}'], NULL) AS Nullable(String))"
_TYPED: Final[dict[ColumnType, str]] = {
    "VARCHAR": _STRING,
    "BIGINT": "toInt64OrNull(SpanAttributes['{0}'])",
    # ClickHouse may read another last digit than the one that was written.
    "DOUBLE": _STRING,
    "BOOLEAN": "if(mapContains(SpanAttributes, '{0}'), SpanAttributes['{0}'] = 'true', NULL)",
}


def query(table: str = TABLE, materialised: Collection[str] = (), shorts: Iterable[str] = spans.SHORT) -> str:
    """The spans of tasks, some maybe twice. `table` is a name, maybe with a database before it; `materialised` are the
    columns of `materialise` that it has, `shorts` the columns of the view that are wanted."""
    known = {name: column for name in (*ATTRIBUTES, _LABELS) if (column := column_of(name)) in materialised}
    wanted = [spans.SHORT[short] for short in shorts]
    selected = ", ".join(f"{_expression(name, known)} AS {_quoted(name)}" for name in wanted)
    return f"SELECT {selected} FROM {_table(table)} WHERE {_of_tasks(known)}"


def records_query(table: str = TABLE, traces: Collection[str] | None = None) -> str:
    """The same spans whole, with their attributes as JSON, each once: of `traces`, else all."""
    within = "" if traces is None else f" AND TraceId IN ({', '.join(map(_text, sorted(traces)))})"
    fields = ", ".join(f"{_FIELDS[name]} AS {name}" for name in _OF_RECORDS)
    return (
        f"SELECT {fields}, CAST(SpanKind AS String) AS kind, CAST(StatusCode AS String) AS status, "
        f"CAST(ScopeName AS String) AS scope, toJSONString(SpanAttributes) AS attributes FROM {_table(table)} "
        f"WHERE ({_of_tasks({})}){within} LIMIT 1 BY TraceId, SpanId"
    )


def _of_tasks(known: Mapping[str, str]) -> str:
    """In words that ClickHouse can answer from an index: the exporter's on the keys of the map, or ours."""
    return " OR ".join(
        f"{known[name]} IS NOT NULL" if name in known else f"mapContains(SpanAttributes, '{name}')" for name in _MARKS
    )


def materialise(table: str = TABLE) -> Iterable[str]:
    """Statements that give `table` a column for each attribute that reports read, and for the labels, filled from then
    on; and an index that finds the spans of tasks among others. Doubles stay text, for their last digit."""
    columns = {name: _NULLABLE[column] for name, column in ATTRIBUTES.items() if name in spans.SHORT.values()}
    for name, column in {**columns, _LABELS: "String"}.items():
        yield (
            f"ALTER TABLE {_table(table)} ADD COLUMN IF NOT EXISTS {column_of(name)} {column}\n"
            f"    MATERIALIZED {_expression(name, {})};"
        )
    marks = ", ".join(map(column_of, _MARKS))
    yield f"ALTER TABLE {_table(table)} ADD INDEX IF NOT EXISTS taskmeter_spans ({marks}) TYPE minmax GRANULARITY 1;"


def column_of(name: str) -> str:
    """The column of an attribute; dots would make it a part of a nested one."""
    return "taskmeter_labels" if name == _LABELS else name.replace(".", "_")


_NULLABLE: Final[dict[ColumnType, str]] = {
    "VARCHAR": "Nullable(String)",
    "BIGINT": "Nullable(Int64)",
    "DOUBLE": "Nullable(String)",
    "BOOLEAN": "Nullable(Bool)",
}


def _expression(name: str, known: Mapping[str, str]) -> str:
    return known.get(name) or _FIELDS.get(name) or _TYPED[ATTRIBUTES[name]].format(name)


def _table(name: str) -> str:
    return ".".join(map(_quoted, name.split(".")))


def _quoted(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def load(database: DuckDBPyConnection, fetch: Fetch, scratch: Path, table: str = TABLE) -> int:
    """Makes the view `spans`; the answers stay in `scratch`. Returns the number of spans."""
    read(database, fetch, scratch, table)
    return count_once(database)[0]


def read(
    database: DuckDBPyConnection, fetch: Fetch, scratch: Path, table: str, shorts: Collection[str] = spans.SHORT
) -> None:
    """Makes the view `recorded`, of these columns."""
    schema, _, name = table.rpartition(".")
    columns = (
        f"SELECT name FROM system.columns WHERE table = {_text(name)} "
        f"AND database = {_text(schema) if schema else 'currentDatabase()'}"
    )
    named = _answer(fetch(columns), scratch / "columns.parquet")
    found = database.execute("SELECT name FROM read_parquet(?)", [named]).fetchall()
    answer = _answer(fetch(query(table, {name for (name,) in found}, shorts)), scratch / "spans.parquet")
    database.execute("SET VARIABLE files = ?", [[answer]])
    wanted = (spans.SHORT[short] for short in shorts)
    casts = ", ".join(f'TRY_CAST("{name}" AS {COLUMNS[name]}) AS "{name}"' for name in wanted)
    as_spool = f"(SELECT {casts} FROM read_parquet(getvariable('files')))"
    database.execute(f"CREATE VIEW recorded AS {spans.select(as_spool, shorts)}")


def _answer(parts: Iterable[bytes], path: Path) -> str:
    with path.open("wb") as file:
        file.writelines(parts)
    return str(path)


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


_NEITHER = (
    "--source {} is neither a spool directory nor a ClickHouse; write it as in clickhouse://user@host:8123/default"
)


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
