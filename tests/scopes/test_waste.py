"""Waste by class, of what the application itself says and does: each amount derived by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from taskmeter import WasteRules, charge, instrument, track_step, track_task, track_tool, uninstrument
from taskmeter.errors import ConfigurationError, UsageError


def test_a_failed_task_is_waste_of_its_class_but_for_what_is_waste_already() -> None:
    """1 + 2 + 4: the discarded 2 and the nested abandoned 4 keep their classes in the outer task, which fails."""
    with track_task("outer") as outer:
        charge("1")
        with track_step("draft") as step:
            charge("2")
            step.discard()
        with track_task("inner") as inner:
            charge("4")
            inner.abandon()
        outer.fail()
    assert inner.cost.waste == {"abandoned_task": Decimal(4)}
    assert outer.cost.waste == {
        "failed_task": Decimal(1),
        "discarded_step": Decimal(2),
        "abandoned_task": Decimal(4),
    }
    assert outer.cost.wasted == outer.cost.total == Decimal(7)


def test_an_outer_task_that_fails_leaves_a_nested_one_its_own_view() -> None:
    """The nested one succeeded: nothing of it is waste as seen from it, and all of it is from outside."""
    with track_task("outer") as outer:
        with track_task("inner") as inner:
            charge("4")
        outer.fail()
    assert (inner.cost.waste, outer.cost.waste) == ({}, {"failed_task": Decimal(4)})


def test_a_discarded_step_that_is_opened_again_was_a_re_ask(spans: Any) -> None:
    """1 is moved to its class when the second attempt starts, also what comes late; 2 is useful."""
    with track_task("t") as task:
        with track_step("draft") as first:
            charge("1")
            first.discard("too long")
        assert task.cost.waste == {"discarded_step": Decimal(1)}
        with track_step("draft"):
            charge("2")
    assert task.cost.waste == first.cost.waste == {"reask": Decimal(1)}
    assert (task.cost.total, task.reasks, first.reasks) == (Decimal(3), 1, 1)
    said = spans.only("invoke_workflow t")
    assert (said["taskmeter.waste.reask"], said["taskmeter.waste.reask.exact"], said["taskmeter.reasks"]) == (1, "1", 1)
    assert "taskmeter.waste.discarded_step" not in said
    written = next(span.attributes for span in spans.all() if span.name == "step draft")
    assert written["taskmeter.waste.discarded_step.exact"] == "1"  # it had ended before that was known


def test_a_step_that_raised_is_waste_only_once_it_is_opened_again() -> None:
    """A fallback under another name makes no re-ask of it."""
    with track_task("t") as task:
        for name in ("draft", "fallback", "draft"):
            with suppress(ValueError), track_step(name):
                charge("1")
                raise ValueError
    assert (task.cost.waste, task.cost.total, task.reasks) == ({"reask": Decimal(1)}, Decimal(3), 1)


def test_branches_side_by_side_are_no_repeats() -> None:
    """Best of two: the one that is thrown away stays a discarded step, though its name is opened again."""

    async def branch(amount: str, *, discards: bool) -> None:
        with track_step("branch") as step:
            charge(amount)
            await asyncio.sleep(0)  # the other opens
            if discards:
                step.discard()

    async def both() -> None:
        await asyncio.gather(branch("1", discards=False), branch("2", discards=True))
        await branch("4", discards=False)

    with track_task("t") as task:
        asyncio.run(both())
    assert (task.reasks, task.cost.waste) == (0, {"discarded_step": Decimal(2)})


def test_a_step_that_was_kept_is_no_re_ask_and_neither_is_one_elsewhere() -> None:
    """Only the last of that name in the same scope counts, and only if it was rejected."""
    with track_task("t") as task:
        with track_step("draft"):
            charge("1")
        with track_step("draft"), track_step("check") as inner:
            charge("2")
            inner.discard()
        with track_step("check"):
            charge("4")
    assert (task.cost.waste, task.reasks) == ({"discarded_step": Decimal(2)}, 0)


def test_retry_rejects_what_was_booked_so_far(spans: Any) -> None:
    """1 and 2 are for rejected answers, each counted once; the last, 4, is useful. The last reason is kept."""
    with track_task("t") as task:
        charge("1")
        task.retry("not JSON")
        charge("2")
        task.retry("wrong schema")
        charge("4")
    assert (task.cost.waste, task.cost.total, task.reasks) == ({"reask": Decimal(3)}, Decimal(7), 2)
    assert spans.only("invoke_workflow t")["taskmeter.reask.reason"] == "wrong schema"


def test_retry_inside_an_open_step_spares_what_the_step_does_next() -> None:
    """Seen from the step too, 1 is waste and 2 is not; a later discard takes the rest."""
    with track_task("t") as task, track_step("ask") as step:
        charge("1")
        task.retry()
        charge("2")
        assert (task.cost.waste, step.cost.waste) == ({"reask": Decimal(1)}, {"reask": Decimal(1)})
        step.discard()
    assert task.cost.waste == step.cost.waste == {"reask": Decimal(1), "discarded_step": Decimal(2)}


def test_retry_of_a_step_reaches_its_task() -> None:
    """And nothing beside it."""
    with track_task("t") as task:
        charge("1")
        with track_step("ask") as step:
            charge("2")
            step.retry()
            charge("4")
    assert (step.cost.waste, task.cost.waste, task.cost.total) == (
        {"reask": Decimal(2)},
        {"reask": Decimal(2)},
        Decimal(7),
    )


def test_retry_after_the_end_is_misuse() -> None:
    """The message says where to say it; an empty reason is none."""
    with track_task("t") as task, pytest.raises(UsageError, match="reason='' must be a non-empty string"):
        task.retry("")
    with pytest.raises(UsageError, match="has ended, so nothing in it is asked anew; say it inside"):
        task.retry()


# --- loops of tools


@track_tool("lookup", cost="1")
def lookup(query: object, limit: int = 10) -> object:
    return query, limit


def test_the_fourth_run_of_the_same_in_a_row_is_a_loop(spans: Any) -> None:
    """Of 5 at 1 each the last 2; another run breaks it, and the next is the first of its row."""
    with track_task("t") as task:
        for query in ("a", "a", "a", "a", "a", "b", "a"):
            lookup(query)
    assert (task.cost.waste, task.looped_tool_runs, task.tool_runs) == ({"loop": Decimal(2)}, 2, 7)
    classes = [(span.attributes or {}).get("taskmeter.waste.class") for span in spans.all()[:-1]]
    assert classes == [None, None, None, "loop", "loop", None, None]
    assert spans.only("invoke_workflow t")["taskmeter.looped_tool_runs"] == 2


def test_a_few_runs_in_turn_are_a_loop_as_well() -> None:
    """a b a b a b is well, three times each; from the next on it is a loop."""
    with track_task("t") as task:
        for query in "ababababc":
            lookup(query)
    assert task.cost.waste == {"loop": Decimal(2)}


def test_work_in_between_makes_no_loop() -> None:
    """The tests are run again after each edit, which is another every time."""
    with track_task("t") as task:
        for number in range(6):
            lookup(f"edit {number}")
            lookup("run the tests")
    assert task.looped_tool_runs == 0


def test_tasks_do_not_share_their_loops() -> None:
    """Three runs in one task, and three in a nested one, are well."""
    with track_task("outer") as outer:
        for _ in range(3):
            lookup("a")
        with track_task("inner"):
            for _ in range(3):
                lookup("a")
    assert outer.looped_tool_runs == 0


class Desk:
    """A tool as a method."""

    @track_tool("desk", cost="1")
    def lookup(self, query: str) -> str:
        return query


def test_a_method_is_told_by_its_object() -> None:
    """The same on one object is a loop, on two in turn after three rounds."""
    desk, other = Desk(), Desk()
    with track_task("one") as one:
        for _ in range(4):
            desk.lookup("a")
    with track_task("two") as two:
        for _ in range(3):
            desk.lookup("a")
            other.lookup("a")
    assert (one.looped_tool_runs, two.looped_tool_runs) == (1, 0)


class Order:
    """An object for each order."""

    def __init__(self, number: int) -> None:
        self.number = number

    @track_tool("order.status", cost="1")
    def status(self) -> int:
        return self.number


def test_objects_that_come_and_go_are_not_taken_for_one() -> None:
    """Each is made, asked once and gone, so that the next has its address; nothing is kept of them."""
    with track_task("t") as task:
        for number in range(8):
            Order(number).status()
    assert (task.tool_runs, task.looped_tool_runs) == (8, 0)


def test_branches_beside_each_other_are_no_loop() -> None:
    """Five branches that begin with the same tool, as do all of their kind; one that goes on with it is in a loop."""

    async def branch(name: str, runs: int) -> None:
        with track_step(name):
            await asyncio.sleep(0)
            for _ in range(runs):
                lookup("schema")
                await asyncio.sleep(0)

    async def fan_out(*runs: int) -> None:
        await asyncio.gather(*(branch(f"branch {number}", each) for number, each in enumerate(runs)))

    with track_task("t") as task:
        asyncio.run(fan_out(1, 1, 1, 1, 1))
    assert task.looped_tool_runs == 0
    with track_task("t") as task:
        asyncio.run(fan_out(1, 1, 5, 1, 1))
    assert task.looped_tool_runs == 2


def test_steps_one_after_the_other_can_be_a_loop() -> None:
    """A step for each turn of an agent."""
    with track_task("t") as task:
        for _ in range(5):
            with track_step("turn"):
                lookup("a")
    assert task.looped_tool_runs == 2


def test_runs_at_the_same_time_are_no_loop() -> None:
    """Five that were started before any was over."""

    @track_tool("index.search", cost="1")
    async def search(query: str) -> str:
        await asyncio.sleep(0)
        return query

    async def at_once() -> None:
        await asyncio.gather(*(search("a") for _ in range(5)))

    with track_task("t") as task:
        asyncio.run(at_once())
    assert (task.tool_runs, task.looped_tool_runs) == (5, 0)


class Loud:
    """Code of the application's that must not run."""

    def __repr__(self) -> str:
        raise AssertionError

    __str__ = __repr__

    def __hash__(self) -> int:
        raise AssertionError

    def __eq__(self, other: object) -> bool:
        raise AssertionError


class Text(str):
    """A string that may have code of its own."""

    __slots__ = ()


@pytest.mark.parametrize(
    ("argument", "known"),
    [
        ({"b": [1, 2.5, None, True, b"x"], "a": ("y",)}, True),
        (0, True),
        (Loud(), False),
        ([Loud()], False),
        ({Loud: 1}, False),
        (Text("a"), False),
        ("a" * 20_000, False),
        ([0] * 1000, False),
        (1 << 5000, False),
    ],
)
def test_only_plain_arguments_of_bounded_size_are_known_again(argument: object, known: bool) -> None:
    """Nothing of a foreign object runs; what is too large to look at in full makes no loop."""
    with track_task("t") as task:
        for _ in range(4):
            lookup(argument)
    assert task.looped_tool_runs == int(known)


def test_arguments_are_told_apart_by_type_and_place() -> None:
    """1, True, "1" and 1.0 are four questions; a name says the same as a place."""
    with track_task("t") as task:
        for argument in (1, True, "1", 1.0) * 3:
            lookup(argument)
        assert task.looped_tool_runs == 0
        for _ in range(2):
            lookup("a", 5)
            lookup(limit=5, query="a")
    assert task.looped_tool_runs == 1


# --- thresholds


@pytest.fixture
def rules() -> Iterator[Any]:
    yield lambda **given: instrument(waste=WasteRules(**given))
    instrument()
    uninstrument()


@pytest.mark.parametrize(("allowed", "looped"), [(2, 3), (3, 2), (5, 0), (None, 0)])
def test_the_threshold_of_loops_is_a_setting(rules: Any, allowed: int | None, looped: int) -> None:
    """So many runs are well; `None` turns the rule off."""
    rules(repeated_tool=allowed)
    with track_task("t") as task:
        for _ in range(5):
            lookup("a")
    assert task.looped_tool_runs == looped


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"repeated_tool": 1}, r"WasteRules\(repeated_tool=1\): pass a whole number of 2 or more, or None"),
        ({"repeated_tool": True}, r"WasteRules\(repeated_tool=True\): pass a whole number"),
        ({"growing_turns": 2.5}, r"WasteRules\(growing_turns=2.5\): pass a whole number"),
        ({"duplicates": "no"}, r"WasteRules\(duplicates='no'\): pass True or False"),
    ],
)
def test_rules_that_make_no_sense_are_refused(given: Any, message: str) -> None:
    """The message shows the value and the fix."""
    with pytest.raises(ConfigurationError, match=message):
        WasteRules(**given)


def test_other_things_than_rules_are_refused() -> None:
    """Before anything is hooked."""
    rules: Any = {"duplicates": False}
    with pytest.raises(ConfigurationError, match=r"pass taskmeter.WasteRules\(duplicates=..., repeated_tool=...\)"):
        instrument(waste=rules)
