"""`taskmeter doctor`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from taskmeter._bounds import dumps
from taskmeter.cli import NO_DATA
from taskmeter.cli.options import spool_option
from taskmeter.diagnosis import examine
from taskmeter.reports.text import lines


@click.command
@spool_option
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
def doctor(spool: Path, *, as_json: bool) -> None:
    """Check versions, hooks, other instrumentations, exporters and the spool; say what to fix.

    Exits with 1 if something needs action. For a program that is running: print(taskmeter.diagnose()) in it.
    """
    diagnosis = examine(spool)
    click.echo(dumps(diagnosis.as_dict(), indent=2) if as_json else lines(str(diagnosis)))
    if not diagnosis.healthy:
        sys.exit(NO_DATA)
