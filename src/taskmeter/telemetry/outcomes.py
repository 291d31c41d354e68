"""Outcomes said apart from the end of their task: a span each, linked to the task where this process ran it."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import Final, NamedTuple

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanContext

from taskmeter import _semconv as names
from taskmeter._guard import guarded
from taskmeter.account import LedgerLine, OutcomeRecord, TaskIdentity
from taskmeter.records import Outcome
from taskmeter.telemetry import durable, providers, spans
from taskmeter.telemetry.attributes import Attributes, charge_attributes, unpriced_attributes

REVIEW: Final = "human review"
"""What human minutes are booked under."""
NO_RATE: Final = "no hourly rate is known"
"""Why human minutes have no price."""
LIMIT: Final = 8_192
"""Names by which tasks of this process are remembered; a task has up to three."""


class _Known(NamedTuple):
    span: SpanContext
    task_name: str


class _Tasks:
    """Where the last tasks of this process are in their traces, by id, by key, and by key and name."""

    def __init__(self) -> None:
        self._by_name: OrderedDict[tuple[str, ...], _Known] = OrderedDict()  # no lock: each operation is atomic

    def remember(self, task: TaskIdentity, span: Span) -> None:
        """A task that starts. One without a span has nothing to link to."""
        if span is INVALID_SPAN:
            return
        known = _Known(span.get_span_context(), task.name)
        keyed = [("key", task.key), ("key", task.key, task.name)] if task.key is not None else []
        for name in (("id", task.id), *keyed):
            self._by_name.pop(name, None)
            self._by_name[name] = known
        with suppress(KeyError):  # other threads do the same
            while len(self._by_name) > LIMIT:
                self._by_name.popitem(last=False)

    def find(self, record: OutcomeRecord) -> _Known | None:
        """The task that `record` means, or the latest of them."""
        name: tuple[str, ...] = ("id", record.task_id) if record.task_id is not None else ("key", record.key or "")
        if record.key is not None and record.name is not None:
            name = ("key", record.key, record.name)
        return self._by_name.get(name)


_tasks = _Tasks()
remember = _tasks.remember


def said_attributes(outcome: Outcome) -> Attributes:
    """What is said of a task, without its human minutes."""
    attributes: Attributes = {names.OUTCOME: outcome.status}
    if outcome.reason is not None:
        attributes[names.OUTCOME_REASON] = outcome.reason
    if outcome.value is not None:
        attributes[names.VALUE] = float(outcome.value)
    if outcome.quality is not None:
        attributes[names.QUALITY] = float(outcome.quality)
    return attributes


def record_attributes(record: OutcomeRecord) -> Attributes:
    """An outcome as a span of its own, with the price of its human minutes: that money is on no other span."""
    outcome = record.outcome
    attributes: Attributes = {names.SPAN_KIND: "outcome", **said_attributes(outcome)}
    attributes[names.OUTCOME_SEQUENCE] = record.sequence
    said = {names.TASK_ID: record.task_id, names.TASK_KEY: record.key, names.TASK_NAME: record.name}
    attributes |= {name: value for name, value in said.items() if value is not None}
    if outcome.human_minutes:
        attributes[names.HUMAN_MINUTES] = float(outcome.human_minutes)
        if record.charge is not None:
            attributes |= charge_attributes(record.charge)
        else:
            attributes |= unpriced_attributes("human", REVIEW, outcome.human_minutes, "minute", NO_RATE)
    return attributes


def span_name(record: OutcomeRecord) -> str:
    """Of the span of an outcome."""
    return f"outcome {record.outcome.status}"


def emit(record: OutcomeRecord) -> bool:
    """Exports `record` and counts it. Returns whether it went anywhere: to a tracer that records, or to the spool."""
    attributes, known, went = record_attributes(record), _tasks.find(record), False
    links = [Link(known.span)] if known is not None and known.span.is_valid else []
    span: Span = INVALID_SPAN
    with guarded("telemetry.outcome"):
        # A trace of its own: the task that may be open here is not the one it is about.
        span = spans.start(span_name(record), attributes, context=Context(), start_ns=record.at_ns, links=links)
        went = span.is_recording() and span.get_span_context().trace_flags.sampled
    spans.end(span, end_ns=record.at_ns)
    with guarded("telemetry.outcome"):
        went = went or durable.keep(span_name(record), attributes, record.at_ns, links)
    with guarded("telemetry.outcome_metrics"):
        task_name = record.name or (known.task_name if known is not None else None)
        instruments = providers.account_instruments()
        instruments.outcome_recorded(task_name, record.outcome.status)
        if (charge := record.charge) is not None:
            instruments.spent([LedgerLine(charge.category, charge.item, charge.amount, {})], task_name)
    return went
