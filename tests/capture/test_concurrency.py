"""Every call is in exactly one task, whatever runs beside it."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from decimal import Decimal
from typing import Any

from taskmeter import Task, track_task
from taskmeter.demo.stub import StubProvider, anthropic_message, openai_chat
from tests.capture import programs as p
from tests.capture.harness import CLAUDE, GPT, GPT_USD, Kit, Meter

CHAT = openai_chat(GPT)
MESSAGE = anthropic_message(CLAUDE)


def test_threads_under_one_task(meter: Meter) -> None:
    """32 threads with 20 calls each, in a nested task of their own: exact in each and in the whole."""
    nested: list[Task] = []

    with StubProvider(lambda _: CHAT) as stub, track_task("whole") as whole:
        client = Kit(stub.url).openai()

        def work() -> None:
            with track_task("part") as part:
                for _ in range(20):
                    client.chat.completions.create(**p.CHAT)
            nested.append(part)

        threads = [threading.Thread(target=copy_context().run, args=(work,)) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.close()
    assert (whole.calls, whole.attempts) == (640, 640)
    assert whole.cost.total == meter.leaf_sum() == GPT_USD * 640
    assert whole.cost.self == 0
    assert [part.cost.total for part in nested] == [GPT_USD * 20] * 32


def test_threads_with_metrics(meter: Meter) -> None:
    """What the metric counted is what the ledgers say."""
    with StubProvider(lambda _: CHAT) as stub:
        client = Kit(stub.url).openai()

        def work(number: int) -> Decimal:
            with track_task("part") as part:
                for _ in range(number):
                    client.chat.completions.create(**p.CHAT)
            return part.cost.total

        with ThreadPoolExecutor(8) as pool:
            spent = list(pool.map(work, range(1, 9)))
        client.close()
    assert sum(spent) == GPT_USD * 36
    [calls] = meter.metric("gen_ai.client.operation.duration")
    assert calls.count == 36


def test_asyncio_calls_under_one_task(meter: Meter) -> None:
    """300 calls, in nested tasks that interleave."""

    async def main(url: str) -> tuple[Task, list[Task]]:
        async def part(client: Any) -> Task:
            with track_task("part") as task:
                await client.chat.completions.create(**p.CHAT)
                await client.chat.completions.create(**p.CHAT)
            return task

        async with Kit(url).aopenai() as client:
            with track_task("whole") as whole:
                return whole, await asyncio.gather(*(part(client) for _ in range(150)))

    with StubProvider(lambda _: CHAT) as stub:
        whole, parts = asyncio.run(main(stub.url))
    assert whole.calls == 300
    assert whole.cost.total == meter.leaf_sum() == GPT_USD * 300
    assert {part.cost.total for part in parts} == {GPT_USD * 2}


def test_stream_belongs_to_the_task_that_opened_it(meter: Meter) -> None:
    """Wherever it is read: in another task, or after its own has ended."""
    with StubProvider(lambda request: MESSAGE if request.provider == "anthropic" else CHAT) as stub:
        kit = Kit(stub.url)
        with track_task("opener") as opener:
            stream = kit.openai().chat.completions.create(**p.CHAT, stream=True)
            late = kit.anthropic().messages.create(**p.MESSAGE, stream=True)
            with track_task("reader") as reader:
                list(stream)
        assert opener.calls == 1
        list(late)
        kit.close()
    assert (opener.calls, opener.cost.self == opener.cost.total) == (2, True)
    assert (reader.calls, reader.cost.total) == (0, 0)
    assert {span.attributes and span.attributes["taskmeter.task.name"] for span in meter.model_spans()} == {"opener"}
    assert opener.cost.total == meter.leaf_sum()


def test_stream_read_in_another_thread(meter: Meter) -> None:
    """The call ends where the reading does."""
    with StubProvider(lambda _: CHAT) as stub, track_task("opener") as opener:
        stream = Kit(stub.url).openai().chat.completions.create(**p.CHAT, stream=True)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(list, stream).result()
    assert opener.calls == 1
    assert opener.cost.total == meter.leaf_sum() > 0
