"""`record_outcome`: what came of a task, said from anywhere, any time after it started."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider

from taskmeter import pricing
from taskmeter.errors import UsageError
from taskmeter.records import Outcome
from taskmeter.scopes import outcomes, record_outcome, track_task
from taskmeter.telemetry import durable, providers
from taskmeter.telemetry.processor import TaskSpanProcessor

ID = "0123456789abcdef0123456789abcdef"
AT = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


class Spool(SpanProcessor):
    """What stands before the spool."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


@pytest.fixture
def spool(monkeypatch: pytest.MonkeyPatch) -> Spool:
    waiting = Spool()
    monkeypatch.setattr(durable._Spool, "queue", waiting)
    monkeypatch.setattr(durable._Spool, "resource", Resource({"service.name": "helpdesk"}))
    return waiting


@pytest.fixture(autouse=True)
def not_warned_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes._Once, "warned", False)


def test_an_outcome_is_a_span_with_all_that_was_said(spans: Any) -> None:
    """At its own time, without duration, in no task that happens to be open."""
    with track_task("other", key="T-2"):
        assert record_outcome(
            key="T-1", name="resolve", status="failed", reason="reopened", value="-3", quality="0.2", at=AT
        )
    (span,) = (span for span in spans.all() if span.name == "outcome failed")
    assert span.start_time == span.end_time == 1_795_426_200_000_000_000
    said = dict(span.attributes)
    assert said.pop("taskmeter.outcome.sequence") > 0
    assert said == {
        "taskmeter.span.kind": "outcome",
        "taskmeter.task.outcome": "failed",
        "taskmeter.task.outcome.reason": "reopened",
        "taskmeter.task.value": -3.0,
        "taskmeter.task.quality": 0.2,
        "taskmeter.task.key": "T-1",
        "taskmeter.task.name": "resolve",
    }


def test_the_task_processor_does_not_put_it_into_the_open_task(spans: Any) -> None:
    """Though it stamps every other span that starts there."""
    spans.provider.add_span_processor(TaskSpanProcessor())
    with track_task("other", key="T-2"):
        record_outcome(key="T-1", status="failed")
    assert "taskmeter.task.id" not in spans.only("outcome failed")


@pytest.mark.parametrize("how", ["id", "key", "key and name"])
def test_it_is_linked_to_the_task_that_this_process_ran(how: str, spans: Any) -> None:
    """By id, by key (then to the latest), or by key and name; also while the task is open."""
    with track_task("work", key="T-1"):
        pass
    with track_task("work" if how != "key" else "again", key="T-1") as task:
        pass
    if how == "key and name":
        with track_task("again", key="T-1"):
            pass
    who: Any = {"id": {"task_id": task.id}, "key": {"key": "T-1"}, "key and name": {"key": "T-1", "name": "work"}}[how]
    record_outcome(status="succeeded", **who)
    (outcome,) = (span for span in spans.all() if span.name == "outcome succeeded")
    mine = {"taskmeter.span.kind": "task", "taskmeter.task.id": task.id}
    (run,) = (span for span in spans.all() if mine.items() <= span.attributes.items())
    assert [link.context for link in outcome.links] == [run.context]


def test_a_task_of_another_process_has_no_link(spans: Any) -> None:
    """The report finds it."""
    assert record_outcome(task_id=ID, status="succeeded")
    (outcome,) = spans.all()
    assert (len(outcome.links), outcome.attributes["taskmeter.task.id"]) == (0, ID)


def test_human_minutes_are_priced_where_a_rate_is_known(spans: Any) -> None:
    """That money is on this span only; without a rate it says `unpriced`."""
    pricing.use({"rates": {"human_per_hour": "60"}})
    try:
        record_outcome(key="T-1", status="succeeded", human_minutes="7.5")
    finally:
        pricing.use(None)
    record_outcome(key="T-1", status="failed", human_minutes=2)
    priced, unpriced = spans.only("outcome succeeded"), spans.only("outcome failed")
    assert (priced["taskmeter.cost.exact"], priced["taskmeter.cost.amount"]) == ("7.5", 7.5)
    assert (priced["taskmeter.human_minutes"], priced["taskmeter.charge.category"]) == (7.5, "human")
    assert (unpriced["taskmeter.human_minutes"], unpriced["taskmeter.cost.status"]) == (2.0, "unpriced")
    assert "taskmeter.cost.exact" not in unpriced


def test_sampled_out_it_still_reaches_the_spool(spool: Spool) -> None:
    """With the same words; an outcome is not one of many."""
    providers.use(TracerProvider(sampler=ALWAYS_OFF), None)
    assert record_outcome(key="T-1", status="failed", at=AT)
    (span,) = spool.spans
    assert (span.name, span.start_time) == ("outcome failed", 1_795_426_200_000_000_000)
    assert (span.attributes or {})["taskmeter.task.key"] == "T-1"
    assert span.resource.attributes["service.name"] == "helpdesk"
    assert span.context is not None
    assert span.context.trace_flags.sampled
    providers.use(None, None)


def test_recorded_it_goes_to_the_spool_once(spans: Any, spool: Spool) -> None:
    """The tracer's own way leads there."""
    assert record_outcome(key="T-1", status="failed")
    assert (len(spans.all()), spool.spans) == (1, [])


def test_where_nothing_is_set_up_it_goes_nowhere_and_says_so(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its return value each time, in the log once, with the fix."""
    monkeypatch.setattr(durable._Spool, "queue", None)
    providers.use(NoOpTracerProvider(), None)
    with caplog.at_level(logging.WARNING):
        assert [record_outcome(key="T-1", status="failed") for _ in range(3)] == [False] * 3
    (record,) = caplog.records
    assert "the outcome of task 'T-1' goes nowhere" in record.getMessage()
    assert "call taskmeter.configure()" in record.getMessage()
    providers.use(None, None)


def test_outcomes_are_counted_apart_from_ended_tasks() -> None:
    """`taskmeter.outcomes`, with the task's name where it is known; `taskmeter.tasks` stays what it was."""
    reader = InMemoryMetricReader()
    providers.use(TracerProvider(), MeterProvider([reader]))
    with track_task("work", key="T-1"):
        pass
    record_outcome(key="T-1", status="failed")
    record_outcome(key="T-9", status="failed")
    record_outcome(key="T-9", name="other", status="pending")
    data: Any = reader.get_metrics_data()
    counted = {
        metric.name: [(dict(point.attributes), point.value) for point in metric.data.data_points]
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        if metric.name in ("taskmeter.outcomes", "taskmeter.tasks")
    }
    assert counted == {
        "taskmeter.tasks": [({"taskmeter.task.name": "work", "taskmeter.task.outcome": "succeeded"}, 1)],
        "taskmeter.outcomes": [
            ({"taskmeter.task.name": "work", "taskmeter.task.outcome": "failed"}, 1),
            ({"taskmeter.task.outcome": "failed"}, 1),
            ({"taskmeter.task.name": "other", "taskmeter.task.outcome": "pending"}, 1),
        ],
    }
    providers.use(None, None)


def test_what_is_remembered_for_links_is_bounded(spans: Any) -> None:
    """A million tasks are forgotten again."""
    from taskmeter.telemetry import outcomes as telemetry

    for number in range(telemetry.LIMIT):
        with track_task("work", key=f"T-{number}"):
            pass
    assert len(telemetry._tasks._by_name) == telemetry.LIMIT


def test_an_ended_task_says_how_its_outcome_is_revised() -> None:
    """The error names the function and the id."""
    with track_task("work") as task:
        pass
    with pytest.raises(UsageError, match=r"record_outcome\(task_id=task.id, status='failed'\)"):
        task.fail()
    assert task.outcome == Outcome("succeeded")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({}, "key=None and task_id=None: name the task by exactly one of them"),
        ({"key": "T-1", "task_id": ID}, "name the task by exactly one of them"),
        ({"key": ""}, "key='' must be a non-empty string"),
        ({"key": 7}, "key=7 must be a non-empty string"),
        ({"task_id": "T-1"}, "task_id='T-1' is not the id of a task (32 hex digits: task.id)"),
        ({"task_id": ID, "name": "work"}, "an id names its task alone"),
        ({"key": "T-1", "status": "won"}, "status='won' is not one of succeeded, failed, abandoned, pending"),
        ({"key": "T-1", "value": "a lot"}, "value='a lot' is not a number"),
        ({"key": "T-1", "human_minutes": -4}, "human_minutes=-4 must be finite and not negative"),
        ({"key": "T-1", "quality": float("nan")}, "quality=nan must be finite"),
        ({"key": "T-1", "at": datetime(2026, 11, 23)}, "must be a datetime with a time zone"),  # noqa: DTZ001
        ({"key": "T-1", "at": "yesterday"}, "at='yesterday' must be a datetime with a time zone"),
        ({"key": "T-1", "at": datetime(1969, 1, 1, tzinfo=UTC)}, "is it the right year?"),
    ],
)
def test_what_makes_no_sense_is_refused(said: dict[str, Any], message: str, spans: Any) -> None:
    """Also where nothing is set up; nothing is recorded."""
    with pytest.raises(UsageError) as caught:
        record_outcome(**{"status": "failed", **said})
    assert message in str(caught.value)
    assert spans.all() == []


def test_times_are_exact_to_the_microsecond(spans: Any) -> None:
    """As `datetime` has them, whatever the zone."""
    record_outcome(key="T-1", status="failed", at=AT + timedelta(microseconds=1))
    (span,) = spans.all()
    assert span.start_time == 1_795_426_200_000_001_000
    assert Decimal(span.start_time) % 1000 == 0
