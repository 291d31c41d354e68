"""All commands under one."""

from __future__ import annotations

import click

from taskmeter._version import __version__
from taskmeter.cli.breakdown import breakdown
from taskmeter.cli.compact import compact
from taskmeter.cli.compare import compare
from taskmeter.cli.demo import demo
from taskmeter.cli.doctor import doctor
from taskmeter.cli.forecast import forecast
from taskmeter.cli.outcome import outcome
from taskmeter.cli.reports import report, show
from taskmeter.cli.ship import ship
from taskmeter.cli.steps import steps
from taskmeter.cli.value import value
from taskmeter.cli.whatif import whatif


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def taskmeter() -> None:
    """What each completed LLM-agent task cost, and where the money went."""


for command in (
    report,
    breakdown,
    value,
    whatif,
    forecast,
    compare,
    steps,
    show,
    outcome,
    ship,
    compact,
    demo,
    doctor,
):
    taskmeter.add_command(command)
