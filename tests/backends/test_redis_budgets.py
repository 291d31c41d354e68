"""Budgets that processes share, with a real Redis: what fits is sent, whoever asks; when it dies, nothing hangs."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
import redis

from taskmeter import Budget, BudgetExceeded, RedisBudgets, account, charge, track_task
from taskmeter.account import Amounts, Limits, Outlay, SharedDraw, State
from taskmeter.demo.stub import Billed, StubProvider, openai_chat
from tests.backends.backend import free_port, serving
from tests.capture.harness import GPT_USD, Kit, Meter
from tests.export.programs import environment

pytestmark = pytest.mark.backends

PROMPT: Any = [{"role": "user", "content": "x" * 486}]
CALL: Any = {"model": "gpt-5-mini", "messages": PROMPT, "max_completion_tokens": 24}
WORST: Final = Decimal("0.00007925")
CALLING: Final = """
import sys
from concurrent.futures import ThreadPoolExecutor
import openai
from taskmeter import Budget, BudgetExceeded, RedisBudgets, _guard, carry, configure, track_task

_guard.strict = True
configure(spool=False, budgets=[Budget(usd="0.0007925", per="day")], budget_store=RedisBudgets(sys.argv[1]))
client = openai.OpenAI(base_url=sys.argv[2] + "/v1", api_key="stub", max_retries=0)

def call(_):
    try:
        client.chat.completions.create(
            model="gpt-5-mini", messages=[{"role": "user", "content": "x" * 486}], max_completion_tokens=24
        )
    except BudgetExceeded:
        return 1
    return 0

with track_task("work"), ThreadPoolExecutor(10) as pool:
    print(sum(pool.map(carry(call), range(50))))
"""
"""Fifty calls against a budget for ten, at their worst; prints how many were stopped."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    with _redis(port, tmp_path_factory.mktemp("redis")):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def _redis(port: int, directory: Path) -> Iterator[None]:
    with serving(["redis-server", "--port", str(port), "--save", ""], port, directory):
        yield


@pytest.fixture
def url(server: str) -> str:
    """Of an empty database."""
    with redis.Redis.from_url(server) as client:
        client.flushall()
    return server


@pytest.fixture
def meter() -> Iterator[Meter]:
    running = Meter()
    running.instrument()
    yield running
    running.close()
    account.budgets.use((), None)
    account.budgets.active = False


@contextmanager
def stubbed() -> Iterator[tuple[StubProvider, Any]]:
    with StubProvider(lambda _: openai_chat("gpt-5-mini", "Done.", Billed(input=120, output=24))) as stub:
        kit = Kit(stub.url)
        yield stub, kit.openai(max_retries=0)
        kit.close()


def _draw(key: str, usd: str, limit: str | None, ends_at: float | None = None) -> SharedDraw:
    return SharedDraw(key, Amounts(Decimal(usd), 10, 1), Limits(None if limit is None else Decimal(limit)), ends_at)


def test_of_a_hundred_calls_of_two_processes_ten_get_through(url: str, tmp_path: Path) -> None:
    """Two processes with fifty calls each, at once, against one budget for ten: ten reach the server."""
    with stubbed() as (stub, _):
        command = [sys.executable, "-W", "error", "-c", CALLING, url, stub.url]
        running = [
            subprocess.Popen(command, env=environment(), cwd=tmp_path, stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        stopped = [int(process.communicate(timeout=100)[0]) for process in running]
    assert (len(stub.requests), sum(stopped)) == (10, 90)
    period = int(time.time()) // 86_400
    assert RedisBudgets(url).state(f"process/day/{period}") == State(Amounts(10 * GPT_USD, 1440, 10))


def test_all_or_nothing(url: str) -> None:
    """A call that one account has no room for reserves nothing in the other; the refusal has the figures of the one."""
    store = RedisBudgets(url)
    assert store.reserve("a", [_draw("one", "0.4", "1"), _draw("two", "0.4", "0.5")]) is None
    refused = store.reserve("b", [_draw("one", "0.4", "1"), _draw("two", "0.1000000001", "0.5")])
    assert refused == (1, "usd", State(reserved=Amounts(Decimal("0.4"), 10, 1)))
    assert store.state("one").reserved == Amounts(Decimal("0.4"), 10, 1)
    assert store.reserve("c", [_draw("two", "0.1", "0.5")]) is None  # exactly what is left
    assert store.state("nobody's") == State()


def test_settled_once(url: str) -> None:
    """However often it is sent; what may be billed stays held, and money is exact to the nano."""
    store = RedisBudgets(url)
    draws = [_draw("one", "0.4", "1")]
    store.reserve("a", draws)
    for _ in range(2):
        store.settle("a", draws, Outlay(Amounts(Decimal("0.000000078"), 7, 1), 1, 1))
    assert store.state("one") == (
        Amounts(Decimal("0.000000078"), 7, 1),
        Amounts(Decimal("0.4"), 10),
        Amounts(),
    )
    refused = store.reserve("b", [_draw("one", "0.6", "1")])
    assert refused is not None


def test_large_amounts_do_not_round(url: str) -> None:
    """Up to nine million USD, Lua counts each nano."""
    store = RedisBudgets(url)
    draws = [_draw("one", "8999999.999999999", "9000000")]
    assert store.reserve("a", draws) is None
    assert store.reserve("b", [_draw("one", "0.000000002", "9000000")]) is not None
    assert store.reserve("c", [_draw("one", "0.000000001", "9000000")]) is None
    assert store.state("one").reserved.usd == Decimal(9_000_000)


def test_what_a_dead_process_reserved_is_given_back(url: str) -> None:
    """After its lease; who settles later than that still counts what was spent."""
    store = RedisBudgets(url, lease_seconds=1)
    draws = [_draw("one", "0.9", "1")]
    assert store.reserve("dead", draws) is None
    deadline = time.monotonic() + 30
    while store.reserve("alive", draws) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    store.settle("dead", draws, Outlay(Amounts(Decimal("0.05"), 1, 1)))
    assert store.state("one") == (Amounts(Decimal("0.05"), 1, 1), Amounts(), Amounts(Decimal("0.9"), 10, 1))


def test_periods_are_forgotten(url: str) -> None:
    """An account of a day goes some time after it; one that lasts stays."""
    store = RedisBudgets(url, lease_seconds=100)
    ends_at = time.time() + 1000
    draws = [_draw("day", "1", None, ends_at), _draw("lasting", "1", None)]
    store.reserve("a", draws)
    store.settle("a", draws, Outlay(Amounts(calls=1)))
    with redis.Redis.from_url(url) as client:
        assert 1000 < client.ttl("taskmeter:{budgets}:day") <= 1200  # type: ignore[operator]
        assert client.ttl("taskmeter:{budgets}:lasting") == -1
        assert 0 < client.ttl("taskmeter:{budgets}:settled:a") <= 100  # type: ignore[operator]


def test_spent_is_what_the_ledger_has(url: str, meter: Meter) -> None:
    """Of calls and charges; a task's own budget stays in its process, and both are asked."""
    store = RedisBudgets(url)
    meter.instrument(budgets=[Budget(usd=1, task="work"), Budget(usd=2)], budget_store=store)
    with stubbed() as (stub, client), track_task("work", budget=Budget(calls=1)) as task:
        charge("0.25")
        client.chat.completions.create(**CALL)
        with pytest.raises(BudgetExceeded, match="the budget of task 'work' is exceeded: 1 spent"):
            client.chat.completions.create(**CALL)
    expected = State(Amounts(Decimal("0.25") + GPT_USD, 144, 1))
    assert store.state("task=work") == store.state("process") == expected
    assert (task.cost.total, len(stub.requests)) == (expected.spent.usd, 1)


@pytest.mark.parametrize(("on_failure", "sent"), [("allow", 4), ("stop", 1)])
def test_redis_is_killed_in_the_middle(on_failure: Any, sent: int, tmp_path: Path, meter: Meter) -> None:
    """`allow`: calls go on. `stop`: they are stopped. When it is back, what was spent meanwhile is told."""
    port = free_port()
    store = RedisBudgets(f"redis://127.0.0.1:{port}/0", on_failure=on_failure, retry_seconds=0.01)
    meter.instrument(budgets=[Budget(usd=1)], budget_store=store)
    errors: list[str] = []
    with stubbed() as (stub, client), track_task("work") as task:
        with _redis(port, tmp_path):
            client.chat.completions.create(**CALL)
        for _ in range(3):
            try:
                client.chat.completions.create(**CALL)
            except BudgetExceeded as error:
                errors.append(error.reason)
        assert len(stub.requests) == sent
        time.sleep(0.02)
        with _redis(port, tmp_path):
            client.chat.completions.create(**CALL)
            client.chat.completions.create(**CALL)
            # The first call's own was lost with the Redis that was killed.
            assert store.state("process").spent == Amounts((sent + 1) * GPT_USD, (sent + 1) * 144, sent + 1)
            assert store.state("process").reserved == Amounts()
    assert errors == ["store"] * (4 - sent)
    assert task.calls == sent + 2


def test_redis_that_hangs_is_not_waited_for(meter: Meter) -> None:
    """A server that accepts and never answers costs its timeout once; then it is left alone."""
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        store = RedisBudgets(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", retry_seconds=3600)
        meter.instrument(budgets=[Budget(usd=1)], budget_store=store)
        done = threading.Event()

        def work() -> None:
            with stubbed() as (_, client):
                for _ in range(20):
                    client.chat.completions.create(**CALL)
            done.set()

        threading.Thread(target=work, daemon=True).start()
        assert done.wait(60)
    assert len(store._owed) == 20
