"""`taskmeter forecast`: from a pilot to production spend."""

import csv
import io
import json
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from taskmeter.cli import main
from taskmeter.errors import UsageError
from taskmeter.reports import render
from taskmeter.reports.engine.warehouse import open_spool
from taskmeter.reports.forecast import forecast
from taskmeter.reports.forecast_result import ForecastReport, Plan
from taskmeter.reports.volumes import read_growth, read_horizon, read_mix, read_volume
from taskmeter.spool.read import SpoolReading
from tests.reports.spans import START, Recorder
from tests.simulation import Step, Workflow, draw, write_spool

HOSTILE = "<script>=cmd()\x1b[31m" + "x" * 10_000


def record(directory: Path, tasks: Iterable[tuple[str, str | None, dict[str, Any]]]) -> Path:
    recorder = Recorder(directory)
    for number, (name, cost, more) in enumerate(tasks):
        with recorder.task(name, f"t{number}", cost, **more):
            pass
    recorder.relations()
    return directory


def pilot(directory: Path) -> Path:
    """Of each ten tasks, four `resolve` for 0.05, 0.15, 0.05, 0.15, the last of which fails, and six `classify`."""
    costs = ("0.05", "0.001", "0.15", "0.001", "0.001", "0.05", "0.001", "0.15", "0.001", "0.001")
    return record(
        directory,
        [
            (
                "classify" if cost == "0.001" else "resolve",
                cost,
                {"OUTCOME": "failed" if place == 7 else "succeeded", "CUSTOMER": "acme" if place < 5 else HOSTILE},
            )
            for _ in range(10)
            for place, cost in enumerate(costs)
        ],
    )


def forecast_of(
    directory: Path, *volumes: str, by: str = "name", until: int | None = None, **more: Any
) -> ForecastReport:
    plan = {"horizon": "90d", "start": "2026-12-01"} | more
    made = Plan(
        volumes=tuple(map(read_volume, volumes or ("5000/day",))),
        horizon=read_horizon(plan.pop("horizon")),
        start=date.fromisoformat(plan.pop("start")),
        **plan,
    )
    with open_spool(SpoolReading(directory)) as warehouse:
        return forecast(warehouse, made, by, until_ns=until)


def printed(report: ForecastReport) -> str:
    console = Console(record=True, width=120, file=io.StringIO())
    console.print(render.as_table(report))
    return console.export_text()


def test_volumes_of_each_name(tmp_path: Path) -> None:
    """450,000 tasks of $0.10 and 1,800,000 of $0.001; by month as many as it has days."""
    report = forecast_of(pilot(tmp_path), "resolve=5000/day", "classify=20000/day")
    assert [(row.name, row.tasks, row.spend, row.mean) for row in report.rows] == [
        ("resolve", 450_000, 45_000, Decimal("0.1")),
        ("classify", 1_800_000, 1_800, Decimal("0.001")),
    ]
    assert [(row.name, row.days, row.tasks, row.spend) for row in report.months] == [
        ("2026-12", 31, 775_000, 16_120),
        ("2027-01", 31, 775_000, 16_120),
        ("2027-02", 28, 700_000, 14_560),
    ]
    assert (report.total.tasks, report.total.spend, report.mix) == (2_250_000, 46_800, "stated")
    # 3 of 4 succeed: 0.10 / 0.75; in all, 46,800 over 337,500 + 1,800,000.
    assert report.rows[0].per_success == Decimal("0.133333333333")
    assert report.total.per_success == Decimal("0.021894736842")
    assert (report.start, report.end) == ("2026-12-01", "2027-02-28")
    [classify] = [row for row in report.rows if row.name == "classify"]
    assert classify.spend_low == classify.spend_high == pytest.approx(1_800)
    assert all(row.spend_low < row.spend < row.spend_high for row in (*report.months, report.rows[0], report.total))


def test_one_number_has_the_mix_of_the_pilot_or_another(tmp_path: Path) -> None:
    """40 % and 60 % of 494,900 with 10 % growth a month; or 70 % and 30 %. Only the pilot's mix is uncertain."""
    directory = pilot(tmp_path)
    report = forecast_of(directory, growth=read_growth("10%/month"))
    assert [(row.name, row.tasks, row.spend) for row in report.rows] == [
        ("resolve", 197_960, 19_796),
        ("classify", 296_940, Decimal("296.94")),
    ]
    assert [row.tasks for row in report.months] == [155_000, 170_500, 169_400]
    assert (report.total.spend, report.mix, report.growth) == (Decimal("20092.94"), "pilot", "+10 % a month")
    stated = forecast_of(directory, mix=read_mix("resolve=70%,classify=30%"))
    assert [(row.tasks, row.spend) for row in stated.rows] == [(315_000, 31_500), (135_000, 135)]
    assert stated.total.spend == 31_635
    same = forecast_of(directory, mix=read_mix("resolve=40%,classify=60%"), growth=read_growth("10%/month"))
    assert same.total.spend == report.total.spend
    assert width(report) > 1.3 * width(same)


def width(report: ForecastReport) -> float:
    assert report.total.spend_high is not None
    assert report.total.spend_low is not None
    return report.total.spend_high - report.total.spend_low


def test_a_forecast_says_the_same_each_time(tmp_path: Path) -> None:
    """Resampling is seeded."""
    directory = pilot(tmp_path)
    assert forecast_of(directory) == forecast_of(directory)


def test_months_and_rows_add_up_to_the_total(tmp_path: Path) -> None:
    """To the 12th decimal that is kept, whatever the volume divides into."""
    report = forecast_of(pilot(tmp_path), "777/week", horizon="7m", growth=read_growth("3%/week"))
    for parts in (report.rows, report.months):
        assert sum(part.spend for part in parts) == pytest.approx(report.total.spend, abs=Decimal("1e-10"))
        assert sum(part.tasks for part in parts) == pytest.approx(report.total.tasks, abs=Decimal("1e-5"))


def test_showback_is_by_customer(tmp_path: Path) -> None:
    """Volumes may name customers; models do not have tasks of their own."""
    directory = pilot(tmp_path)
    report = forecast_of(directory, "acme=100/day", by="customer", horizon="10d")
    # Five of ten tasks are acme's: 0.05 + 0.15 + 3 * 0.001 is 0.203.
    assert [(row.name, row.spend) for row in report.rows] == [("acme", Decimal("40.6"))]
    assert any(note.startswith("No volume is given for <script>") for note in report.notes)
    with pytest.raises(UsageError, match="--by 'model' cannot be forecast; there are name, customer, version"):
        forecast_of(directory, by="model")


def test_a_pilot_is_what_began_in_a_window(tmp_path: Path) -> None:
    """The first ten tasks, a second apart and a second long."""
    report = forecast_of(pilot(tmp_path), until=START + 20_500_000_000)
    assert (report.total.pilot_tasks, report.coverage.tasks) == (10, 10)
    with pytest.raises(UsageError, match="nothing to forecast from"):
        forecast_of(tmp_path, until=START)


def test_nested_tasks_are_part_of_those_around_them(tmp_path: Path) -> None:
    """Each dollar is forecast once, and a nested name has no forecast of its own."""
    recorder = Recorder(tmp_path)
    for number in range(6):
        with recorder.task("research", f"r{number}", "0.5", "0.2"), recorder.task("summarise", f"s{number}", "0.3"):
            pass
    recorder.relations()
    assert [(row.name, row.mean) for row in forecast_of(tmp_path).rows] == [("research", Decimal("0.5"))]
    with pytest.raises(UsageError, match="no 'summarise' that is in no other task; it has 'research'"):
        forecast_of(tmp_path, "summarise=5/day")


def test_calls_without_a_price_make_it_a_lower_bound(tmp_path: Path) -> None:
    """What is known of a task counts; where nothing is, the row is unknown."""
    known = [("resolve", "0.1", {})] * 6 + [("resolve", "0.1", {"UNPRICED_CALLS": 1})] * 2
    dark = [("dark", None, {"UNPRICED_CALLS": 1, "CALLS": 1})] * 8
    report = forecast_of(record(tmp_path, known + dark), "10/day", horizon="1d")
    rows = {row.name: (row.spend, row.lower_bound) for row in report.rows}
    assert rows == {"resolve": (Decimal("0.5"), True), "dark": (None, True)}
    assert (report.total.spend, report.total.lower_bound) == (Decimal("0.5"), True)
    assert report.coverage.priced_share == 0.375
    assert "cost at least $0.5000" in report.sentence
    assert "≥$0.5000" in printed(report)
    assert "unpriced" in printed(report)
    assert any(note.startswith("62 % of the pilot's tasks have calls without a price") for note in report.notes)


def test_a_pilot_without_any_price_forecasts_nothing(tmp_path: Path) -> None:
    """Unknown, not 0."""
    report = forecast_of(record(tmp_path, [("dark", None, {"UNPRICED_CALLS": 1, "CALLS": 1})] * 8))
    assert (report.total.spend, report.without_tail, report.months[0].spend) == (None, None, None)
    assert report.sentence.endswith("cannot be forecast: no call of a pilot of 8 tasks could be priced.")
    assert report.back_test is None
    assert not any("ack-test" in note for note in report.notes)
    assert "unpriced" in printed(report)


def test_estimates_and_pending_tasks_are_said(tmp_path: Path) -> None:
    """A tenth of the money is an estimate, and a quarter of the tasks has no outcome."""
    done = [("resolve", "0.1", {"COST_ESTIMATED": 0.01})] * 6
    report = forecast_of(
        record(tmp_path, done + [("resolve", "0.1", {"OUTCOME": "pending", "COST_ESTIMATED": 0.01})] * 2)
    )
    assert (report.coverage.estimated_share, report.coverage.pending_share) == (0.1, 0.25)
    assert report.rows[0].estimated
    assert "~$45,000.00" in printed(report)
    assert "25 % of the pilot's tasks have no outcome yet, and count as no success." in report.notes
    assert report.rows[0].per_success == Decimal("0.133333333333")


def test_what_had_not_ended_or_is_in_no_task_is_left_out_and_said(tmp_path: Path) -> None:
    """With the money it is about."""
    recorder = Recorder(tmp_path)
    for number in range(5):
        with recorder.task("resolve", f"t{number}", "0.1"):
            pass
    with recorder.task("resolve", "gone", "9", drop=True):
        recorder.call("0.02")
    recorder.call("0.003")
    recorder.relations()
    notes = forecast_of(tmp_path).notes
    assert "1 task had not ended: left out, with $0.0200 spent so far." in notes
    assert "$0.0030 that was spent outside any task is left out." in notes


def test_the_back_test_forecasts_the_last_tasks_from_the_first(tmp_path: Path) -> None:
    """Ten of 0.1 and 0.3 forecast ten of which each costs twice as much: half of it, outside the interval."""
    costs = ["0.1", "0.3"] * 5 + ["0.2", "0.6"] * 5
    directory = record(tmp_path, [("resolve", cost, {}) for cost in costs])
    test = forecast_of(directory, holdout=0.5).back_test
    assert test is not None
    assert (test.first, test.held_out, test.error, test.covered) == (10, 10, -0.5, False)
    assert (test.predicted, test.actual) == (pytest.approx(2), pytest.approx(4))
    notes = " ".join(forecast_of(directory, holdout=0.5).notes)
    assert "was forecast for the other 10. They cost $4.00: the forecast was 50 % too low" in notes
    assert "find out what changed" in notes


def test_a_small_pilot_has_neither_interval_nor_back_test(tmp_path: Path) -> None:
    """Four tasks: a mean, and what is missing."""
    report = forecast_of(record(tmp_path, [("resolve", "0.1", {})] * 4))
    row = report.rows[0]
    assert (row.spend, row.spend_low, row.mean_within, row.more_tasks, report.back_test) == (
        45_000,
        None,
        None,
        None,
        None,
    )
    assert "a pilot of 4 tasks is too small for an interval" in report.sentence
    assert any(note.startswith("No back-test") for note in report.notes)
    assert not any("costliest" in note or "tail" in note for note in report.notes)


def test_a_heavy_tail_is_said(tmp_path: Path) -> None:
    """One of 100 tasks is half of it: without it the forecast is the half, and dearer ones are to be expected."""
    report = forecast_of(record(tmp_path, [("resolve", "99" if place == 50 else "1", {}) for place in range(100)]))
    assert (report.total.spend, report.total.tail_share) == (891_000, 0.5)
    assert report.without_tail == 445_500
    assert report.above_pilot == round(450_000 / 101, 1)
    assert any("The tail is heavy" in note and "about 4,455 tasks" in note for note in report.notes)


@pytest.mark.parametrize(
    ("volumes", "mix", "message"),
    [
        (["5/day", "6/day"], None, "--volume was given of all, of all; give one number for all, or one for each name"),
        (["5/day", "resolve=6/day"], None, "--volume was given of all, 'resolve'"),
        (["resolve=5/day", "resolve=6/day"], None, "--volume was given 'resolve', 'resolve'"),
        (["resolve=5/day"], "resolve=100%", "--mix shares out a --volume without a name"),
        (["resovle=5/day"], None, "no 'resovle' that is in no other task; it has 'resolve'"),
    ],
)
def test_plans_that_make_no_sense(tmp_path: Path, volumes: list[str], mix: str | None, message: str) -> None:
    """The value and the fix."""
    with pytest.raises(UsageError) as error:
        forecast_of(pilot(tmp_path), *volumes, mix=None if mix is None else read_mix(mix))
    assert message in str(error.value)


def test_hostile_names_are_inert(tmp_path: Path) -> None:
    """In the table, JSON and CSV."""
    report = forecast_of(pilot(tmp_path), by="customer")
    table = printed(report)
    assert "\x1b" not in table
    assert "<script>=cmd()xxxx" in table
    assert {row["name"] for row in json.loads(render.as_json(report))["rows"]} == {"acme", HOSTILE}
    assert "\x1b" not in render.as_json(report)
    names = [row["name"] for row in csv.DictReader(io.StringIO(render.as_csv(report)))]
    assert all(not name.startswith("=") and "\x1b" not in name for name in names)
    evil = forecast_of(record(tmp_path / "evil", [("=cmd()", "0.1", {})] * 6), "=cmd()=5/day")
    assert "'=cmd()" in [row["name"] for row in csv.DictReader(io.StringIO(render.as_csv(evil)))]


def test_csv_has_every_row_and_what_is_said_of_the_whole(tmp_path: Path) -> None:
    """Months, groups, and the total last."""
    rows = list(csv.DictReader(io.StringIO(render.as_csv(forecast_of(pilot(tmp_path))))))
    assert [(row["kind"], row["name"]) for row in rows] == [
        ("month", "2026-12"),
        ("month", "2027-01"),
        ("month", "2027-02"),
        ("group", "resolve"),
        ("group", "classify"),
        ("total", "TOTAL"),
    ]
    assert (rows[-1]["spend"], rows[-1]["priced_share"], rows[-1]["back_test_covered"]) == ("18270", "1.0", "True")
    assert rows[-1]["currency"] == "USD"


def test_a_name_is_not_folded_by_a_wide_total(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sixteen columns are for it, whatever the numbers take."""
    names = ("resolve_ticket", "classify", "other")
    directory = record(tmp_path, [(name, "99999.9", {"UNPRICED_CALLS": 1}) for name in names for _ in range(6)])
    with pytest.raises(SystemExit):
        main(["forecast", "--volume", "5000/day", "--horizon", "90d", "--spool", str(directory)])
    assert "resolve_ticket " in capsys.readouterr().out


def test_amounts_of_any_length_are_exact(tmp_path: Path) -> None:
    """39 decimals beside dollars: the spend has them, as far as it is kept."""
    costs = ("12345678", "0.000000000000000000000000000000000000001") * 5
    report = forecast_of(record(tmp_path, [("resolve", cost, {}) for cost in costs]), "10/day", horizon="1d")
    assert report.total.spend == 61_728_390
    assert report.total.spend_low is not None
    assert report.total.spend_high is not None
    assert report.total.spend_low < 61_728_390 < report.total.spend_high
    assert report.total.tail_share == 0.2


def test_many_customers_have_intervals_where_the_money_is(tmp_path: Path) -> None:
    """The 20 that cost most."""
    tasks = [("resolve", str(1 + number), {"CUSTOMER": f"c{number:02}"}) for number in range(25) for _ in range(6)]
    rows = forecast_of(record(tmp_path, tasks), by="customer").rows
    assert [row.spend_low is not None for row in rows] == [True] * 20 + [False] * 5
    assert rows[0].name == "c24"


def test_the_command_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With all options; and misuse is exit code 2."""
    directory = pilot(tmp_path)
    options = ["--horizon", "2w", "--growth", "1%/day", "--start", "2027-01-01", "--holdout", "20%", "--by", "version"]
    run = ["forecast", "--volume", "100/hour", *options, "--format", "json", "--spool", str(directory)]
    with pytest.raises(SystemExit) as end:
        main(run)
    assert not end.value.code
    result = json.loads(capsys.readouterr().out)
    assert (result["start"], result["end"], result["growth"]) == ("2027-01-01", "2027-01-14", "+1 % a day")
    assert result["back_test"]["held_out"] == 20
    for option, value, message in [
        ("--start", "tomorrow", "--start 'tomorrow' is no date; write it as in 2026-12-01"),
        ("--holdout", "100%", "--holdout '100%' is no part of the pilot"),
        ("--holdout", "0%", "--holdout '0%' is no part of the pilot"),
    ]:
        with pytest.raises(SystemExit) as end:
            main([*run, option, value])
        assert end.value.code == 2
        assert message in capsys.readouterr().err


@pytest.mark.fuzz
def test_the_forecast_of_a_simulated_pilot_holds_what_comes(tmp_path: Path) -> None:
    """Through the spool: of 40 pilots, the total and the back-test are held about 38 times."""
    flows = (Workflow(), Workflow("classify", (Step(usd=0.02, success=0.95),), sigma=0.4, tail=0))
    totals = tests = 0
    for seed in range(40):
        known = [draw(flow, 150, seed * 10 + place) for place, flow in enumerate(flows)]
        directory = write_spool(tmp_path / str(seed), known)
        report = forecast_of(directory, "resolve_ticket=100/day", "classify=200/day", horizon="30d")
        later = [
            draw(flow, n, 10_000 + seed * 10 + place)
            for place, (flow, n) in enumerate(zip(flows, (3_000, 6_000), strict=True))
        ]
        truth = sum(float(tasks.cost.sum()) for tasks in later)
        assert report.total.spend_low is not None
        assert report.total.spend_high is not None
        totals += report.total.spend_low <= truth <= report.total.spend_high
        assert report.back_test is not None
        tests += bool(report.back_test.covered)
    assert totals >= 33
    assert tests >= 33
