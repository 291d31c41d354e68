"""`taskmeter outcome TASK`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import click

from taskmeter import _config, pricing
from taskmeter._bounds import shown
from taskmeter.cli import say
from taskmeter.cli.options import spool_option
from taskmeter.cli.reports import read_task
from taskmeter.errors import UsageError
from taskmeter.records import OutcomeStatus
from taskmeter.reports.outcomes import Matching
from taskmeter.reports.task_tree import find_tasks
from taskmeter.reports.text import line
from taskmeter.scopes.outcomes import outcome_record, outcome_said, write_outcome


@click.command
@click.argument("task")
@click.option("--status", type=click.Choice(get_args(OutcomeStatus)), required=True, help="What came of it.")
@click.option("--name", help="Of several tasks with that key, only those of this name.")
@click.option("--reason", help="Why.")
@click.option("--value", metavar="USD", help="What the result is worth.")
@click.option("--human-minutes", metavar="NUMBER", help="Minutes that people spent since the last outcome.")
@click.option("--quality", metavar="NUMBER", help="A score, on a scale of your own; more is better.")
@click.option("--at", metavar="TIME", help="When it became known: ISO 8601 with a time zone. By default now.")
@spool_option
def outcome(task: str, spool: Path, status: OutcomeStatus, at: str | None, **said: Any) -> None:
    """Record what came of TASK: its business key, its id, or the beginning of its id (4 characters or more).

    Nothing is overwritten: reports count the last outcome of a task, and keep all.
    """
    name = said.pop("name")
    pricing.use(_config.prices_from_environment())  # for the rate of human minutes
    word = outcome_said(status, **said)
    relations = read_task(None, spool, task)
    found = find_tasks(relations, task)
    by_id = bool(found) and found[0].key != task
    if by_id and len(found) > 1:
        raise UsageError(f"{shown(task)} is how the ids of {len(found)} tasks begin; give more of it")
    record = outcome_record(
        word,
        key=None if by_id else task,
        task_id=found[0].id if by_id else None,
        name=name,
        at=None if at is None else _time(at),
    )
    write_outcome(record, spool)
    meant = Matching((), relations.tasks).task_of(record.task_id, record.key, record.name, record.at_ns)
    if meant is None:
        say(f"no task of {spool} is meant by {shown(task)}: kept as unmatched")
    else:
        print(f"{line(meant.name)} {meant.id}: {status}, was {meant.outcome}")


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--at {shown(text)} is no time; write it as in 2026-11-22T09:30:00+00:00") from error
