"""What the money of a report's rows was for, by figures made by hand: context sent again, reasoning, caches, what is on
no model provider's invoice, waste by class, and the tail over the median."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from taskmeter.reports.breakdown import breakdown
from taskmeter.reports.engine.warehouse import open_spool
from taskmeter.reports.render import as_csv, as_json, as_table, least_width
from taskmeter.reports.unit_cost import unit_cost
from taskmeter.reports.unit_cost_result import UnitCost, UnitCostReport
from taskmeter.spool.read import SpoolReading
from tests.reports.spans import START, Recorder, report_of
from tests.reports.test_outcomes import outcomes_charge, say
from tests.simulation import Step, Workflow, draw, write_spool

Usd = Decimal
SHARES = '{"user":[600,"0.6"],"history":[400,"0.2"],"carried":[400,"0.2"]}'


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    """A task of 2: a call of 1, another of 0.5 whose money came on a charge, a tool of 0.4, a query of 0.1."""
    recorder = Recorder(tmp_path)
    with recorder.task("resolve", "a", "2", CALLS=2, TASK_KEY="T-1"):
        thought: dict[str, Any] = {"REASONING_TOKENS": 100, "COST_REASONING": 0.3}
        cached: dict[str, Any] = {"CACHE_READ_TOKENS": 200, "CACHE_SAVED": 0.05}
        with recorder.span("step draft", "step", STEP_NAME="draft"):
            recorder.call("1", INPUT_TOKENS=1000, OUTPUT_TOKENS=200, CONTEXT_SHARES=SHARES, **thought, **cached)
        recorder.leaf("charge", "gpt-5", "0.5", CHARGE_CATEGORY="model", CALL_COST=0.5)
        recorder.leaf("tool", "crm", "0.4", CHARGE_CATEGORY="tools")
        recorder.leaf("charge", "pinecone", "0.1", CHARGE_CATEGORY="retrieval")
    return recorder


def by(recorder: Recorder, group: str = "name", **window: int) -> UnitCostReport:
    with open_spool(SpoolReading(recorder.directory)) as warehouse:
        return unit_cost(warehouse, group, **window)


def parts(row: UnitCost) -> tuple[Decimal | None, ...]:
    return (row.context_tax, row.reasoning_cost, row.cache_saved, row.outside_model)


def by_name(report: UnitCostReport) -> Mapping[str, UnitCost]:
    return {row.name: row for row in (*report.rows, report.total)}


def test_the_parts_of_what_a_task_cost(recorder: Recorder) -> None:
    """0.2 for input sent again, 0.3 for reasoning, and 0.4 + 0.1 that no model provider bills, of 2; 0.05 saved."""
    report = by(recorder)
    for row in (report.rows[0], report.total):
        assert parts(row) == (Usd("0.2"), Usd("0.3"), Usd("0.05"), Usd("0.5"))
        assert (row.context_tax_share, row.reasoning_share, row.outside_model_share) == (0.1, 0.15, 0.25)
        assert (row.estimates, row.lower_bounds) == (("context_tax",), ())


def test_by_model_and_by_step_each_part_is_in_one_row(recorder: Recorder) -> None:
    """What is no call is of no model; what is not known there is not said."""
    models, steps = by_name(by(recorder, "model")), by_name(by(recorder, "step"))
    assert parts(models["gpt-5"]) == parts(steps["draft"]) == (Usd("0.2"), Usd("0.3"), Usd("0.05"), Usd(0))
    assert parts(models["(no model)"]) == parts(steps["(no step)"]) == (None, Usd(0), Usd(0), Usd("0.5"))
    assert parts(models["TOTAL"]) == parts(steps["TOTAL"]) == (Usd("0.2"), Usd("0.3"), Usd("0.05"), Usd("0.5"))


def test_a_nested_task_is_in_the_rows_around_it_once(recorder: Recorder) -> None:
    """And in the total once; a task of the same name adds nothing to its row."""
    with recorder.task("outer", "x", "3", "0"), recorder.task("resolve", "y", "3", "1"):
        recorder.leaf("tool", "crm", "1")
        with recorder.task("resolve", "z", "2"):
            recorder.leaf("tool", "crm", "2")
    rows = by_name(by(recorder))
    assert {name: row.outside_model for name, row in rows.items()} == {
        "outer": Usd(3),
        "resolve": Usd("3.5"),
        "TOTAL": Usd("3.5"),
    }


def test_people_are_on_no_model_providers_invoice(recorder: Recorder) -> None:
    """Nor is their time that is told with an outcome, later; without a price, the part is a lower bound."""
    charge = outcomes_charge("2")
    say(recorder, "succeeded", START + 10**15, key="T-1", human_minutes=Usd(4), charge=charge)
    row = by(recorder).total
    assert (row.total, row.outside_model, row.outside_model_share) == (Usd(4), Usd("2.5"), 0.625)
    assert by(recorder, "model").total.outside_model == Usd("2.5")
    say(recorder, "succeeded", START + 2 * 10**15, key="T-1", human_minutes=Usd(4))
    row = by(recorder).total
    assert (row.outside_model, "outside_model" in row.lower_bounds) == (Usd("2.5"), True)


def test_what_is_not_known_is_not_nothing(tmp_path: Path) -> None:
    """Input that nobody measured, reasoning and cached tokens without a price, a tool run that could not be priced."""
    recorder = Recorder(tmp_path)
    unknown: dict[str, Any] = {"REASONING_TOKENS": 7, "CACHE_READ_TOKENS": 5, "CALL_COST_SOURCE": "provider"}
    with recorder.task("dark", "a", "1", CALLS=1):
        recorder.call("1", INPUT_TOKENS=10, **unknown)
        recorder.leaf("tool", "crm", None, COST_STATUS="unpriced")
    with recorder.task("dim", "b", "2", CALLS=2):
        recorder.call("1", INPUT_TOKENS=10, **unknown)
        shares = '{"user":[10,"0.5"],"carried":[4,"0.2"]}'
        recorder.call("1", INPUT_TOKENS=10, COST_REASONING=0.1, CACHE_SAVED=-0.1, CONTEXT_SHARES=shares)
    rows = by_name(by(recorder))
    assert (parts(rows["dark"]), rows["dark"].unmeasured_calls) == ((None, None, None, None), 1)
    assert (parts(rows["dim"]), rows["dim"].unmeasured_calls) == ((Usd("0.2"), Usd("0.1"), Usd("-0.1"), Usd(0)), 1)
    assert rows["dim"].lower_bounds == ("context_tax", "reasoning_cost", "cache_saved")
    assert rows["TOTAL"].outside_model is None


def test_context_without_a_price_is_not_free(tmp_path: Path) -> None:
    """Of some calls it is known what the input that was sent again cost, of others it is not."""
    recorder = Recorder(tmp_path)
    with recorder.task("t", "a", "1", CALLS=1):
        recorder.call("1", INPUT_TOKENS=10, CONTEXT_SHARES='{"user":[10,null],"carried":[4,null]}')
    assert by(recorder).total.context_tax is None
    with recorder.task("t", "b", "1", CALLS=1):
        recorder.call("1", INPUT_TOKENS=10, CONTEXT_SHARES='{"user":[10,"1"],"carried":[4,"0.4"]}')
    total = by(recorder).total
    assert (total.context_tax, "context_tax" in total.lower_bounds) == (Usd("0.4"), True)


def test_spans_that_are_lost_leave_parts_unknown(tmp_path: Path) -> None:
    """A task of 2 with nothing recorded inside, and one in which a call of 1 is left of 3."""
    recorder = Recorder(tmp_path)
    with recorder.task("gone", "a", "2", CALLS=3):
        pass
    with recorder.task("torn", "b", "3", CALLS=3):
        recorder.call("1", CONTEXT_SHARES=SHARES)
    rows = by_name(by(recorder))
    assert parts(rows["gone"]) == (None, None, None, None)
    assert parts(rows["torn"]) == (Usd("0.2"), Usd(0), Usd(0), Usd(0))
    assert rows["torn"].lower_bounds == ("context_tax", "reasoning_cost", "cache_saved", "outside_model")


def test_a_charge_may_have_all_that_its_call_should(tmp_path: Path) -> None:
    """A call whose span had ended when its money came: context, reasoning and savings are on the charge below it."""
    recorder = Recorder(tmp_path)
    with recorder.task("t", "a", "1", CALLS=1), recorder.open_call(None, INPUT_TOKENS=1000, REASONING_TOKENS=9):
        late = {"CONTEXT_SHARES": SHARES, "COST_REASONING": 0.3, "CACHE_SAVED": 0.05, "CALL_COST": 1.0}
        recorder.leaf("charge", "gpt-5", "1", CHARGE_CATEGORY="model", **late)
    total = by(recorder).total
    assert parts(total) == (Usd("0.2"), Usd("0.3"), Usd("0.05"), Usd(0))
    assert (total.unmeasured_calls, total.unpriced_calls, total.lower_bounds) == (0, 0, ())


def test_amounts_in_context_are_added_to_the_last_digit(tmp_path: Path) -> None:
    """Of any length, and though no other amount has as many digits."""
    recorder = Recorder(tmp_path)
    tiny, large = "0." + "0" * 39 + "1", "999999999999999"
    with recorder.task("t", "a", "3", CALLS=3):
        for cost in (tiny, large, "0.5"):
            shares = json.dumps({"documents/kb": [10, cost], "carried": [10, cost]})
            recorder.call("1", INPUT_TOKENS=10, CONTEXT_SHARES=shares)
    exact = Usd("999999999999999.5" + "0" * 38 + "1")
    assert by(recorder).total.context_tax == exact
    with open_spool(SpoolReading(tmp_path)) as warehouse:
        assert breakdown(warehouse).total.context.documents[0].cost == exact


def test_waste_has_its_classes(tmp_path: Path) -> None:
    """By name as the tasks say; by model the call's own, or else what came of its task."""
    recorder = Recorder(tmp_path)
    with recorder.task("t", "a", "3", OUTCOME="failed", waste={"duplicate": "1", "failed_task": "2"}):
        recorder.call("1", "small", WASTE_CLASS="duplicate")
        recorder.call("2", "large")
    recorder.call("0.5", "small", WASTE_CLASS="aborted_stream", TASK_ID="", TASK_NAME="")
    assert {name: row.waste for name, row in by_name(by(recorder)).items()} == {
        "t": {"duplicate": Usd(1), "failed_task": Usd(2)},
        "(no task)": {"aborted_stream": Usd("0.5")},
        "TOTAL": {"aborted_stream": Usd("0.5"), "duplicate": Usd(1), "failed_task": Usd(2)},
    }
    models = by_name(by(recorder, "model"))
    assert (models["small"].waste, models["large"].waste) == ({"duplicate": Usd(1)}, {"failed_task": Usd(2)})
    assert models["TOTAL"].wasted == Usd("3.5")


@pytest.mark.parametrize(("most", "over", "share"), [("49.99", 0, 0.0), ("50", 1, 0.335570), ("60", 1, 0.377358)])
def test_tasks_that_cost_fifty_times_the_median(tmp_path: Path, most: str, over: int, share: float) -> None:
    """Of 99 tasks of 1 and one more; exactly 50 times is enough."""
    recorder = Recorder(tmp_path)
    for number, cost in enumerate([*["1"] * 99, most]):
        with recorder.task("t", f"t{number}", cost):
            pass
    report = by(recorder)
    row = report.rows[0]
    assert (row.over_50x_median, row.over_50x_share, row.max_over_median) == (over, share, float(most))
    assert (report.total.over_50x_median, report.total.max_over_median) == (None, None)


def test_a_median_of_nothing_has_no_multiple(tmp_path: Path) -> None:
    """Half of the tasks were free."""
    recorder = Recorder(tmp_path)
    for number, cost in enumerate(("0", "0", "7")):
        with recorder.task("t", f"t{number}", cost):
            pass
    row = by(recorder).rows[0]
    assert (row.p50, row.over_50x_median, row.over_50x_share, row.max_over_median) == (Usd(0), None, None, None)


def test_the_tail_and_the_parts_are_those_of_the_simulated_truth(tmp_path: Path) -> None:
    """Two workflows with a heavy tail: numpy says the same of what was drawn."""
    fast = Workflow("classify", (Step(usd=0.01, success=1.0, sent_again=0.25, reasoning=0.5),), sigma=2.2)
    slow = Workflow("research", (Step("plan", 0.9, sent_again=0.5), Step("write", 0.7, reasoning=0.2)), tail=0.05)
    drawn = [draw(fast, 400, seed=1), draw(slow, 300, seed=2)]
    rows = by_name(report_of(write_spool(tmp_path, drawn)))
    for tasks in drawn:
        row, cost = rows[tasks.workflow.name], tasks.cost
        median = np.sort(cost)[(len(cost) + 1) // 2 - 1]
        over = cost >= 50 * median
        assert (row.over_50x_median, row.over_50x_share) == (over.sum(), pytest.approx(cost[over].sum() / cost.sum()))
        assert row.max_over_median == pytest.approx(cost.max() / median, abs=1e-3)
        again = np.rint(tasks.units * [step.sent_again for step in tasks.workflow.steps]).sum() / 1e8
        thought = np.rint(tasks.units * [step.reasoning for step in tasks.workflow.steps]).sum() / 1e8
        assert row.context_tax_share == pytest.approx(again / cost.sum(), abs=1e-6)
        assert row.reasoning_share == pytest.approx(thought / cost.sum(), abs=1e-6)
        assert row.waste == ({} if tasks is drawn[0] else {"failed_task": row.wasted})
        assert float(row.wasted or 0) == pytest.approx(cost[~tasks.succeeded].sum())
    assert rows["classify"].over_50x_median


def test_json_and_csv_have_all_of_it(recorder: Recorder) -> None:
    """Amounts with every digit; classes by name."""
    report = by(recorder)
    row = json.loads(as_json(report))["rows"][0]
    assert (row["context_tax"], row["reasoning_share"], row["outside_model"]) == ("0.2", 0.15, "0.5")
    assert (row["waste"], row["over_50x_median"], row["max_over_median"]) == ({}, 0, 1.0)
    line = next(csv.DictReader(io.StringIO(as_csv(report))))
    assert (line["context_tax"], line["cache_saved"], line["outside_model_share"]) == ("0.2", "0.05", "0.25")


def test_the_third_table(recorder: Recorder) -> None:
    """What people see with --detail, in 120 columns; what is not known is n/a, nothing a dash."""
    with recorder.task("a name that is longer", "b", "1000", OUTCOME="failed", waste={"discarded_step": "1000"}):
        recorder.call("1000", INPUT_TOKENS=10)
    report = by(recorder)
    assert least_width(report, detail=True) <= 120
    console = Console(width=120, file=io.StringIO(), highlight=False)
    console.print(as_table(report, detail=True))
    text: Any = console.file
    lines = [line.split() for line in text.getvalue().splitlines()]
    assert ["resolve", "~$0.2000", "10%", "$0.3000", "15%", "$0.0500", "$0.5000", "25%", "1.0", "0"] in lines
    assert ["longer", "n/a", "-", "-", "-", "1.0", "0", "discarded_step", "100%"] in [
        [line[0], *line[1:]] if line[:1] != ["a"] else ["longer", *line[5:]] for line in lines if line
    ]
