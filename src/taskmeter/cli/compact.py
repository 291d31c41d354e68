"""`taskmeter compact`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from taskmeter.cli.options import spool_option
from taskmeter.spool.compact import Compaction
from taskmeter.spool.compact import compact as compact_files
from taskmeter.spool.shipping.progress import settled_offsets

_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def _age(_context: click.Context, _parameter: click.Parameter, text: str) -> timedelta:
    """`7d`, `12h`, `30m` or `0s`."""
    match = re.fullmatch(r"(\d{1,6})([dhms])", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no age. Write a whole number and a unit: 7d, 12h, 30m or 0s")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


@click.command
@spool_option
@click.option(
    "--older-than",
    metavar="AGE",
    callback=_age,
    default="7d",
    show_default=True,
    help="Leave files that were written since: 7d, 12h, 30m.",
)
def compact(spool: Path, older_than: timedelta) -> None:
    """Rewrite finished files of the spool as Parquet, about a tenth of the size; every report reads them the same way.

    A file that a process still has open stays, whatever its age.
    """
    columns = (TextColumn("compacting"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("compact", total=None)
        done = compact_files(
            spool,
            older_than=older_than,
            now=datetime.now(UTC),
            is_pending=_pending(spool),
            progress=lambda read, of: bar.update(task, completed=read, total=of),
        )
    for sentence in _sentences(done):
        click.echo(sentence)


def _pending(spool: Path) -> Callable[[Path], bool]:
    """Whether something in a file has yet to be shipped to an endpoint that the spool was shipped to before."""
    settled = settled_offsets(spool)
    return lambda path: path in settled and settled[path] < path.stat().st_size


def _sentences(done: Compaction) -> list[str]:
    said = [
        f"{_files(done.sources)} ({done.bytes_before / 1e6:,.2f} MB) became {_files(len(done.written))} of Parquet "
        f"({done.bytes_after / 1e6:,.2f} MB) with {done.spans:,} spans."
        if done.sources
        else "Nothing to compact."
    ]
    if done.lines_set_aside:
        said.append(f"Lines that no report can use, set aside in unread-*.jsonl: {done.lines_set_aside:,}.")
    if done.being_written:
        said.append(f"Left, as a process has it open: {_files(done.being_written)}.")
    if done.undelivered:
        said.append(f"Left, as something in it has to be sent yet: {_files(done.undelivered)}.")
    return said


def _files(count: int) -> str:
    return f"{count:,} file{'s' * (count != 1)}"
