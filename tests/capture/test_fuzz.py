"""Whatever comes back, hooked and bare clients behave the same, and the call is counted once."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from taskmeter import track_task, uninstrument
from tests.capture import programs as p
from tests.capture.fuzzing import BODIES, body_of, stream_of
from tests.capture.harness import Kit, Meter, outcome
from tests.capture.sdks import fake_http

REQUESTS: dict[str, Any] = {"chat": p.CHAT, "response": p.RESPONSE, "message": p.MESSAGE}


class Wire:
    """Clients, with and without an event loop, whose provider answers with `content`."""

    def __init__(self) -> None:
        self.content, self.kind = b"", ""
        kit = Kit("https://gateway.example")  # nothing is asked for there, so nothing is to be hidden
        options: dict[str, Any] = {"max_retries": 0}
        self.kit = kit
        self.openai = kit.openai(http_client=fake_http(openai, self.reply), **options)
        self.anthropic = kit.anthropic(http_client=fake_http(anthropic, self.reply), **options)
        self.aopenai = kit.aopenai(http_client=fake_http(openai, self.reply, asynchronous=True), **options)
        self.aanthropic = kit.aanthropic(http_client=fake_http(anthropic, self.reply, asynchronous=True), **options)

    def reply(self, _: Any) -> tuple[bytes, str]:
        return self.content, self.kind


def start(wire: Wire, family: str, *, asynchronous: bool, raw: bool, stream: bool) -> Any:
    client: Any = getattr(wire, ("a" if asynchronous else "") + ("anthropic" if family == "message" else "openai"))
    resource = {"chat": lambda: client.chat.completions, "response": lambda: client.responses}.get(
        family, lambda: client.messages
    )()
    create = resource.with_raw_response.create if raw else resource.create
    return create(**REQUESTS[family], **({"stream": True} if stream else {}))


def consume(wire: Wire, family: str, kit: Any, *, raw: bool, stream: bool, leave_after: int | None) -> Any:
    result = start(wire, family, asynchronous=False, raw=raw, stream=stream)
    result = result.parse() if raw else result
    if not stream:
        return result
    seen = []
    with result:
        for event in result:
            seen.append(event)
            if len(seen) == leave_after:
                break
    return seen


async def consume_async(wire: Wire, family: str, kit: Any, *, raw: bool, stream: bool, leave_after: int | None) -> Any:
    result = await start(wire, family, asynchronous=True, raw=raw, stream=stream)
    result = result.parse() if raw else result
    result = await result if inspect.isawaitable(result) else result
    if not stream:
        return result
    seen = []
    async with result:
        async for event in result:
            seen.append(event)
            if len(seen) == leave_after:
                break
    return seen


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    running = Wire()
    yield running
    running.openai.close()
    running.anthropic.close()
    asyncio.run(running.aopenai.close())


def check(
    meter: Meter, wire: Wire, content: bytes, family: str, mode: tuple[bool, bool, int | None], *, stream: bool
) -> None:
    asynchronous, raw, leave_after = mode
    wire.content, wire.kind = content, "text/event-stream" if stream else "application/json"
    run = consume_async if asynchronous else consume

    def program(kit: Kit) -> Any:
        return run(wire, family, kit, raw=raw, stream=stream, leave_after=leave_after)

    nothing = Kit("")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        uninstrument()
        meter.exporter.clear()
        bare = outcome(program, nothing)
        meter.instrument()
        with track_task("fuzz") as task:
            hooked = outcome(program, nothing)
    assert hooked == bare or repr(hooked) == repr(bare)  # `nan` is not itself
    [span] = meter.model_spans()
    assert (task.calls, task.attempts) == (1, 1)
    found = dict(span.attributes or {})
    assert (found.get("taskmeter.cost.status") == "unpriced") is (task.unpriced_calls == 1)
    assert ("gen_ai.usage.cost.amount" in found) is (found.get("taskmeter.cost.status") not in (None, "unpriced"))


MODES = st.tuples(st.booleans(), st.booleans(), st.none() | st.integers(1, 4))
BODY = st.sampled_from(sorted(BODIES)).flatmap(lambda family: st.tuples(st.just(family), body_of(family)))
STREAM = st.sampled_from(sorted(BODIES)).flatmap(lambda family: st.tuples(st.just(family), stream_of(family)))
some = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
many = settings(some, max_examples=5000)


@some
@example(answer=("chat", b'{"choices": null}'), mode=(False, False, None))
@given(answer=BODY, mode=MODES)
def test_bodies(meter: Meter, wire: Wire, answer: tuple[str, bytes], mode: tuple[bool, bool, int | None]) -> None:
    """Results and exceptions are the same for whole answers."""
    check(meter, wire, answer[1], answer[0], mode, stream=False)


@some
@given(answer=STREAM, mode=MODES)
def test_streams(meter: Meter, wire: Wire, answer: tuple[str, bytes], mode: tuple[bool, bool, int | None]) -> None:
    """Events and exceptions are the same for streams."""
    check(meter, wire, answer[1], answer[0], mode, stream=True)


@pytest.mark.fuzz
@pytest.mark.timeout(1800)
@many
@given(answer=BODY, mode=MODES)
def test_5000_bodies(meter: Meter, wire: Wire, answer: tuple[str, bytes], mode: tuple[bool, bool, int | None]) -> None:
    """The same for many."""
    check(meter, wire, answer[1], answer[0], mode, stream=False)


@pytest.mark.fuzz
@pytest.mark.timeout(1800)
@many
@given(answer=STREAM, mode=MODES)
def test_5000_streams(meter: Meter, wire: Wire, answer: tuple[str, bytes], mode: tuple[bool, bool, int | None]) -> None:
    """The same for many."""
    check(meter, wire, answer[1], answer[0], mode, stream=True)
