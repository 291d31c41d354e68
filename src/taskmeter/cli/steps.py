"""`taskmeter steps`."""

from __future__ import annotations

from pathlib import Path

import click

from taskmeter.cli.options import format_option, spool_option
from taskmeter.cli.reports import OutputFormat, opened, print_result, since_option, source_option, until_option
from taskmeter.reports.steps import steps as make_steps


@click.command
@click.option("--name", help="Only tasks of this name.")
@since_option
@until_option
@source_option
@spool_option
@format_option
def steps(
    name: str | None, since: int | None, until: int | None, source: str | None, spool: Path, output: OutputFormat
) -> None:
    """How reliable each step is, what comes of all in a row, and which loses most success for its money."""
    with opened(source, spool) as warehouse:
        result = make_steps(warehouse, name, since_ns=since, until_ns=until)
    print_result(result, output)
