"""`taskmeter report` by group and window, and how the costs of single tasks lie: figures derived by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from taskmeter.cli import main
from taskmeter.errors import UsageError
from taskmeter.reports.engine.warehouse import open_spool
from taskmeter.reports.intervals import wilson
from taskmeter.reports.unit_cost import unit_cost
from taskmeter.reports.unit_cost_result import UnitCostReport
from taskmeter.spool.read import SpoolReading
from tests.reports.spans import SECOND, START, Recorder


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


def by(recorder: Recorder, group: str, **window: int) -> UnitCostReport:
    with open_spool(SpoolReading(recorder.directory)) as warehouse:
        return unit_cost(warehouse, group, **window)


def totals(report: UnitCostReport) -> dict[str, Any]:
    return {row.name: (row.tasks, row.total) for row in (*report.rows, report.total)}


def test_rows_are_by_customer_or_label(recorder: Recorder) -> None:
    """Tasks that do not say are a row of their own; the total is the same by whatever."""
    with recorder.task("resolve", "a", "0.1", CUSTOMER="acme"):
        recorder.call("0.1")
    with recorder.span("task", "task", TASK_ID="b", TASK_NAME="resolve", COST_EXACT="0.2", COST_SELF_EXACT="0.2"):
        recorder.call("0.2", TASK_ID="b")
    total = (2, Decimal("0.3"))
    assert totals(by(recorder, "customer")) == {
        "acme": (1, Decimal("0.1")),
        "(no customer)": (1, Decimal("0.2")),
        "TOTAL": total,
    }
    assert totals(by(recorder, "version")) == {"(no version)": total, "TOTAL": total}
    unlabelled = by(recorder, "label:team")
    assert totals(unlabelled) == {"(no team)": total, "TOTAL": total}
    assert unlabelled.notes[0] == "No task here has a label 'team'."


def test_a_label_may_be_called_anything(recorder: Recorder) -> None:
    """Slashes, tildes, quotes and dots are part of a name."""
    label = "a/b~c\"d'.e"
    said = {
        "taskmeter.span.kind": "task",
        "taskmeter.task.id": "a",
        "taskmeter.task.name": "resolve",
        "taskmeter.cost.exact": "1",
        f"taskmeter.label.{label}": "red",
    }
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in said.items()]
    span = {"traceId": "a" * 32, "spanId": "b" * 16, "attributes": attributes}
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    (recorder.directory / "traces-a.jsonl").write_text(json.dumps(document))
    assert totals(by(recorder, f"label:{label}"))["red"] == (1, Decimal(1))


def test_a_nested_task_of_another_group_is_in_both_rows(recorder: Recorder) -> None:
    """As by name: rows are inclusive, and what is in one of its own group counts once."""
    with recorder.task("outer", "a", "0.6", "0.1", CUSTOMER="acme"):
        recorder.call("0.1")
        with recorder.task("middle", "b", "0.5", "0.2", CUSTOMER="other"):
            recorder.call("0.2")
            with recorder.task("inner", "c", "0.3", CUSTOMER="acme"):
                recorder.call("0.3")
    assert totals(by(recorder, "customer")) == {
        "acme": (2, Decimal("0.6")),
        "other": (1, Decimal("0.5")),
        "TOTAL": (3, Decimal("0.6")),
    }


def test_by_model_and_by_step_each_dollar_is_in_one_row(recorder: Recorder) -> None:
    """A task is in the row of each model that it used and each step that it had."""
    with recorder.task("resolve", "a", "0.65", OUTCOME="failed"):
        with recorder.span("step draft", "step", STEP_NAME="draft"):
            recorder.call("0.1", "small")
            recorder.call("0.2", "large")
            with recorder.span("a span of another library"):
                recorder.call("0.05", "small")
        recorder.leaf("tool", "crm", "0.3")
    rows = {row.name: (row.tasks, row.failed, row.calls, row.total, row.wasted) for row in by(recorder, "model").rows}
    assert rows == {
        "(no model)": (1, 1, 0, Decimal("0.3"), Decimal("0.3")),
        "large": (1, 1, 1, Decimal("0.2"), Decimal("0.2")),
        "small": (1, 1, 2, Decimal("0.15"), Decimal("0.15")),
    }
    steps = by(recorder, "step")
    assert totals(steps) == {
        "draft": (1, Decimal("0.35")),
        "(no step)": (1, Decimal("0.3")),
        "TOTAL": (1, Decimal("0.65")),
    }


def test_a_window_is_of_tasks_by_their_beginning(recorder: Recorder) -> None:
    """With all they cost, whenever; a nested task belongs to the one around it."""
    with recorder.task("early", "a", "0.1", "0.06"), recorder.task("inner", "b", "0.04"):  # begin at 1 s and at 2 s
        recorder.call("0.04")
    recorder.call("0.5")
    with recorder.task("late", "c", "0.2"):
        pass
    middle = START + 2 * SECOND
    assert totals(by(recorder, "name", since_ns=middle)) == {
        "late": (1, Decimal("0.2")),
        "(no task)": (0, Decimal("0.5")),
        "TOTAL": (1, Decimal("0.7")),
    }
    assert totals(by(recorder, "name", until_ns=middle)) == {
        "early": (1, Decimal("0.1")),
        "inner": (1, Decimal("0.04")),
        "TOTAL": (2, Decimal("0.1")),
    }
    assert totals(by(recorder, "name", until_ns=START)) == {"TOTAL": (0, Decimal(0))}


def test_the_spread_of_single_tasks(recorder: Recorder) -> None:
    """Mean, percentiles and the tail of 1 to 200 dollars: the two costliest of 200 have 399 of 20,100."""
    for number in range(1, 201):
        outcome = "failed" if number > 180 else "succeeded"
        with recorder.task("resolve", f"t{number}", str(number), OUTCOME=outcome, CALLS=2):
            recorder.call(str(number / 4), INPUT_TOKENS=100, OUTPUT_TOKENS=10)
            recorder.call(str(number * 3 / 4))
    [row] = by(recorder, "name").rows
    assert (row.mean, row.p50, row.p90, row.p95, row.p99, row.max) == tuple(
        map(Decimal, ("100.5", "100", "180", "190", "198", "200"))
    )
    assert row.tail_share == pytest.approx(399 / 20_100, abs=1e-6)
    assert row.single_call_multiple == 4.0
    assert (row.input_tokens, row.output_tokens) == (0, 0)  # the task's span says what was used, and here it says none
    assert (row.success_rate, row.success_rate_low, row.success_rate_high) == (0.9, 0.850594, 0.93433)


@pytest.mark.parametrize(
    ("successes", "tried", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_the_interval_of_a_share_is_wilsons(successes: int, tried: int, low: float, high: float) -> None:
    """Values of Newcombe (1998), table I, and for ten tries."""
    assert wilson(successes, tried) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("group", ["", "label:", "names", "label"])
def test_another_group_is_refused(recorder: Recorder, group: str) -> None:
    """By name, with those that there are."""
    recorder.call("1")
    with pytest.raises(UsageError, match="there are name, customer, version, model, step and label:NAME"):
        by(recorder, group)


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["report", *arguments])
    return int(end.value.code or 0)


def test_the_command_takes_group_window_source_and_detail(
    recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--source` names a spool as well; times without a zone are UTC."""
    with recorder.task("resolve", "a", "0.1", CUSTOMER="acme"):
        recorder.call("0.1")
    source = ("--source", str(recorder.directory))
    day = datetime.fromtimestamp(START / SECOND, UTC).date().isoformat()
    assert command(*source, "--by", "customer", "--since", day, "--format", "json") == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)["rows"]] == ["acme"]
    assert command(*source, "--until", day, "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == []
    assert command(*source, "--detail") == 0
    assert "100.0% [20.7%, 100.0%]" in capsys.readouterr().out
    assert command(*source, "--since", "yesterday") == 2
    assert "2026-11-01T09:30:00Z" in capsys.readouterr().err
