"""What a tool run costs: a fixed price, so much per unit or second, what its result says, or the price file."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from taskmeter import _guard, pricing
from taskmeter.errors import UsageError
from taskmeter.scopes import runs, track_task, track_tool

Page = SimpleNamespace


@pytest.fixture
def price_file() -> Iterator[None]:
    pricing.use(
        {
            "tools": {
                "crm.lookup": {"cost": "0.002"},
                "search": {"cost": "5", "unit": "query", "per": 1000, "category": "retrieval"},
                "gpu": {"cost": "3.6", "unit": "hour", "category": "other"},
            }
        }
    )
    yield
    pricing.use(None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Seconds on the clock of runs; moved by hand."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(runs, "time", SimpleNamespace(perf_counter=lambda: now.seconds))
    return now


def test_a_price_may_be_for_many_units(spans: Any) -> None:
    """5 USD per 1,000 queries; a run uses one unless it says how many."""
    with track_task("work") as task:
        with track_tool("search", cost="5", unit="query", per=1000, category="retrieval"):
            pass
        with track_tool("search", cost="5", unit="query", per=1000, category="retrieval") as run:
            run.used(3)
    assert (task.cost.retrieval, task.tool_runs) == (Decimal("0.02"), 2)
    one, three = (span.attributes for span in spans.all() if span.name == "execute_tool search")
    assert [(run["taskmeter.cost.exact"], run["taskmeter.charge.quantity"]) for run in (one, three)] == [
        ("0.005", 1.0),
        ("0.015", 3.0),
    ]
    assert (one["taskmeter.charge.unit"], one["taskmeter.charge.category"]) == ("query", "retrieval")


def test_a_run_that_used_nothing_costs_nothing() -> None:
    """Zero units are no charge."""
    with track_task("work") as task, track_tool("search", cost="5", unit="query") as run:
        run.used(0)
    assert (task.cost.total, task.tool_runs, task.unpriced_calls) == (0, 1, 0)


def test_time_has_a_price(clock: Any) -> None:
    """So much per second that the run takes, also when it fails."""

    @track_tool("gpu", cost_per_second="0.001")
    def fail() -> None:
        clock.seconds += 10
        raise LookupError

    with track_task("work") as task:
        with track_tool("gpu", cost_per_second="0.001", category="other"):
            clock.seconds += 90
        with pytest.raises(LookupError):
            fail()
    assert (task.cost.other, task.cost.tools) == (Decimal("0.09"), Decimal("0.01"))


@pytest.mark.usefixtures("price_file")
def test_the_price_file_prices_tools_by_name(clock: Any) -> None:
    """What the code says wins."""
    with track_task("work") as task:
        with track_tool("crm.lookup"):
            pass
        with track_tool("search") as run:
            run.used(2)
        with track_tool("gpu"):
            clock.seconds += 60
        with track_tool("crm.lookup", cost="1"):
            pass
        with track_tool("orders.status"):
            pass
    assert (task.cost.tools, task.cost.retrieval, task.cost.other) == (
        Decimal("1.002"),
        Decimal("0.01"),
        Decimal("0.06"),
    )
    assert task.tool_runs == 5


def test_a_result_may_say_what_it_cost_or_used() -> None:
    """Functions, coroutines and generators; the callable gets what they return, and the function stays what it is."""

    @track_tool("fetch", cost=lambda page: page.usd, category="retrieval")
    def fetch(usd: str) -> Any:
        """Fetches."""
        return Page(usd=usd)

    @track_tool("embed", cost="0.10", unit="character", per=1_000_000, quantity=len)
    async def embed(text: str) -> str:
        return text

    @track_tool("pages", cost=lambda result: result)
    def pages() -> Any:
        yield 1
        yield 2
        return "0.5"

    with track_task("work") as task:
        fetch("0.25")
        assert asyncio.run(embed("x" * 500)) == "x" * 500
        assert list(pages()) == [1, 2]
    assert task.cost.retrieval == Decimal("0.25")
    assert task.cost.tools == Decimal("0.50005")
    assert (fetch.__name__, fetch.__doc__) == ("fetch", "Fetches.")
    assert asyncio.iscoroutinefunction(embed)


def test_recursive_runs_are_measured_each() -> None:
    """Every call is a run of its own."""

    @track_tool("walk", cost=lambda depth: depth)
    def walk(depth: int) -> int:
        if depth > 1:
            walk(depth - 1)
        return depth

    with track_task("work") as task:
        walk(3)
    assert (task.cost.tools, task.tool_runs) == (Decimal(6), 3)


@pytest.mark.parametrize("measure", [lambda page: page.nothing, lambda page: "a lot", lambda page: -1])
def test_a_callable_that_fails_makes_the_run_unpriced(
    measure: Any, spans: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Unknown is a value; the program goes on, and it is logged once."""
    monkeypatch.setattr(_guard, "strict", False)
    monkeypatch.setattr(_guard, "faults", Counter())
    fetch = track_tool("fetch", cost=measure)(lambda: "page")
    with caplog.at_level(logging.WARNING), track_task("work") as task:
        assert [fetch(), fetch()] == ["page", "page"]
    assert (task.cost.total, task.unpriced_calls, task.tool_runs) == (0, 2, 2)
    assert _guard.faults == {"scopes.measure": 2}
    run = next(span.attributes for span in spans.all() if span.name == "execute_tool fetch")
    assert run["taskmeter.cost.status"] == "unpriced"
    assert "taskmeter.cost.exact" not in run


def test_a_run_that_fails_says_no_price(spans: Any) -> None:
    """Without a result it is not known what it cost."""

    @track_tool("fetch", cost=lambda page: page.usd)
    def fetch() -> Any:
        raise LookupError

    with track_task("work") as task, pytest.raises(LookupError):
        fetch()
    assert task.unpriced_calls == 1
    assert spans.only("execute_tool fetch")["taskmeter.cost.status.reason"] == "the run failed"


async def numbers() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("track", "message"),
    [
        (lambda: track_tool("t", cost="1", cost_per_second="1"), "a run has one price; pass one of them"),
        (lambda: track_tool("t", cost="much"), "cost='much' is not a number"),
        (lambda: track_tool("t", cost_per_second=-1), "cost_per_second=-1 must be finite and not negative"),
        (lambda: track_tool("t", cost="1", per=0), "per=0: a cost is for some units"),
        (lambda: track_tool("t", cost="1", unit=""), "unit='' must be a non-empty string"),
        (lambda: track_tool("t", unit="query"), "unit='query': it says what cost= is for"),
        (lambda: track_tool("t", cost=len, per=3), "per=3: it says what cost= is for"),
        (lambda: track_tool("t", category="retrieval"), "category='retrieval': it says what kind of cost"),
        (lambda: track_tool("t", cost="1", category="food"), "category='food' is not one of model, tools"),  # type: ignore[call-overload]
        (lambda: track_tool("t", cost_per_second="1", quantity=len), "it is for a fixed price; leave it out"),
        (lambda: track_tool("t", cost="1", quantity=3), "quantity=3: pass a callable that gets the result"),  # type: ignore[call-overload]
        (lambda: track_tool("t", cost=len).__enter__(), "a callable gets what a decorated function returns"),
        (lambda: track_tool("t", cost=len)(numbers), "an async generator, returns nothing"),
    ],
)
def test_terms_that_make_no_sense_are_refused_before_anything_runs(track: Any, message: str) -> None:
    """At decoration or entry, with the value and the fix."""
    with pytest.raises(UsageError) as caught:
        track()
    assert message in str(caught.value)
