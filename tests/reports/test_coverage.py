"""What a report covers: how many tasks are priced, how much is estimated, and by which prices it was made."""

from __future__ import annotations

import csv
import io
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from taskmeter.cli.reports import moment
from taskmeter.reports.breakdown import breakdown
from taskmeter.reports.compare import compare
from taskmeter.reports.coverage import Coverage
from taskmeter.reports.engine.warehouse import open_spool
from taskmeter.reports.forecast import forecast
from taskmeter.reports.forecast_result import Plan
from taskmeter.reports.render import as_csv
from taskmeter.reports.render_coverage import coverage_line
from taskmeter.reports.selectors import read_selector
from taskmeter.reports.steps import steps
from taskmeter.reports.unit_cost import unit_cost
from taskmeter.reports.value import value
from taskmeter.reports.volumes import read_horizon, read_volume
from taskmeter.spool.read import SpoolReading
from tests.reports.spans import SECOND, START, Recorder

BOOK = "genai-prices 0.2.3 (2026-11-09) openai/gpt-5"


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    """Ten tasks of 0.1 each in a step: two estimated by a half, one without an outcome, one with a call unpriced."""
    recorder = Recorder(tmp_path)
    for number in range(10):
        more: dict[str, Any] = {"CUSTOMER": "ab"[number % 2], "CALLS": 1}
        more |= {"COST_ESTIMATED": 0.05} if number < 2 else {}
        more |= {"OUTCOME": "pending"} if number == 2 else {}
        more |= {"UNPRICED_CALLS": 1} if number == 3 else {}
        with (
            recorder.task("resolve", f"t{number}", "0.1", **more),
            recorder.span("step draft", "step", STEP_NAME="draft"),
        ):
            recorder.call("0.1", PRICE_ORIGIN=BOOK)
    recorder.relations()
    return recorder


def covers(recorder: Recorder) -> dict[str, Coverage]:
    plan = Plan(volumes=(read_volume("5/day"),), horizon=read_horizon("1d"), start=date(2026, 12, 1))
    with open_spool(SpoolReading(recorder.directory)) as warehouse:
        compared = compare(warehouse, read_selector("customer=a", moment), read_selector("customer=b", moment))
        return {
            "report": unit_cost(warehouse).total.coverage,
            "row of report": unit_cost(warehouse).rows[0].coverage,
            "breakdown": breakdown(warehouse).total.coverage,
            "value": value(warehouse).coverage,
            "row of value": value(warehouse).rows[0].coverage,
            "steps": steps(warehouse).coverage,
            "workflow of steps": steps(warehouse).workflows[0].coverage,
            "forecast": forecast(warehouse, plan).coverage,
            "compare": compared.coverage,
        }


def test_every_report_covers_the_same_of_the_same_tasks(recorder: Recorder) -> None:
    """Nine of ten tasks priced, a tenth of 1 USD estimated, one of ten tasks pending."""
    expected = Coverage(
        tasks=10,
        priced_share=0.9,
        estimated_share=0.1,
        pending_share=0.1,
        price_data="genai-prices 0.2.3 (2026-11-09)",
    )
    found = covers(recorder)
    assert found == dict.fromkeys(found, expected)


def test_price_data_are_those_that_the_calls_were_priced_by(tmp_path: Path) -> None:
    """Versions with their newest date, rules by their id, and what responses state; aliases are no price data."""
    recorder = Recorder(tmp_path)
    origins = (
        f"{BOOK} + acme-2026",
        "alias of azure/prod + genai-prices 0.2.3 (2026-10-01) openai/gpt-5 + half",
        "genai-prices 0.1.9 openai/gpt-5; genai-prices 0.2.3 (2026-11-01) openai/gpt-5 + regional + d\x1b[31m",
        "stated in the response",
    )
    for number, origin in enumerate(origins):
        with recorder.task("resolve", f"t{number}", "0.1"):
            recorder.call("0.1", PRICE_ORIGIN=origin)
    recorder.relations()
    with open_spool(SpoolReading(tmp_path)) as warehouse:
        assert unit_cost(warehouse).total.coverage.price_data == (
            "genai-prices 0.1.9, genai-prices 0.2.3 (2026-11-09), rules acme-2026, d, half and 1 more, "
            "amounts that responses state"
        )


def test_price_data_are_those_of_the_window(tmp_path: Path) -> None:
    """Of the tasks that began in it, and of what is in no task then; none says nothing."""
    recorder = Recorder(tmp_path)
    for version, name in (("0.1", "early"), ("0.2", "late")):
        with recorder.task(name, name, "0.1"):
            recorder.call("0.1", PRICE_ORIGIN=f"genai-prices {version} openai/gpt-5")
    recorder.call("0.1", PRICE_ORIGIN="ours")
    recorder.relations()
    middle = START + int(2.5 * SECOND)

    def said(**window: int) -> str | None:
        with open_spool(SpoolReading(tmp_path)) as warehouse:
            return unit_cost(warehouse, **window).total.coverage.price_data

    assert said(until_ns=middle) == "genai-prices 0.1"
    assert said(since_ns=middle) == "genai-prices 0.2, rule ours"
    assert said(until_ns=START) is None


def test_cohorts_with_other_prices_are_said(tmp_path: Path) -> None:
    """A cost may differ for that alone."""
    recorder = Recorder(tmp_path)
    for number in range(4):
        with recorder.task("resolve", f"t{number}", "0.1", CUSTOMER="ab"[number % 2]):
            recorder.call("0.1", PRICE_ORIGIN=BOOK.replace("0.2.3", f"0.2.{number % 2}"))
    recorder.relations()
    with open_spool(SpoolReading(tmp_path)) as warehouse:
        result = compare(warehouse, read_selector("customer=a", moment), read_selector("customer=b", moment))
    before, after = (f"genai-prices 0.2.{number} (2026-11-09)" for number in (0, 1))
    assert [side.coverage.price_data for side in result.sides] == [before, after]
    assert result.coverage.price_data == f"A {before}; B {after}"
    assert "A and B were not priced by the same data: a difference in cost may be one of prices." in result.notes


def test_what_came_of_a_task_that_has_not_ended_is_pending(tmp_path: Path) -> None:
    """In its row and the total; what is in no task has no share of tasks."""
    recorder = Recorder(tmp_path)
    with recorder.task("resolve", "a", "0.1"):
        recorder.call("0.1")
    with recorder.task("resolve", "gone", "9", drop=True):
        recorder.call("0.1")
    recorder.call("0.3", COST_STATUS="estimated")
    result = recorder.report()
    shares = [(row.coverage.tasks, row.coverage.pending_share, row.coverage.estimated_share) for row in result.rows]
    assert shares == [(1, 0.0, 0.0), (1, 1.0, 0.0), (0, None, 1.0)]
    assert (result.total.coverage.pending_share, result.total.coverage.estimated_share) == (0.5, 0.6)
    rows = list(csv.DictReader(io.StringIO(as_csv(result))))
    assert [(row["priced_share"], row["pending_share"], row["price_data"]) for row in rows] == [
        ("1.0", "0.0", ""),
        ("1.0", "1.0", ""),
        ("", "", ""),
        ("1.0", "0.5", ""),
    ]


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((1.0, 0.0, 0.0), "100% of tasks priced, 0% of cost estimated, 0% pending"),
        ((0.99999, 0.00001, 0.125), ">99.9% of tasks priced, <0.1% of cost estimated, 12.5% pending"),
        ((0.5, None, None), "50% of tasks priced"),
        ((None, None, None), "no tasks"),
    ],
)
def test_nothing_and_all_are_said_of_nothing_and_all_only(
    shares: tuple[float | None, float | None, float | None], said: str
) -> None:
    """Rounding makes neither."""
    priced, estimated, pending = shares
    cover = Coverage(tasks=9, priced_share=priced, estimated_share=estimated, pending_share=pending, price_data=None)
    assert coverage_line(cover) == f"coverage: {said}; prices not recorded"
