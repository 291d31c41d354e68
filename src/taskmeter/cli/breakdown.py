"""`taskmeter breakdown`."""

from __future__ import annotations

from pathlib import Path

import click

from taskmeter.cli.options import format_option, spool_option
from taskmeter.cli.reports import OutputFormat, print_result, read_source, source_option
from taskmeter.reports.breakdown import breakdown as make_breakdown


@click.command
@click.option("--name", "names", multiple=True, help="Only tasks of this name; may be given several times.")
@source_option
@spool_option
@format_option
def breakdown(names: tuple[str, ...], source: str | None, spool: Path, output: OutputFormat) -> None:
    """Where the money went, by the name of the task: what was useful, and what was wasted, by class."""
    print_result(make_breakdown(read_source(source, spool), names), output)
