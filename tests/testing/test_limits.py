"""`assert_cost_below()`: what breaks a limit, and what the message says."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import openai
import pytest

from taskmeter import charge, track_task
from taskmeter.errors import UsageError
from taskmeter.testing import Answer, Billed, FakeProvider, assert_cost_below, recorded_tasks


def spend(usd: str, *, name: str = "resolve", key: str | None = None, estimated: bool = False) -> None:
    with track_task(name, key=key):
        charge(usd, category="tools", item="crm", estimated=estimated)


def call(model: str) -> None:
    fake = FakeProvider(Answer(billed=Billed(input=1_000, output=100)))
    fake.client(openai.OpenAI).responses.create(model=model, input="x")


def message_of(usd: Any, *work: Callable[[], object], **options: Any) -> str:
    """What a block that does `work` and costs too much says."""

    def block() -> None:
        with assert_cost_below(usd, **options):
            for part in work:
                part()

    with pytest.raises(AssertionError) as raised:
        block()
    return str(raised.value)


a_cent = partial(spend, "0.01")
unknown = partial(call, "gpt-77")


@pytest.mark.parametrize("usd", ["0.0100000001", Decimal("0.02"), 1, 0.011])
def test_less_than_the_limit_passes(usd: Any) -> None:
    """A limit is any kind of amount."""
    with assert_cost_below(usd) as tasks:
        spend("0.01")
    tasks.only().assert_cost_below(usd)


@pytest.mark.parametrize("usd", ["0.01", "0.0099999", 0])
def test_just_the_limit_is_not_below_it(usd: Any) -> None:
    """Below is below, to the last digit."""
    assert message_of(usd, a_cent).startswith("the block cost $0.01, which is not below $0")


def test_the_message_has_the_figure_the_limit_and_the_tree() -> None:
    """Enough to see where the money went without running it again."""

    def resolve() -> None:
        with track_task("resolve", key="T-1"):
            call("gpt-5-mini")

    message = message_of("0.0004", resolve)
    assert message.splitlines()[0] == (
        "the block cost $0.00045, which is not below $0.0004 (1 call; 1,000 tokens in, 100 out)"
    )
    assert "task resolve T-1  $0.00045  1,000" in message
    assert "└ chat gpt-5-mini $0.00045  1,000" in message


def test_a_recorded_task_has_a_limit_of_its_own() -> None:
    """The message names it, by its key too."""
    with recorded_tasks() as tasks:
        spend("0.01", key="T-1")
        spend("0.30", name="other")
    tasks.only("resolve").assert_cost_below("0.02")
    with pytest.raises(AssertionError) as raised:
        tasks.only("resolve").assert_cost_below("0.01")
    message = str(raised.value)
    assert message.startswith("task 'resolve' T-1 cost $0.01, which is not below $0.01 (0 calls; 0 tokens in, 0 out)\n")
    assert "task resolve T-1" in message
    assert "other" not in message


def test_by_name_each_task_counts_for_itself() -> None:
    """Three at 0.01 are each below 0.02; the one that is not is named; others may cost what they like."""
    with assert_cost_below("0.02", name="resolve"):
        for _ in range(3):
            spend("0.01")
        spend("5", name="other")
    message = message_of("0.02", a_cent, partial(spend, "0.03", key="T-2"), name="resolve")
    assert message.startswith("task 'resolve' T-2 cost $0.03")


def test_a_task_that_did_not_run_is_no_success() -> None:
    """A name that is misspelt must not pass for ever."""
    assert message_of(1, a_cent, name="resolv") == (
        "no task 'resolv' ended here, whose cost could be checked. Tasks that ended here: task 'resolve'."
    )


def test_unknown_is_not_0() -> None:
    """A call at no known price fails whatever the limit, unless that is allowed."""
    lines = message_of(1_000, a_cent, unknown).splitlines()
    assert lines[0] == (
        "what the block cost is not known: 1 of its calls, tool runs and reviews could not be priced, and unknown is "
        "not 0; the rest cost $0.01 (1 call; 1,000 tokens in, 100 out; 1 unpriced). Give the missing price in your "
        "price file, or pass unpriced='allow'"
    )
    assert lines[-1] == "outside of the tasks that ended here: $0, 1 call"
    with assert_cost_below("0.02", unpriced="allow"):
        a_cent()
        unknown()


def test_too_much_is_too_much_whatever_is_unknown() -> None:
    """What is known alone breaks the limit, and is said to be a lower bound."""
    message = message_of("0.01", a_cent, unknown, unpriced="allow")
    assert message.startswith("the block cost at least $0.01, which is not below $0.01 (1 call; ")


def test_estimates_are_said() -> None:
    """How much of a figure is an estimate."""
    message = message_of("0.01", partial(spend, "0.006"), partial(spend, "0.004", estimated=True))
    assert message.splitlines()[0].endswith("(0 calls; 0 tokens in, 0 out; $0.004 of it is an estimate)")


def test_the_three_trees_that_cost_most_are_shown() -> None:
    """A message has an end."""
    message = message_of("0.01", *(partial(spend, f"0.0{cents}", key=f"T-{cents}") for cents in (1, 5, 3, 4, 2)))
    assert re.findall("T-.", message) == ["T-5", "T-4", "T-3"]
    assert message.endswith("... and 2 more tasks that cost no more than these")


def test_an_error_of_the_block_is_its_own() -> None:
    """A test that fails fails for its own reason."""
    with pytest.raises(ZeroDivisionError), assert_cost_below("0.01"):
        charge(1 // 0)


def test_without_rich_the_message_says_how_to_get_a_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figure needs no extra; `tree()` itself refuses."""
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert message_of(0, a_cent).endswith("Install it with: pip install 'taskmeter[report]')")
    with recorded_tasks() as tasks:
        a_cent()
    with pytest.raises(ImportError, match=r"^Printing a tree needs rich, which is not installed"):
        tasks.only().tree()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"usd": "cheap"}, "usd='cheap' is not a number"),
        ({"usd": -1}, "usd=-1 must be finite and not negative"),
        ({"usd": 1, "name": ""}, "name='' must be a non-empty string"),
        ({"usd": 1, "unpriced": "ignore"}, "unpriced='ignore' is not 'fail' or 'allow'"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, Any], message: str) -> None:
    """They are refused before the block runs."""
    with pytest.raises(UsageError, match=message):
        assert_cost_below(**arguments)
