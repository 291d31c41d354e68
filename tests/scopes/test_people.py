"""People's time: counted always, priced at the rate that is said or configured."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from taskmeter import pricing
from taskmeter.errors import UsageError
from taskmeter.scopes import track_task


@pytest.fixture
def sixty_an_hour() -> Iterator[None]:
    pricing.use({"rates": {"human_per_hour": "60"}})
    yield
    pricing.use(None)


def test_a_review_costs_its_minutes_at_the_rate(spans: Any) -> None:
    """6 minutes at 95 USD an hour are 9.50 USD, a charge of their own."""
    with track_task("work") as task:
        task.review(minutes=6, rate="95")
    assert (task.cost.total, task.cost.human, task.human_minutes) == (Decimal("9.5"), Decimal("9.5"), Decimal(6))
    charge = spans.only("charge human review")
    assert (charge["taskmeter.charge.category"], charge["taskmeter.cost.exact"]) == ("human", "9.5")
    assert (charge["taskmeter.charge.quantity"], charge["taskmeter.charge.unit"]) == (6.0, "minute")
    assert spans.only("invoke_workflow work")["taskmeter.human_minutes"] == 6.0


def test_amounts_stay_exact_where_a_minute_does_not_divide() -> None:
    """To 30 decimals, so that sums are exact."""
    with track_task("work") as task:
        task.review(1, rate=50)
    assert task.cost.human == Decimal("0.833333333333333333333333333333")


@pytest.mark.usefixtures("sixty_an_hour")
def test_the_price_file_has_the_default_rate() -> None:
    """`[rates] human_per_hour`; a rate that is said wins."""
    with track_task("work") as task:
        task.review(6)
        task.review(6, rate=30)
    assert task.cost.human == Decimal(9)


def test_without_a_rate_minutes_are_counted_and_unpriced(spans: Any) -> None:
    """Unknown is a value: the total is a lower bound and says so."""
    with track_task("work") as outer, track_task("part") as task:
        task.review(6)
    assert (task.cost.total, task.unpriced_calls, task.human_minutes) == (0, 1, Decimal(6))
    assert (outer.unpriced_calls, outer.human_minutes) == (1, Decimal(6))
    charge = spans.only("charge human review")
    assert charge["taskmeter.cost.status"] == "unpriced"
    assert charge["taskmeter.cost.status.reason"] == "no hourly rate is known"
    assert "taskmeter.cost.exact" not in charge
    assert "taskmeter.cost.exact" not in spans.only("invoke_workflow part")


@pytest.mark.usefixtures("sixty_an_hour")
def test_minutes_said_with_an_outcome_are_booked_and_add_up() -> None:
    """The last word counts as outcome; what was spent before stays spent."""
    with track_task("work") as task:
        task.pending("in review", human_minutes=4)
        task.fail("no such order", human_minutes="2.5", quality=0)
    assert task.outcome is not None
    assert (task.outcome.status, task.outcome.human_minutes, task.outcome.quality) == ("failed", Decimal("6.5"), 0)
    assert (task.cost.human, task.cost.wasted, task.human_minutes) == (Decimal("6.5"), Decimal("6.5"), Decimal("6.5"))


def test_a_review_may_come_after_the_end(spans: Any) -> None:
    """The ended task's account has it, its span does not."""
    with track_task("work") as task:
        pass
    task.review(6, rate=60)
    assert task.cost.human == Decimal(6)
    assert "taskmeter.human_minutes" not in spans.only("invoke_workflow work")
    assert spans.only("charge human review")["taskmeter.task.id"] == task.id


@pytest.mark.parametrize(
    ("say", "message"),
    [
        (lambda task: task.review(0), r"minutes=0: no time was spent"),
        (lambda task: task.review(-1), r"minutes=-1 must be finite and not negative"),
        (lambda task: task.review("six"), r"minutes='six' is not a number"),
        (lambda task: task.review(6, rate="a lot"), r"rate='a lot' is not a number"),
        (lambda task: task.review(6, rate=-1), r"rate=-1 must be finite and not negative"),
        (lambda task: task.review("9e14", rate="9e14"), r"which must be less than"),
        (lambda task: task.succeed(human_minutes=0), r"human_minutes=0: no time was spent"),
        (lambda task: task.succeed(quality="good"), r"quality='good' is not a number"),
        (lambda task: task.fail(7), r"reason=7 must be a non-empty string"),
    ],
)
def test_what_makes_no_sense_is_refused_and_books_nothing(say: Any, message: str) -> None:
    """With the value and the fix, at once."""
    with track_task("work") as task:
        with pytest.raises(UsageError, match=message):
            say(task)
        assert (task.outcome, task.cost.total, task.human_minutes) == (None, 0, 0)
