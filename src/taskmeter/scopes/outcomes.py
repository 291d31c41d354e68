"""What comes of a task, said by whoever knows it: inside the task, or in any process any time later."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Final, cast, get_args

from opentelemetry.sdk.trace.export import SpanExportResult

from taskmeter._bounds import shown
from taskmeter._guard import guarded, log
from taskmeter.account import OutcomeRecord
from taskmeter.account.money import Money, money
from taskmeter.errors import SpoolError, UsageError
from taskmeter.records import Outcome, OutcomeStatus
from taskmeter.scopes.arguments import text
from taskmeter.scopes.people import hourly, minutes_of
from taskmeter.spool.write import SpoolExporter
from taskmeter.telemetry import durable, outcomes

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_END_OF_TIME: Final = 1 << 63
"""Nanoseconds since 1970 that OTLP can say."""
_TASK_ID: Final = re.compile("[0-9a-f]{32}")
_sequence = count(1)


class _Once:
    """Whether it was said that outcomes go nowhere."""

    warned = False


def record_outcome(  # noqa: PLR0913 - an outcome has that many sides, each said by name
    *,
    status: OutcomeStatus,
    key: str | None = None,
    task_id: str | None = None,
    name: str | None = None,
    reason: str | None = None,
    value: Money | None = None,
    human_minutes: Money | None = None,
    quality: Money | None = None,
    at: datetime | None = None,
) -> bool:
    """Says what came of a task, from any process, any time after it started. Returns whether that was recorded.

    The task is named by `task_id`, or by its business `key`: of several with that key (a task that was tried again) the
    latest that started before this is meant, of nested ones the outermost; with `name` only tasks of that name are.
    Nothing is overwritten: a report keeps every outcome of a task and counts the latest, whatever the task said itself.
    `human_minutes` are further minutes, at the hourly rate of the price file. `at` is when it became known, by default
    now. `False` means that this process has neither a spool nor a tracer that records it: `configure()` sets them up.
    Raises `UsageError` for arguments that make no sense.
    """
    outcome = outcome_said(status, reason, value, human_minutes, quality)
    record = outcome_record(outcome, key=key, task_id=task_id, name=name, at=at)
    went = False
    with guarded("scopes.record_outcome"):
        went = outcomes.emit(record)
        if not went and not _Once.warned:
            _Once.warned = True
            log.warning(
                "taskmeter: the outcome of task %r goes nowhere, as this process has no spool, and no tracer that "
                "records it; call taskmeter.configure() in it, or use the command `taskmeter outcome`. Said once",
                key or task_id,
            )
    return went


def outcome_said(
    status: OutcomeStatus,
    reason: str | None,
    value: Money | None,
    human_minutes: Money | None,
    quality: Money | None,
) -> Outcome:
    """An outcome of what an application said. Raises `UsageError` for what makes no sense."""
    if status not in get_args(OutcomeStatus):
        msg = f"status={shown(status)} is not one of {', '.join(get_args(OutcomeStatus))}"
        raise UsageError(msg)
    return Outcome(
        status,
        reason if reason is None else text(reason, "reason"),
        value if value is None else money(value, "value", negative=True),
        human_minutes if human_minutes is None else minutes_of(human_minutes, "human_minutes"),
        quality if quality is None else money(quality, "quality", negative=True),
    )


def outcome_record(
    outcome: Outcome,
    *,
    key: str | None,
    task_id: str | None,
    name: str | None = None,
    at: datetime | None = None,
) -> OutcomeRecord:
    """The record of an outcome, its human minutes priced. Raises `UsageError` for what makes no sense."""
    if (key is None) == (task_id is None):
        msg = f"key={shown(key)} and task_id={shown(task_id)}: name the task by exactly one of them"
        raise UsageError(msg)
    key, task_id, name = (
        said if said is None else text(said, argument)
        for argument, said in (("key", key), ("task_id", task_id), ("name", name))
    )
    if task_id is not None and not _TASK_ID.fullmatch(task_id):
        msg = f"task_id={shown(task_id)} is not the id of a task (32 hex digits: task.id); pass a business key as key="
        raise UsageError(msg)
    if task_id is not None and name is not None:
        msg = f"name={shown(name)}: an id names its task alone; leave the name out, or pass key= instead of task_id="
        raise UsageError(msg)
    minutes = outcome.human_minutes
    charge = None if minutes is None else hourly(minutes, None)
    return OutcomeRecord(outcome, _nanos(at), next(_sequence), task_id, key, name, charge)


def _nanos(at: datetime | None) -> int:
    """Unix time in nanoseconds; now for `None`."""
    if at is None:
        return time.time_ns()
    if not isinstance(cast(object, at), datetime) or at.tzinfo is None:
        msg = f"at={shown(at)} must be a datetime with a time zone, such as datetime.now(UTC)"
        raise UsageError(msg)
    nanos = (at - _EPOCH) // timedelta(microseconds=1) * 1000
    if not 0 < nanos < _END_OF_TIME:
        msg = f"at={shown(at)} is before 1970 or after 2262; is it the right year?"
        raise UsageError(msg)
    return nanos


def write_outcome(record: OutcomeRecord, directory: Path) -> None:
    """Writes `record` to the spool in `directory`, without any tracer. Raises `SpoolError` where that cannot be."""
    exporter = SpoolExporter(directory)
    span = durable.instant(outcomes.span_name(record), outcomes.record_attributes(record), record.at_ns)
    done = exporter.export([span])
    exporter.shutdown()
    if done is not SpanExportResult.SUCCESS:
        msg = f"The outcome could not be written to the spool {str(directory)!r}: see the warning above."
        raise SpoolError(msg)
