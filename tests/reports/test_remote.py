"""What other processes spent for a task: added to it once, however tasks nest over processes."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskmeter.reports.relations import Relations
from taskmeter.reports.rows import Task
from tests.reports.spans import Recorder


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


def figures(relations: Relations, *names: str) -> dict[str, list[Any]]:
    return {task.id: [getattr(task, name) for name in names] for task in relations.tasks.values()}


def decimals(*amounts: str) -> list[Decimal]:
    return [Decimal(amount) for amount in amounts]


def test_remote_money_is_added_even_where_local_spans_were_lost(recorder: Recorder) -> None:
    """Of 0.3 only 0.1 is recorded here: what was spent elsewhere does not fill that gap."""
    with recorder.task("resolve", "a", "0.3", CALLS=3):
        recorder.call("0.1")
        recorder.call("0.05", TASK_REMOTE=True)
    relations = recorder.relations()
    assert figures(relations, "cost", "own", "late", "remote") == {"a": decimals("0.35", "0.35", "0.05", "0.05")}
    assert relations.tasks["a"].calls == 4


def test_a_task_nested_in_a_remote_one_is_added_to_all_around_it(recorder: Recorder) -> None:
    """Not twice where its money is on its own span and on its leaves."""
    with recorder.task("outer", "a", "0.3", "0.1"):
        recorder.call("0.1")
        with recorder.task("middle", "b", "0.2"):
            recorder.call("0.2")
            with recorder.task("far", "c", "0.05", TASK_REMOTE=True, OUTCOME="failed", waste={"failed_task": "0.05"}):
                recorder.call("0.05")
    relations = recorder.relations()
    assert figures(relations, "cost", "own", "wasted", "remote") == {
        "a": decimals("0.35", "0.1", "0.05", "0.05"),
        "b": decimals("0.25", "0.2", "0.05", "0.05"),
        "c": decimals("0.05", "0.05", "0.05", "0"),
    }
    assert recorder.report().total.total == Decimal("0.35")


def test_a_step_has_what_a_service_spent_in_it(recorder: Recorder) -> None:
    """A step of the service, which has that already, does not get it twice; a discarded step loses it all."""
    with (
        recorder.task("resolve", "a", "0.1"),
        recorder.span("step ask", "step", STEP_NAME="ask", STEP_DISCARDED=True, COST_EXACT="0.1"),
    ):
        recorder.call("0.1")
        with recorder.span("step there", "step", STEP_NAME="there", COST_EXACT="0.2", TASK_REMOTE=True):
            recorder.call("0.2", TASK_REMOTE=True)
    relations = recorder.relations()
    steps = {row.name: (row.cost, row.wasted) for row in relations.rows.values() if row.name in ("ask", "there")}  # type: ignore[union-attr]
    assert steps == {"ask": (Decimal("0.3"), Decimal("0.3")), "there": (Decimal("0.2"), Decimal(0))}
    assert figures(relations, "cost", "wasted") == {"a": decimals("0.3", "0.3")}


def test_a_service_alone_shows_its_part_as_unfinished(recorder: Recorder) -> None:
    """Its own spool does not have the task's span: who it is comes from what is inside."""
    with recorder.task("resolve", "a", None, drop=True, TASK_KEY="T-1"):
        recorder.call("0.05", TASK_REMOTE=True)
        with recorder.task("inner", "b", "0.2", TASK_REMOTE=True):
            recorder.call("0.2")
    relations = recorder.relations()
    assert figures(relations, "cost", "outcome", "key", "remote") == {
        "a": [Decimal("0.25"), "unfinished", "T-1", Decimal("0.25")],
        "b": [Decimal("0.2"), "succeeded", None, Decimal(0)],
    }


def test_a_marked_late_leaf_is_late_even_where_others_were_lost(recorder: Recorder) -> None:
    """The mark says so; the sum alone would not."""
    with recorder.task("resolve", "a", "0.3"):
        recorder.call("0.1")
    recorder.call("0.05", TASK_ID="a", TASK_NAME="resolve", COST_LATE=True)
    assert figures(recorder.relations(), "cost", "late") == {"a": decimals("0.35", "0.05")}


SHAPES = st.lists(
    st.tuples(st.integers(-1, 12), st.booleans(), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)),
    min_size=1,
    max_size=10,
)


@settings(deadline=None, max_examples=25)
@given(SHAPES, st.booleans())
def test_each_dollar_is_in_the_total_once_in_whatever_process(
    shape: list[tuple[int, bool, int, int, int]], keep_leaves: bool
) -> None:
    """For tasks nested over processes, each with money in time, late and elsewhere: every task is the sum of what is
    below it, also where the local leaves were not recorded."""
    parents = [parent if parent < number else -1 for number, (parent, *_) in enumerate(shape)]
    remote = [far and parents[number] >= 0 for number, (_, far, *_) in enumerate(shape)]
    in_time = [Decimal(own) for _, _, own, _, _ in shape]
    whole = [Decimal(own + late + far) for _, _, own, late, far in shape]
    for number in reversed(range(len(shape))):
        if parents[number] >= 0:
            whole[parents[number]] += whole[number]
            if not remote[number]:
                in_time[parents[number]] += in_time[number]
    with TemporaryDirectory() as directory:
        recorder = Recorder(Path(directory))
        for number, (_, _, own, late, far) in enumerate(shape):
            identity = {"TASK_ID": f"t{number}", "TASK_NAME": f"n{number}"}
            above: dict[str, Any] = {"PARENT_TASK_ID": f"t{parents[number]}"} if parents[number] >= 0 else {}
            above |= {"TASK_REMOTE": True} if remote[number] else {}
            money = {"COST_EXACT": str(in_time[number]), "COST_SELF_EXACT": str(own), "OUTCOME": "succeeded"}
            with recorder.span("task", "task", **identity, **above, **money):
                if keep_leaves:
                    recorder.call(str(own), **identity)
            recorder.call(str(late), **identity, COST_LATE=True)
            recorder.call(str(far), **identity, TASK_REMOTE=True)
        relations, report = recorder.relations(), recorder.report()
    found: Iterable[Task] = relations.tasks.values()
    assert {task.id: task.cost for task in found} == {f"t{number}": total for number, total in enumerate(whole)}
    top = sum((total for total, parent in zip(whole, parents, strict=True) if parent < 0), Decimal(0))
    assert report.total.total == top
