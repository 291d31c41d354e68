"""`assert_cost_below()`: what breaks a limit, and what the message says."""

from __future__ import annotations

import sys
from decimal import Decimal
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


def first_line(error: pytest.ExceptionInfo[AssertionError]) -> str:
    return str(error.value).splitlines()[0]


@pytest.mark.parametrize("usd", ["0.0100000001", Decimal("0.02"), 1, 0.011])
def test_less_than_the_limit_passes(usd: Any) -> None:
    """A limit is any kind of amount."""
    with assert_cost_below(usd) as tasks:
        spend("0.01")
    tasks.only().assert_cost_below(usd)


@pytest.mark.parametrize("usd", ["0.01", "0.0099999", 0])
def test_just_the_limit_is_not_below_it(usd: Any) -> None:
    """Below is below, to the last digit."""
    with pytest.raises(AssertionError, match=r"^the block cost \$0.01, which is not below \$0"), assert_cost_below(usd):
        spend("0.01")


def test_the_message_has_the_figure_the_limit_and_the_tree() -> None:
    """Enough to see where the money went without running it again."""
    with pytest.raises(AssertionError) as raised, assert_cost_below("0.0004"), track_task("resolve", key="T-1"):
        call("gpt-5-mini")
    assert first_line(raised) == (
        "the block cost $0.00045, which is not below $0.0004 (1 call; 1,000 tokens in, 100 out)"
    )
    assert "task resolve T-1  $0.00045  1,000" in str(raised.value)
    assert "└ chat gpt-5-mini $0.00045  1,000" in str(raised.value)


def test_a_recorded_task_has_a_limit_of_its_own() -> None:
    """The message names it, by its key too."""
    with recorded_tasks() as tasks:
        spend("0.01", key="T-1")
        spend("0.30", name="other")
    tasks.only("resolve").assert_cost_below("0.02")
    with pytest.raises(AssertionError) as raised:
        tasks.only("resolve").assert_cost_below("0.01")
    assert first_line(raised) == (
        "task 'resolve' T-1 cost $0.01, which is not below $0.01 (0 calls; 0 tokens in, 0 out)"
    )
    assert "task resolve T-1" in str(raised.value)
    assert "other" not in str(raised.value)


def test_by_name_each_task_counts_for_itself() -> None:
    """Three at 0.01 are each below 0.02; the one that is not is named; others may cost what they like."""
    with assert_cost_below("0.02", name="resolve"):
        for _ in range(3):
            spend("0.01")
        spend("5", name="other")
    with pytest.raises(AssertionError, match=r"^task 'resolve' T-2 cost \$0.03"), assert_cost_below(
        "0.02", name="resolve"
    ):
        spend("0.01", key="T-1")
        spend("0.03", key="T-2")


def test_a_task_that_did_not_run_is_no_success() -> None:
    """A name that is misspelt must not pass for ever."""
    with (
        pytest.raises(AssertionError, match=r"^no task 'resolv' ended here.*: task 'resolve'\.$"),
        assert_cost_below(1, name="resolv"),
    ):
        spend("0.01")


def test_unknown_is_not_0() -> None:
    """A call at no known price fails whatever the limit, unless that is allowed."""
    with pytest.raises(AssertionError) as raised, assert_cost_below(1_000):
        spend("0.01")
        call("gpt-77")
    assert first_line(raised) == (
        "what the block cost is not known: 1 of its calls, tool runs and reviews could not be priced, and unknown is "
        "not 0; the rest cost $0.01 (1 call; 1,000 tokens in, 100 out; 1 unpriced). Give the missing price in your "
        "price file, or pass unpriced='allow'"
    )
    assert str(raised.value).endswith("calls outside of the tasks that ended here: 1")
    with assert_cost_below("0.02", unpriced="allow"):
        spend("0.01")
        call("gpt-77")


def test_too_much_is_too_much_whatever_is_unknown() -> None:
    """What is known alone breaks the limit, and is said to be a lower bound."""
    with (
        pytest.raises(AssertionError, match=r"^the block cost at least \$0.01, which is not below \$0.01 \("),
        assert_cost_below("0.01", unpriced="allow"),
    ):
        spend("0.01")
        call("gpt-77")


def test_estimates_are_said() -> None:
    """How much of a figure is an estimate."""
    with pytest.raises(AssertionError, match=r"\(0 calls; 0 tokens in, 0 out; \$0.004 of it is an estimate\)"):  # noqa: SIM117
        with assert_cost_below("0.01"):
            spend("0.006")
            spend("0.004", estimated=True)


def test_the_three_trees_that_cost_most_are_shown() -> None:
    """A message has an end."""
    with pytest.raises(AssertionError) as raised, assert_cost_below("0.01"):
        for cents in (1, 5, 3, 4, 2):
            spend(f"0.0{cents}", key=f"T-{cents}")
    message = str(raised.value)
    shown = [key for key in ("T-1", "T-2", "T-3", "T-4", "T-5") if key in message]
    assert shown == ["T-3", "T-4", "T-5"]
    assert message.index("T-5") < message.index("T-4") < message.index("T-3")
    assert message.endswith("... and 2 more tasks that cost no more than these")


def test_an_error_of_the_block_is_its_own() -> None:
    """A test that fails fails for its own reason."""
    with pytest.raises(ZeroDivisionError), assert_cost_below("0.01"):
        spend("5")
        raise ZeroDivisionError


def test_without_rich_the_message_says_how_to_get_a_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figure needs no extra; `tree()` itself refuses."""
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with pytest.raises(AssertionError, match=r"Printing a tree needs rich.*taskmeter\[report\]"), assert_cost_below(0):
        spend("0.01")
    with recorded_tasks() as tasks:
        spend("0.01")
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
