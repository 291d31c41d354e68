"""The tables of the engine say what the relations in Python say, from lines and from Parquet, whatever is recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskmeter import _semconv as names
from taskmeter.records import total
from taskmeter.reports.breakdown import BreakdownReport, breakdown
from taskmeter.reports.engine.matching import read_unmatched
from taskmeter.reports.engine.selection import relate_task
from taskmeter.reports.engine.warehouse import Warehouse, open_spool
from taskmeter.reports.relations import Relations, relate
from taskmeter.reports.task_tree import task_tree
from taskmeter.reports.unit_cost import unit_cost
from taskmeter.reports.unit_cost_result import UnitCostReport
from taskmeter.reports.waste import CLASSES
from taskmeter.spool.compact import compact
from taskmeter.spool.read import SpoolReading
from tests.reports.spans import Recorder, report_of
from tests.reports.spools import Spool
from tests.reports.truth import Truth, truths

COLUMNS = {
    "name": "name",
    "outcome": "outcome",
    "calls": "calls",
    "retries": "retries",
    "unpriced_calls": "all_unpriced",
    "exposed_attempts": "exposed",
}
AMOUNTS = {
    **{name: name for name in ("cost", "own", "late", "own_late", "remote", "wasted", "estimated", "value", "quality")},
    "human_minutes": "minutes",
}


def told(relations: Relations) -> dict[str, Mapping[str, Any]]:
    """Each task of the relations, in the columns that both have."""
    return {
        task.id: {name: getattr(task, name) for name in (*COLUMNS, *AMOUNTS)}
        | {
            "waste": dict(task.waste),
            "tokens": tuple(task.tokens),
            "marks": (task.ref in relations.wasted_estimates, task.ref in relations.wasted_bounds),
        }
        for task in relations.tasks.values()
    }


def found(warehouse: Warehouse) -> dict[str, Mapping[str, Any]]:
    """The same of the engine."""
    return {
        row["id"]: {name: row[column] for name, column in COLUMNS.items()}
        | {name: warehouse.amount(row[column]) for name, column in AMOUNTS.items()}
        | {"waste": {name: amount for name in CLASSES if (amount := warehouse.known(row[f"waste_{name}"]))}}
        | {"tokens": tuple(row[name] for name in ("input", "cached", "output", "reasoning"))}
        | {"marks": (row["wasted_estimate"], row["wasted_bound"])}
        for row in warehouse.ask("SELECT * FROM tasks")
    }


def check_parts(report: UnitCostReport, divided: BreakdownReport, known: Mapping[tuple[str, bool], Truth]) -> None:
    """The parts of each row's money, and the same in either report."""
    for row in (*report.rows, report.total):
        if row.kind != "no_task":
            truth = known.get((row.name, row.kind == "unfinished"), Truth())
            said = (row.context_tax, row.reasoning_cost, row.cache_saved, row.outside_model)
            assert (said, row.unmeasured_calls) == (truth.figures(row.calls), truth.unmeasured), row
        same = next(each for each in (*divided.rows, divided.total) if (each.name, each.kind) == (row.name, row.kind))
        if row.waste is not None:
            assert total(row.waste.values()) == row.wasted == same.waste.wasted
            assert row.waste == {part.waste: part.amount for part in same.waste.classes}
        assert row.unmeasured_calls == same.context.unmeasured_calls
        if row.context_tax:
            assert same.context.carried is not None
            assert same.context.carried.cost == row.context_tax


def check(random: Random) -> None:
    with TemporaryDirectory() as name:
        directory = Path(name)
        spool = Spool(random)
        spool.write(directory)
        relations = relate(SpoolReading(directory))
        with open_spool(SpoolReading(directory)) as warehouse:
            assert found(warehouse) == told(relations)
            assert read_unmatched(warehouse) == relations.unmatched
            assert warehouse.unreadable == relations.unreadable_costs
            before = unit_cost(warehouse)
            check_parts(before, breakdown(warehouse), truths(spool.spans, relations))
        compact(directory, older_than=timedelta(0), now=datetime(2100, 1, 1, tzinfo=UTC))
        with open_spool(SpoolReading(directory)) as warehouse:
            assert unit_cost(warehouse) == before


@settings(deadline=None, max_examples=12)
@given(st.randoms(use_true_random=False))
def test_the_engine_says_what_the_relations_say(random: Random) -> None:
    """Every figure of every task, to the last digit; and the report is the same from Parquet."""
    check(random)


@settings(deadline=None, max_examples=10)
@given(st.randoms(use_true_random=False))
def test_one_task_is_shown_without_reading_all(random: Random) -> None:
    """Its tree from a compacted spool is that of the whole spool, whatever bears on it."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        spool = Spool(random)
        spool.write(directory)
        whole = relate(SpoolReading(directory))
        compact(directory, older_than=timedelta(0), now=datetime(2100, 1, 1, tzinfo=UTC))
        for wanted in [*whole.tasks][:4]:
            assert task_tree(relate_task(SpoolReading(directory), wanted), wanted) == task_tree(whole, wanted)


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
def test_the_engine_says_what_the_relations_say_of_2000_spools() -> None:
    """The same, at length."""
    for seed in range(2000):
        check(Random(seed))


def line(*spans: dict[str, Any]) -> str:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}) + "\n"


def task(number: int, parent: int | None = None, **attributes: Any) -> dict[str, Any]:
    """A task `t1` with attributes named as in `_semconv`."""
    given = {names.SPAN_KIND: "task", names.TASK_ID: f"t{number}", names.TASK_NAME: f"n{number}"}
    if parent is not None:
        given[names.PARENT_TASK_ID] = f"t{parent}"
    given |= {getattr(names, key): value for key, value in attributes.items()}
    return {
        "traceId": "a" * 32,
        "spanId": f"{number + 1:016x}",
        "startTimeUnixNano": str(number + 1),
        "endTimeUnixNano": str(number + 2),
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in given.items()],
    }


def report(directory: Path, *spans: dict[str, Any]) -> UnitCostReport:
    (directory / "traces-a.jsonl").write_text(line(*spans))
    return report_of(directory)


def test_amounts_of_any_length_are_added_to_the_last_digit(tmp_path: Path) -> None:
    """Together they have more digits than a fixed decimal holds."""
    largest, smallest = "999999999999999", "0." + "0" * 39 + "1"
    amounts = (largest, largest, smallest, "0.5")
    spans = [task(n, TASK_NAME="n", COST_EXACT=each, COST_SELF_EXACT=each) for n, each in enumerate(amounts)]
    [row] = report(tmp_path, *spans).rows
    assert row.total == Decimal("1999999999999998.5" + "0" * 38 + "1")
    assert (row.p50, row.max) == (Decimal("0.5"), Decimal(largest))


def test_tasks_nest_deep(tmp_path: Path) -> None:
    """Each level is settled after those in it; the deepest call is in all of them."""
    spans = [task(number, number - 1 if number else None, COST_EXACT="1", COST_SELF_EXACT="0") for number in range(60)]
    late = {**task(100), "attributes": task(59, SPAN_KIND="call", COST_EXACT="3")["attributes"]}
    result = report(tmp_path, *spans, late)
    assert {row.total for row in result.rows} == {Decimal(4)}
    assert result.total.total == Decimal(3)


def test_tasks_inside_each_other_end(tmp_path: Path) -> None:
    """No honest writer makes a cycle; each of its tasks counts, and what is below them."""
    spans = [task(0, 1, COST_EXACT="1"), task(1, 0, COST_EXACT="1"), task(2, 1, COST_EXACT="1"), task(3, 3)]
    result = report(tmp_path, *spans)
    assert result.total.tasks == 4
    assert [row.name for row in result.rows] == ["n0", "n1", "n2", "n3"]


@pytest.mark.parametrize(
    "name", ["'; DROP TABLE tasks; --", '"', "{0}", "$depth", "\x00", "\ud800", "x" * 10_000, "=1+1"]
)
def test_names_are_only_names(tmp_path: Path, name: str) -> None:
    """In SQL as elsewhere; what is no character is one that stands for it."""
    [row] = report(tmp_path, task(0, TASK_NAME=name, TASK_ID=name, TASK_KEY=name, COST_EXACT="1")).rows
    assert (row.name, row.total) == (name.replace("\ud800", "?"), Decimal(1))


def test_a_file_of_another_version_is_read_all_the_same(tmp_path: Path) -> None:
    """A column that it lacks is in its JSON; one more changes nothing."""
    before = report(tmp_path, task(0, COST_EXACT="1", CUSTOMER="acme"), task(1, COST_EXACT="2"))
    compact(tmp_path, older_than=timedelta(0), now=datetime(2100, 1, 1, tzinfo=UTC))
    [path] = tmp_path.glob("*.parquet")
    with duckdb.connect() as database:
        database.read_parquet(str(path)).create("spans")
        database.execute(
            """
            CREATE TABLE older AS SELECT * EXCLUDE ("taskmeter.cost.exact") REPLACE (
                json_merge_patch(attributes, json_object(
                    'taskmeter.cost.exact', json_object('stringValue', "taskmeter.cost.exact")
                ))::VARCHAR AS attributes
            ), 7 AS of_tomorrow FROM spans
            """
        )
        database.table("older").write_parquet(str(path))
    assert report_of(tmp_path) == before


def test_a_file_from_before_a_column_was_added_says_the_same(tmp_path: Path) -> None:
    """What a task did twice, and what reasoning and caches came to, had no columns once: they are in the JSON then."""
    recorder = Recorder(tmp_path)
    with recorder.task("t", "a", "1", CALLS=1, REASKS=2, DUPLICATE_CALLS=1, LOOPED_TOOL_RUNS=3, GROWING_TURNS=21):
        recorder.call("1", INPUT_TOKENS=9, REASONING_TOKENS=5, COST_REASONING=0.3, CACHE_READ_TOKENS=4, CACHE_SAVED=0.1)
    recorder.relations()

    def reports() -> tuple[UnitCostReport, BreakdownReport]:
        with open_spool(SpoolReading(tmp_path)) as warehouse:
            return unit_cost(warehouse), breakdown(warehouse)

    before = reports()
    assert (before[0].total.reasoning_cost, before[1].total.waste.growing_turns) == (Decimal("0.3"), 21)
    compact(tmp_path, older_than=timedelta(0), now=datetime(2100, 1, 1, tzinfo=UTC))
    [path] = tmp_path.glob("*.parquet")
    counts = (names.REASKS, names.DUPLICATE_CALLS, names.LOOPED_TOOL_RUNS, names.GROWING_TURNS)
    columns = {name: f"{{'intValue': \"{name}\"::VARCHAR}}" for name in counts}
    columns |= {name: f"{{'doubleValue': \"{name}\"}}" for name in (names.COST_REASONING, names.CACHE_SAVED)}
    said = ", ".join(
        f"""CASE WHEN "{name}" IS NULL THEN '{{}}' ELSE json_object('{name}', {value}) END"""
        for name, value in columns.items()
    )
    with duckdb.connect() as database:
        database.read_parquet(str(path)).create("spans")
        left_out = ", ".join(f'"{name}"' for name in columns)
        database.execute(
            f"CREATE TABLE older AS SELECT * EXCLUDE ({left_out}) "
            f"REPLACE (json_merge_patch(attributes, {said})::VARCHAR AS attributes) FROM spans"
        )
        database.table("older").write_parquet(str(path))
    assert reports() == before


def test_a_count_is_of_a_sensible_size(tmp_path: Path) -> None:
    """What nobody can have counted neither stops the report nor is in another figure."""
    huge = {"key": names.CALLS, "value": {"intValue": str(2**62)}}
    spans = [task(number, COST_EXACT="1", COST_SELF_EXACT="1") for number in range(4)]
    result = report(tmp_path, *[{**span, "attributes": [*span["attributes"], huge]} for span in spans])
    assert (result.total.total, result.total.calls) == (Decimal(4), 4 * 10**12)
