"""An answer made in the background is one call of the task that asked for it, ended by what first brings its result."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import pytest

from taskmeter import track_task
from taskmeter.capture import waiting
from taskmeter.demo.stub import (
    Event,
    Json,
    Raw,
    Script,
    Sse,
    StubProvider,
    openai_response,
    openai_response_stream,
    openai_run,
    openai_video,
)
from tests.capture import background_programs as b
from tests.capture.harness import GPT, GPT_USD, Kit, Meter, Program, attributes, run_bare, run_metered
from tests.capture.sdks import accepts, needs

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK's, for assistants and videos
DONE = {**openai_response(GPT), "id": b.RESPONSE_ID, "background": True}
FAILED = {**DONE, "status": "failed", "usage": None, "error": {"code": "server_error", "message": "stub"}}


def state(status: str) -> Json:
    return Json({**DONE, "status": status, "output": [], "usage": None})


def events(start: int = 0, stop: int | None = None, status: str = "completed") -> Sse:
    whole = openai_response_stream({**DONE, "status": status})
    return Sse(whole[start:stop])


POLLS = (state("queued"), state("queued"), state("in_progress"), Json(DONE), Json(DONE))
RUN = [openai_run(GPT, status=status, run_id="run_1") for status in ("queued", "in_progress", "completed")]
RUN_EVENTS = [
    *(Event(run, name=f"thread.run.{run['status']}") for run in RUN[:2]),
    Event({"id": "step_1", "object": "thread.run.step", "usage": RUN[2]["usage"]}, name="thread.run.step.completed"),
    Event(RUN[2], name="thread.run.completed"),
    Event("[DONE]", name="done"),
]
ITEMS = Json({"object": "list", "data": [], "has_more": False, "first_id": None, "last_id": None})


@pytest.mark.parametrize(
    ("program", "replies"),
    [
        (b.polled, POLLS),
        (b.polled_async, POLLS),
        (b.polled_raw, POLLS),
        (b.polled_streaming_response, POLLS),
        (b.retrieved_as_stream, (state("queued"), events())),
        (b.retrieved_as_stream_async, (state("queued"), events())),
        (b.stream_taken_up_again, (events(), events(2))),
        (b.stream_dropped, (events(0, 2), Json(DONE))),
        (b.stream_read_whole, (events(),)),
        (b.items_listed, (state("queued"), ITEMS, Json(DONE))),
        (b.run_and_poll, tuple(map(Json, RUN))),
        (b.run_and_poll_async, tuple(map(Json, RUN))),
        (b.run_streamed, (Sse(RUN_EVENTS),)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_it_is_one_call_however_it_is_asked_for(meter: Meter, program: Program, replies: tuple[Any, ...]) -> None:
    """Polls are no calls; the first finished answer is booked, and none after it."""
    meter.close()
    bare = run_bare(program, replies)
    meter = Meter()
    meter.instrument()
    run = run_metered(program, replies, meter)
    meter.close()
    assert (run.seen, run.bodies) == bare
    assert run.seen[0] == "returned"
    assert (run.task.calls, run.task.attempts, run.task.unpriced_calls) == (1, 1, 0)
    assert run.task.cost.total == meter.leaf_sum() == GPT_USD
    assert run.task.cost.wasted == run.task.cost.estimated == 0
    [span] = meter.model_spans()
    assert attributes(span)["taskmeter.cost.status"] == "exact"
    assert span.status.status_code.name == "UNSET"


def test_it_belongs_to_the_task_that_asked_for_it(meter: Meter) -> None:
    """Whoever polls: the money is the first task's, also when that is over."""
    with StubProvider(Script(state("queued"), Json(DONE))) as stub:
        responses = Kit(stub.url).openai().responses
        with track_task("asks") as asking:
            responses.create(**b.BACKGROUND)
        assert asking.calls == 0
        with track_task("polls") as polling:
            responses.retrieve(b.RESPONSE_ID)
    assert (asking.calls, asking.cost.total, polling.calls, polling.cost.total) == (1, GPT_USD, 0, 0)
    [span] = meter.spans("call")
    assert attributes(span)["taskmeter.task.name"] == "asks"


@pytest.mark.parametrize(
    ("program", "replies", "error_type"),
    [
        (b.cancelled, (state("queued"), state("cancelled"), state("cancelled")), "cancelled"),
        (b.polled, (*POLLS[:3], Json(FAILED), Json(FAILED)), "server_error"),
        (b.video_and_poll, tuple(Json(openai_video(status=s, video_id="video_1")) for s in ("queued", "failed")),
         "moderation_blocked"),
    ],
    ids=["cancelled", "failed", "video"],
)  # fmt: skip
def test_one_that_comes_to_nothing_ends_with_an_error(
    meter: Meter, program: Program, replies: tuple[Any, ...], error_type: str
) -> None:
    """Cancelled or failed is over, is no success, and without usage has no price."""
    run = run_metered(program, replies, meter)
    assert run.seen[0] == "returned"
    assert (run.task.calls, run.task.unpriced_calls, run.task.cost.total) == (1, 1, 0)
    [span] = meter.spans("call")
    assert attributes(span)["error.type"] == error_type
    assert span.status.status_code.name == "ERROR"


def test_a_cancelled_one_that_states_usage_is_waste(meter: Meter) -> None:
    """What was made until then is billed."""
    over = Json({**DONE, "status": "cancelled"})
    run = run_metered(b.cancelled, (state("queued"), over, over), meter)
    assert run.task.cost.total == run.task.cost.wasted == GPT_USD


@pytest.mark.parametrize(
    ("program", "between"),
    [(b.video_and_poll, ()), (b.video_with_content, (Raw(b"mp4", "video/mp4"),))],
    ids=["polled", "content"],
)
def test_video_states_its_seconds(meter: Meter, program: Program, between: tuple[Any, ...]) -> None:
    """They are counted, and unpriced for want of a list price; its content is not its state."""
    queued, done = (Json(openai_video(seconds=8, status=s, video_id="video_1")) for s in ("queued", "completed"))
    run = run_metered(program, (queued, *between, done), meter)
    assert run.seen[0] == "returned"
    assert (run.task.calls, run.task.unpriced_calls) == (1, 1)
    assert run.task.usage.fees == {"output_video_ms": 8000}
    [span] = meter.spans("call")
    assert "sora-2" in attributes(span)["taskmeter.cost.status.reason"]


def test_those_never_asked_for_are_bounded(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the limit the oldest ends unpriced, and says why."""
    monkeypatch.setattr(waiting, "LIMIT", 2)
    replies = [Json({**DONE, "id": f"resp_x{n}", "status": "queued", "usage": None}) for n in range(3)]
    ends = [Json({**DONE, "id": f"resp_x{n}"}) for n in range(3)]
    with StubProvider(Script(*replies, *ends)) as stub, track_task("test") as task:
        responses = Kit(stub.url).openai().responses
        for _ in replies:
            responses.create(**b.BACKGROUND)
        assert (task.calls, task.unpriced_calls) == (1, 1)
        for n in range(3):
            responses.retrieve(f"resp_x{n}")
    assert (task.calls, task.unpriced_calls, task.cost.total) == (3, 1, 2 * GPT_USD)
    reasons = [attributes(span).get("taskmeter.cost.status.reason") for span in meter.spans("call")]
    assert reasons == ["its answer was not retrieved in this process", None, None]


PROGRAM = """
import sys, taskmeter
from openai import OpenAI
from taskmeter.demo.stub import Script, StubProvider, openai_response
taskmeter.configure(spool=sys.argv[1])
queued = {**openai_response("gpt-5-mini"), "status": "queued", "usage": None}
with StubProvider(Script(queued)) as stub, taskmeter.track_task("test"):
    OpenAI(base_url=stub.url + "/v1", api_key="stub").responses.create(model="gpt-5-mini", input="a", background=True)
"""


def test_those_still_waiting_at_exit_are_finished(tmp_path: Path) -> None:
    """The process ends: so does the call, unpriced, on record."""
    needs(accepts(openai.resources.responses.Responses.create, "background"), "background responses")
    subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], check=True, timeout=60, capture_output=True)
    spooled = "".join(path.read_text() for path in tmp_path.glob("traces-*"))
    assert spooled.count("its answer was not retrieved in this process") == 1
