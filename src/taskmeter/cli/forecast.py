"""`taskmeter forecast`."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click

from taskmeter.cli.options import format_option, spool_option
from taskmeter.cli.reports import OutputFormat, opened, print_result, since_option, source_option, until_option
from taskmeter.errors import UsageError
from taskmeter.reports.forecast import forecast as make_forecast
from taskmeter.reports.forecast_result import Plan
from taskmeter.reports.volumes import NO_GROWTH, read_growth, read_horizon, read_mix, read_volume


@click.command
@click.option(
    "--volume",
    "volumes",
    metavar="[NAME=]N/UNIT",
    multiple=True,
    required=True,
    help="Tasks per hour, day, week or month: 5000/day. With a name, of that row only; may be given several times.",
)
@click.option("--horizon", metavar="LENGTH", required=True, help="How long: 90d, 12w, 6m.")
@click.option("--growth", metavar="N%/UNIT", help="By how much the volume grows each day, week or month: 10%/month.")
@click.option(
    "--mix", metavar="NAME=N%,...", help="The shares of a volume without name. By default those of the pilot."
)
@click.option("--start", metavar="DATE", help="The first day: 2026-12-01. By default today.")
@click.option(
    "--holdout",
    metavar="N%",
    default="30%",
    show_default=True,
    help="The last part of the pilot, forecast from what was before it to see how far off that is.",
)
@click.option(
    "--by", default="name", show_default=True, help="A row for each name, customer, version, or value of label:NAME."
)
@since_option
@until_option
@source_option
@spool_option
@format_option
def forecast(
    by: str, since: int | None, until: int | None, source: str | None, spool: Path, output: OutputFormat, **asked: Any
) -> None:
    """What so many tasks will cost, from those that are recorded: by month and by name, with 95 % intervals."""
    plan = _plan(**asked)
    with opened(source, spool) as warehouse:
        result = make_forecast(warehouse, plan, by, since_ns=since, until_ns=until)
    print_result(result, output)


def _plan(
    *, volumes: tuple[str, ...], horizon: str, growth: str | None, mix: str | None, start: str | None, holdout: str
) -> Plan:
    return Plan(
        volumes=tuple(map(read_volume, volumes)),
        horizon=read_horizon(horizon),
        start=datetime.now(UTC).date() if start is None else _date(start),
        growth=NO_GROWTH if growth is None else read_growth(growth),
        mix=None if mix is None else read_mix(mix),
        holdout=_share(holdout),
    )


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--start {text!r} is no date; write it as in 2026-12-01") from None


def _share(text: str) -> float:
    match = re.fullmatch(r"(\d{1,2}(?:\.\d{1,3})?)%", text)
    if match is None or not float(match[1]):
        raise UsageError(f"--holdout {text!r} is no part of the pilot; write a percentage below 100: 30%")
    return float(match[1]) / 100
