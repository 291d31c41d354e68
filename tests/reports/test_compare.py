"""`taskmeter compare A B`: what changed, and how surely; `--fail-on` for CI."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taskmeter.cli import main
from taskmeter.cli.reports import moment
from taskmeter.errors import UsageError
from taskmeter.reports.compare import compare
from taskmeter.reports.compare_result import CompareReport, Comparison, Threshold
from taskmeter.reports.engine.warehouse import open_spool
from taskmeter.reports.selectors import Selector, read_selector
from taskmeter.reports.thresholds import judge, read_threshold
from taskmeter.spool.read import SpoolReading
from tests.reports.spans import Recorder
from tests.simulation import DAY, START, Step, Tasks, Workflow, draw, write_spool

DOCUMENT = Path(__file__).parents[2] / "docs" / "compare.md"
COMMON: dict[str, Any] = {"tail": 0.01, "tail_factor": 5, "quality": 0.8}
OLD = Workflow(version="1.4", customer="acme", labels={"prompt": "a"}, **COMMON)
DEARER = Workflow(version="1.5", customer="beta", labels={"prompt": "b"}, steps=(Step(usd=0.14),), **COMMON)


def compared(directory: Path, before: str, after: str, **more: Any) -> CompareReport:
    with open_spool(SpoolReading(directory)) as warehouse:
        return compare(warehouse, read_selector(before, moment), read_selector(after, moment), **more)


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Tasks, Tasks]]:
    """What docs/compare.md shows: version 1.5 spends 40 % more in a task, and is no better."""
    cohorts = (draw(OLD, 300), draw(DEARER, 300, 3, first_day=30))
    return write_spool(tmp_path_factory.mktemp("simulated") / "spool", cohorts), cohorts


def test_figures_are_those_of_the_simulated_tasks(simulated: tuple[Path, tuple[Tasks, Tasks]]) -> None:
    """As numpy has them on the raw truth; the true changes are within the intervals."""
    spool, (old, new) = simulated
    rows = {row.metric: row for row in compared(spool, "version=1.4", "version=1.5").rows}
    for side, tasks in (("before", old), ("after", new)):
        ordered = np.sort(tasks.seconds)
        expected = {
            "cost": tasks.cost.sum() / tasks.succeeded.sum(),
            "task_cost": tasks.cost.mean(),
            "latency_p50": ordered[149],
            "latency_p95": ordered[284],
            "success": tasks.succeeded.mean(),
            "quality": tasks.quality[tasks.succeeded].mean(),
            "waste": tasks.cost[~tasks.succeeded].sum() / tasks.cost.sum(),
        }
        assert {metric: getattr(row, side) for metric, row in rows.items()} == pytest.approx(expected, abs=1e-8)
    truth = {"cost": 0.4, "task_cost": 0.4, "latency_p50": 0, "latency_p95": 0, "success": 0, "quality": 0, "waste": 0}
    for metric, row in rows.items():
        assert (row.low or 0) < truth[metric] < (row.high or 0)
    verdicts = {metric for metric, row in rows.items() if row.verdict == "worse"}
    assert verdicts == {"cost", "task_cost"}
    assert rows["success"].verdict == "no detectable difference"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("customer=acme", "customer=beta"),
        ("label:prompt=a", "label:prompt=b"),
        (f"..{np.datetime64(START + 30 * DAY, 'ns')}", f"{np.datetime64(START + 30 * DAY, 'ns')}.."),
    ],
)
def test_cohorts_are_chosen_by_what_tasks_are(
    before: str, after: str, simulated: tuple[Path, tuple[Tasks, Tasks]]
) -> None:
    """By customer, label and window the same as by version, where these are the same tasks."""
    spool, _ = simulated
    assert compared(spool, before, after).rows == compared(spool, "version=1.4", "version=1.5").rows


def test_a_nested_task_belongs_to_the_time_of_the_one_around_it(recorder: Recorder) -> None:
    """As in `taskmeter report`: what began inside a task of before is of before, whenever it began."""
    for number in range(4):
        with recorder.task("outer", f"o{number}", "0.3", "0.2"):
            recorder.now += DAY
            with recorder.task("inner", f"i{number}", "0.1"):
                recorder.call("0.1")
    recorder.relations()
    middle = np.datetime64(START + DAY // 2, "ns")  # when one outer task had begun, and no inner one
    sides = compared(recorder.directory, f"..{middle}", f"{middle}..").sides
    assert [(side.name, side.cohort, side.tasks) for side in sides] == [
        ("outer", "before", 1),
        ("outer", "after", 3),
        ("inner", "before", 1),
        ("inner", "after", 3),
    ]


def test_the_same_tasks_again_are_no_finding(tmp_path: Path) -> None:
    """Eight workflows compared with themselves, 56 comparisons: some are below 0.05, Holm leaves none of them."""
    cohorts = [
        draw(Workflow(f"w{number}", version=version, **COMMON), 60, 100 * number + seed)
        for number in range(8)
        for seed, version in enumerate(("1", "2"))
    ]
    result = compared(write_spool(tmp_path, cohorts), "version=1", "version=2")
    assert {row.verdict for row in result.rows} == {"no detectable difference"}
    assert min(row.p_value or 1 for row in result.rows) < 0.05


def test_a_small_cohort_is_not_tested(recorder: Recorder) -> None:
    """Figures are shown, changes are not; nothing is scored, so quality is unknown."""
    for number in range(4):
        with recorder.task("resolve", f"t{number}", "0.1", CUSTOMER="ab"[number % 2]):
            recorder.call("0.1")
    recorder.relations()
    result = compared(recorder.directory, "customer=a", "customer=b")
    verdicts = {row.metric: row.verdict for row in result.rows}
    assert verdicts.pop("quality") == "unknown"
    assert set(verdicts.values()) == {"too few tasks"}
    assert [row.before for row in result.rows if row.metric == "cost"] == [0.1]


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


def comparison(metric: Any, change: float, low: float, high: float) -> Comparison:
    return Comparison(
        name="resolve",
        metric=metric,
        before=1.0,
        after=1.0 + change,
        change=change,
        low=low,
        high=high,
        p_value=0.01,
        adjusted=0.01,
        verdict="worse",
        tasks_needed=None,
    )


@pytest.mark.parametrize(
    ("row", "threshold", "shown", "by_estimate"),
    [
        (comparison("cost", 0.3, 0.11, 0.5), "cost=+10%", True, True),
        (comparison("cost", 0.3, 0.10, 0.5), "cost=+10%", False, True),
        (comparison("cost", 0.05, 0.01, 0.09), "cost=+10%", False, False),
        (comparison("success", -0.08, -0.10, -0.06), "success=-5%", True, True),
        (comparison("success", -0.08, -0.20, -0.05), "success=-5%", False, True),
        (comparison("latency_p95", 0.6, 0.51, 0.7), "latency=+50%", True, True),
        (comparison("waste", 0.06, -0.01, 0.2), "waste=+5%", False, True),
        (comparison("success", 0.2, 0.1, 0.3), "success=-5%", False, False),
    ],
)
def test_a_threshold_is_passed_when_the_whole_interval_is_beyond(
    row: Comparison, threshold: str, shown: bool, by_estimate: bool
) -> None:
    """A regression must be shown, not merely possible; by the estimate, the change alone decides."""
    for expected, alone in ((shown, False), (by_estimate, True)):
        (gate,) = judge([row], [read_threshold(threshold)], by_estimate=alone)
        assert gate.failed is expected


def test_ci_fails_on_a_regression_that_is_shown(
    simulated: tuple[Path, tuple[Tasks, Tasks]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1; 0 below the threshold; in json too, where the sentences are on standard error."""
    cohorts = ("compare", "version=1.4", "version=1.5", "--spool", simulated[0])
    assert run(*cohorts, "--fail-on", "cost=+60%", "--fail-on", "success=-5%") == 0
    assert "passed: cost per success of resolve_ticket" in capsys.readouterr().out
    assert run(*cohorts, "--fail-on", "cost=+10%") == 1
    assert "FAILED: cost per success of resolve_ticket" in capsys.readouterr().out
    assert run(*cohorts, "--fail-on", "cost=+30%", "--format", "json") == 0
    capsys.readouterr()
    assert run(*cohorts, "--fail-on", "cost=+30%", "--by-estimate", "--format", "json") == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["gates"][0]["failed"] is True
    assert "FAILED" in err


def test_selectors_and_thresholds_are_read() -> None:
    """A value may hold any character; times are those of --since."""
    assert read_selector("version=1.4", moment) == Selector("version=1.4", "version", "1.4")
    assert read_selector("label:prompt=a=b..c", moment).value == "a=b..c"
    window = read_selector("1970-01-01..1970-01-02", moment)
    assert (window.since_ns, window.until_ns) == (0, DAY)
    assert read_selector("..1970-01-02", moment).since_ns is None
    assert read_threshold("latency=+12.5%") == Threshold("latency_p95", 0.125)
    assert read_threshold("success=-5%") == Threshold("success", -0.05)


@pytest.mark.parametrize("text", ["", "version", "version=", "color=red", "label:=a", "..", "1.4", "name=resolve"])
def test_what_chooses_nothing_is_an_error(text: str) -> None:
    """That shows it, and what could be written."""
    with pytest.raises(UsageError, match=r"chooses no tasks; write version=1\.4") as caught:
        read_selector(text, moment)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cost", "is no threshold"),
        ("cost=10%", "is no threshold"),
        ("price=+10%", "is no threshold"),
        ("cost=-10%", "is for the better; write cost=\\+10%"),
        ("success=+5%", "is for the better; write success=-5%"),
    ],
)
def test_a_bad_threshold_is_an_error(text: str, said: str) -> None:
    """Among them one that improvements would pass."""
    with pytest.raises(UsageError, match=said):
        read_threshold(text)


def test_cohorts_that_cannot_be_compared_are_errors(simulated: tuple[Path, tuple[Tasks, Tasks]]) -> None:
    """Empty, overlapping, or backwards."""
    spool, _ = simulated
    with pytest.raises(UsageError, match=r"No task that has ended is in 'version=1\.6'; there is version=1\.4"):
        compared(spool, "version=1.6", "version=1.5")
    with pytest.raises(UsageError, match=r"No task of the name 'nope' that has ended is in 'version=1\.4'$"):
        compared(spool, "version=1.4", "version=1.5", name="nope")
    with pytest.raises(UsageError, match="300 tasks are in both"):
        compared(spool, "version=1.4", "label:prompt=a")
    with pytest.raises(UsageError, match="ends before it begins"):
        compared(spool, "2026-11-08..2026-11-01", "7d..")


def test_hostile_names_and_values_are_inert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In SQL, the table and cells."""
    evil = "=x'; DROP TABLE tasks; --\x1b[31m"
    cohorts = [draw(Workflow(evil, version=version), 12, seed) for seed, version in enumerate((evil, "2"))]
    spool = write_spool(tmp_path, cohorts)
    assert run("compare", f"version={evil}", "version=2", "--name", evil, "--spool", spool) == 0
    assert "\x1b" not in capsys.readouterr().out
    assert run("compare", f"version={evil}", "version=2", "--spool", spool, "--format", "csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 7
    assert not [cell for row in rows for cell in row.values() if cell.startswith("=")]


def test_the_document_shows_the_real_output(
    simulated: tuple[Path, tuple[Tasks, Tasks]], capsys: pytest.CaptureFixture[str]
) -> None:
    """docs/compare.md."""
    shown = re.search(r"```\n\$ taskmeter (compare .*?)\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert shown is not None
    assert run(*shown[1].split(), "--spool", simulated[0]) == 1
    assert capsys.readouterr().out.split() == shown[2].split()
