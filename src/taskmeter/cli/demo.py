"""`taskmeter demo`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from taskmeter.cli.options import Directory
from taskmeter.cli.reports import opened, print_result, read_task
from taskmeter.reports.task_tree import task_tree
from taskmeter.reports.text import line
from taskmeter.reports.unit_cost import unit_cost


@click.command
@click.option(
    "--spool", type=Directory(), show_default="a new temporary directory", help="Directory to record the tasks in."
)
def demo(spool: Path | None) -> None:
    """Run sample agents against a local stub of the providers, and report what they cost. Needs no key."""
    from taskmeter.demo import SHOWCASE_KEY, run

    directory = spool or Path(tempfile.mkdtemp(prefix="taskmeter-demo-"))
    named = line(str(directory))
    click.echo("Running sample agents against a local stub of OpenAI and Anthropic ...", err=True)
    run(directory)
    click.echo(f"\n$ taskmeter report --spool {named}\n")
    with opened(None, directory) as warehouse:
        print_result(unit_cost(warehouse), "table")
    click.echo(f"\n$ taskmeter show {SHOWCASE_KEY} --spool {named}\n")
    print_result(task_tree(read_task(None, directory, SHOWCASE_KEY), SHOWCASE_KEY), "table")
    click.echo(f"\nThe record stays in {named}, for these two commands and others of your own.", err=True)
