"""A project's tests, for tools/check_wheel.sh: one within its cost, one over it, one that spends nothing."""

import openai
import pytest

from taskmeter import track_task
from taskmeter.testing import Answer, Billed, FakeProvider

fake = FakeProvider(then=Answer("On its way.", Billed(input=1_000, output=100)))  # $0.00045 a call
client = fake.client(openai.OpenAI)


def resolve(ticket: str, calls: int) -> None:
    """The agent under test."""
    with track_task("resolve", key=ticket):
        for _ in range(calls):
            client.responses.create(model="gpt-5-mini", input="Where is order 17?")


@pytest.mark.max_cost(usd="0.001")
def test_within_its_cost() -> None:
    """One call."""
    resolve("T-1", calls=1)


@pytest.mark.max_cost(usd="0.001")
def test_over_its_cost() -> None:
    """Three calls."""
    resolve("T-2", calls=3)


def test_free() -> None:
    """None."""
    assert fake.replies_left == 0
