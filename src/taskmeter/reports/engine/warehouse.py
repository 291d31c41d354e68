"""A source, opened: the tables that reports ask, and how their amounts are read."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias

from taskmeter.errors import SourceError, SpoolError, UsageError
from taskmeter.records import ZERO
from taskmeter.reports.engine import amounts, clickhouse, matching, rows, settle, spool
from taskmeter.spool import parquet
from taskmeter.spool.read import SpoolReading, readable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MEMORY = "2GB"
"""What is more goes to files, in a directory that is gone with the report."""
_CURRENCY = "[A-Z]{3}"
Parameters: TypeAlias = Sequence[object] | Mapping[str, object] | None


class Warehouse:
    """The tables `tasks`, `leaves` and `outcomes` of one source."""

    def __init__(self, database: DuckDBPyConnection) -> None:
        """Over a database with a view `spans`. Raises `UsageError` when its amounts are in several currencies."""
        self._database = database
        self.currency = _currency(database)
        self._amounts = amounts.survey(database)
        rows.make_rows(database)
        settle.find_tasks(database)
        matching.match_outcomes(database)
        settle.settle(database)

    @property
    def unreadable(self) -> int:
        """Amounts that are no sensible number; they are taken as unknown."""
        return self._amounts.unreadable

    def run(self, statement: str, parameters: Parameters = None) -> None:
        """Makes a table or a view."""
        self._database.execute(statement, _readable(parameters))

    def ask(self, query: str, parameters: Parameters = None) -> list[dict[str, Any]]:
        """The rows of an answer, by column; amounts are to be read with `amount` or `known`."""
        found = self._database.execute(query, _readable(parameters))
        columns = [column[0] for column in found.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in found.fetchall()]

    def arrays(self, query: str, parameters: Parameters = None) -> dict[str, Any]:
        """The columns of an answer without nulls as arrays of numpy; amounts as doubles, to be read with `floats`."""
        return self._database.execute(query, _readable(parameters)).fetchnumpy()

    def floats(self, amounts: Any) -> Any:
        """Amounts of `arrays`."""
        return self._amounts.read_floats(amounts)

    def amount(self, value: Any) -> Decimal | None:
        """An amount of an answer."""
        return self._amounts.read(value)

    def known(self, value: Any) -> Decimal:
        """The same; 0 where there is none."""
        return self.amount(value) or ZERO


@contextmanager
def open_spool(reading: SpoolReading) -> Generator[Warehouse]:
    """The warehouse of a spool directory; `reading` counts what was read.

    Raises `SpoolError` as reading it does, `UsageError` when its amounts are in several currencies.
    """
    with (
        TemporaryDirectory(prefix="taskmeter-") as scratch,
        parquet.connect(memory_limit=_MEMORY, scratch=Path(scratch)) as database,
        _named(SpoolError, f"the spool {str(reading.directory)!r}"),
    ):
        spool.load(database, reading)
        yield Warehouse(database)


@contextmanager
def open_clickhouse(fetch: clickhouse.Fetch, table: str = clickhouse.TABLE) -> Generator[Warehouse]:
    """The warehouse of a Collector's table in ClickHouse, asked by `fetch`.

    Raises `SourceError` when it cannot be read or holds no spans of tasks, `UsageError` when its amounts are in several
    currencies.
    """
    with (
        TemporaryDirectory(prefix="taskmeter-") as scratch,
        parquet.connect(memory_limit=_MEMORY, scratch=Path(scratch)) as database,
        _named(SourceError, f"the table {table}"),
    ):
        if not clickhouse.load(database, fetch, Path(scratch), table):
            raise SourceError(f"The table {table} holds no spans of tasks")
        yield Warehouse(database)


def _readable(parameters: Parameters) -> Parameters:
    """With texts as the spool has them: bytes of a command line that are no UTF-8 are no characters."""
    if isinstance(parameters, Mapping):
        return {name: readable(value) if isinstance(value, str) else value for name, value in parameters.items()}
    return parameters and [readable(value) if isinstance(value, str) else value for value in parameters]


@contextmanager
def _named(error: type[SpoolError | SourceError], what: str) -> Generator[None]:
    """What the database cannot do (no room, a file that vanished) is said in one sentence."""
    import duckdb

    try:
        yield
    except duckdb.Error as reason:
        message = f"Cannot report on {what}: {str(reason).splitlines()[0]}"
        raise error(message) from reason


def _currency(database: DuckDBPyConnection) -> str:
    found = database.execute(
        f"""
        SELECT DISTINCT code FROM (
            SELECT unnest([currency, call_currency]) AS code
            FROM (SELECT DISTINCT currency, call_currency FROM spans WHERE what IN {rows.ROWS})
        ) WHERE regexp_full_match(code, '{_CURRENCY}') ORDER BY code
        """
    ).fetchall()
    codes = [code for (code,) in found]
    if len(codes) > 1:
        message = (
            f"The spool holds amounts in several currencies ({', '.join(codes)}), "
            "which cannot be added. Report on a directory with spans of one currency"
        )
        raise UsageError(message)
    return codes[0] if codes else "USD"
