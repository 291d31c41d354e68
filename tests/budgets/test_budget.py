"""What a budget may be, and what its error says."""

from __future__ import annotations

import pickle
from decimal import Decimal
from typing import Any

import pytest

from taskmeter import Budget, BudgetExceeded, BudgetStop, RedisBudgets, TaskmeterError, instrument, track_task
from taskmeter.errors import ConfigurationError, MissingDependencyError, UsageError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"Budget\(\) limits nothing; pass usd=, tokens=, calls= or seconds="),
        ({"usd": "0"}, "usd='0' allows nothing"),
        ({"usd": -1}, "usd=-1 must be finite and not negative"),
        ({"usd": "ten"}, "usd='ten' is not a number"),
        ({"tokens": 0}, "tokens=0 must be a positive int"),
        ({"tokens": 1.5}, "tokens=1.5 must be a positive int"),
        ({"calls": True}, "calls=True must be a positive int"),
        ({"seconds": float("nan")}, "seconds=nan must be a positive number"),
        ({"calls": 1, "on_exceeded": "stop"}, "on_exceeded='stop' must be 'raise', 'warn' or a callable"),
        ({"usd": 1, "unpriced": "raise"}, "unpriced='raise' must be 'allow' or 'stop'"),
        ({"calls": 1, "unpriced": "stop"}, "unpriced='stop' is about a limit in money; pass usd= too"),
        ({"calls": 1, "per": "week"}, "per='week' must be 'task', 'hour' or 'day', or left out"),
        ({"calls": 1, "customer": ""}, "customer='' must be a name or a glob"),
        ({"usd": 1, "assumed_output_tokens": 0}, "assumed_output_tokens=0 must be a positive int"),
    ],
)
def test_nonsense_is_refused(settings: Any, message: str) -> None:
    """A budget that makes no sense is refused with the value and the fix."""
    with pytest.raises(UsageError, match=message):
        Budget(**settings)


def test_money_is_taken_as_it_prints() -> None:
    """0.1 is 0.1, and budgets that say the same are the same."""
    assert Budget(usd=0.1) == Budget(usd="0.1") == Budget(usd=Decimal("0.1"))
    assert Budget(usd=0.1).limits.usd == Decimal("0.1")


def test_stores_have_to_make_sense() -> None:
    """What is no store, has nothing to keep, or cannot count a limit."""
    store = RedisBudgets("redis://localhost")
    budget = Budget(usd=9_000_001)
    for settings, message in (
        ({"budgets": budget, "budget_store": "redis://"}, "budget_store='redis://' is no BudgetStore"),
        ({"budget_store": store}, "keeps budgets for several processes; pass budgets= too"),
        ({"budgets": budget, "budget_store": store}, "counts exactly up to 9000000 USD only"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            instrument(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("budgets", "message"),
    [
        ([Budget(seconds=1)], "seconds= is for each task; say per='task' as well"),
        ([Budget(usd=1), Budget(calls=1)], "two budgets for the same"),
        (["1 USD"], "budgets= has '1 USD'; pass Budget objects"),
        (5, "budgets=5 must be a Budget or a list of them"),
    ],
)
def test_budgets_in_force_have_to_make_sense(budgets: Any, message: str) -> None:
    """What `configure` and `instrument` refuse, before anything is hooked."""
    with pytest.raises(ConfigurationError, match=message):
        instrument(budgets=budgets)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (5, "budget=5 is no budget; pass taskmeter.Budget"),
        (Budget(usd=1, task="x"), "is of this task; task=, customer= and per= are for configure"),
        (Budget(usd=1, per="day"), "is of this task; task=, customer= and per= are for configure"),
    ],
)
def test_a_tasks_budget_is_of_that_task(budget: Any, message: str) -> None:
    """What `track_task` refuses as soon as it is written."""
    with pytest.raises(UsageError, match=message):
        track_task("work", budget=budget)


def test_a_callable_needs_arguments() -> None:
    """In a block there are none to make a budget of."""
    with pytest.raises(UsageError, match="a callable needs a decorated function's arguments"):
        track_task("work", budget=lambda: Budget(usd=1)).__enter__()


def test_a_callable_that_fails_ends_the_call() -> None:
    """Without its budget a task is not to run: the application's own error arrives as it is."""

    @track_task(budget=lambda ticket: ticket["limit"])
    def work(ticket: dict[str, Any]) -> str:
        return "ran"

    assert work({"limit": Budget(usd=1)}) == "ran"
    assert work({"limit": None}) == "ran"
    with pytest.raises(KeyError, match="limit"):
        work({})
    with pytest.raises(UsageError, match="budget=7 is no budget"):
        work({"limit": 7})


def _stop(**figures: Any) -> BudgetStop:
    usual: Any = {
        "budget": Budget(usd="0.50"),
        "owner": "task 'resolve'",
        "reason": "usd",
        "spent": Decimal("0.48"),
        "held": Decimal("0.010"),
        "limit": Decimal("0.50"),
        "requested": Decimal("0.03"),
        "model": "gpt-5",
        "request": {},
    }
    return BudgetStop(**usual | figures)


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        (
            {},
            (
                "the budget of task 'resolve' is exceeded: 0.48 spent + 0.01 held by calls under way or unanswered "
                "+ 0.03 for a call of gpt-5 at worst > 0.5 usd; raise the budget, limit the output of the request, or "
                "let on_exceeded= decide"
            ),
        ),
        (
            {"reason": "calls", "spent": 3, "held": 0, "requested": 1, "limit": 3},
            (
                "the budget of task 'resolve' is exceeded: 3 spent + 1 for a call of gpt-5 at worst > 3 calls; raise "
                "the budget, or let on_exceeded= decide"
            ),
        ),
        (
            {"reason": "seconds", "spent": 2.0, "limit": 1.5},
            "the budget of task 'resolve' is over: 2.000 of 1.5 seconds had passed",
        ),
        (
            {"reason": "unpriced", "model": "mystery", "limit": None},
            (
                "the budget of task 'resolve' stops calls without a known price, and there is none for a call of "
                "mystery; add its price to your price file, or set unpriced='allow'"
            ),
        ),
        (
            {"reason": "store", "limit": None},
            (
                "the store of the budget of task 'resolve' does not answer, so a call of gpt-5 was not sent; with "
                "on_failure='allow' calls go on without it"
            ),
        ),
    ],
)
def test_the_error_shows_the_figures_and_the_fix(figures: Any, message: str) -> None:
    """And carries them, also through a pickle: work comes back from other processes."""
    budget = Budget(usd="0.50", on_exceeded=lambda _: None)
    error = BudgetExceeded(_stop(**figures, budget=budget, request={"input": "a secret"}), partial="half")
    copy = pickle.loads(pickle.dumps(error))
    assert str(error) == str(copy) == message
    assert isinstance(error, TaskmeterError)
    assert "secret" not in repr(error) + repr(vars(error))
    assert (copy.reason, copy.spent, copy.limit, copy.requested, copy.partial, copy.budget) == (
        error.stop.reason,
        error.stop.spent,
        error.stop.limit,
        error.stop.requested,
        "half",
        Budget(usd="0.50"),
    )


def test_the_redis_store_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, how to install it; with a URL or setting that makes no sense, what would."""
    with pytest.raises(UsageError, match="the URL of RedisBudgets makes no sense"):
        RedisBudgets("no url")
    with pytest.raises(UsageError, match="on_failure='perhaps' must be 'allow' or 'stop'"):
        RedisBudgets("redis://localhost", on_failure="perhaps")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="timeout_seconds=0 must be a positive number of seconds"):
        RedisBudgets("redis://localhost", timeout_seconds=0)
    monkeypatch.setitem(__import__("sys").modules, "redis", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'taskmeter\[redis\]'"):
        RedisBudgets("redis://localhost")
