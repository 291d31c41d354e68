"""Outcomes recorded apart from the end of their task: the last counts, all are kept, none is dropped."""

from __future__ import annotations

import json
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmeter.account import OutcomeRecord
from taskmeter.records import Outcome
from taskmeter.reports import render
from taskmeter.reports.relations import Relations, relate
from taskmeter.reports.task_tree import task_tree
from taskmeter.reports.unit_cost_result import UnitCostReport
from taskmeter.scopes.outcomes import outcome_record, write_outcome
from taskmeter.spool.encode import encode_line
from taskmeter.spool.read import SpoolReading
from taskmeter.telemetry import durable, outcomes
from tests.reports.spans import SECOND, START, Recorder

DAY = 86_400 * SECOND
A, B, C = "a" * 32, "b" * 32, "c" * 32


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


def say(recorder: Recorder, status: Any, at: int, **who: Any) -> None:
    """Writes an outcome to the spool, as another process does."""
    word = Outcome(status, *(who.pop(field, None) for field in ("reason", "value", "human_minutes", "quality")))
    charge = who.pop("charge", None)
    write_outcome(OutcomeRecord(word, at, who.pop("sequence", 1), charge=charge, **who), recorder.directory)


def report(recorder: Recorder) -> UnitCostReport:
    return recorder.report()


def row(recorder: Recorder, name: str = "resolve") -> Any:
    (found,) = (row for row in recorder.report().rows if row.name == name)
    return found


def test_a_later_failure_changes_the_report(recorder: Recorder) -> None:
    """It is no success any more, its cost is waste, and of the tasks around it as well."""
    with recorder.task("desk", C, "0.7", "0.1"), recorder.task("resolve", A, "0.6", TASK_KEY="T-1"):
        recorder.call("0.6")
    assert (row(recorder).succeeded, row(recorder).wasted, row(recorder).cost_per_success) == (1, 0, Decimal("0.6"))
    say(recorder, "failed", START + DAY, key="T-1", reason="reopened")
    after = recorder.relations()
    assert (row(recorder).succeeded, row(recorder).failed, row(recorder).wasted) == (0, 1, Decimal("0.6"))
    assert row(recorder).cost_per_success is None
    assert (row(recorder, "desk").succeeded, row(recorder, "desk").wasted) == (1, Decimal("0.6"))
    assert (report(recorder).total.wasted, report(recorder).total.total) == (Decimal("0.6"), Decimal("0.7"))
    assert (after.tasks[A].outcome, after.tasks[A].reason, after.tasks[A].said) == ("failed", "reopened", "succeeded")


def test_a_later_success_leaves_as_waste_what_was_waste_by_itself(recorder: Recorder) -> None:
    """Discarded steps and failed nested tasks."""
    waste = {"discarded_step": "0.1", "failed_call": "0.2", "failed_task": "0.4"}
    with recorder.task("resolve", A, "0.7", "0.4", OUTCOME="failed", waste=waste, TASK_KEY="T-1"):
        with recorder.span(
            "step draft", "step", STEP_DISCARDED=True, COST_EXACT="0.1", waste={"discarded_step": "0.1"}
        ):
            recorder.call("0.1")
        recorder.call("0.2", WASTE_CLASS="failed_call")
        recorder.call("0.1")
        with recorder.task("part", B, "0.3", OUTCOME="failed", waste={"failed_task": "0.3"}):
            recorder.call("0.3")
    say(recorder, "succeeded", START + DAY, key="T-1", value=Decimal("12.5"), quality=Decimal("0.9"))
    assert (row(recorder).succeeded, row(recorder).wasted) == (1, Decimal("0.6"))
    assert (row(recorder).value, row(recorder).quality) == (Decimal("12.5"), Decimal("0.9"))
    say(recorder, "succeeded", START + DAY, task_id=B)
    assert row(recorder).wasted == Decimal("0.3")


def test_two_revisions_are_both_kept_and_the_later_counts(recorder: Recorder) -> None:
    """`taskmeter show` tells the whole story."""
    with recorder.task("resolve", A, "0.5", OUTCOME="pending", TASK_KEY="T-1"):
        recorder.call("0.5")
    say(recorder, "failed", START + 2 * DAY, key="T-1", reason="reopened")
    say(recorder, "succeeded", START + DAY, key="T-1", value=Decimal(3))
    relations = recorder.relations()
    assert (row(recorder).failed, row(recorder).succeeded, row(recorder).pending) == (1, 0, 0)
    assert row(recorder).value is None
    assert [revision.status for revision in relations.tasks[A].revisions] == ["succeeded", "failed"]
    told = [
        (node.name, node.at, node.reason, node.value)
        for node in task_tree(relations, "T-1").nodes
        if node.kind == "outcome"
    ]
    assert told == [
        ("pending", "2026-09-21T14:13:24Z", None, None),
        ("succeeded", "2026-09-22T14:13:20Z", None, Decimal(3)),
        ("failed", "2026-09-23T14:13:20Z", "reopened", None),
    ]


def test_one_time_is_ordered_by_sequence(recorder: Recorder) -> None:
    """Two words of one process in the same nanosecond."""
    with recorder.task("resolve", A, "0.5", TASK_KEY="T-1"):
        pass
    say(recorder, "failed", START + DAY, key="T-1", sequence=8)
    say(recorder, "succeeded", START + DAY, key="T-1", sequence=7)
    assert row(recorder).failed == 1


def test_an_outcome_that_matches_no_task_is_kept_and_shown(recorder: Recorder) -> None:
    """Wrong key, wrong name, wrong id, or before the task started; its money is in no task."""
    with recorder.task("resolve", A, "0.5", TASK_KEY="T-1"):
        pass
    charge = outcomes_charge("4")
    say(recorder, "failed", START + DAY, key="T-9", human_minutes=Decimal(4), charge=charge)
    say(recorder, "failed", START + DAY, key="T-1", name="other", sequence=2)
    say(recorder, "failed", START + DAY, task_id=B, sequence=3)
    say(recorder, "failed", START - DAY, key="T-1")
    assert row(recorder).succeeded == 1
    result = report(recorder)
    assert [outcome.key or outcome.task_id for outcome in result.unmatched] == ["T-1", "T-9", "T-1", B]
    assert result.notes[:4] == (
        "No task for the outcome failed of 'T-1': it is kept, and counts for nothing yet.",
        "No task for the outcome failed of 'T-9': it is kept, and counts for nothing yet.",
        "No task for the outcome failed of 'T-1' (other): it is kept, and counts for nothing yet.",
        f"No task for the outcome failed of task '{B}': it is kept, and counts for nothing yet.",
    )
    assert row(recorder, "(no task)").total == Decimal(4)
    assert result.total.total == Decimal("4.5")
    assert len(json.loads(render.as_json(result))["unmatched"]) == 4


def outcomes_charge(usd: str) -> Any:
    from taskmeter.account import human_charge

    return human_charge(Decimal(usd), Decimal(60), outcomes.REVIEW)


def test_a_key_means_the_latest_task_before(recorder: Recorder) -> None:
    """A second try has an outcome of its own; the first's is what was said before the second began."""
    with recorder.task("resolve", A, "0.1", TASK_KEY="T-1"):
        pass
    first = recorder.now + SECOND // 2
    with recorder.task("resolve", B, "0.2", TASK_KEY="T-1"):
        pass
    say(recorder, "failed", first, key="T-1")
    say(recorder, "abandoned", START + DAY, key="T-1")
    tasks = recorder.relations().tasks
    assert (tasks[A].outcome, tasks[B].outcome) == ("failed", "abandoned")


def test_a_key_means_the_outermost_task_unless_a_name_is_given(recorder: Recorder) -> None:
    """Nested tasks often share the key of the whole."""
    with recorder.task("resolve", A, "0.3", "0.1", TASK_KEY="T-1"), recorder.task("draft", B, "0.2", TASK_KEY="T-1"):
        pass
    say(recorder, "failed", START + DAY, key="T-1")
    say(recorder, "abandoned", START + DAY, key="T-1", name="draft")
    tasks = recorder.relations().tasks
    assert (tasks[A].outcome, tasks[B].outcome) == ("failed", "abandoned")


def test_human_minutes_of_outcomes_are_late_money_of_the_task(recorder: Recorder) -> None:
    """Of each outcome, as what was spent stays spent; without a rate they are minutes, and the total a lower bound."""
    with recorder.task("desk", C, "0.6", "0.1"), recorder.task("resolve", A, "0.5", TASK_KEY="T-1", HUMAN_MINUTES=1.5):
        recorder.call("0.5")
    charge = outcomes_charge("4")
    say(recorder, "succeeded", START + DAY, key="T-1", human_minutes=Decimal(4), charge=charge)
    say(recorder, "failed", START + 2 * DAY, key="T-1", human_minutes=Decimal("2.5"))
    relations = recorder.relations()
    task, around = relations.tasks[A], relations.tasks[C]
    assert (task.cost, task.own_late, task.human_minutes, task.unpriced_calls) == (
        Decimal("4.5"),
        Decimal(4),
        Decimal(8),
        1,
    )
    assert (around.cost, around.human_minutes, around.unpriced_calls) == (Decimal("4.6"), Decimal(8), 1)
    assert task.wasted == around.wasted == Decimal("4.5")
    total = report(recorder).total
    assert (total.total, total.human_minutes, total.lower_bounds) == (
        Decimal("4.6"),
        Decimal(8),
        ("total", "wasted", "reasoning_cost", "cache_saved", "outside_model"),
    )
    assert "1 call or review could not be priced: totals that include one are lower bounds." in report(recorder).notes


def test_human_minutes_of_outcomes_do_not_fill_gaps(recorder: Recorder) -> None:
    """No span of the task or of what is around it has that money, however many of the spans inside are lost."""
    with (
        recorder.task("desk", C, "3", "2.1"),  # 0.4 is of a nested task that is lost
        recorder.span("step day", "step", COST_EXACT="0.5", COST_WASTED_EXACT="0"),
        recorder.task("resolve", A, "0.5", TASK_KEY="T-1"),
    ):
        recorder.call("0.1")
    say(recorder, "succeeded", START + DAY, key="T-1", human_minutes=Decimal(4), charge=outcomes_charge("1"))
    relations = recorder.relations()
    task, around = relations.tasks[A], relations.tasks[C]
    assert (task.cost, task.own, task.own_late, task.late) == (Decimal("1.5"), Decimal("1.5"), Decimal(1), Decimal(1))
    assert (around.cost, around.own, around.own_late, around.late) == (Decimal(4), Decimal("2.1"), 0, Decimal(1))
    assert [node.cost for node in task_tree(relations, C).nodes if node.kind == "step"] == [Decimal("1.5")]
    assert report(recorder).total.late == Decimal(1)


def test_an_outcome_of_a_task_whose_process_was_killed_counts(recorder: Recorder) -> None:
    """Somebody knows what came of it, though its span is lost."""
    with recorder.task("resolve", A, "0.5", drop=True, TASK_KEY="T-1"):
        recorder.call("0.5")
    say(recorder, "failed", START + DAY, key="T-1")
    assert (row(recorder).kind, row(recorder).failed, row(recorder).wasted) == ("task", 1, Decimal("0.5"))


def test_pending_tasks_are_shown_apart(recorder: Recorder) -> None:
    """In a column of their own, and never in the denominator."""
    with recorder.task("resolve", A, "0.5", OUTCOME="pending"):
        pass
    with recorder.task("resolve", B, "0.25"):
        pass
    assert (row(recorder).pending, row(recorder).succeeded) == (1, 1)
    assert row(recorder).cost_per_success == Decimal("0.75")
    assert report(recorder).notes[0] == (
        "1 pending task: 0.5 USD of these totals has no outcome yet, and is no success."
    )


STATUSES = st.sampled_from(["succeeded", "failed", "abandoned", "pending"])
WORDS = st.lists(
    st.tuples(STATUSES, st.integers(-2, 4), st.integers(1, 3), st.sampled_from([A, B]), st.booleans()), max_size=6
)


def relate_files(spans: list[Any]) -> Relations:
    """Each span in a file of its own, read in this order."""
    with tempfile.TemporaryDirectory() as directory:
        for number, span in enumerate(spans):
            (Path(directory) / f"traces-{number:03}.jsonl").write_bytes(encode_line([span]))
        return relate(SpoolReading(Path(directory)))


@given(WORDS, st.randoms(use_true_random=False))
def test_the_order_of_reading_does_not_matter(words: list[tuple[Any, int, int, str, bool]], random: Any) -> None:
    """The last word by time, sequence and span counts, every word is kept, and the money adds up, in any order."""
    spans = []
    for task_id, key in ((A, "A"), (B, "B")):
        attributes = {
            "taskmeter.span.kind": "task",
            "taskmeter.task.id": task_id,
            "taskmeter.task.name": "resolve",
            "taskmeter.task.key": key,
            "taskmeter.task.outcome": "failed",
            "taskmeter.cost.exact": "1",
            "taskmeter.cost.self.exact": "1",
            "taskmeter.cost.wasted.exact": "1",
        }
        spans.append(durable.instant("task", attributes, START))
    for status, days, sequence, task_id, by_key in words:
        who: Any = {"key": {A: "A", B: "B"}[task_id]} if by_key else {"task_id": task_id}
        record = OutcomeRecord(Outcome(status), START + days * DAY, sequence, **who)
        spans.append(durable.instant("outcome", outcomes.record_attributes(record), record.at_ns))
    first = relate_files(spans)
    random.shuffle(spans)
    second = relate_files(spans)
    assert (first.tasks, first.unmatched) == (second.tasks, second.unmatched)
    kept = sum(len(task.revisions) for task in first.tasks.values())
    assert kept + len(first.unmatched) == len(words)
    assert len(first.unmatched) == sum(by_key and days < 0 for _, days, _, _, by_key in words)
    for task in first.tasks.values():
        assert [revision.order for revision in task.revisions] == sorted(revision.order for revision in task.revisions)
        if task.revisions:
            assert task.outcome == task.revisions[-1].status
        assert task.wasted == (1 if task.outcome in ("failed", "abandoned") else 0)


def test_an_outcome_is_written_for_the_spool_alone(tmp_path: Path) -> None:
    """`write_outcome` needs no tracer; what it writes is read back."""
    record = outcome_record(Outcome("failed", "reopened"), key="T-1", task_id=None)
    write_outcome(record, tmp_path)
    (span,) = SpoolReading(tmp_path)
    assert (span.name, span.start_ns, span.scope) == ("outcome failed", record.at_ns, "taskmeter")
