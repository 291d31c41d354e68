"""`taskmeter steps`: the reliability of each step, and of all in a row."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from taskmeter.cli import main
from taskmeter.errors import UsageError
from taskmeter.reports.engine.warehouse import open_spool
from taskmeter.reports.intervals import wilson
from taskmeter.reports.steps import StepsReport, end_to_end, steps
from taskmeter.spool.read import SpoolReading
from tests.reports.spans import Recorder
from tests.simulation import Step, Tasks, Workflow, draw, write_spool

DOCUMENT = Path(__file__).parents[2] / "docs" / "compare.md"
TEN = Workflow("research", steps=tuple(Step(f"step {n}", 0.95, 0.01) for n in range(1, 11)))


def steps_of(directory: Path, name: str | None = None) -> StepsReport:
    with open_spool(SpoolReading(directory)) as warehouse:
        return steps(warehouse, name)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tasks]:
    """What docs/compare.md shows: ten steps of 95 % each."""
    tasks = draw(TEN, 400)
    return write_spool(tmp_path_factory.mktemp("simulated") / "spool", [tasks]), tasks


def test_ten_steps_of_95_percent_are_60_percent_together() -> None:
    """0.95 to the tenth is 0.599; of a million runs each, nearly for certain."""
    product, ends = end_to_end([(950_000, 1_000_000, 1.0)] * 10)
    assert round(product, 3) == 0.599
    assert ends is not None
    assert (ends.low, ends.high) == pytest.approx((product, product), rel=0.003)
    assert end_to_end([(95, 100, 10.0)])[0] == pytest.approx(product)


def test_the_interval_of_one_step_is_wilsons() -> None:
    """Also where it never failed; of ten that never failed in 50 runs it is that of about 50 tasks, not of 500."""
    for passed in (38, 50):
        _, ends = end_to_end([(passed, 50, 1.0)])
        assert ends is not None
        assert (ends.low, ends.high) == pytest.approx(wilson(passed, 50))
    _, ends = end_to_end([(50, 50, 1.0)] * 10)
    assert ends is not None
    assert (ends.low, ends.high) == pytest.approx(wilson(50, 50), abs=0.01)


def test_a_step_that_always_fails_leaves_nothing() -> None:
    """Unless no task has to get through it."""
    assert end_to_end([(0, 9, 1.0), (90, 100, 1.0)]) == (0.0, None)
    assert end_to_end([(0, 9, 0.0), (90, 100, 1.0)])[0] == pytest.approx(0.9)


def test_steps_are_those_of_the_simulated_tasks(simulated: tuple[Path, Tasks]) -> None:
    """Runs, failures and money as in the raw truth; the true product is within the interval."""
    spool, tasks = simulated
    result = steps_of(spool)
    assert [row.step for row in result.rows] == [f"step {n}" for n in range(1, 11)]
    for place, row in enumerate(result.rows):
        runs = int((tasks.ran > place).sum())
        failed = int((~tasks.succeeded & (tasks.ran == place + 1)).sum())
        assert (row.runs, row.failed, row.passes) == (runs, failed, 1)
        assert row.cost == Decimal(int(tasks.units[:, place].sum())).scaleb(-8)
    (whole,) = result.workflows
    assert (whole.end_to_end_low or 0) < TEN.success_rate < (whole.end_to_end_high or 0)
    assert whole.end_to_end == pytest.approx(tasks.succeeded.mean(), abs=1e-6)
    assert whole.success_rate == pytest.approx(tasks.succeeded.mean(), abs=1e-6)


@pytest.mark.fuzz
def test_the_interval_of_the_product_holds_the_truth(tmp_path: Path) -> None:
    """Of 200 simulations about 190."""
    held = 0
    for seed in range(200):
        tasks = draw(TEN, 150, seed)
        (whole,) = steps_of(write_spool(tmp_path / str(seed), [tasks])).workflows
        held += (whole.end_to_end_low or 0) <= TEN.success_rate <= (whole.end_to_end_high or 0)
    assert 178 <= held <= 200


def test_a_step_that_is_tried_again_counts_by_its_runs(tmp_path: Path) -> None:
    """Discarded once in two runs is 50 %, though the task succeeds; the money of both runs is its own."""
    recorder = Recorder(tmp_path)
    with recorder.task("resolve", "a", "0.7"):
        for discarded in (True, False):
            with recorder.span("step draft", "step", STEP_NAME="draft", STEP_DISCARDED=discarded):
                recorder.call("0.1")
        with recorder.span("step check", "step", STEP_NAME="check"):
            recorder.call("0.5")
    recorder.relations()
    result = steps_of(tmp_path)
    draft, check = result.rows
    assert (draft.runs, draft.failed, draft.success_rate, draft.passes, draft.cost) == (2, 1, 0.5, 1, Decimal("0.2"))
    assert (check.runs, check.failed, check.cost) == (1, 0, Decimal("0.5"))
    # without the draft's failures all would succeed: 50 points, at 0.2 a task
    assert (draft.lost, draft.lost_per_usd, check.lost) == (0.5, 2.5, 0.0)
    assert (result.workflows[0].end_to_end, result.workflows[0].success_rate) == (0.5, 1.0)
    assert "draft loses most for its money: 50.0 points of success, at $0.2000 a task" in result.workflows[0].sentence


def test_tasks_without_steps_are_an_error(tmp_path: Path) -> None:
    """That says how to have some."""
    recorder = Recorder(tmp_path)
    with recorder.task("resolve", "a", "0.1"):
        recorder.call("0.1")
    recorder.relations()
    with pytest.raises(UsageError, match="has steps; open them with track_step"):
        steps_of(tmp_path)
    with pytest.raises(UsageError, match="No task of the name 'draft'"):
        steps_of(tmp_path, "draft")


def test_hostile_names_are_inert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of steps and tasks."""
    spool = write_spool(tmp_path, [draw(Workflow("=cmd()\x1b[31m", steps=(Step("@x\x1b[31m" + "y" * 10_000),)), 12)])
    for output in ("table", "csv"):
        with pytest.raises(SystemExit) as end:
            main(["steps", "--spool", str(spool), "--format", output])
        assert not end.value.code
        out = capsys.readouterr().out
        assert "\x1b" not in out
        assert not re.search(r"(^|,)[=@]", out) or output == "table"


def test_the_document_shows_the_real_output(simulated: tuple[Path, Tasks], capsys: pytest.CaptureFixture[str]) -> None:
    """docs/compare.md."""
    shown = re.search(r"```\n\$ taskmeter steps\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert shown is not None
    with pytest.raises(SystemExit):
        main(["steps", "--spool", str(simulated[0])])
    assert capsys.readouterr().out.split() == shown[1].split()
