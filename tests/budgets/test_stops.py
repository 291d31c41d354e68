"""What budgets do to calls: nothing that is over one reaches the server, unless it says so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
import tenacity

from taskmeter import Budget, BudgetExceeded, BudgetStop, account, carry, charge, current_task, track_step, track_task
from taskmeter.demo.stub import Billed, StubProvider, anthropic_message, openai_chat
from taskmeter.demo.stub.wire import Body, Request
from tests.capture import programs as p
from tests.capture.harness import CLAUDE, GPT_USD, MESSAGES, Kit, Meter, attributes

# 500 bytes with those of the model's name, which is 125 tokens: a bit more than the 120 that the stub counts.
PROMPT: Any = [{"role": "user", "content": "x" * 486}]
CALL: Any = {"model": "gpt-5-mini", "messages": PROMPT, "max_completion_tokens": 24}
WORST = Decimal("0.00007925")
"""125 tokens in at 0.25 USD per million, 24 out at 2."""


def _answer(request: Request) -> Body:
    return openai_chat(str(request.body["model"]), "Done.", Billed(input=120, output=24))


@contextmanager
def served() -> Iterator[tuple[StubProvider, Kit]]:
    with StubProvider(_answer) as stub:
        kit = Kit(stub.url)
        yield stub, kit
        kit.close()


def tried(make: Callable[[], Any]) -> BudgetExceeded | None:
    try:
        make()
    except BudgetExceeded as error:
        return error
    return None


@pytest.mark.parametrize(
    "budget", [Budget(usd=10 * WORST), Budget(calls=10), Budget(tokens=10 * 149)], ids=["usd", "calls", "tokens"]
)
def test_of_a_hundred_threads_ten_get_through(budget: Budget, meter: Meter) -> None:
    """Against a budget for ten calls, at most ten reach the server, however many start at once."""
    with served() as (stub, kit), ThreadPoolExecutor(20) as pool:
        client = kit.openai(max_retries=0)
        with track_task("work", budget=budget) as task:
            call = carry(lambda: tried(lambda: client.chat.completions.create(**CALL)))
            errors = [error for error in pool.map(lambda _: call(), range(100)) if error is not None]
    assert (len(stub.requests), len(errors), task.calls) == (10, 90, 10)
    assert task.cost.total == 10 * GPT_USD
    (span,) = meter.spans("task")
    assert attributes(span)["taskmeter.budget.stopped_calls"] == 90


async def _hundred(kit: Kit) -> int:
    async with kit.aopenai(max_retries=0) as client:
        calls = (client.chat.completions.create(**CALL) for _ in range(100))
        results = await asyncio.gather(*calls, return_exceptions=True)
    return sum(isinstance(result, BudgetExceeded) for result in results)


def test_of_a_hundred_coroutines_ten_get_through(meter: Meter) -> None:
    """So it is with an event loop."""
    with served() as (stub, kit), track_task("work", budget=Budget(usd=10 * WORST)) as task:
        assert asyncio.run(_hundred(kit)) == 90
    assert (len(stub.requests), task.calls) == (10, 10)


@pytest.mark.parametrize(
    ("budgets", "owner"),
    [
        (Budget(calls=1), "this process"),
        (Budget(calls=1, per="hour"), "this process"),
        (Budget(calls=1, task="work"), "tasks named 'work'"),
        (Budget(calls=1, task="w*", per="task"), "task 'work'"),
        (Budget(calls=1, customer="*"), "customer 'acme'"),
        (Budget(calls=1, customer="acme", task="work", per="day"), "tasks named 'work' of customer 'acme'"),
    ],
)
def test_budgets_in_force(budgets: Budget, owner: str, meter: Meter) -> None:
    """By name, by customer, for the process and for each task: the second call is stopped, by whose budget it is."""
    meter.instrument(budgets=budgets)
    with served() as (stub, kit), track_task("work", customer="acme"):
        client = kit.openai()
        client.chat.completions.create(**CALL)
        error = tried(lambda: client.chat.completions.create(**CALL))
    assert error is not None
    assert (error.stop.owner, error.reason, error.spent, error.limit, error.requested) == (owner, "calls", 1, 1, 1)
    assert len(stub.requests) == 1


@pytest.mark.parametrize(
    "budget", [Budget(calls=1, task="other"), Budget(calls=1, customer="acme"), Budget(calls=1, per="task")]
)
def test_budgets_of_others(budget: Budget, meter: Meter) -> None:
    """They do not stop what they are not about: other tasks, no customer, the next task."""
    meter.instrument(budgets=[budget])
    with served() as (stub, kit):
        for _ in range(2):
            with track_task("work"):
                kit.openai().chat.completions.create(**CALL)
    assert len(stub.requests) == 2


def test_each_customer_has_an_account(meter: Meter) -> None:
    """A glob is a budget for each that matches it. Told again, it goes on from what was spent."""
    budget = Budget(calls=1, customer="*")
    meter.instrument(budgets=[budget])
    with served() as (stub, kit):
        for customer in ("acme", "globex", "acme"):
            with track_task("work", customer=customer):
                tried(lambda: kit.openai().chat.completions.create(**CALL))
        meter.instrument(budgets=[Budget(calls=1, customer="*"), Budget(calls=50)])
        meter.instrument()
        with track_task("work", customer="globex"):
            assert tried(lambda: kit.openai().chat.completions.create(**CALL)) is not None
    assert len(stub.requests) == 2


def test_a_day_begins_anew(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    """At midnight UTC; a call counts where it began."""
    clock = [86_400.0 * 20_000]
    monkeypatch.setattr("taskmeter.account.accounts.time.time", lambda: clock[0])
    meter.instrument(budgets=[Budget(calls=1, per="day")])
    with served() as (stub, kit):
        client = kit.openai()
        client.chat.completions.create(**CALL)
        clock[0] += 86_399
        assert tried(lambda: client.chat.completions.create(**CALL)) is not None
        clock[0] += 1
        client.chat.completions.create(**CALL)
    assert len(stub.requests) == 2


def test_nested_tasks_draw_on_those_around(meter: Meter) -> None:
    """An inner task is stopped by the budget around it, where all that it spent counts too."""
    with served() as (stub, kit), track_task("outer", budget=Budget(calls=3)) as outer:
        client = kit.openai()
        client.chat.completions.create(**CALL)

        @track_task("inner", budget=Budget(calls=9))
        def inner_task() -> None:
            for _ in range(9):
                with track_step("draft"):
                    client.chat.completions.create(**CALL)

        stopped = tried(inner_task)
        assert stopped is not None
        assert stopped.stop.owner == "task 'outer'"
        with track_task("inner", budget=Budget(usd=WORST - Decimal("0.00000001"))) as other:
            error = tried(lambda: client.chat.completions.create(**CALL))
    assert error is not None
    assert error.stop.owner == "task 'outer'"  # those around are asked first
    assert (outer.calls, other.calls, len(stub.requests)) == (3, 0, 3)
    inner, second, around = (attributes(span) for span in meter.spans("task"))
    assert inner["taskmeter.task.outcome.reason"] == "budget: calls"
    assert (inner["taskmeter.budget.spent.calls"], around["taskmeter.budget.spent.calls"]) == (2, 3)
    assert (second["taskmeter.budget.usd"], second["taskmeter.budget.spent.usd"]) == (7.924e-05, 0)
    assert (around["taskmeter.budget.stopped_calls"], around["taskmeter.budget.stopped.by"]) == (2, "task 'outer'")


def test_the_error_brings_the_partial_result(meter: Meter) -> None:
    """What the innermost task has said that there is of its result."""
    tasks: list[Any] = []

    @track_task(budget=Budget(calls=2))
    def work(client: Any) -> None:
        pages: list[str] = []
        tasks.append(current_task())
        tasks[0].partial(pages)
        while True:
            with track_task("page"):
                pages.append(client.chat.completions.create(**CALL).choices[0].message.content)

    with served() as (_, kit):
        error = tried(lambda: work(kit.openai()))
    (task,) = tasks
    assert error is not None
    assert error.partial == ["Done.", "Done."]
    assert (task.outcome.status, task.outcome.reason) == ("failed", "budget: calls")
    assert task.cost.wasted == task.cost.total
    task.partial("too late")
    assert task._scope.partial is None


def test_money_known_only_after_stops_the_next_call(meter: Meter) -> None:
    """Tools and charges may go over; after them nothing is sent."""
    with served() as (stub, kit), track_task("work", budget=Budget(usd="0.10")) as task:
        charge("0.15", category="retrieval")
        error = tried(lambda: kit.openai().chat.completions.create(**CALL))
    assert error is not None
    assert (error.spent, error.limit, error.requested) == (Decimal("0.15"), Decimal("0.10"), WORST)
    assert (task.cost.total, len(stub.requests)) == (Decimal("0.15"), 0)


def test_time_is_up(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    """`seconds` are those since the task began, looked at before each call."""
    clock = [100.0]
    monkeypatch.setattr("taskmeter.account.accounts.time.monotonic", lambda: clock[0])
    with served() as (stub, kit), track_task("work", budget=Budget(seconds=30)):
        client = kit.openai()
        clock[0] += 29
        client.chat.completions.create(**CALL)
        clock[0] += 1
        error = tried(lambda: client.chat.completions.create(**CALL))
    assert error is not None
    assert (error.reason, error.spent, error.limit, len(stub.requests)) == ("seconds", 30.0, 30, 1)


def test_a_model_without_a_price(meter: Meter) -> None:
    """`allow` lets it pass, and the span says that the budget does not cover it; `stop` does not send it."""
    call = CALL | {"model": "mystery-1"}
    with served() as (stub, kit):
        client = kit.openai()
        with track_task("allows", budget=Budget(usd=WORST)) as task:
            client.chat.completions.create(**call)
        with track_task("stops", budget=Budget(usd=1, unpriced="stop")):
            error = tried(lambda: client.chat.completions.create(**call))
    assert error is not None
    assert (error.reason, error.limit, len(stub.requests), task.unpriced_calls) == ("unpriced", None, 1, 1)
    allows, stops = (attributes(span) for span in meter.spans("task"))
    assert (allows["taskmeter.budget.unpriced_calls"], allows["taskmeter.budget.spent.tokens"]) == (1, 144)
    assert stops["taskmeter.budget.stopped"] == "unpriced"


def test_a_warning_is_given_once(meter: Meter, caplog: pytest.LogCaptureFixture) -> None:
    """`warn` goes on; the log has one line, the span the limit that was gone over."""
    with served() as (stub, kit), track_task("work", budget=Budget(calls=1, on_exceeded="warn")) as task:
        for _ in range(3):
            kit.openai().chat.completions.create(**CALL)
    assert (len(stub.requests), task.calls) == (3, 3)
    (record,) = [each for each in caplog.records if each.name == "taskmeter" and each.levelno == logging.WARNING]
    assert "1 spent + 1 for a call of gpt-5-mini at worst > 1 calls" in record.getMessage()
    (span,) = meter.spans("task")
    assert attributes(span)["taskmeter.budget.warned"] == "calls"
    assert "taskmeter.budget.stopped" not in attributes(span)


def test_a_callable_switches_the_model_half_way(meter: Meter) -> None:
    """The task finishes inside its budget, on the cheaper model; each call's span says what was asked for and sent."""
    stops: list[BudgetStop] = []

    def cheaper(stop: BudgetStop) -> Mapping[str, Any]:
        stops.append(stop)
        return {"model": "gpt-5-nano", "max_tokens": 20}

    budget = Budget(usd="0.00027", on_exceeded=cheaper)
    with served() as (stub, kit), track_task("work", budget=budget) as task:
        client = kit.openai()
        models = [client.chat.completions.create(**CALL).model for _ in range(5)]
    assert models == ["gpt-5-mini"] * 3 + ["gpt-5-nano"] * 2 == [call.body["model"] for call in stub.requests]
    assert [call.body["max_completion_tokens"] for call in stub.requests] == [24, 24, 24, 20, 20]
    # 3 at 0.000078; 2 of 120 tokens at 0.05 and 24 at 0.40 USD per million
    assert task.cost.total == Decimal("0.0002652")
    assert (stops[0].model, stops[0].request["max_completion_tokens"], stops[0].spent) == (
        "gpt-5-mini",
        24,
        3 * GPT_USD,
    )
    calls = [attributes(span) for span in meter.spans("call")]
    assert [call.get("taskmeter.budget.degraded") for call in calls] == [None] * 3 + [
        "model gpt-5-mini -> gpt-5-nano, max_completion_tokens 24 -> 20"
    ] * 2
    assert [call["gen_ai.request.model"] for call in calls] == models
    assert calls[4]["taskmeter.budget.requested_model"] == "gpt-5-mini"
    (span,) = meter.spans("task")
    assert attributes(span)["taskmeter.budget.degraded_calls"] == 2
    assert attributes(span)["taskmeter.task.outcome"] == "succeeded"


@pytest.mark.parametrize(
    ("call", "field", "given"),
    [
        ({"messages": PROMPT}, "max_completion_tokens", None),
        ({"messages": PROMPT, "max_tokens": 500}, "max_tokens", 500),
        ({"messages": PROMPT, "extra_body": {"max_completion_tokens": 500}}, "max_completion_tokens", 500),
    ],
)
def test_a_callable_clamps_the_output(call: Any, field: str, given: int | None, meter: Meter) -> None:
    """Under the name that the request has for it."""
    budget = Budget(usd=WORST, on_exceeded=lambda _: {"max_tokens": 10})
    with served() as (stub, kit), track_task("work", budget=budget):
        kit.openai().chat.completions.create(model="gpt-5-mini", **call)
    assert stub.requests[0].body[field] == 10
    (span,) = meter.spans("call")
    assert attributes(span)["taskmeter.budget.degraded"] == f"{field} {given or 'unlimited'} -> 10"


def test_a_callable_clamps_other_endpoints(meter: Meter) -> None:
    """Responses and messages have names of their own; streams are changed as well."""
    budget = Budget(tokens=40, on_exceeded=lambda _: {"max_tokens": 10})
    with StubProvider() as stub, track_task("work", budget=budget):
        kit = Kit(stub.url)
        kit.openai().responses.create(**p.RESPONSE)
        kit.close()
    with StubProvider() as other, track_task("work", budget=budget):
        kit = Kit(other.url)
        list(kit.anthropic().messages.create(**p.MESSAGE, stream=True))
        kit.close()
    assert (stub.requests[0].body["max_output_tokens"], other.requests[0].body["max_tokens"]) == (10, 10)


def _fails(_: BudgetStop) -> None:
    raise ZeroDivisionError


def _refuses(stop: BudgetStop) -> None:
    raise BudgetExceeded(stop, "mine")


@pytest.mark.parametrize(
    ("decide", "cause"),
    [
        (_fails, ZeroDivisionError),
        (_refuses, None),
        (lambda _: {"temperature": 0}, account.budget.UsageError),
        (lambda _: {"max_tokens": 0}, account.budget.UsageError),
        (lambda _: "gpt-5-nano", account.budget.UsageError),
        (lambda _: {"model": "gpt-5-mini"}, None),  # no change: there is still no room
    ],
)
def test_a_callable_that_does_not_help(decide: Any, cause: Any, meter: Meter) -> None:
    """Where it fails, or what it says makes no sense or no room, the call is stopped; its own error is the cause."""
    with served() as (stub, kit), track_task("work", budget=Budget(calls=1, on_exceeded=decide)) as task:
        kit.openai().chat.completions.create(**CALL)
        error = tried(lambda: kit.openai().chat.completions.create(**CALL))
    assert error is not None
    assert isinstance(error.__cause__, cause or type(None))
    assert (error.partial, len(stub.requests), task.calls) == ("mine" if decide is _refuses else None, 1, 1)


def test_a_callable_may_go_on(meter: Meter) -> None:
    """`None` makes the call as it is; what it costs is spent all the same."""
    with served() as (stub, kit), track_task("work", budget=Budget(calls=1, on_exceeded=lambda _: None)):
        for _ in range(2):
            kit.openai().chat.completions.create(**CALL)
        purse = account.budgets.purse_of(current_task()._scope)  # type: ignore[union-attr]
    assert purse is not None
    assert (len(stub.requests), purse.own[0].tally.state().spent.calls) == (2, 2)


def test_choices_are_counted(meter: Meter) -> None:
    """Each of `n` may be as long as the request allows."""
    with served() as (stub, kit), track_task("work", budget=Budget(tokens=125 + 3 * 24)):
        client = kit.openai()
        assert tried(lambda: client.chat.completions.create(**CALL, n=4)) is not None
        client.chat.completions.create(**CALL, n=3)
    assert len(stub.requests) == 1


def test_streams_and_native_spans(meter: Meter) -> None:
    """A stream that is stopped is not opened; the SDK's own span of a changed call says so."""
    with StubProvider() as stub, track_task("work", budget=Budget(calls=1)):
        kit = Kit(stub.url)
        assert len(list(kit.openai().chat.completions.create(**CALL, stream=True))) > 1
        assert tried(lambda: kit.openai().chat.completions.create(**CALL, stream=True)) is not None
        kit.close()
    budget = Budget(tokens=80, on_exceeded=lambda _: {"max_tokens": 10})
    with StubProvider(lambda _: anthropic_message(CLAUDE)) as other, track_task("work", budget=budget):
        kit = Kit(other.url, traced=meter.tracer_provider)
        kit.anthropic().messages.create(model=CLAUDE, max_tokens=100, messages=MESSAGES)
        kit.close()
    assert (len(stub.requests), len(other.requests)) == (1, 1)
    assert [attributes(span).get("taskmeter.budget.degraded") for span in meter.model_spans()] == [
        None,
        "max_tokens 100 -> 10",
    ]


def test_outside_of_tasks(meter: Meter) -> None:
    """A budget for the process covers what belongs to no task."""
    meter.instrument(budgets=Budget(usd="0.10"))
    charge("0.10")
    with served() as (stub, kit):
        assert tried(lambda: kit.openai().chat.completions.create(**CALL)) is not None
    meter.instrument(budgets=())
    with served() as (stub, kit):
        kit.openai().chat.completions.create(**CALL)
    assert len(stub.requests) == 1


def test_accounts_do_not_pile_up(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more customers than can be kept, the one longest not seen is forgotten."""
    monkeypatch.setattr("taskmeter.account.accounts.MOST_ACCOUNTS", 10)
    meter.instrument(budgets=Budget(usd=1, customer="*"))
    for number in range(30):
        with track_task("work", customer=str(number)):
            charge("0.01")
    assert len(account.budgets._accounts) == 10


def test_a_callable_sees_the_request(meter: Meter) -> None:
    """It cannot change what it sees: it returns the change."""

    def decide(stop: BudgetStop) -> None:
        stop.request["model"] = "x"  # type: ignore[index]

    with served() as (stub, kit), track_task("work", budget=Budget(tokens=1, on_exceeded=decide)):
        error = tried(lambda: kit.openai().chat.completions.create(**CALL))
    assert error is not None
    assert isinstance(error.__cause__, TypeError)
    assert len(stub.requests) == 0


def in_function(make: Callable[[], Any]) -> Any:
    return tenacity.Retrying(stop=tenacity.stop_after_attempt(3), reraise=True)(make)


def in_block(make: Callable[[], Any]) -> Any:
    for attempt in tenacity.Retrying(stop=tenacity.stop_after_attempt(3), reraise=True):
        with attempt:
            return make()
    return None


@pytest.mark.parametrize("loop", [in_function, in_block])
def test_a_budget_holds_inside_of_a_retry_loop(loop: Callable[[Callable[[], Any]], Any], meter: Meter) -> None:
    """The attempts of tenacity draw on the budget of their task; one that was not sent asked for nothing anew."""
    with served() as (stub, kit):
        client = kit.openai(max_retries=0)
        with track_task("work", budget=Budget(calls=2)) as task:
            for _ in range(2):
                loop(lambda: client.chat.completions.create(**CALL))
            error = tried(lambda: loop(lambda: client.chat.completions.create(**CALL)))
    assert error is not None
    assert (len(stub.requests), task.calls, task.reasks) == (2, 2, 0)
    (span,) = meter.spans("task")
    assert attributes(span)["taskmeter.budget.stopped"] == "calls"
    assert attributes(span)["taskmeter.budget.stopped_calls"] == 3
