"""What is lost, and what is not, when one part of ours fails; a hook that keeps failing goes off.

That no fault reaches the caller is shown for every guard in tests/faults.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import openai
import pytest

import taskmeter
from taskmeter import _guard, track_task
from taskmeter.capture import call as call_room
from taskmeter.capture import driver, hook_status, openai_stream, picture, priced
from taskmeter.capture import openai as openai_room
from taskmeter.demo.stub import StubProvider, anthropic_message, openai_chat
from taskmeter.telemetry import providers
from tests.capture import programs as p
from tests.capture.harness import CLAUDE, GPT, Kit, Meter, run_bare, run_metered

CHAT = openai_chat(GPT, '{"done": true}')
MESSAGE = anthropic_message(CLAUDE, '{"done": true}')


class BrokenError(Exception):
    """Raised by what is broken on purpose."""


def broken(*_: object, **__: object) -> Any:
    raise BrokenError


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (priced, "price"),
        (openai_room.OpenAI, "read"),
        (picture.Picture, "end"),
        (call_room.Call, "_count"),
        (providers, "tracer"),
    ],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_call_is_counted_whatever_fails_beside(owner: object, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part of a call's end stands alone; a cost that could not be worked out is unknown, not 0."""
    monkeypatch.setattr(_guard, "strict", False)
    monkeypatch.setattr("taskmeter._guard.log.disabled", True)
    meter = Meter()
    meter.instrument()
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, broken)
        run = run_metered(p.chat, (CHAT,), meter)
    meter.close()
    assert run.task.calls == 1
    assert run.task.unpriced_calls == (name in ("price", "read"))


def test_faults_are_counted_and_logged_once(
    meter: Meter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten faults at one place are one warning."""
    monkeypatch.setattr(_guard, "strict", False)
    monkeypatch.setattr(_guard, "faults", type(_guard.faults)())
    monkeypatch.setattr(call_room.Call, "_count", broken)
    with StubProvider(lambda _: CHAT) as stub, track_task("test") as task:
        client = openai.OpenAI(base_url=f"{stub.url}/v1", api_key="stub")
        for _ in range(10):
            client.chat.completions.create(**p.CHAT)
        client.close()
    assert task.calls == 10
    assert _guard.faults == {"capture.count": 10}
    assert len([record for record in caplog.records if record.name == "taskmeter"]) == 1


def test_missing_seam_leaves_the_others(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """An SDK without one of the functions is still observed, and the log says what is missing."""
    import openai._base_client as base

    original = base.BaseClient.__dict__["_process_response_data"]
    monkeypatch.delattr(base.BaseClient, "_process_response_data")
    meter = Meter()
    meter.instrument()
    base.BaseClient._process_response_data = original  # type: ignore[method-assign]
    run = run_metered(p.chat, (CHAT,), meter)
    meter.close()
    assert run.task.calls == 1
    assert "openai._base_client.BaseClient._process_response_data does not exist in this version" in caplog.text
    assert taskmeter.uninstrument() is None  # type: ignore[func-returns-value]


@pytest.fixture
def swallowing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults are swallowed and counted from zero, as in a new process."""
    monkeypatch.setattr(_guard, "strict", False)
    monkeypatch.setattr(_guard, "faults", Counter())


def states(part: str) -> set[str]:
    """Of the hooks of one part."""
    return {status.state for status in hook_status() if status.part == part and status.module != "httpx"}


BREAKS = [
    (openai_room.OpenAI, "operation", "openai requests", 0, 0),
    (driver, "_read_answer", "openai responses", 15, 15),
    (call_room.Call, "answered", "openai responses", 15, 0),
]


@pytest.mark.usefixtures("swallowing")
@pytest.mark.parametrize(("owner", "name", "part", "calls", "unpriced"), BREAKS, ids=[row[1] for row in BREAKS])
def test_hook_that_keeps_failing_goes_off(
    owner: object,
    name: str,
    part: str,
    calls: int,
    unpriced: int,
    meter: Meter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After ten faults in a row; it says so once, the others go on, and calls begun before are booked all the same."""
    with monkeypatch.context() as patch, StubProvider(lambda _: CHAT) as stub, track_task("test") as task:
        client = Kit(stub.url).openai()
        patch.setattr(owner, name, broken)
        for number in range(15):
            assert client.chat.completions.create(**p.CHAT).choices[0].message.content == '{"done": true}'
            assert states(part) == ({"in"} if number < 9 else {"off"})
        client.close()
    assert sum(_guard.faults.values()) == 10
    assert _guard.turned_off() == [part]
    assert task.calls == calls
    assert task.cost.total == meter.leaf_sum()
    assert task.unpriced_calls == (unpriced or calls - 10 if calls else 0)
    assert [record.getMessage() for record in caplog.records if "turns its hook" in record.getMessage()] == [
        f"taskmeter failed 10 times in a row in {next(iter(_guard.faults))} and turns its hook on {part} off"
    ]
    assert states("anthropic requests") == {"in"}
    assert [(point.attributes, point.value) for point in meter.metric("taskmeter.hooks.off")] == [
        ({"taskmeter.hook": part}, 1)
    ]
    assert [(point.attributes, point.value) for point in meter.metric("taskmeter.faults")] == [
        ({"taskmeter.fault.place": next(iter(_guard.faults))}, 10)
    ]
    taskmeter.uninstrument()
    meter.instrument()
    assert states(part) == {"in"}


@pytest.mark.usefixtures("swallowing")
def test_faults_with_successes_between_turn_nothing_off(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails for some calls only is still worth having for the others."""
    operation = openai_room.OpenAI.operation
    with StubProvider(lambda _: CHAT) as stub, track_task("test") as task:
        client = Kit(stub.url).openai()
        for number in range(40):
            monkeypatch.setattr(openai_room.OpenAI, "operation", operation if number % 9 == 0 else broken)
            client.chat.completions.create(**p.CHAT)
        client.close()
    assert task.calls == 5
    assert states("openai requests") == {"in"}


@pytest.mark.usefixtures("swallowing")
def test_streams_are_whole_when_their_hook_goes_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that we had asked for usage and that is open at that moment: the extra chunk stays hidden. Later ones
    are not asked and not read. Nothing is known of what they cost, so that they are unpriced and no estimate."""
    bare, _ = run_bare(p.chat_stream, (CHAT,), public=True)
    meter = Meter()
    meter.instrument()
    with StubProvider(lambda _: CHAT) as stub, track_task("test") as task:
        kit = Kit(stub.url, public=True)
        client = kit.openai()
        opened = client.chat.completions.create(**p.CHAT, stream=True)
        monkeypatch.setattr(openai_stream.OpenAIStreamReader, "read", broken)
        while states("openai streams") == {"in"}:
            list(client.chat.completions.create(**p.CHAT, stream=True))
        asked = len(stub.requests)
        shown = len(bare[1])
        assert len(list(opened)) == shown
        later = client.chat.completions.create(**p.CHAT, stream=True)
        assert len(list(later)) == shown
        kit.close()
        bodies: list[Any] = [request.body for request in stub.requests]
    assert ["stream_options" in body for body in bodies] == [True] * asked + [False]
    assert task.calls == len(bodies)
    assert task.unpriced_calls == len(bodies)
    assert task.cost.total == meter.leaf_sum() == 0
    meter.close()


@pytest.mark.usefixtures("swallowing")
def test_only_the_sdk_that_fails_is_turned_off(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenAI's faults leave Anthropic's hooks in."""
    monkeypatch.setattr(openai_room.OpenAI, "operation", broken)
    for _ in range(12):
        run_metered(p.chat, (CHAT,), meter)
    assert run_metered(p.message, (anthropic_message(CLAUDE),), meter).task.calls == 1
    assert _guard.turned_off() == ["openai requests"]


@pytest.mark.usefixtures("swallowing")
def test_log_handler_that_fails_reaches_nobody(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application's own handler gets our warning, and what it raises is not the call's problem."""
    monkeypatch.setattr(call_room.Call, "_count", broken)
    monkeypatch.setattr("taskmeter._guard.log.warning", broken)
    assert run_metered(p.chat, (CHAT,), meter).task.calls == 1
    assert _guard.faults == {"capture.count": 1, "log": 1}
