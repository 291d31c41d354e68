"""`taskmeter report` and `taskmeter show TASK`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal, TypeAlias

import click
from rich.console import Console

from taskmeter.cli.options import format_option, spool_option
from taskmeter.reports import render
from taskmeter.reports.relations import Relations, relate
from taskmeter.reports.task_tree import task_tree
from taskmeter.reports.unit_cost import unit_cost
from taskmeter.spool.read import SpoolReading

OutputFormat: TypeAlias = Literal["table", "json", "csv"]


@click.command
@spool_option
@format_option
def report(spool: Path, output: OutputFormat) -> None:
    """What tasks cost, by name: in all, per success, median and 95th percentile, and how much was wasted."""
    print_result(unit_cost(read_spool(spool)), output)


@click.command
@click.argument("task")
@spool_option
@format_option
def show(task: str, spool: Path, output: OutputFormat) -> None:
    """Where the money of one TASK went: its steps, calls, failed attempts, tools and nested tasks.

    TASK is its id, the beginning of its id (4 characters or more), or its business key.
    """
    print_result(task_tree(read_spool(spool), task), output)


def read_spool(spool: Path) -> Relations:
    """All that `spool` says about tasks; what could not be read is said on standard error."""
    reading = SpoolReading(spool)
    relations = relate(reading)
    for problem in reading.problems():
        print(f"taskmeter: {spool}: {problem}", file=sys.stderr)
    return relations


def print_result(result: render.Result, output: OutputFormat) -> None:
    """Prints a report as `output`."""
    if output == "json":
        click.echo(render.as_json(result), nl=False)
    elif output == "csv":
        click.echo(render.as_csv(result), nl=False)
        for note in result.notes:
            click.echo(f"taskmeter: {note}", err=True)
    else:
        console = Console(highlight=False, markup=False, emoji=False)
        least = render.least_width(result)  # a table squeezed into fewer columns would cut its numbers
        console.width = max(console.width, least) if console.is_terminal else least
        console.print(render.as_table(result))
