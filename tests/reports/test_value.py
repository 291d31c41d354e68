"""`taskmeter value`: what tasks are worth, and whether an agent pays against people doing the work."""

from __future__ import annotations

import csv
import io
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taskmeter.cli import main
from taskmeter.errors import UsageError
from taskmeter.reports.engine.warehouse import open_spool
from taskmeter.reports.intervals import Interval
from taskmeter.reports.value import value
from taskmeter.reports.value_result import Minutes, ValueReport, Work
from taskmeter.reports.worth import break_even, judge, more_tasks
from taskmeter.spool.read import SpoolReading
from tests.reports.spans import Recorder
from tests.simulation import Step, Tasks, Workflow, draw, write_spool

DOCUMENT = Path(__file__).parents[2] / "docs" / "value.md"
TWO_HOURS = Work(task=Minutes(120), check=Minutes(10), hourly=Decimal(60))
HUMAN = {"CHARGE_CATEGORY": "human", "CHARGE_UNIT": "minute", "CHARGE_QUANTITY": 6.0}


def value_of(directory: Path, by: str = "name", work: Work | None = None, **window: Any) -> ValueReport:
    with open_spool(SpoolReading(directory)) as warehouse:
        return value(warehouse, by, work, **window)


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    """Two successes worth 10 and 5, a failure; one of them was reviewed for 6 minutes at 60 an hour."""
    recorder = Recorder(tmp_path)
    for task_id, calls, more in (
        ("a", "0.1", {"VALUE": 10.0}),
        ("b", "0.2", {"VALUE": 5.0}),
        ("c", "0.3", {"OUTCOME": "failed"}),
    ):
        total = "6.2" if task_id == "b" else calls
        with recorder.task("resolve", task_id, total, **more):
            recorder.call(calls)
            if task_id == "b":
                recorder.leaf("charge", "review", "6", **HUMAN)
    recorder.relations()
    return recorder


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Tasks, ...]]:
    """What docs/value.md shows: 300 tickets with a review of each, and 40 of something that hardly ever works."""
    cohorts = (
        draw(Workflow(tail=0.01, tail_factor=5, value=12.5, minutes=4), 300),
        draw(Workflow("translate_contract", steps=(Step(success=0.1),)), 40, 3),
    )
    return write_spool(tmp_path_factory.mktemp("simulated") / "spool", cohorts), cohorts


def test_money_is_exact(recorder: Recorder) -> None:
    """6.6 for two successes that are worth 15: 8.4 is left."""
    (row,) = value_of(recorder.directory).rows
    assert (row.total, row.cost_per_success, row.value, row.margin) == (
        Decimal("6.6"),
        Decimal("3.3"),
        Decimal(15),
        Decimal("8.4"),
    )
    assert (row.valued, row.margin_share, row.return_on_spend) == (2, 0.56, 2.272727)
    assert (row.verdict, row.coverage.priced_share) == ("not asked", 1.0)


def test_time_that_people_spent_counts_once(recorder: Recorder) -> None:
    """The 6 that the review cost are not the agent's; the check is 2 minutes a task, or what is said instead."""
    (row,) = value_of(recorder.directory, work=Work(task=Minutes(60), hourly=Decimal(60))).rows
    # the agent: 0.6 for 2 h of work replaced; with 6 minutes of checks at 1 a minute 6.6
    assert (row.agent_hourly, row.checked_hourly, row.check_minutes) == (0.3, 3.3, 2.0)
    assert row.break_even == pytest.approx((0.2 + 2) / 60, abs=1e-6)
    (row,) = value_of(recorder.directory, work=Work(Minutes(60), Minutes(of={"resolve": 9.0}), Decimal(60))).rows
    assert row.check_minutes == 9
    assert row.break_even == pytest.approx((0.2 + 9) / 60, abs=1e-6)


def test_minutes_of_a_task_that_is_not_there_are_noted(recorder: Recorder) -> None:
    """A name that is spelt otherwise would go unnoticed."""
    work = Work(Minutes(of={"resolv": 60.0, "resolve": 60.0}), Minutes(5, {"nobody": 1.0}))
    notes = value_of(recorder.directory, work=work).notes
    assert [note for note in notes if "no task here" in note] == [
        "--task-minutes of 'resolv' is for no task here.",
        "--check-minutes of 'nobody' is for no task here.",
    ]


def test_a_task_of_two_hours_with_a_check_of_ten_minutes_breaks_even_at_eight_percent(recorder: Recorder) -> None:
    """10 / 120 = 8.3 %, where nobody says what an hour costs; a note says that the agent's cost is left out."""
    result = value_of(recorder.directory, work=Work(task=Minutes(120), check=Minutes(10)))
    assert result.rows[0].break_even == 0.083333
    assert any("Break-even counts time only" in note for note in result.notes)


def test_a_failure_that_harms_takes_more_success() -> None:
    """Work of 120, spent 10: with a harm of 110, (10 + 110) / (120 + 110)."""
    assert break_even(10, 120) == pytest.approx(0.08333, abs=1e-5)
    assert break_even(10, 120, 110) == pytest.approx(120 / 230)


@pytest.mark.parametrize("seed", range(4))
def test_the_rule_is_what_the_two_ways_cost(seed: int) -> None:
    """At a success rate a little above break-even a task costs less with the agent than without; below it, more."""
    spent, work, harm = np.random.default_rng(seed).uniform(1, 100, 3)
    for beyond in (0.01, -0.01):
        rate = break_even(spent, work, harm) + beyond
        assert (spent + (1 - rate) * (work + harm) < work) == (beyond > 0)


def test_a_verdict_needs_the_whole_interval() -> None:
    """Intervals that overlap decide nothing."""
    needed = Interval(0.2, 0.3)
    assert judge(Interval(0.31, 0.5), needed) == "pays"
    assert judge(Interval(0.1, 0.19), needed) == "does not pay"
    assert judge(Interval(0.1, 0.21), needed) == "cannot be told yet"


def test_how_many_more_tasks_would_tell() -> None:
    """At 50 % against 40 %, where 10 were tried: Wilson's lower end passes 0.4 at 93 and not before 90."""
    needed = Interval(0.4, 0.4)
    more = more_tasks(5, 10, 0.4, needed)
    assert more is not None
    assert 80 <= more <= 90
    assert more_tasks(40, 100, 0.4, needed) is None


def test_figures_are_those_of_the_simulated_tasks(simulated: tuple[Path, tuple[Tasks, ...]]) -> None:
    """Sums to the last digit; statistics as numpy has them on the raw truth; intervals around what is true."""
    spool, (tickets, _) = simulated
    row = value_of(spool, work=Work(task=Minutes(120), hourly=Decimal(60))).rows[0]
    assert row.total == Decimal(int(tickets.units.sum())).scaleb(-8)
    assert row.value == Decimal("12.5") * int(tickets.succeeded.sum())
    spent = tickets.cost + tickets.minutes
    assert row.break_even == pytest.approx(spent.mean() / 120, abs=1e-6)
    assert row.checked_hourly == pytest.approx(spent.sum() / (2 * tickets.succeeded.sum()), abs=1e-6)
    truth = tickets.workflow.cost_per_success
    assert (row.cost_per_success_low or 0) < truth < (row.cost_per_success_high or 0)
    assert (row.agent_hourly_low or 0) < truth / 2 < (row.agent_hourly_high or 0)
    assert row.verdict == "pays"


def test_verdicts_hold_the_truth(tmp_path: Path) -> None:
    """Four workflows at exactly their break-even success: hardly ever a verdict; far beyond it, always."""
    even = [Workflow(f"even {n}", steps=(Step(success=10 / 120, usd=1e-9),), tail=0) for n in range(4)]
    better = [Workflow(f"better {n}", steps=(Step(success=0.3, usd=1e-9),), tail=0) for n in range(4)]
    cohorts = [draw(workflow, 150, seed) for seed, workflow in enumerate([*even, *better])]
    rows = value_of(write_spool(tmp_path, cohorts), work=TWO_HOURS).rows
    verdicts = {kind: [row.verdict for row in rows if row.name.startswith(kind)] for kind in ("even", "better")}
    assert verdicts["better"] == ["pays"] * 4
    assert verdicts["even"].count("cannot be told yet") >= 3


@pytest.mark.parametrize("by", ["customer", "version", "label:team"])
def test_it_can_be_by_what_a_whole_task_is_in(by: str, tmp_path: Path) -> None:
    """A nested task is part of the unit around it."""
    more = Workflow(customer="acme", version="2", labels={"team": "a"}, tail=0)
    (row,) = value_of(write_spool(tmp_path, [draw(more, 20)]), by).rows
    assert (row.name, row.tasks) == ({"customer": "acme", "version": "2"}.get(by, "a"), 20)


def test_what_cannot_be_asked_is_said(recorder: Recorder) -> None:
    """Groups that tasks are not in as a whole, harm without a rate, a window without tasks."""
    with pytest.raises(UsageError, match="--by 'model' has no value of its own"):
        value_of(recorder.directory, "model")
    with pytest.raises(UsageError, match="say what it costs by --hourly"):
        value_of(recorder.directory, work=Work(harm=Decimal(3)))
    with pytest.raises(UsageError, match="No task has ended in this window"):
        value_of(recorder.directory, until_ns=1)


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("--task-minutes", "=3", "names no task"),
        ("--task-minutes", "resolve=two", "is no number from 0.001"),
        ("--task-minutes", "0", "is no number from 0.001"),
        ("--check-minutes", "-1", "is no number from 0"),
        ("--hourly", "nan", "is no number from 0.001"),
        ("--harm", "inf", "is no number from 0"),
    ],
)
def test_a_bad_option_is_one_line(
    option: str, text: str, said: str, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the option, its value, and how to write it."""
    assert run("value", "--spool", recorder.directory, option, text) == 2
    error = capsys.readouterr().err
    assert repr(text) in error
    assert said in error
    assert error.count("\n") == 1


def test_the_rate_of_the_price_file_is_taken(
    recorder: Recorder, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--hourly` is said instead of it."""
    prices = tmp_path / "prices.toml"
    prices.write_text('[rates]\nhuman_per_hour = "90"\n')
    monkeypatch.setenv("TASKMETER_CONFIG", str(prices))
    asked = ("value", "--spool", recorder.directory, "--task-minutes", "60", "--format", "json")
    assert run(*asked) == 0
    assert json.loads(capsys.readouterr().out)["hourly"] == "90"
    assert run(*asked, "--hourly", "40") == 0
    assert json.loads(capsys.readouterr().out)["hourly"] == "40"


def test_hostile_names_are_inert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the table, in sentences and in cells."""
    names = ("=cmd()\x1b[31m", "x" * 10_000, "<script>\u202e")
    spool = write_spool(tmp_path, [draw(Workflow(name, minutes=1), 12, 1) for name in names])
    assert run("value", "--spool", spool, "--task-minutes", "60") == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "x" * 81 not in out.replace("\n", "")
    assert run("value", "--spool", spool, "--format", "csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert not [cell for row in rows for cell in row.values() if cell.startswith("=")]


def test_the_document_shows_the_real_output(
    simulated: tuple[Path, tuple[Tasks, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    """docs/value.md."""
    shown = re.search(r"```\n\$ taskmeter (value .*?)\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert shown is not None
    assert run(*shown[1].split(), "--spool", simulated[0]) == 0
    assert capsys.readouterr().out.split() == shown[2].split()
