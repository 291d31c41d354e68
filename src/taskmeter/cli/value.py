"""`taskmeter value`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click

from taskmeter import _config, pricing
from taskmeter.cli.options import format_option, spool_option
from taskmeter.cli.reports import OutputFormat, opened, print_result, since_option, source_option, until_option
from taskmeter.errors import UsageError
from taskmeter.reports.value import value as make_value
from taskmeter.reports.value_result import Minutes, Work

_SMALLEST = Decimal("0.001")
_LARGEST = Decimal(1_000_000)


@click.command
@click.option(
    "--task-minutes",
    metavar="[NAME=]N",
    multiple=True,
    help="How long a person takes for a task: of that name, or of any other. May be given several times.",
)
@click.option(
    "--check-minutes",
    metavar="[NAME=]N",
    multiple=True,
    help="How long a check of a result takes. By default what is recorded as human minutes.",
)
@click.option("--hourly", metavar="USD", help="What an hour of a person costs. By default that of the price file.")
@click.option("--harm", metavar="USD", help="What a failure costs besides the work that a person has to do then.")
@click.option(
    "--by", default="name", show_default=True, help="A row for each name, customer, version, or value of label:NAME."
)
@since_option
@until_option
@source_option
@spool_option
@format_option
def value(
    by: str,
    since: int | None,
    until: int | None,
    source: str | None,
    spool: Path,
    output: OutputFormat,
    **work: Any,
) -> None:
    """What tasks are worth, what is left of it, and whether the agent pays against people doing the work."""
    said = _read(**work)
    with opened(source, spool) as warehouse:
        if said.hourly is None and warehouse.currency == "USD":  # the price file's rate is in USD
            pricing.use(_config.prices_from_environment())
            said = replace(said, hourly=pricing.human_rate() or None)
        result = make_value(warehouse, by, said, since_ns=since, until_ns=until)
    print_result(result, output)


def _read(task_minutes: Iterable[str], check_minutes: Iterable[str], hourly: str | None, harm: str | None) -> Work:
    return Work(
        task=_minutes("--task-minutes", task_minutes, least=_SMALLEST),
        check=_minutes("--check-minutes", check_minutes),
        hourly=None if hourly is None else _number("--hourly", hourly, "60", least=_SMALLEST),
        harm=Decimal(0) if harm is None else _number("--harm", harm, "25"),
    )


def _minutes(option: str, texts: Iterable[str], least: Decimal = Decimal(0)) -> Minutes:
    otherwise: float | None = None
    of: dict[str, float] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        minutes = float(_number(option, number, "120, or resolve_ticket=120", whole=text, least=least))
        if name:
            of[name] = minutes
        elif text == number:
            otherwise = minutes
        else:
            raise UsageError(f"{option} {text!r} names no task; write resolve_ticket=120, or 120 for any")
    return Minutes(otherwise, of)


def _number(option: str, text: str, example: str, *, whole: str | None = None, least: Decimal = Decimal(0)) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or not least <= number <= _LARGEST:
        shown = text if whole is None else whole
        raise UsageError(f"{option} {shown!r} is no number from {least} to {_LARGEST:,}; write {example}")
    return number
