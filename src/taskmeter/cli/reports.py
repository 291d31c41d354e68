"""`taskmeter report` and `taskmeter show TASK`."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, TypeAlias, TypeGuard

import click
from rich.console import Console

from taskmeter.cli import say
from taskmeter.cli.options import format_option, spool_option
from taskmeter.reports import render
from taskmeter.reports.engine import clickhouse
from taskmeter.reports.engine.cohort import GROUPS
from taskmeter.reports.engine.selection import relate_collected_task, relate_task
from taskmeter.reports.engine.warehouse import Warehouse, open_clickhouse, open_spool
from taskmeter.reports.relations import Relations
from taskmeter.reports.task_tree import task_tree
from taskmeter.reports.unit_cost import unit_cost
from taskmeter.spool.read import SpoolReading

_AGES = {"d": "days", "h": "hours", "m": "minutes"}


def _moment(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    return None if text is None else moment(text)


def moment(text: str) -> int:
    """Unix time in ns of `7d` (ago), or of a date and time, which without a zone is UTC."""
    if match := re.fullmatch(r"(\d{1,5})([dhm])", text):
        found = datetime.now(UTC) - timedelta(**{_AGES[match[2]]: int(match[1])})
    else:
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise click.BadParameter(
                f"{text!r} is no time. Write 7d, 12h, 2026-11-01 or 2026-11-01T09:30:00Z"
            ) from None
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return (found - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


since_option = click.option(
    "--since", metavar="TIME", callback=_moment, help="Only tasks that began then or later: 7d, 12h, or ISO 8601."
)
until_option = click.option("--until", metavar="TIME", callback=_moment, help="Only tasks that began before.")
source_option = click.option(
    "--source",
    metavar="DIR|URL",
    help="Instead of --spool: another spool, or a Collector's ClickHouse, clickhouse://user@host:8123/database.",
)


OutputFormat: TypeAlias = Literal["table", "json", "csv"]


@click.command
@click.option(
    "--by",
    default="name",
    show_default=True,
    help=f"A row for each {', '.join(GROUPS)}, or value of label:NAME.",
)
@since_option
@until_option
@click.option("--detail", is_flag=True, help="Success rate, mean and tail of what single tasks cost, calls and tokens.")
@source_option
@spool_option
@format_option
def report(
    by: str,
    since: int | None,
    until: int | None,
    source: str | None,
    spool: Path,
    output: OutputFormat,
    *,
    detail: bool,
) -> None:
    """What tasks cost, by name: in all, per success, median and 95th percentile, and how much was wasted."""
    with opened(source, spool) as warehouse:
        result = unit_cost(warehouse, by, since_ns=since, until_ns=until)
    print_result(result, output, detail=detail)


@click.command
@click.argument("task")
@source_option
@spool_option
@format_option
def show(task: str, source: str | None, spool: Path, output: OutputFormat) -> None:
    """Where the money of one TASK went: its steps, calls, failed attempts, tools and nested tasks.

    TASK is its id, the beginning of its id (4 characters or more), or its business key.
    """
    print_result(task_tree(read_task(source, spool, task), task), output)


@contextmanager
def opened(source: str | None, spool: Path) -> Generator[Warehouse]:
    """The warehouse of `source`, else of `spool`; what could not be read is said on standard error."""
    with _working():
        if _is_url(source):
            fetch, table = clickhouse.connect(source)
            with open_clickhouse(fetch, table) as warehouse:
                yield warehouse
            return
        reading = SpoolReading(spool if source is None else Path(source))
        with open_spool(reading) as warehouse:
            yield warehouse
        say_problems(reading)


@contextmanager
def _working() -> Generator[None]:
    """A sign of life on a terminal: millions of spans take seconds."""
    with Console(stderr=True).status("reading spans"):
        yield


def read_task(source: str | None, spool: Path, task: str) -> Relations:
    """What `source`, else `spool`, says about the tasks that `task` may mean; what could not be read is said on
    standard error."""
    if _is_url(source):
        with _working():
            return relate_collected_task(*clickhouse.connect(source), task)
    reading = SpoolReading(spool if source is None else Path(source))
    relations = relate_task(reading, task)
    say_problems(reading)
    return relations


def _is_url(source: str | None) -> TypeGuard[str]:
    return source is not None and "://" in source


def say_problems(reading: SpoolReading) -> None:
    """Says on standard error what could not be read."""
    for problem in reading.problems():
        say(f"{reading.directory}: {problem}")


def print_result(result: render.Result, output: OutputFormat, *, detail: bool = False) -> None:
    """Prints a report as `output`; json and csv have all `detail` anyway."""
    if output == "json":
        click.echo(render.as_json(result), nl=False)
    elif output == "csv":
        click.echo(render.as_csv(result), nl=False)
        for note in result.notes:
            say(note)
    else:
        console = Console(highlight=False, markup=False, emoji=False)
        if not console.is_terminal:
            console.width = render.least_width(result, detail=detail)
        console.print(render.as_table(result, detail=detail, width=console.width))
