"""Nothing of a call stays behind, however it ended."""

from __future__ import annotations

import gc
import json
import time
from collections import Counter
from typing import Any
from weakref import finalize

import openai
import pytest

from taskmeter.capture import streams
from taskmeter.capture.call import Call
from taskmeter.demo.stub import StubProvider, openai_chat, openai_chat_stream
from taskmeter.telemetry.known import KnownCall
from tests.capture import programs as p
from tests.capture.harness import GPT, Kit, Meter
from tests.capture.sdks import fake_http

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


def tracked() -> int:
    """Objects that the garbage collector knows, but for the calls that are remembered, up to a limit."""
    settled()
    return sum(type(found) is not KnownCall for found in gc.get_objects())


@pytest.mark.parametrize(
    ("calls", "streams"),
    [
        pytest.param(1000, 100, id="some"),
        pytest.param(20_000, 2000, id="many", marks=[pytest.mark.fuzz, pytest.mark.timeout(1800)]),
    ],
)
def test_memory(meter: Meter, calls: int, streams: int) -> None:
    """Calls and abandoned streams leave no call, no entry, no finalizer and no other object."""
    kinds, contents = (
        {False: "application/json", True: "text/event-stream"},
        {
            False: json.dumps(CHAT).encode(),
            True: b"".join(event.encode() for event in openai_chat_stream(CHAT)),
        },
    )

    def reply(request: Any) -> tuple[bytes, str]:
        stream = json.loads(request.content).get("stream", False)
        return contents[stream], kinds[stream]

    client = Kit("http://stub").openai(http_client=fake_http(openai, reply))

    def many(number: int, **options: Any) -> None:
        for count in range(number):
            result = client.chat.completions.create(**p.CHAT, **options)
            if options and count % 2:
                next(result)
            meter.exporter.clear()

    many(50)
    many(50, stream=True)
    before, objects = settled(), tracked()
    many(calls)
    assert alive() == before
    assert tracked() - objects < 100
    many(streams, stream=True)
    assert settled() == before
    meter.exporter.clear()
    assert tracked() - objects < 100
    client.close()


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
