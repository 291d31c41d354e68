"""However a call ends, it is one call, and the caller sees what it would see without us."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from decimal import Decimal
from typing import Any

import openai
import pytest

from taskmeter import track_task
from taskmeter.account import ledger
from taskmeter.demo.stub import (
    Error,
    Event,
    Hang,
    Json,
    Sse,
    StubProvider,
    anthropic_message,
    anthropic_message_stream,
    openai_chat,
    openai_chat_stream,
    openai_response,
    openai_response_stream,
)
from tests.capture import programs as p
from tests.capture.harness import (
    CLAUDE,
    CLAUDE_USD,
    GPT,
    GPT_USD,
    MESSAGES,
    Kit,
    Meter,
    Program,
    attributes,
    run_bare,
    run_metered,
    stubbed,
)
from tests.capture.sdks import fake_http

TEXT = "The order left the depot in Rotterdam on Tuesday."
CHAT = openai_chat(GPT, TEXT)
RESPONSE = openai_response(GPT, TEXT)
MESSAGE = anthropic_message(CLAUDE, TEXT)
CHAT_EVENTS = openai_chat_stream(CHAT, include_usage=False)
MESSAGE_EVENTS = anthropic_message_stream(MESSAGE)
RESPONSE_EVENTS = openai_response_stream(RESPONSE)
LENGTH: Any = {**CHAT, "choices": [{**CHAT["choices"][0], "finish_reason": "length"}]}
OPENAI_ERROR = Event({"error": {"message": "out of memory", "type": "server_error", "code": None}})
CLAUDE_ERROR = Event({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, name="error")
SLOW_CHAT = Sse(CHAT_EVENTS, delay_seconds=0.2)
ERROR_429 = Error(429, retry_after=0.01)
ERROR_500 = Error(500, retry_after=0.01)
FAILED = (Decimal(0), None, None, False)
"""Nothing was answered, so nothing is known to be billed: no cost, no status, no tokens, nothing to waste."""
CHAT_PARTLY = (Decimal("0.00001"), "estimated", (8, 4), True)
CHAT_STARTED = (Decimal("0.000002"), "estimated", (8, 0), True)
CLAUDE_PARTLY = (Decimal("0.00028"), "estimated", (120, 4), True)


def both(program: Program) -> list[bool]:
    """Without and, for Anthropic's, with the SDK's own tracing."""
    return [False, True] if program.__name__.startswith("message") else [False]


ENDINGS: list[tuple[str, Program, tuple[Any, ...], tuple[Any, ...], str | None]] = [
    ("helper's with exit", p.chat_helper_left, (CHAT,), CHAT_STARTED, None),
    ("helper's with exit", p.message_helper_left, (MESSAGE,), CLAUDE_PARTLY, None),
    ("too long", p.chat_parse, (LENGTH,), (GPT_USD, "exact", (120, 24), True), "LengthFinishReasonError"),
    ("too long", p.chat_parse_async, (LENGTH,), (GPT_USD, "exact", (120, 24), True), "LengthFinishReasonError"),
    ("no such answer", p.response_parse, (RESPONSE,), (GPT_USD, "exact", (120, 24), True), "ValidationError"),
    ("no such answer", p.message_parse, (MESSAGE,), (CLAUDE_USD, "exact", (120, 24), True), "ValidationError"),
]


@pytest.mark.parametrize(
    ("program", "replies", "expected", "error", "traced"),
    [
        pytest.param(*row[1:], traced, id=f"{row[1].__name__}-{row[0]}-{'native' if traced else 'ours'}")
        for row in ENDINGS
        for traced in both(row[1])
    ],
)
def test_ending(
    program: Program, replies: tuple[Any, ...], expected: tuple[Any, ...], error: str | None, *, traced: bool
) -> None:
    """One span, with status, tokens and cost as far as they are known; the ledger and the leaves say the same."""
    usd, status, tokens, wasted = expected
    bare = run_bare(program, replies)
    meter = Meter()
    meter.instrument()
    try:
        run = run_metered(program, replies, meter, traced=meter.tracer_provider if traced else False)
    finally:
        meter.close()
    assert run.seen == bare[0]
    assert run.bodies == bare[1]
    assert (run.task.calls, run.task.attempts, run.task.retries) == (1, 1, 0)
    assert run.task.unpriced_calls == (status == "unpriced")
    assert run.task.cost.total == meter.leaf_sum() == usd
    assert run.task.cost.wasted == (usd if wasted else 0)
    assert run.task.cost.estimated == (usd if status == "estimated" else 0)
    [span] = meter.model_spans()
    assert meter.spans("attempt") == []
    found = attributes(span)
    if traced:
        native = {"CancelledError": "UNSET", None: "UNSET"}.get(error, "ERROR")
        assert span.status.status_code.name == native
        return  # what the SDK lets us put on its own span is told below
    assert span.status.status_code.name == ("UNSET" if error is None else "ERROR")
    assert found.get("error.type") == error
    assert found.get("taskmeter.cost.status") == status
    assert (found.get("gen_ai.usage.input_tokens"), found.get("gen_ai.usage.output_tokens")) == (tokens or (None, None))
    assert ("taskmeter.waste.class" in found) is wasted
    assert ("gen_ai.usage.cost.amount" in found) is (status not in (None, "unpriced"))


def eventually(condition: Any) -> None:
    """Streams that the garbage collector ends are booked by a thread."""
    end = time.monotonic() + 5
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    assert condition()


@pytest.mark.parametrize(
    ("program", "usd", "unpriced"),
    [(p.chat_stream_broken_off, Decimal("0.00001"), 0), (p.chat_stream_unread, Decimal("0.000002"), 0)],
)
def test_abandoned_stream_that_the_collector_finds(meter: Meter, program: Program, usd: Decimal, unpriced: int) -> None:
    """A dropped OpenAI stream is part of a cycle: it is booked soon after the collection, as waste."""
    with stubbed(CHAT) as stub, track_task("test") as task:
        program(Kit(stub.url))
        eventually(lambda: task.calls == 1)
        eventually(lambda: len(meter.spans("call")) == 1)
    assert (task.cost.total, task.cost.wasted, task.unpriced_calls) == (usd, usd, unpriced)
    assert meter.leaf_sum() == usd


def test_collection_inside_of_the_ledger_does_not_hang(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection can start while the ledger's lock is held, in the thread that ends an abandoned stream there."""
    plus = ledger.add

    def collecting_add(left: Decimal, right: Decimal) -> Decimal:
        gc.collect()
        return plus(left, right)

    def work() -> None:
        with stubbed(CHAT, CHAT) as stub, track_task("test") as task:
            client = Kit(stub.url).openai()
            gc.disable()
            try:
                next(client.chat.completions.create(**p.CHAT, stream=True))
                with monkeypatch.context() as patched:
                    patched.setattr(ledger, "add", collecting_add)
                    client.chat.completions.create(**p.CHAT)
            finally:
                gc.enable()
            eventually(lambda: task.calls == 2)
            client.close()
        done.append(task.calls)

    done: list[int] = []
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(20)
    assert done == [2]


@pytest.mark.parametrize("program", [p.message_stream_closed, p.message_stream_broken_off, p.message_helper_left])
def test_native_span_of_an_early_end_has_the_cost(meter: Meter, program: Program) -> None:
    """What is known by then is put on the SDK's own span before that ends."""
    run_metered(program, (MESSAGE,), meter, traced=meter.tracer_provider)
    [span] = meter.model_spans()
    assert attributes(span)["taskmeter.cost.exact"] == "0.00028"
    assert attributes(span)["taskmeter.cost.status"] == "estimated"
    assert attributes(span)["taskmeter.waste.class"] == "aborted_stream"


def test_native_span_that_ends_before_us_gets_its_money_a_leaf(meter: Meter) -> None:
    """The SDK ends its span before the error of a cut stream gets to us: the cost is on a charge below it."""
    cut = Sse(MESSAGE_EVENTS, cut_after=4)
    run_metered(p.message_stream, (cut,), meter, traced=meter.tracer_provider)
    [span] = meter.model_spans()
    [leaf] = meter.spans("charge")
    assert leaf.parent is not None
    assert leaf.parent.span_id == span.context.span_id
    assert attributes(leaf)["taskmeter.cost.exact"] == "0.00028"
    assert attributes(leaf)["taskmeter.cost.status"] == "estimated"
    assert attributes(leaf)["taskmeter.waste.class"] == "failed_call"


def test_native_span_of_an_answer_that_cannot_be_parsed_is_waste(meter: Meter) -> None:
    """The cost is on the SDK's own span, marked as waste, as the application gets an exception for it."""
    run_metered(p.message_parse, (MESSAGE,), meter, traced=meter.tracer_provider)
    [span] = meter.model_spans()
    assert attributes(span)["taskmeter.cost.exact"] == "0.00048"
    assert attributes(span)["taskmeter.waste.class"] == "failed_call"


RETRIES: list[tuple[Program, tuple[Any, ...], int, Decimal, str | None, list[str]]] = [
    (p.chat, (ERROR_429, ERROR_429, CHAT), 3, GPT_USD, None, ["429", "429"]),
    (p.chat_async, (ERROR_429, ERROR_429, CHAT), 3, GPT_USD, None, ["429", "429"]),
    (p.chat_stream, (ERROR_500, Sse(openai_chat_stream(CHAT))), 2, GPT_USD, None, ["500"]),
    (p.message, (ERROR_429, ERROR_429, MESSAGE), 3, CLAUDE_USD, None, ["429", "429"]),
    (p.message_async, (Error(529, retry_after=0.01), MESSAGE), 2, CLAUDE_USD, None, ["529"]),
    (p.chat, (ERROR_500,) * 3, 3, Decimal(0), "InternalServerError", ["500"] * 3),
    (p.message_async, (ERROR_500,) * 3, 3, Decimal(0), "InternalServerError", ["500"] * 3),
    (p.chat, (ERROR_500, Error(400)), 2, Decimal(0), "BadRequestError", ["500", "400"]),
    (p.chat_timeout_async, (Hang(2), Hang(2)), 2, Decimal(0), "APITimeoutError", ["TimeoutException"] * 2),
]


@pytest.mark.parametrize(
    ("program", "replies", "attempts", "usd", "error", "failed", "traced"),
    [(*row, traced) for row in RETRIES for traced in both(row[0])],
)
def test_retries(
    program: Program,
    replies: tuple[Any, ...],
    attempts: int,
    usd: Decimal,
    error: str | None,
    failed: list[str],
    *,
    traced: bool,
) -> None:
    """Each failed attempt of a call that was repeated is a span below the call's, with status and wait."""
    bare = run_bare(program, replies)
    meter = Meter()
    meter.instrument()
    try:
        run = run_metered(program, replies, meter, traced=meter.tracer_provider if traced else False)
        retries = sum(point.value for point in meter.metric("taskmeter.retries"))
    finally:
        meter.close()
    assert run.seen == bare[0]
    assert (run.task.calls, run.task.attempts, run.task.retries) == (1, attempts, attempts - 1)
    assert retries == attempts - 1
    assert run.task.exposed_attempts == sum(not reason.isdigit() for reason in failed)
    assert run.task.retry_seconds >= 0.01
    assert run.task.cost.total == meter.leaf_sum() == usd
    [span] = meter.model_spans()
    assert attributes(span)["http.request.resend_count"] == attempts - 1
    spans = meter.spans("attempt")
    assert [span.name for span in spans] == [f"attempt {n}" for n in range(1, len(failed) + 1)]
    for number, (attempt, reason) in enumerate(zip(spans, failed, strict=True)):
        found = attributes(attempt)
        assert attempt.parent is not None
        assert attempt.parent.span_id == span.context.span_id
        assert found["error.type"] == reason or not reason.isdigit()
        assert found.get("http.response.status_code") == (int(reason) if reason.isdigit() else None)
        assert found.get("http.request.resend_count") == (number or None)
        assert found["taskmeter.task.name"] == "test"
        assert found.get("taskmeter.attempt.possibly_billed", False) is (not reason.isdigit())
        last = error is not None and number == len(failed) - 1
        assert ("taskmeter.attempt.wait_seconds" in found) is not last
        assert last or found["taskmeter.attempt.wait_seconds"] > 0
        assert attempt.start_time is not None
        assert attempt.end_time is not None
        assert attempt.end_time > attempt.start_time
    if not traced:
        assert attributes(span).get("error.type") == error


def without(body: Any, **changes: Any) -> Any:
    return {key: value for key, value in {**body, **changes}.items() if value != "absent"}


BODIES = [
    ("no usage, no choices", p.chat, without(CHAT, choices="absent", usage="absent")),
    ("choices null", p.chat, without(CHAT, choices=None, usage=None)),
    ("choices of a wrong type", p.chat, without(CHAT, choices="none", usage=[1])),
    ("output empty", p.response, without(RESPONSE, output=[], usage=None)),
    ("empty object", p.chat_raw, {}),
    ("content null", p.message, without(MESSAGE, content=None, usage=None)),
    ("counts wrong", p.message, without(MESSAGE, content=[], usage={"input_tokens": None, "output_tokens": "x"})),
]


@pytest.mark.parametrize(
    ("program", "body"), [row[1:] for row in BODIES], ids=[f"{r[1].__name__}-{r[0]}" for r in BODIES]
)
def test_answer_that_states_no_usage(program: Program, body: Any) -> None:
    """Unknown is a value: the call is unpriced, without any amount, and the caller gets what it would get."""
    bare = run_bare(program, (Json(body),))
    meter = Meter()
    meter.instrument()
    try:
        run = run_metered(program, (Json(body),), meter)
    finally:
        meter.close()
    assert run.seen == bare[0]
    assert (run.task.calls, run.task.unpriced_calls, run.task.cost.total) == (1, 1, 0)
    [span] = meter.model_spans()
    assert attributes(span)["taskmeter.cost.status"] == "unpriced"
    assert "gen_ai.usage.cost.amount" not in attributes(span)
    assert "gen_ai.usage.input_tokens" not in attributes(span)


@pytest.mark.parametrize(
    "content", [b"", b"not JSON", b'{"usage": ', b"null", b"[]", b"\xff\xfe", b'"text"', b"12"], ids=repr
)
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
@pytest.mark.parametrize("raw", [False, True], ids=["parsed", "raw"])
def test_answer_that_is_no_json_object(content: bytes, kind: str, *, raw: bool) -> None:
    """Whatever comes back, the caller sees what the SDK makes of it, and the call is unpriced."""

    def program(kit: Kit) -> Any:
        completions = kit.openai(http_client=fake_http(openai, lambda _: (content, kind))).chat.completions
        if raw:
            return completions.with_raw_response.create(**p.CHAT).content
        return completions.create(**p.CHAT)

    bare = run_bare(program, ())
    meter = Meter()
    meter.instrument()
    try:
        run = run_metered(program, (), meter)
    finally:
        meter.close()
    assert run.seen == bare[0]
    assert (run.task.calls, run.task.unpriced_calls, run.task.cost.total) == (1, 1, 0)


def test_streaming_response_whose_lines_the_application_reads(meter: Meter) -> None:
    """Nobody parses it, so nothing is known of its cost; that is said, when it is closed, and is no waste."""
    with stubbed(CHAT) as stub, track_task("test") as task:
        client = Kit(stub.url).openai()
        with client.chat.completions.with_streaming_response.create(**p.CHAT, stream=True) as response:
            lines = list(response.iter_lines())
        assert task.calls == 1
        client.close()
    assert lines[-2] == "data: [DONE]"
    assert task.unpriced_calls == 1
    [span] = meter.spans("call")
    assert attributes(span)["taskmeter.cost.status.reason"] == "its body was not read through the SDK"
    assert "taskmeter.waste.class" not in attributes(span)


def test_streaming_response_that_is_left_unread(meter: Meter) -> None:
    """The call ends when its `with` block does, not when the response is collected."""
    with stubbed(CHAT) as stub, track_task("test") as task:
        client = Kit(stub.url).openai()
        with client.chat.completions.with_streaming_response.create(**p.CHAT) as response:
            assert response.status_code == 200
        assert (task.calls, task.unpriced_calls) == (1, 1)
        client.close()
    del response


def test_stream_left_after_its_last_word_is_no_waste(meter: Meter) -> None:
    """An application that stops at the finish reason has the whole answer."""
    with stubbed(CHAT) as stub, track_task("test") as task:
        client = Kit(stub.url).openai()
        with client.chat.completions.create(**p.CHAT, stream=True) as stream:
            for chunk in stream:
                if chunk.choices[0].finish_reason:
                    break
        client.close()
    assert task.cost.estimated > 0
    assert task.cost.wasted == 0


def test_raw_stream_is_observed_when_parsed(meter: Meter) -> None:
    """A raw response to a streamed call that is dropped unparsed is one call, whose input was billed: an estimate."""
    with stubbed(CHAT) as stub, track_task("test") as task:
        client = Kit(stub.url).openai()
        raw = client.chat.completions.with_raw_response.create(**p.CHAT, stream=True)
        del raw
        gc.collect()
        eventually(lambda: task.calls == 1)
        client.close()
    assert (task.unpriced_calls, task.cost.estimated) == (0, Decimal("0.000002"))


def test_error_of_a_call_outside_any_task_is_a_span(meter: Meter) -> None:
    """No task is needed: the call is pictured, with no task on it."""
    with stubbed(Error(400)) as stub, pytest.raises(openai.BadRequestError):
        p.chat(Kit(stub.url))
    [span] = meter.model_spans()
    assert "taskmeter.task.id" not in attributes(span)


@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
@pytest.mark.parametrize("events", [1, 2])
def test_a_stream_left_with_break_is_booked_to_the_task_that_left_it(meter: Meter, api: str, events: int) -> None:
    """At once, though OpenAI's stream is a reference cycle that only a garbage collection would end."""
    gc.disable()
    try:
        with StubProvider() as stub, track_task("test") as task:
            kit = Kit(stub.url)
            stream: Any = {
                "chat": lambda: kit.openai().chat.completions.create(model=GPT, messages=MESSAGES, stream=True),
                "responses": lambda: kit.openai().responses.create(model=GPT, input="a", stream=True),
                "messages": lambda: kit.anthropic().messages.create(
                    model=CLAUDE, max_tokens=9, messages=MESSAGES, stream=True
                ),
            }[api]()
            for number, _ in enumerate(stream, 1):
                if number == events:
                    break
            dropped = weakref.ref(stream)
            del stream, _
            assert dropped() is None
            assert (task.calls, task.unpriced_calls) == (1, 0)
            assert task.cost.total == task.cost.estimated == task.cost.wasted > 0
            kit.close()
    finally:
        gc.enable()
    assert task.cost.total == meter.leaf_sum()
