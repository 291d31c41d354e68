"""`taskmeter breakdown`."""

from __future__ import annotations

from pathlib import Path

import click

from taskmeter.cli.options import format_option, spool_option
from taskmeter.cli.reports import OutputFormat, opened, print_result, since_option, source_option, until_option
from taskmeter.reports.breakdown import breakdown as make_breakdown


@click.command
@click.option("--name", "names", multiple=True, help="Only tasks of this name; may be given several times.")
@since_option
@until_option
@source_option
@spool_option
@format_option
def breakdown(
    names: tuple[str, ...],
    since: int | None,
    until: int | None,
    source: str | None,
    spool: Path,
    output: OutputFormat,
) -> None:
    """Where the money went, by the name of the task: what was useful, and what was wasted, by class."""
    with opened(source, spool) as warehouse:
        result = make_breakdown(warehouse, names, since_ns=since, until_ns=until)
    print_result(result, output)
