"""Nothing of a call stays behind, however it ended."""

from __future__ import annotations

import gc
import time
from collections import Counter
from typing import Any
from weakref import finalize

import pytest

from taskmeter.capture import streams
from taskmeter.capture.call import Call
from taskmeter.demo.stub import StubProvider, openai_chat
from tests.capture import programs as p
from tests.capture.harness import GPT, Kit, Meter

CHAT = openai_chat(GPT)


def alive() -> tuple[int, int, int]:
    """Calls, responses that are waited for, finalizers."""
    gc.collect()
    calls = Counter(type(found) for found in gc.get_objects())[Call]
    return calls, len(streams._held), len(finalize._registry)  # type: ignore[attr-defined]


def settled() -> tuple[int, int, int]:
    """Waits for the thread that ends what the collector found."""
    end = time.monotonic() + 5
    while (now := alive())[:2] != (0, 0) and time.monotonic() < end:
        time.sleep(0.01)
    return now


@pytest.mark.slow
def test_memory(meter: Meter) -> None:
    """2,000 calls and 200 abandoned streams leave no call, no entry and no finalizer."""
    with StubProvider(lambda _: CHAT) as stub:
        client = Kit(stub.url).openai()

        def many(number: int, **options: Any) -> None:
            for _ in range(number):
                client.chat.completions.create(**p.CHAT, **options)

        many(5)
        many(5, stream=True)
        before = settled()
        many(2000)
        assert alive() == before
        many(200, stream=True)
        assert settled() == before
        client.close()
    assert len(meter.spans("call")) == 2210


def test_call_that_is_over_leaves_at_once(meter: Meter) -> None:
    """Without a collection: an application's memory does not wait for one."""
    with StubProvider(lambda _: CHAT) as stub:
        client = Kit(stub.url).openai()
        client.chat.completions.create(**p.CHAT)
        before, _, _ = alive()
        gc.disable()
        try:
            for _ in range(20):
                client.chat.completions.create(**p.CHAT)
            after = Counter(type(found) for found in gc.get_objects())[Call]
        finally:
            gc.enable()
        client.close()
    assert after - before <= 1
