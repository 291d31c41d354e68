"""`taskmeter report`: what a task of each name costs, each dollar once."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmeter.errors import UsageError
from taskmeter.reports.unit_cost import UnitCost, UnitCostReport, nearest_rank, unit_cost
from tests.reports.spans import Recorder


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


def report(recorder: Recorder) -> UnitCostReport:
    return unit_cost(recorder.relations())


def test_failures_are_part_of_what_a_success_costs(recorder: Recorder) -> None:
    """Every outcome is counted; cost per success is all spend over the successes; percentiles are real costs."""
    for number, (cost, outcome) in enumerate(
        [("0.1", "succeeded"), ("0.2", "succeeded"), ("0.3", "failed"), ("0.4", "abandoned"), ("0.05", "pending")]
    ):
        wasted = cost if outcome in ("failed", "abandoned") else "0"
        more = {"OUTCOME": outcome, "COST_WASTED_EXACT": wasted, "COST_ESTIMATED": 0.05, "CALLS": 2, "RETRIES": 1}
        with recorder.task("resolve", f"t{number}", cost, **more):
            recorder.call(cost)
    result = report(recorder)
    expected = {
        "tasks": 5,
        "succeeded": 2,
        "failed": 1,
        "abandoned": 1,
        "pending": 1,
        "total": Decimal("1.05"),
        "calls": 10,
        "retries": 5,
        "wasted": Decimal("0.7"),
        "wasted_share": 0.666667,
        "estimated": Decimal("0.25"),
        "estimated_share": 0.238095,
        "unpriced_calls": 0,
        "exposed_attempts": 0,
    }
    per_task = {"cost_per_success": Decimal("0.525"), "p50": Decimal("0.2"), "p95": Decimal("0.4")}
    assert result.rows == (UnitCost(name="resolve", kind="task", **expected, **per_task),)
    assert result.total == UnitCost(name="TOTAL", kind="total", **expected)
    assert (result.currency, result.notes) == ("USD", ())


def test_a_nested_task_is_in_its_parents_row_and_its_own_but_once_in_the_total(recorder: Recorder) -> None:
    """Rows are inclusive; the total adds what each task spent itself."""
    with recorder.task("research", "a", "0.7", "0.3", CALLS=3):
        recorder.call("0.3")
        for child in ("b", "c"):
            with recorder.task("summarise", child, "0.2", CALLS=1):
                recorder.call("0.2")
    result = report(recorder)
    rows = {row.name: (row.total, row.calls) for row in (*result.rows, result.total)}
    assert rows == {
        "research": (Decimal("0.7"), 3),
        "summarise": (Decimal("0.4"), 2),
        "TOTAL": (Decimal("0.7"), 3),
    }


def test_a_task_nested_in_one_of_its_name_does_not_count_its_money_twice(recorder: Recorder) -> None:
    """Recursion: three tasks, but the spend of the outermost only."""
    with recorder.task("solve", "a", "0.6", "0.1", CALLS=3), recorder.task("other", "x", "0.5", "0", CALLS=2):
        recorder.call("0.1", TASK_ID="a")
        with recorder.task("solve", "b", "0.5", "0.2", CALLS=2), recorder.task("solve", "c", "0.3", CALLS=1):
            pass
    result = report(recorder)
    [solve] = [row for row in result.rows if row.name == "solve"]
    assert (solve.tasks, solve.total, solve.calls) == (3, Decimal("0.6"), 3)
    assert result.total.total == Decimal("0.6")


def test_money_outside_any_task_and_of_unfinished_tasks_has_rows(recorder: Recorder) -> None:
    """What no task span carries is not lost, waste included."""
    with recorder.task("resolve", "a", "0.1", CALLS=1):
        recorder.call("0.1")
    with recorder.task("resolve", "gone", "9", drop=True):
        recorder.call("0.02", CALL_WASTED=True)
    recorder.call("0.003", RESEND_COUNT=2)
    recorder.call(None, "mystery")
    with recorder.span("step draft", "step", STEP_NAME="draft", STEP_DISCARDED=True):
        recorder.leaf("charge", "pinecone", "0.0004")
    result = report(recorder)
    rows = {row.kind: (row.tasks, row.total, row.wasted, row.calls, row.retries) for row in result.rows}
    assert rows == {
        "task": (1, Decimal("0.1"), Decimal(0), 1, 0),
        "unfinished": (1, Decimal("0.02"), Decimal("0.02"), 1, 0),
        "no_task": (0, Decimal("0.0034"), Decimal("0.0004"), 2, 2),
    }
    assert (result.total.total, result.total.wasted) == (Decimal("0.1234"), Decimal("0.0204"))
    assert result.total.unpriced_calls == 1
    assert result.notes == ("1 call could not be priced: totals that include one are lower bounds.",)


def test_unpriced_is_unknown_not_zero(recorder: Recorder) -> None:
    """A name of which nothing could be priced has no total; one in part has a lower bound."""
    with recorder.task("dark", "a", None, UNPRICED_CALLS=1, CALLS=1):
        recorder.call(None)
    with recorder.task("dim", "b", "0.1", UNPRICED_CALLS=1, CALLS=2):
        recorder.call("0.1")
        recorder.call(None)
    result = report(recorder)
    rows = {row.name: (row.total, row.cost_per_success, row.p50, row.wasted_share) for row in result.rows}
    assert rows == {
        "dim": (Decimal("0.1"), Decimal("0.1"), Decimal("0.1"), 0.0),
        "dark": (None, None, None, None),
    }
    assert (result.total.total, result.total.unpriced_calls) == (Decimal("0.1"), 2)
    assert result.notes == (
        "2 calls could not be priced: totals that include one are lower bounds.",
        "unpriced: none of the calls of these tasks could be priced.",
    )


def test_no_success_has_no_cost_per_success(recorder: Recorder) -> None:
    """Undefined is `None`, neither zero nor an error; a task without an outcome is pending."""
    with recorder.task("resolve", "a", "0.1", OUTCOME="odd"):
        recorder.call("0.1")
    [row] = report(recorder).rows
    assert (row.cost_per_success, row.pending) == (None, 1)


def test_totals_that_the_recorded_spans_do_not_add_up_to_are_named(recorder: Recorder) -> None:
    """Lost spans and late charges are footnotes, once per outermost task; the tasks' own totals stand."""
    with recorder.task("resolve", "a", "0.3", "0.1"):
        recorder.call("0.1")
        with recorder.task("inner", "b", "0.2"):
            recorder.call("0.05")
    with recorder.task("late", "c", "0.1"):
        recorder.call("0.1")
        recorder.leaf("charge", "late call", "0.01")
    result = report(recorder)
    assert result.total.total == Decimal("0.4")
    assert result.notes == (
        (
            "1 task: the spans recorded inside add up to 0.15 USD less than the task's total (sampled, lost or not yet "
            "flushed); totals are the tasks' own."
        ),
        (
            "1 task: the spans recorded inside add up to 0.01 USD more than the task's total (spent after the task had "
            "ended, or in another process)."
        ),
    )


def test_amounts_no_one_can_read_count_as_unknown(recorder: Recorder) -> None:
    """Nonsense in an amount neither stops the report nor fills the memory."""
    for number, odd in enumerate(["NaN", "1e999999", "cheap", "1e-9999"]):
        with recorder.task("resolve", f"t{number}", odd, "0"):
            pass
    result = report(recorder)
    assert result.rows[0].total is None
    assert result.notes[0] == "4 amounts in the spool could not be read and count as unknown."


def test_currencies_are_not_added_up(recorder: Recorder) -> None:
    """A spool with dollars and euros is refused by name."""
    recorder.call("1", CALL_COST_CURRENCY="USD")
    recorder.call("1", CALL_COST_CURRENCY="EUR")
    with pytest.raises(UsageError, match=r"several currencies \(EUR, USD\)"):
        recorder.relations()


@pytest.mark.parametrize(
    ("count", "percent", "rank"), [(1, 50, 1), (2, 50, 1), (3, 50, 2), (20, 95, 19), (21, 95, 20), (100, 95, 95)]
)
def test_percentiles_are_nearest_rank(count: int, percent: int, rank: int) -> None:
    """The smallest value that at least that share of the values do not exceed."""
    assert nearest_rank([Decimal(number) for number in range(1, count + 1)], percent) == Decimal(rank)


def test_no_values_have_no_percentile() -> None:
    """None of nothing."""
    assert nearest_rank([], 50) is None


@given(st.lists(st.decimals(0, 100, places=6), min_size=1).map(sorted), st.integers(1, 100))
def test_a_percentile_is_a_value_that_enough_values_do_not_exceed(amounts: list[Decimal], percent: int) -> None:
    """The definition, for any amounts."""
    value = nearest_rank(amounts, percent)
    assert value is not None
    assert sum(amount <= value for amount in amounts) * 100 >= percent * len(amounts)
    assert sum(amount < value for amount in amounts) * 100 < percent * len(amounts)
