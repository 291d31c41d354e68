"""A response over a WebSocket is one call, whatever kind of session it is in and whoever receives its events."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import openai
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from taskmeter import _guard, track_task
from taskmeter.capture import sessions
from taskmeter.capture.bounded import Remembered
from taskmeter.demo.stub import openai_response
from tests.capture.harness import GPT, GPT_USD, Meter, attributes

USAGE = {
    "total_tokens": 350,
    "input_tokens": 250,
    "output_tokens": 100,
    "input_token_details": {
        "text_tokens": 100,
        "audio_tokens": 140,
        "image_tokens": 10,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 20, "audio_tokens": 40, "image_tokens": 4},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 70},
}
USAGE_USD = Decimal("0.008536")
"""gpt-realtime, $ per million: 80 text at 4, 100 audio at 32, 6 images at 5, cached 20 at 0.4, 40 at 0.4, 4 at 0.5;
out 30 at 16, 70 at 64: 320 + 3200 + 30 + 8 + 16 + 2 + 480 + 4480."""
CREATED = {"type": "session.created", "session": {"id": "sess_1", "model": "gpt-realtime", "audio": {"input": {
    "transcription": {"model": "gpt-4o-transcribe"}}}}}  # fmt: skip


def realtime(name: str, usage: Any = USAGE, status: str = "completed") -> list[Any]:
    response = {"id": name, "object": "realtime.response", "status": "in_progress", "output": []}
    return [
        {"type": "response.created", "response": response},
        {"type": "response.output_audio.delta", "response_id": name, "delta": "AAAA"},
        {"type": "response.done", "response": {**response, "status": status, "usage": usage}},
    ]


def over_socket(name: str) -> list[Any]:
    body = {**openai_response(GPT, "Done."), "id": name}
    return [
        {"type": "response.created", "response": {**body, "status": "in_progress", "usage": None, "output": []}},
        {"type": "response.output_text.delta", "delta": "Done.", "item_id": "i", "output_index": 0},
        {"type": "response.completed", "response": body},
    ]


@contextmanager
def socket(*answers: list[Any], greeting: Any = (), cut: bool = False) -> Iterator[str]:
    """A WebSocket server: sends `greeting`, then an answer per message, then closes, or breaks off."""

    def talk(connection: ServerConnection) -> None:
        for event in greeting:
            connection.send(json.dumps(event))
        for answer in answers:
            connection.recv()
            for event in answer:
                connection.send(event if isinstance(event, str) else json.dumps(event))
        if cut:
            connection.socket.close()

    with serve(talk, "127.0.0.1", 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test starts with nothing booked: ids repeat."""
    monkeypatch.setattr(sessions, "_ended", Remembered(100))


def client(address: str, kind: Any = openai.OpenAI) -> Any:
    return kind(base_url=f"http://{address}/v1", websocket_base_url=f"ws://{address}/v1", api_key="stub")


def heard(connection: Any) -> list[str]:
    return [event.type for event in connection]


def spoken(api: Any) -> Any:
    """Where realtime sessions are: they were born in beta."""
    return api.realtime if hasattr(api, "realtime") else api.beta.realtime


def realtime_session(address: str) -> Any:
    with client(address) as api, spoken(api).connect(model="gpt-realtime") as connection:
        connection.response.create()
        return type(connection), heard(connection)


def realtime_beta(address: str) -> Any:
    with client(address) as api, api.beta.realtime.connect(model="gpt-realtime") as connection:
        connection.response.create()
        return type(connection), heard(connection)


def realtime_raw(address: str) -> Any:
    with client(address) as api, spoken(api).connect(model="gpt-realtime") as connection:
        connection.response.create()
        return [connection.recv_bytes() for _ in range(4)]


async def realtime_async(address: str) -> Any:
    async with client(address, openai.AsyncOpenAI) as api, spoken(api).connect(model="gpt-realtime") as connection:
        await connection.response.create()
        return type(connection), [event.type async for event in connection]


def responses_session(address: str) -> Any:
    with client(address) as api, api.responses.connect() as connection:
        connection.response.create(model=GPT, input="Where is order 17?")
        return type(connection), heard(connection)


def responses_beta(address: str) -> Any:
    with client(address) as api, api.beta.responses.connect() as connection:
        connection.response.create(model=GPT, input="Where is order 17?")
        return type(connection), heard(connection)


async def responses_async(address: str) -> Any:
    async with client(address, openai.AsyncOpenAI) as api, api.responses.connect() as connection:
        await connection.response.create(model=GPT, input="Where is order 17?")
        return type(connection), [event.type async for event in connection]


LIMITS = {
    "max_lanes": 4,
    "max_events_per_lane": 100,
    "max_events": 100,
    "max_bytes_per_lane": 10**6,
    "max_bytes": 10**6,
}
COMMAND: Any = {"type": "response.create", "model": GPT, "input": "Where is order 17?"}


def responses_lanes(address: str) -> Any:
    from openai.lib import responses_websocket as sockets

    limits = sockets.ResponsesWebSocketLimits(**LIMITS)
    with (
        client(address) as api,
        api.responses.connect() as connection,
        sockets.ResponsesWebSocketSession(connection, limits=limits) as lanes,
    ):
        lanes.default.send(COMMAND)
        return lanes.default.get_final_response(timeout=5).output_text


async def responses_lanes_async(address: str) -> Any:
    from openai.lib import responses_websocket as sockets

    limits = sockets.ResponsesWebSocketLimits(**LIMITS)
    async with (
        client(address, openai.AsyncOpenAI) as api,
        api.responses.connect() as connection,
        sockets.AsyncResponsesWebSocketSession(connection, limits=limits) as lanes,
    ):
        await lanes.default.send(COMMAND)
        return (await lanes.default.get_final_response()).output_text


REALTIME = [realtime_session, realtime_beta, realtime_raw, realtime_async]
RESPONSES = [responses_session, responses_beta, responses_async, responses_lanes, responses_lanes_async]


def run(program: Callable[[str], Any], address: str) -> Any:
    result = program(address)
    return asyncio.run(result) if asyncio.iscoroutine(result) else result


@pytest.mark.parametrize("program", [*REALTIME, *RESPONSES], ids=lambda program: program.__name__)
def test_response_over_a_socket_is_one_call(meter: Meter, program: Any) -> None:
    """The events and types are those that the application sees bare; the cost is the one that the last event states."""
    over_realtime = program in REALTIME
    script: Any = {"greeting": [CREATED] if over_realtime else []}
    answer = realtime("resp_1") if over_realtime else over_socket("resp_1")
    meter.close()
    with socket(answer, **script) as address:
        bare = run(program, address)
    meter = Meter()
    meter.instrument()
    with socket(answer, **script) as address, track_task("test") as task:
        assert run(program, address) == bare
    meter.close()
    [span] = meter.spans("call")
    found = attributes(span)
    assert (task.calls, task.attempts, task.unpriced_calls) == (1, 1, 0)
    assert task.cost.total == meter.leaf_sum() == (USAGE_USD if over_realtime else GPT_USD)
    assert task.cost.estimated == task.cost.wasted == 0
    assert found["taskmeter.cost.status"] == "exact"
    assert found["gen_ai.usage.input_tokens"] == (250 if over_realtime else 120)
    assert span.name == ("realtime gpt-realtime" if over_realtime else "chat gpt-5-mini")
    assert found["gen_ai.response.id"] == "resp_1"
    assert found["gen_ai.provider.name"] == "openai"
    assert found["server.address"] == "127.0.0.1"
    assert found["taskmeter.task.name"] == "test"


def test_several_responses_of_a_session(meter: Meter) -> None:
    """Each is a call of its own, in the task that is open when it is made; a failed one is waste."""
    answers = [realtime("a"), realtime("b", status="failed"), realtime("c", usage=None, status="cancelled")]
    tasks = []
    with (
        socket(*answers, greeting=[CREATED]) as address,
        client(address) as api,
        spoken(api).connect(model="gpt-realtime") as connection,
    ):
        assert connection.recv().type == "session.created"
        for _ in answers:
            with track_task("turn") as task:
                connection.response.create()
                while connection.recv().type != "response.done":
                    pass
            tasks.append(task)
    assert [task.calls for task in tasks] == [1, 1, 1]
    assert [task.unpriced_calls for task in tasks] == [0, 0, 1]
    assert [task.cost.total for task in tasks] == [USAGE_USD, USAGE_USD, 0]
    assert [task.cost.wasted for task in tasks] == [0, USAGE_USD, 0]
    assert [span.status.status_code.name for span in meter.spans("call")] == ["UNSET", "ERROR", "UNSET"]


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        ({"type": "tokens", "input_tokens": 40, "output_tokens": 8, "total_tokens": 48,
          "input_token_details": {"text_tokens": 0, "audio_tokens": 40}}, Decimal("0.00032")),
        ({"type": "duration", "seconds": 7.5}, None),
    ],
    ids=["tokens", "duration"],
)  # fmt: skip
def test_transcription_is_a_call_of_its_own_model(meter: Meter, usage: Any, usd: Decimal | None) -> None:
    """40 audio tokens at 6 and 8 out at 10 dollars per million; by time that model has no price: unknown, not 0."""
    event = {
        "type": "conversation.item.input_audio_transcription.completed",
        "event_id": "e",
        "item_id": "i",
        "content_index": 0,
        "transcript": "Hello.",
        "usage": usage,
    }
    with socket([event], greeting=[CREATED]) as address, track_task("test") as task:
        realtime_session(address)
    [span] = meter.spans("call")
    assert span.name == "transcription gpt-4o-transcribe"
    assert task.calls == 1
    assert task.unpriced_calls == (usd is None)
    assert task.cost.total == meter.leaf_sum() == (usd or 0)


def close_early(address: str) -> None:
    with client(address) as api, spoken(api).connect(model="gpt-realtime") as connection:
        connection.response.create()
        while connection.recv().type != "response.created":
            pass


def drop(address: str) -> None:
    api = client(address)
    connection = spoken(api).connect(model="gpt-realtime").enter()
    connection.response.create()
    while connection.recv().type != "response.created":
        pass
    raw = connection._connection
    del connection
    gc.collect()
    raw.close()
    api.close()


def read_on(address: str) -> None:
    with pytest.raises(ConnectionClosed):
        realtime_session(address)


@pytest.mark.parametrize(("program", "cut"), [(close_early, False), (drop, False), (read_on, True)])
def test_session_that_ends_in_a_response(meter: Meter, program: Any, *, cut: bool) -> None:
    """What it cost nobody says: a call without a price, once."""
    with socket(realtime("resp_1")[:2], greeting=[CREATED], cut=cut) as address, track_task("test") as task:
        program(address)
    gc.collect()
    [span] = meter.spans("call")
    found = attributes(span)
    assert (task.calls, task.unpriced_calls, task.cost.total) == (1, 1, 0)
    assert found["taskmeter.cost.status"] == "unpriced"
    assert found["taskmeter.cost.status.reason"] == "the connection ended before the usage came"
    assert found.get("error.type") == ("ConnectionClosedError" if cut else None)
    assert "gen_ai.usage.cost.amount" not in found


def live(address: str) -> list[str]:
    with client(address) as api, api.live.connect() as connection:
        connection.send({"type": "session.close"})
        return heard(connection)


LIVE = {"id": "live_1", "model": "gpt-live-1"}
STARTED = {"type": "session.started", "event_id": "1", "session": LIVE}
SO_FAR = {"type": "session.usage.updated", "event_id": "2", "usage": {"seconds": 12.0}}
CLOSED = {"type": "session.closed", "event_id": "3", "reason": "expired", "session": LIVE, "usage": {"seconds": 36.0}}
PAUSED = {**CLOSED, "usage": {"seconds": 48, "active_seconds": 36, "paused_seconds": 12}}
ABSURD = {**CLOSED, "usage": {"seconds": 36, "paused_seconds": 48}}


@pytest.mark.parametrize(
    ("answer", "usd", "status"),
    [
        ([SO_FAR, CLOSED], Decimal("0.03"), "exact"),
        ([SO_FAR, PAUSED], Decimal("0.03"), "partial"),
        ([SO_FAR, ABSURD], Decimal("0.03"), "partial"),
        ([SO_FAR], Decimal("0.01"), "estimated"),
        ([], None, "unpriced"),
    ],
    ids=["closed", "paused", "absurd", "cut", "unstated"],
)
def test_live_session_is_billed_by_time(meter: Meter, answer: list[Any], usd: Decimal | None, status: str) -> None:
    """$3 an hour, by the last cumulative duration; what paused time in it costs nobody knows. Responses of the
    models it delegates to are calls of their own."""
    delegated = [{"type": "response.event", "event_id": "9", "event": event} for event in over_socket("resp_9")]
    with socket([*delegated, *answer], greeting=[STARTED]) as address, track_task("test") as task:
        live(address)
    spans = {span.name: attributes(span) for span in meter.spans("call")}
    assert spans["live gpt-live-1"]["taskmeter.cost.status"] == status
    assert task.cost.total == meter.leaf_sum() == (usd or 0) + GPT_USD
    assert task.calls == len(spans) == 2


def test_what_is_no_json_is_passed_on(meter: Meter) -> None:
    """The application meets its own error, in its own place."""
    with (
        socket(["response.done {", *realtime("a")], greeting=[CREATED]) as address,
        track_task("test") as task,
        client(address) as api,
        spoken(api).connect(model="gpt-realtime") as connection,
    ):
        connection.response.create()
        connection.recv()
        assert connection.recv_bytes() == b"response.done {"
        assert heard(connection)[-1] == "response.done"
    assert task.calls == 1


def test_nothing_is_heard_for_one_named_client(meter: Meter) -> None:
    """A connection does not tell whose it is: sessions are observed when all clients are."""
    meter.close()
    meter = Meter()
    with socket(realtime("a"), greeting=[CREATED]) as address, client(address) as api, track_task("test") as task:
        meter.instrument(api)
        realtime_session(address)
    meter.close()
    assert task.calls == 0


@pytest.mark.parametrize("name", ["received", "_handle", "_end_whole", "_finish"])
@pytest.mark.parametrize("program", [realtime_session, realtime_async], ids=lambda program: program.__name__)
def test_fault_of_ours_changes_nothing(meter: Meter, program: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application hears every event all the same."""

    def broken(*_: object, **__: object) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(_guard, "strict", False)
    monkeypatch.setattr("taskmeter._guard.log.disabled", True)
    monkeypatch.setattr(sessions.Session, name, broken)
    with socket(realtime("a"), greeting=[CREATED]) as address:
        _, events = run(program, address)
    monkeypatch.undo()
    assert events == ["session.created", "response.created", "response.output_audio.delta", "response.done"]
