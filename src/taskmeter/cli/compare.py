"""`taskmeter compare A B`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from taskmeter.cli.options import format_option, spool_option
from taskmeter.cli.reports import OutputFormat, moment, opened, print_result, source_option
from taskmeter.reports.compare import compare as make_comparison
from taskmeter.reports.selectors import read_selector
from taskmeter.reports.thresholds import read_threshold

_REGRESSION = 1
"""Exit code: a threshold was passed."""


@click.command
@click.argument("a")
@click.argument("b")
@click.option("--name", help="Only tasks of this name.")
@click.option(
    "--fail-on",
    metavar="FIGURE=CHANGE",
    multiple=True,
    help="Exit with 1 when this change is shown: cost=+10%, task_cost, latency, waste=+5%, success=-5%, quality.",
)
@click.option("--by-estimate", is_flag=True, help="--fail-on judges the change itself, not its interval.")
@source_option
@spool_option
@format_option
def compare(
    a: str,
    b: str,
    name: str | None,
    fail_on: tuple[str, ...],
    source: str | None,
    spool: Path,
    output: OutputFormat,
    *,
    by_estimate: bool,
) -> None:
    """What changed from the tasks A to the tasks B, and how surely: cost, latency, success, quality and waste.

    A and B are version=1.4, customer=acme, label:prompt=a, or a time, SINCE..UNTIL: 14d..7d and 7d.. are the last two
    weeks.
    """
    before, after = read_selector(a, moment), read_selector(b, moment)
    thresholds = [read_threshold(text) for text in fail_on]
    with opened(source, spool) as warehouse:
        result = make_comparison(warehouse, before, after, name=name, thresholds=thresholds, by_estimate=by_estimate)
    print_result(result, output)
    if result.failed:
        if output != "table":
            for gate in result.gates:
                click.echo(f"taskmeter: {gate.sentence}", err=True)
        sys.exit(_REGRESSION)
