"""`taskmeter report`: what a task of each name costs, each dollar once."""

from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskmeter.errors import UsageError
from taskmeter.reports.coverage import Coverage
from taskmeter.reports.unit_cost_result import UnitCost, UnitCostReport
from tests.reports.spans import Recorder


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


def report(recorder: Recorder) -> UnitCostReport:
    return recorder.report()


def test_failures_are_part_of_what_a_success_costs(recorder: Recorder) -> None:
    """Every outcome is counted; cost per success is all spend over the successes; percentiles are real costs."""
    for number, (cost, outcome) in enumerate(
        [("0.1", "succeeded"), ("0.2", "succeeded"), ("0.3", "failed"), ("0.4", "abandoned"), ("0.05", "pending")]
    ):
        wasted = cost if outcome in ("failed", "abandoned") else "0"
        more = {
            "OUTCOME": outcome,
            "waste": {f"{outcome}_task": wasted},
            "COST_ESTIMATED": 0.05,
            "CALLS": 2,
            "RETRIES": 1,
        }
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
        "waste": {"failed_task": Decimal("0.3"), "abandoned_task": Decimal("0.4")},
        "reasoning_cost": Decimal(0),
        "reasoning_share": 0.0,
        "cache_saved": Decimal(0),
        "outside_model": Decimal(0),
        "outside_model_share": 0.0,
        "estimated": Decimal("0.25"),
        "estimated_share": 0.238095,
        "unpriced_calls": 0,
        "exposed_attempts": 0,
        "success_rate": 0.5,
        "success_rate_low": 0.150039,
        "success_rate_high": 0.849961,
    }
    per_task = {
        "cost_per_success": Decimal("0.525"),
        "mean": Decimal("0.21"),
        "p50": Decimal("0.2"),
        "p90": Decimal("0.4"),
        "p95": Decimal("0.4"),
        "p99": Decimal("0.4"),
        "max": Decimal("0.4"),
        "tail_share": 0.380952,
        "max_over_median": 2.0,
        "over_50x_median": 0,
        "over_50x_share": 0.0,
        "single_call_multiple": 1.0,
    }
    marks = ("total", "cost_per_success", "p50", "p95", "wasted")
    cover = Coverage(tasks=5, priced_share=1.0, estimated_share=0.238095, pending_share=0.2, price_data=None)
    row = UnitCost(name="resolve", kind="task", **expected, **per_task, coverage=cover, estimates=marks)
    assert result.rows == (row,)
    whole = UnitCost(name="TOTAL", kind="total", **expected, coverage=cover, estimates=("total", "wasted"))
    assert result.total == whole
    note = "1 pending task: 0.05 USD of these totals has no outcome yet, and is no success."
    assert (result.currency, result.notes) == ("USD", (note,))


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
    with recorder.task("solve", "a", "0.6", "0.1", CALLS=3):
        recorder.call("0.1")
        with (
            recorder.task("other", "x", "0.5", "0", CALLS=2),
            recorder.task("solve", "b", "0.5", "0.2", CALLS=2),
            recorder.task("solve", "c", "0.3", CALLS=1),
        ):
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
        recorder.call("0.02", WASTE_CLASS="failed_call")
    recorder.call("0.003", RESEND_COUNT=2)
    recorder.call(None, "mystery")
    with recorder.span("step draft", "step", STEP_NAME="draft", STEP_DISCARDED=True):
        recorder.leaf("charge", "pinecone", "0.0004")
    result = report(recorder)
    rows = {(row.name, row.kind): (row.tasks, row.total, row.wasted, row.calls, row.retries) for row in result.rows}
    assert rows == {
        ("resolve", "task"): (1, Decimal("0.1"), Decimal(0), 1, 0),
        ("resolve", "unfinished"): (1, Decimal("0.02"), Decimal("0.02"), 1, 0),
        ("(no task)", "no_task"): (0, Decimal("0.0034"), Decimal("0.0004"), 2, 2),
    }
    assert (result.total.tasks, result.total.succeeded, result.total.unfinished) == (2, 1, 1)
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


def test_what_a_task_without_a_price_wasted_is_not_known(recorder: Recorder) -> None:
    """Neither is what of it is estimated; where others of the name have a price, what is known is a lower bound."""
    failed = {"UNPRICED_CALLS": 1, "CALLS": 1, "OUTCOME": "failed"}
    with recorder.task("dark", "a", None, **failed):
        recorder.call(None)
    with recorder.task("dim", "b", None, **failed):
        recorder.call(None)
    for task_id, cost, unpriced in (("c", "0.1", 0), ("d", "0.2", 1), ("e", "0.3", 0)):
        with recorder.task("dim", task_id, cost, UNPRICED_CALLS=unpriced, CALLS=1):
            recorder.call(cost)
    result = report(recorder)
    [dim, dark] = result.rows
    assert (dark.wasted, dark.estimated, dark.lower_bounds) == (None, None, ())
    assert (dim.wasted, dim.p50, dim.p95) == (Decimal(0), Decimal("0.2"), Decimal("0.3"))
    assert dim.lower_bounds == ("total", "cost_per_success", "p50", "p95", "wasted")
    assert result.total.lower_bounds == ("total", "wasted")
    assert "p50 and p95 of dim leave out 1 task without a price." in result.notes


def test_money_that_comes_after_its_task_ended_is_in_every_figure(recorder: Recorder) -> None:
    """In the row of the task, of those around it, and once in the total; calls and waste too."""
    with recorder.task("outer", "a", "0.3", "0.1", CALLS=2):
        recorder.call("0.1")
        with recorder.task("inner", "b", "0.2", CALLS=1):
            recorder.call("0.2")
    recorder.call("0.05", TASK_ID="b", TASK_NAME="inner", WASTE_CLASS="failed_call", COST_STATUS="estimated")
    result = report(recorder)
    figures = {
        row.name: (row.total, row.late, row.wasted, row.estimated, row.calls) for row in (*result.rows, result.total)
    }
    late = (Decimal("0.05"), Decimal("0.05"), Decimal("0.05"))
    assert figures == {
        "outer": (Decimal("0.35"), *late, 3),
        "inner": (Decimal("0.25"), *late, 2),
        "TOTAL": (Decimal("0.35"), *late, 3),
    }
    inner = result.rows[1]
    assert (inner.cost_per_success, inner.p50, inner.p95) == (Decimal("0.25"), Decimal("0.25"), Decimal("0.25"))
    assert inner.estimates == ("total", "cost_per_success", "p50", "p95", "wasted")
    assert result.notes == (
        "1 task: 0.05 USD was booked after the task had ended, or in another process; it is in these figures.",
    )


def test_what_came_late_for_a_nested_task_but_in_time_for_its_parent_counts_once(recorder: Recorder) -> None:
    """The parent's own span has it already."""
    with recorder.task("outer", "a", "0.25", "0", CALLS=2):
        with recorder.task("inner", "b", "0.2", CALLS=1):
            recorder.call("0.2")
        recorder.call("0.05", TASK_ID="b", TASK_NAME="inner")
    result = report(recorder)
    figures = {row.name: (row.total, row.late, row.calls) for row in (*result.rows, result.total)}
    assert figures == dict.fromkeys(("outer", "inner", "TOTAL"), (Decimal("0.25"), Decimal("0.05"), 2))


def test_late_money_of_a_failed_task_is_wasted(recorder: Recorder) -> None:
    """Like all it cost; late calls without a price make its cost a lower bound."""
    with recorder.task("resolve", "a", "0.1", CALLS=1, OUTCOME="failed", waste={"failed_task": "0.1"}):
        recorder.call("0.1")
    late = {"TASK_ID": "a", "TASK_NAME": "resolve"}
    recorder.call("0.02", **late)
    recorder.call(None, **late)
    [row] = report(recorder).rows
    assert (row.total, row.wasted, row.calls) == (Decimal("0.12"), Decimal("0.12"), 3)
    assert row.lower_bounds == ("total", "p50", "p95", "wasted")


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(-1, 20), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_each_dollar_is_in_the_total_once_however_late_it_comes(shape: list[tuple[int, int, int]]) -> None:
    """For any nesting, and for money in time and late in any task: the total is what the leaves add up to, and so is
    the row of each outermost task together."""
    with TemporaryDirectory() as directory:
        recorder = Recorder(Path(directory))
        parents = [parent if parent < number else -1 for number, (parent, _, _) in enumerate(shape)]
        in_time = [Decimal(cost) for _, cost, _ in shape]
        for number in reversed(range(len(shape))):
            if parents[number] >= 0:
                in_time[parents[number]] += in_time[number]
        for number, (_, own, late) in enumerate(shape):
            identity = {"TASK_ID": f"t{number}", "TASK_NAME": f"n{number}"}
            above = {"PARENT_TASK_ID": f"t{parents[number]}"} if parents[number] >= 0 else {}
            money = {"COST_EXACT": str(in_time[number]), "COST_SELF_EXACT": str(own), "OUTCOME": "succeeded"}
            with recorder.span("task", "task", **identity, **above, **money):
                recorder.call(str(own), **identity)
            recorder.call(str(late), **identity)
        result = report(recorder)
    spent = sum(own + late for _, own, late in shape)
    assert result.total.total == spent
    assert result.total.late == sum(late for *_, late in shape)
    tops = {f"n{number}" for number, parent in enumerate(parents) if parent < 0}
    assert sum(row.total or 0 for row in result.rows if row.name in tops) == spent


def test_no_success_has_no_cost_per_success(recorder: Recorder) -> None:
    """Undefined is `None`, neither zero nor an error; a task without an outcome is pending."""
    with recorder.task("resolve", "a", "0.1", OUTCOME="odd"):
        recorder.call("0.1")
    [row] = report(recorder).rows
    assert (row.cost_per_success, row.pending) == (None, 1)


def test_totals_that_the_recorded_spans_do_not_add_up_to_are_named(recorder: Recorder) -> None:
    """Lost spans and late charges are footnotes, once per outermost task; what was lost is only a footnote."""
    with recorder.task("resolve", "a", "0.3", "0.1"):
        recorder.call("0.1")
        with recorder.task("inner", "b", "0.2"):
            recorder.call("0.05")
    with recorder.task("late", "c", "0.1"):
        recorder.call("0.1")
        recorder.leaf("charge", "late call", "0.01")
    result = report(recorder)
    assert result.total.total == Decimal("0.41")
    assert result.notes == (
        "1 task: 0.01 USD was booked after the task had ended, or in another process; it is in these figures.",
        (
            "1 task: the spans recorded inside add up to 0.15 USD less than the task's total (sampled, lost or not yet "
            "flushed); totals are the tasks' own."
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
        recorder.report()
