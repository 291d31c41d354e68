"""How results look: to people and to programs. What names may try is in tests/security/test_every_output.py."""

import csv
import io
import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from taskmeter.reports.render import as_csv, as_json, as_table, least_width
from taskmeter.reports.task_tree import TaskTree, task_tree
from taskmeter.reports.text import cell, duration, money, plain, share
from taskmeter.reports.unit_cost_result import UnitCostReport
from tests.reports.spans import Recorder


def show(result: UnitCostReport | TaskTree, width: int = 100) -> list[str]:
    console = Console(width=max(width, least_width(result)), record=True, file=io.StringIO(), color_system=None)
    console.print(as_table(result))
    return [line.rstrip() for line in console.export_text().splitlines()]


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    recorder = Recorder(tmp_path)
    draft = {"STEP_NAME": "draft", "STEP_DISCARDED": True, "STEP_DISCARD_REASON": "not valid"}
    with recorder.task("resolve", "a1", "0.0152", "0.0052", TASK_KEY="T-1", CALLS=3, RETRIES=1, COST_ESTIMATED=0.01):
        with recorder.span("step draft", "step", **draft, COST_EXACT="0.005", waste={"discarded_step": "0.005"}):
            failed = {"HTTP_STATUS": 429, "ERROR_TYPE": "429", "ATTEMPT_WAIT": 0.02}
            retried = recorder.open_call("0.005", INPUT_TOKENS=1200, CACHE_READ_TOKENS=1024, RESEND_COUNT=1)
            with retried, recorder.span("attempt 1", "attempt", **failed):
                pass
            recorder.leaf("tool", "lookup", "0.0002", seconds=0.0001)
        with recorder.task(
            "inner", "b2", "0.01", CALLS=2, UNPRICED_CALLS=1, OUTCOME="failed", waste={"failed_task": "0.01"}
        ):
            recorder.call("0.01", COST_STATUS="estimated", COST_REASON="aborted", OUTPUT_TOKENS=7, REASONING_TOKENS=5)
            recorder.call(None, "mystery")
    return recorder


def test_the_report_as_a_table(recorder: Recorder) -> None:
    """What the README shows, in 100 columns."""
    assert show(recorder.report()) == [
        "                               cost per                         re-",
        "task    tasks ok fail    total  success      p50      p95 calls try   wasted",
        "─────────────────────────────────────────────────────────────────────────────────",
        "resolve     1  1    0 ~$0.0152 ~$0.0152 ~$0.0152 ~$0.0152     3   1   ≥$0.00",
        "inner       1  0    1 ≥$0.0100      n/a ≥$0.0100 ≥$0.0100     2   0 ≥$0.0100 100%",
        "─────────────────────────────────────────────────────────────────────────────────",
        "TOTAL       2  1    1 ~$0.0152                                3   1   ≥$0.00",
        "",
        "cost per success: all spend of that name, failures included, over its successes",
        "p50, p95: cost of a task of that name, nearest rank",
        "~ partly estimated: 66% of resolve, 66% of TOTAL",
        "≥ lower bound: a call in it could not be priced",
        "coverage: 50% of tasks priced, 65.8% of cost estimated, 0% pending; prices not recorded",
    ]


def test_list_price_where_a_contract_makes_it_another(tmp_path: Path) -> None:
    """Beside what it cost, on tasks and calls, and only where the two differ."""
    recorder = Recorder(tmp_path)
    with recorder.task("resolve", "a1", "0.0185", COST_LIST=0.02):
        recorder.call("0.0085", CALL_COST_LIST=0.01)
        recorder.call("0.01", CALL_COST_LIST=0.01)
    tree = task_tree(recorder.relations(), "a1")
    assert [node.list_cost for node in tree.nodes] == [Decimal("0.02"), Decimal("0.01"), None]
    assert [line.rpartition("list ")[2] for line in show(tree) if "list " in line] == ["$0.0200", "$0.0100"]


def test_the_tree_as_a_table(recorder: Recorder) -> None:
    """What `taskmeter show` prints."""
    assert show(task_tree(recorder.relations(), "T-1")) == [
        "                          tokens              (reason-",
        "what                 cost     in (cached) out     ing)   time  notes",
        "─────────────────────────────────────────────────────────────────────────────────────",
        "task resolve T-1 ~$0.0152                              14.0 s  succeeded, 1 retry",
        "├ step draft      $0.0050                               6.0 s  discarded: not valid",
        "│ ├ chat gpt-5    $0.0050  1,200  (1,024)               3.0 s  1 retry",
        "│ │ └ attempt 1                                         1.0 s  HTTP 429, waited 20 ms",
        "│ └ tool lookup  $0.00020                               <1 ms",
        "└ task inner     ≥$0.0100                               5.0 s  failed, wasted",
        "  ├ chat gpt-5   ~$0.0100                   7      (5)  1.0 s  estimated: aborted",
        "  └ chat mystery unpriced                               1.0 s",
    ]


def test_a_table_that_is_wider_than_the_terminal_becomes_several(recorder: Recorder) -> None:
    """Each with the names, and all of its lines within the terminal; no number is cut."""
    console = Console(width=50, record=True, file=io.StringIO(), color_system=None)
    console.print(as_table(recorder.report(), width=console.width))
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert lines[:13] == [
        "                               cost per",
        "task    tasks ok fail    total  success      p50",
        "────────────────────────────────────────────────",
        "resolve     1  1    0 ~$0.0152 ~$0.0152 ~$0.0152",
        "inner       1  0    1 ≥$0.0100      n/a ≥$0.0100",
        "────────────────────────────────────────────────",
        "TOTAL       2  1    1 ~$0.0152",
        "",
        "                       re-",
        "task         p95 calls try   wasted",
        "────────────────────────────────────────",
        "resolve ~$0.0152     3   1   ≥$0.00",
        "inner   ≥$0.0100     2   0 ≥$0.0100 100%",
    ]
    assert max(map(len, lines)) <= 50


@pytest.mark.parametrize("width", [100, 120])
def test_no_number_is_ever_cut(tmp_path: Path, width: int) -> None:
    """With every column there is, large amounts and long names, the tables still say it all."""
    recorder = Recorder(tmp_path)
    for outcome in ("succeeded", "failed", "abandoned", "pending"):
        more = {"OUTCOME": outcome, "COST_ESTIMATED": 5000.0, "waste": {"reask": "1234.56"}, "UNPRICED_CALLS": 1}
        task = recorder.task("a_name_that_is_long_" * 4, outcome, "9876.54", CALLS=54321, RETRIES=4321, **more)
        with task, recorder.span("step", "step", STEP_NAME="deep " * 12, COST_EXACT="9876.54"):
            recorder.call("9876.54", "model-" * 8, INPUT_TOKENS=9876543, ERROR_TYPE="SomeLongNamedError" * 3)
    relations = recorder.relations()
    report = show(recorder.report(), width)
    tree = show(task_tree(relations, "pending"), width)
    assert max(map(len, report + tree)) <= max(width, 121)
    for amount in (" ≥~$39,506.16 ≥~$39,506.16 ≥~$9,876.54 ≥~$9,876.54 217284 17284 ≥~$4,938.24 12%",):
        assert any(amount in line for line in report), amount
    assert any("9,876,543" in line for line in tree)
    folded = "".join(line[:30].strip("│└├ ") for line in tree if line)
    assert "model-model" in folded


def test_json_keeps_every_digit(recorder: Recorder) -> None:
    """Amounts are strings, what is not known is null."""
    relations = recorder.relations()
    report = json.loads(as_json(recorder.report()))
    assert [(row["name"], row["total"], row["cost_per_success"]) for row in report["rows"]] == [
        ("resolve", "0.0152", "0.015200000000"),
        ("inner", "0.01", None),
    ]
    assert report["total"]["total"] == "0.0152"
    tree = json.loads(as_json(task_tree(relations, "T-1")))
    assert [node["cost"] for node in tree["nodes"]] == [
        "0.0152",
        "0.005",
        "0.005",
        None,
        "0.0002",
        "0.01",
        "0.01",
        None,
    ]


def test_csv_keeps_every_digit(recorder: Recorder) -> None:
    """One header, one line each; empty is unknown."""
    relations = recorder.relations()
    rows = list(csv.DictReader(io.StringIO(as_csv(recorder.report()))))
    assert [(row["name"], row["total"], row["cost_per_success"], row["currency"]) for row in rows] == [
        ("resolve", "0.0152", "0.015200000000", "USD"),
        ("inner", "0.01", "", "USD"),
        ("TOTAL", "0.0152", "", "USD"),
    ]
    nodes = list(csv.DictReader(io.StringIO(as_csv(task_tree(relations, "T-1")))))
    assert [(node["depth"], node["kind"], node["cost"]) for node in nodes][:3] == [
        ("0", "task", "0.0152"),
        ("1", "step", "0.005"),
        ("2", "call", "0.005"),
    ]


def test_a_name_that_looks_like_a_row_of_ours_is_in_quotes(tmp_path: Path) -> None:
    """In the table; programs have the kind of the row. Unfinished tasks have rows by their names."""
    recorder = Recorder(tmp_path)
    for name in ("TOTAL", "(no task)", "a (unfinished)"):
        with recorder.task(name, name, "0.1", CALLS=1):
            recorder.call("0.1")
    with recorder.task("a", "gone", None, drop=True):
        recorder.call("0.1")
    result = recorder.report()
    lines = show(result)
    assert [line[:16].rstrip() for line in lines[3:6]] == ['"(no task)"', '"TOTAL"', '"a (unfinished)"']
    assert [line.split() for line in lines if line.startswith(("a ", "TOTAL"))] == [
        ["a", "(unfinished)", "1", "$0.1000", "1", "0", "-"],
        ["TOTAL", "4", "3", "0", "$0.4000", "4", "0", "-"],
    ]
    assert [row["kind"] for row in json.loads(as_json(result))["rows"]] == ["task", "task", "task", "unfinished"]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@now", " =1", "\t=1"])
def test_a_cell_is_no_formula_and_a_number_no_exponent(tmp_path: Path, name: str) -> None:
    """Tiny shares are written out; tuples are words."""
    recorder = Recorder(tmp_path)
    with recorder.task(name, "a", "1000", CALLS=1, waste={"reask": "0.002"}):
        recorder.call("1000")
    row = next(csv.DictReader(io.StringIO(as_csv(recorder.report()))))
    assert row["name"].startswith("'")
    assert (row["wasted_share"], row["estimates"], row["total"]) == ("0.000002", "", "1000")


def test_reasons_are_not_cut(tmp_path: Path) -> None:
    """However long; a call that failed without a cost says of what."""
    recorder = Recorder(tmp_path)
    with recorder.task("resolve", "a", "0", OUTCOME="failed", OUTCOME_REASON="because " * 30, CALLS=1):
        recorder.call(None, COST_STATUS="", ERROR_TYPE="APITimeoutError")
    tree = task_tree(recorder.relations(), "a")
    text = " ".join(show(tree))
    assert text.count("because") == 30
    assert "failed, APITimeoutError" in text
    assert as_csv(tree).count("because") == 30


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"),
        ("1234567.891", "$1,234,567.89"),
        ("1", "$1.00"),
        ("0.99999", "$1.0000"),
        ("0.0123456", "$0.0123"),
        ("0.01", "$0.0100"),
        ("0.00999", "$0.0100"),
        ("0.0042", "$0.0042"),
        ("0.00042", "$0.00042"),
        ("0.000004251", "$0.0000043"),
        ("-0.00042", "-$0.00042"),
        (None, "unpriced"),
    ],
)
def test_money_for_people(amount: str | None, text: str) -> None:
    """Two significant digits survive, however small the amount."""
    assert money(None if amount is None else Decimal(amount)) == text


def test_other_currencies_are_named() -> None:
    """No dollar sign on euros."""
    assert money(Decimal("12.5"), "EUR") == "EUR 12.50"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "<1 ms"),
        (0.0123, "12 ms"),
        (0.9996, "1.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1m 00s"),
        (307, "5m 07s"),
        (7500, "2h 05m"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    """Short, with the unit."""
    assert duration(seconds) == text


@pytest.mark.parametrize(("part", "text"), [(None, ""), (0.0, ""), (0.004, "<1%"), (0.125, "12%"), (1.0, "100%")])
def test_shares(part: float | None, text: str) -> None:
    """Percent without decimals; a little is not nothing."""
    assert share(part) == text


@given(st.text())
def test_any_name_becomes_one_harmless_line(name: str) -> None:
    """Printable, short, and no formula in a spreadsheet."""
    assert plain(name).isprintable()
    assert len(plain(name)) <= 80
    assert not cell(name).lstrip().startswith(("=", "+", "-", "@"))


def test_escape_sequences_go_whole() -> None:
    """Colours, titles and links leave nothing behind."""
    assert plain("\x1b[1;31mred\x1b[0m \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\ \x9b5mnote") == "red link note"
