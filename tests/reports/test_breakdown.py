"""`taskmeter breakdown` and the waste of tasks and steps, from spans alone."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from taskmeter.errors import SpoolError
from taskmeter.reports.breakdown import BreakdownReport, BreakdownRow, breakdown
from taskmeter.reports.engine.warehouse import open_spool
from taskmeter.reports.render import as_csv, as_json, as_table
from taskmeter.reports.task_tree import task_tree
from taskmeter.spool.read import SpoolReading
from tests.reports.spans import START, Recorder
from tests.reports.test_outcomes import say

CLASSES = ("retry", "failed_call", "aborted_stream", "duplicate", "loop", "reask", "discarded_step", "failed_task")


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    """10 for `resolve`, of which 4 are useful; in it a task of 1; 0.5 outside any task, of which 0.2 were lost."""
    recorder = Recorder(tmp_path)
    waste = {"duplicate": "1", "loop": "2", "reask": "2.5", "failed_task": "0.5"}
    counts = {"REASKS": 2, "DUPLICATE_CALLS": 1, "LOOPED_TOOL_RUNS": 3, "GROWING_TURNS": 21}
    lost = {"RETRIES": 2, "RETRY_SECONDS": 1.5, "EXPOSED_ATTEMPTS": 1, "CALLS": 3}
    with recorder.task("resolve", "a", "10", "9", TASK_KEY="T-1", waste=waste, **counts, **lost):
        recorder.call("9")
        with recorder.task("inner", "b", "1", OUTCOME="failed", waste={"failed_task": "0.5", "failed_call": "0.5"}):
            recorder.call("1")
    recorder._task.append({})
    recorder.call("0.2", WASTE_CLASS="aborted_stream", COST_STATUS="estimated")
    recorder.call("0.3")
    recorder._task.pop()
    return recorder


def breakdown_of(recorder: Recorder, *names: str) -> BreakdownReport:
    recorder.relations()
    with open_spool(SpoolReading(recorder.directory)) as warehouse:
        return breakdown(warehouse, names)


def waste(row: BreakdownRow) -> dict[str, str]:
    return {part.waste: str(part.amount) for part in row.waste.classes}


def row(report: BreakdownReport, name: str) -> BreakdownRow:
    return next(row for row in report.rows if row.name == name)


def test_a_row_divides_what_was_spent(recorder: Recorder) -> None:
    """Useful and wasted add up to it, and the classes to what was wasted, each with its share."""
    report = breakdown_of(recorder)
    resolve = row(report, "resolve")
    assert waste(resolve) == {"duplicate": "1", "loop": "2", "reask": "2.5", "failed_task": "0.5"}
    section = resolve.waste
    assert (resolve.total, section.useful, section.wasted) == (Decimal(10), Decimal("4.0"), Decimal("6.0"))
    assert [part.share for part in section.classes] == [0.1, 0.2, 0.25, 0.05]
    assert (section.useful_share, section.wasted_share) == (0.4, 0.6)
    assert (section.reasks, section.duplicate_calls, section.looped_tool_runs, section.growing_turns) == (2, 1, 3, 21)
    assert (section.retries, section.retry_seconds, section.exposed_attempts) == (2, 1.5, 1)


def test_the_total_counts_each_dollar_once(recorder: Recorder) -> None:
    """A nested task is in its own row, and in the total by the one around it; what is in no task is in it as well."""
    report = breakdown_of(recorder)
    assert [(each.name, each.kind, each.total) for each in report.rows] == [
        ("resolve", "task", Decimal(10)),
        ("inner", "task", Decimal(1)),
        ("(no task)", "no_task", Decimal("0.5")),
    ]
    assert (report.total.total, report.total.waste.wasted) == (Decimal("10.5"), Decimal("6.2"))
    assert waste(report.total) == {
        "aborted_stream": "0.2",
        "duplicate": "1",
        "loop": "2",
        "reask": "2.5",
        "failed_task": "0.5",
    }


def test_only_the_tasks_of_a_name(recorder: Recorder) -> None:
    """The total is theirs, and what is in no task is left out. A name that is not there is refused."""
    report = breakdown_of(recorder, "inner")
    assert ([each.name for each in report.rows], report.total.total) == (["inner"], Decimal(1))
    with pytest.raises(SpoolError, match=r"No task is named 'resolv'\. Closest: 'resolve'\."):
        breakdown_of(recorder, "resolv")


def test_as_a_table(recorder: Recorder) -> None:
    """What people see."""
    console = Console(width=100, highlight=False, record=True)
    console.print(as_table(breakdown_of(recorder, "resolve")))
    assert [line.rstrip() for line in console.export_text().splitlines()] == [
        "task                                           tasks  amount share  notes",
        "───────────────────────────────────────────────────────────────────────────────",
        "resolve                                            1  $10.00",
        "  useful                                               $4.00   40%",
        "  wasted: duplicate                                    $1.00   10%  1 call",
        "  wasted: loop                                         $2.00   20%  3 tool runs",
        "  wasted: reask                                        $2.50   25%  2 re-asks",
        "  wasted: failed_task                                $0.5000    5%",
        "  also: 21 calls in a row with ever more input",
        "  also: 2 retries, 1.5 s lost",
        "",
        "coverage: 100% of tasks priced, 0% of cost estimated, 0% pending; prices not recorded",
        "* 1 HTTP request got no answer and may be billed all the same: not in any total.",
    ]


def test_as_json_and_csv(recorder: Recorder) -> None:
    """Every digit; CSV has a column for each class, and the total last."""
    report = breakdown_of(recorder)
    first = json.loads(as_json(report))["rows"][0]["waste"]
    assert first["classes"][0] == {"waste": "duplicate", "amount": "1", "share": 0.1}
    rows = list(csv.DictReader(io.StringIO(as_csv(report))))
    assert [each["name"] for each in rows] == ["resolve", "inner", "(no task)", "TOTAL"]
    assert [rows[-1][name] for name in CLASSES] == ["0", "0", "0.2", "1", "2", "2.5", "0", "0.5"]
    assert {name: rows[0][name] for name in ("useful", "wasted", "reasks", "currency")} == {
        "useful": "4.0",
        "wasted": "6.0",
        "reasks": "2",
        "currency": "USD",
    }


def test_what_is_not_known_is_not_nothing(tmp_path: Path) -> None:
    """A task in which nothing could be priced."""
    recorder = Recorder(tmp_path)
    with recorder.task("dark", "a", None, CALLS=1, UNPRICED_CALLS=1):
        recorder.call(None)
    report = breakdown_of(recorder)
    assert (report.total.total, report.total.waste.useful, report.total.waste.wasted) == (None, None, None)
    assert report.notes == ("1 call could not be priced: totals that include one are lower bounds.",)
    assert next(csv.DictReader(io.StringIO(as_csv(report))))["reask"] == ""


# --- steps that were tried again: from the order of their spans


def steps(recorder: Recorder, *kinds: str, drop: bool = True) -> Recorder:
    """Steps `draft` one after the other, each with a call of 1, in a task whose span is lost if `drop`."""
    with recorder.task("resolve", "a", str(len(kinds)), drop=drop):
        for kind in kinds:
            more: dict[str, Any] = {"STEP_NAME": "draft", "COST_EXACT": "1"}
            more |= {"STEP_DISCARDED": True, "waste": {"discarded_step": "1"}} if kind == "discarded" else {}
            more |= {"ERROR_TYPE": "ValueError"} if kind == "raised" else {}
            with recorder.span("step draft", "step", **more):
                recorder.call("1")
    return recorder


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (("discarded", "kept"), {"reask": "1"}),
        (("raised", "kept"), {"reask": "1"}),
        (("raised", "discarded", "kept"), {"reask": "2"}),
        (("kept", "discarded"), {"discarded_step": "1"}),
        (("kept", "raised"), {}),
    ],
)
def test_an_unfinished_task_knows_its_re_asks(tmp_path: Path, kinds: tuple[str, ...], expected: dict[str, str]) -> None:
    """Its own span, which would say so, is not there."""
    report = breakdown_of(steps(Recorder(tmp_path), *kinds))
    assert waste(row(report, "resolve")) == expected


def test_a_step_that_was_tried_again_says_so(tmp_path: Path) -> None:
    """Its span had ended before it was known."""
    tree = task_tree(steps(Recorder(tmp_path), "discarded", "kept", drop=False).relations(), "a")
    first, second = (node for node in tree.nodes if node.kind == "step")
    assert (first.reasked, first.waste, second.reasked) == (True, {"reask": Decimal(1)}, False)


# --- outcomes that are recorded later


@pytest.mark.parametrize(
    ("said", "status", "expected"),
    [
        ("succeeded", "failed", {"reask": "3", "failed_task": "7"}),
        ("succeeded", "abandoned", {"reask": "3", "abandoned_task": "7"}),
        ("failed", "succeeded", {"reask": "3"}),
        ("failed", "abandoned", {"reask": "3", "abandoned_task": "7"}),
        ("failed", "failed", {"reask": "3", "failed_task": "7"}),
    ],
)
def test_a_later_outcome_changes_the_class(tmp_path: Path, said: str, status: str, expected: dict[str, str]) -> None:
    """What was waste for another reason keeps its class, in the task around it as well."""
    recorder = Recorder(tmp_path)
    own = {"reask": "3", "failed_task": "7"} if said == "failed" else {"reask": "3"}
    with (
        recorder.task("desk", "d", "12", "2", waste=own),
        recorder.task("resolve", "a", "10", OUTCOME=said, TASK_KEY="T-1", waste=own),
    ):
        recorder.call("10")
    say(recorder, status, START + 10**15, key="T-1")
    report = breakdown_of(recorder)
    assert waste(row(report, "resolve")) == expected
    assert waste(row(report, "desk")) == expected
