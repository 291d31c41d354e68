"""A spool directory as the view `spans`: JSON lines and Parquet, mixed, each span once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskmeter.errors import SpoolError
from taskmeter.reports.engine import spans
from taskmeter.reports.engine.once import count_once
from taskmeter.spool import parquet
from taskmeter.spool.columns import COLUMNS, ColumnType
from taskmeter.spool.lines import lines_of
from taskmeter.spool.read import MALFORMED, SpoolReading

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_BATCH = 2_000
_COLUMNS: Mapping[str, ColumnType] = {name: COLUMNS[name] for name in spans.SHORT.values()}


def load(database: DuckDBPyConnection, reading: SpoolReading) -> None:
    """Makes the view, and counts in `reading` what was read. Raises `SpoolError` as reading it does."""
    import duckdb

    parquet.create_table(database, _COLUMNS)
    _insert(database, _rows_of_lines(reading))
    try:
        _unite(database, [path for path in reading.files() if path.suffix == ".parquet"])
        reading.spans, reading.duplicates = count_once(database)
    except duckdb.Error as error:
        message = f"Cannot read the spool {str(reading.directory)!r}: {str(error).splitlines()[0]}."
        raise SpoolError(message) from error
    reading.require_spans()


def _insert(database: DuckDBPyConnection, rows: Iterator[dict[str, Any]]) -> None:
    while batch := list(islice(rows, _BATCH)):
        parquet.insert(database, batch, _COLUMNS)


def _unite(database: DuckDBPyConnection, paths: Sequence[Path]) -> None:
    """Files with the columns of this version are read where they are; what another one compacted is read row by row."""
    files: list[str] = []
    for path in paths:
        known = parquet.columns_of(database, path)
        if all(known.get(name) == column for name, column in _COLUMNS.items()):
            files.append(str(path))
        else:
            _insert(database, (_named(row) for document in parquet.documents(path) for row in _rows(document)))
    relations = [spans.select("spans_of_lines")]
    if files:
        database.execute("SET VARIABLE files = ?", [files])
        relations.append(spans.select("read_parquet(getvariable('files'))"))
    database.execute(f"CREATE VIEW recorded AS {' UNION ALL '.join(reversed(relations))}")


def _rows_of_lines(reading: SpoolReading) -> Iterator[dict[str, Any]]:
    """Of every file of lines. One that is compacted before its turn is gone by then, and a Parquet file there."""
    for path in reading.files():
        if path.suffix == ".parquet":
            continue
        try:
            yield from _rows_of(path, reading)
        except FileNotFoundError:
            continue
        except OSError as error:
            message = f"Cannot read the spool file {str(path)!r}: {error.strerror or error}."
            raise SpoolError(message) from error


def _rows_of(path: Path, reading: SpoolReading) -> Iterator[dict[str, Any]]:
    for line in lines_of(path):
        if line is None:
            reading.long_lines += 1
            continue
        try:
            rows, unusable = parquet.span_rows(json.loads(line))
        except MALFORMED:
            reading.skipped_lines += 1
            continue
        reading.skipped_spans += unusable
        yield from map(_named, rows)


def _rows(document: dict[str, Any]) -> list[dict[str, Any]]:
    return parquet.span_rows(document)[0]


def _named(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in _COLUMNS if row.get(name) is not None}
