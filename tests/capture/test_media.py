"""Endpoints that are no conversation: each is one call at its own units, and the same to its caller as without us."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from taskmeter.demo.stub import (
    Billed,
    Event,
    Json,
    Raw,
    Sse,
    openai_chat,
    openai_compaction,
    openai_completion,
    openai_decision,
    openai_images,
    openai_images_stream,
    openai_moderation,
    openai_response,
    openai_speech,
    openai_timed_transcription,
    openai_transcription,
    openai_transcription_stream,
)
from tests.capture import media_programs as m
from tests.capture import programs as p
from tests.capture.harness import Meter, Program, attributes, run_bare, run_metered

IMAGES = openai_images(Billed(input=120, output=1000), image_input=100)
HEARD = openai_transcription(billed=Billed(input=120, output=24), audio_input=110)

ANSWERS: dict[str, tuple[Any, str, str]] = {
    # 120 x 1.5 + 24 x 2
    "completion": (openai_completion("gpt-3.5-turbo-instruct"), "0.000228", "text_completion"),
    # 120 x 0.25 + 24 x 2
    "compaction": (openai_compaction("gpt-5-mini"), "0.000078", "compact"),
    # gpt-5-mini's prices: 120 x 0.25 + 24 x 2
    "decision": (openai_decision("gpt-5-mini"), "0.000078", "decision"),
    # 20 x 5 + 100 images x 8 + 1000 images x 32
    "image": (IMAGES, "0.0329", "image_generation"),
    "image_edit": (IMAGES, "0.0329", "image_edit"),
    "image_variation": (IMAGES, "0.0329", "image_variation"),
    # 10 x 2.5 + 110 audio x 6 + 24 x 10
    "transcription": (HEARD, "0.000925", "transcription"),
    # 27 s at 0.36 an hour
    "transcription_timed": (openai_timed_transcription(seconds=27), "0.0027", "transcription"),
    # 12.5 s at 0.36 an hour, its duration stated by the second
    "translation": (openai_timed_transcription(seconds=12.5), "0.00125", "translation"),
    "moderation": (openai_moderation(), "0", "moderation"),
}
SHAPES = [m.plain, m.plain_async, m.raw, m.streaming_response]


def check(meter: Meter, program: Program, reply: Any, usd: str, status: str) -> tuple[Any, dict[str, Any]]:
    """Runs `program` bare and metered and compares; then what the meter says must be this one call."""
    meter.close()
    bare = run_bare(program, (reply,))
    meter = Meter()
    meter.instrument()
    try:
        run = run_metered(program, (reply,), meter)
    finally:
        meter.close()
    assert (run.seen, run.bodies) == bare
    assert run.seen[0] == "returned"
    assert (run.task.calls, run.task.attempts) == (1, 1)
    assert run.task.unpriced_calls == (status == "unpriced")
    assert run.task.cost.total == meter.leaf_sum() == Decimal(usd)
    assert run.task.cost.wasted == 0
    assert run.task.cost.estimated == (Decimal(usd) if status == "estimated" else 0)
    [span] = meter.model_spans()
    assert span.status.status_code.name == "UNSET"
    found = attributes(span)
    assert found["taskmeter.cost.status"] == status
    assert ("gen_ai.usage.cost.amount" in found) is (status != "unpriced")
    return run.task, found


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
@pytest.mark.parametrize("name", m.ENDPOINTS)
def test_endpoint(meter: Meter, name: str, shape: Any) -> None:
    """Every shape of every endpoint is exact, at the prices of text, image, audio and time."""
    reply, usd, operation = ANSWERS[name]
    _, found = check(meter, shape(*m.ENDPOINTS[name]), reply, usd, "exact")
    assert found["gen_ai.operation.name"] == operation


@pytest.mark.parametrize("shape", [m.stream, m.stream_async], ids=lambda shape: shape.__name__)
@pytest.mark.parametrize("name", ["image", "image_edit", "transcription"])
def test_stream(meter: Meter, name: str, shape: Any) -> None:
    """The event that completes an image or a transcript states the usage of all of it."""
    reply, usd, _ = ANSWERS[name]
    _, found = check(meter, shape(*m.STREAMS[name]), reply, usd, "exact")
    assert found["gen_ai.request.stream"] is True


@pytest.mark.parametrize("shape", [m.stream, m.stream_async], ids=lambda shape: shape.__name__)
def test_completion_stream_without_usage_is_estimated(meter: Meter, shape: Any) -> None:
    """A legacy completion is text like a chat: bytes / 4 where nothing is stated."""
    # gpt-3.5-turbo-instruct: 40 bytes in are 10 tokens, 5 out are 2: 10 x 1.5 + 2 x 2
    check(meter, shape(*m.STREAMS["completion"]), ANSWERS["completion"][0], "0.000019", "estimated")


@pytest.mark.parametrize("program", [m.speech, m.speech_async, m.speech_streamed, m.speech_streamed_async])
def test_speech_is_priced_by_the_characters_asked_for(meter: Meter, program: Program) -> None:
    """Audio states no usage: the characters are ours to count, which makes it an estimate."""
    # 18 characters at 15 a million
    task, _ = check(meter, program, openai_speech(), "0.00027", "estimated")
    assert task.usage.fees == {"input_characters": 18}


def test_speech_as_events_states_its_usage(meter: Meter) -> None:
    """The SDK hands such speech over as bytes, whose last event has the tokens: 120 x 0.6 + 24 x 12."""
    usage = {"input_tokens": 120, "output_tokens": 24, "total_tokens": 144}
    events = Sse(
        [Event({"type": "speech.audio.delta", "audio": "SUQz"}), Event({"type": "speech.audio.done", "usage": usage})]
    )
    check(meter, m.speech_as_events, events, "0.00036", "exact")


def test_speech_billed_by_token_is_unpriced_without_them(meter: Meter) -> None:
    """Characters are not what such a model is billed by."""
    check(meter, m.speech_without_events, openai_speech(), "0", "unpriced")


def test_azure_image_is_an_image(meter: Meter) -> None:
    """The deployment in the path is no hindrance, nor is a clone; the price is OpenAI's, for want of Azure's."""
    task, found = check(meter, m.azure_image, IMAGES, "0.0329", "estimated")
    assert (found["gen_ai.provider.name"], task.usage.tokens["output_image"]) == ("azure.ai.openai", 1000)


def test_text_without_any_usage_is_unpriced(meter: Meter) -> None:
    """A transcript as bare text says nothing of the time that is billed."""
    check(meter, m.transcription_as_text, Raw(b"Done.\n", "text/plain"), "0", "unpriced")


@pytest.mark.parametrize(
    "events",
    [openai_images_stream(IMAGES, partials=2)[:2], openai_transcription_stream(HEARD)[:1]],
    ids=["image", "transcription"],
)
def test_media_cut_short_is_unpriced_not_guessed(meter: Meter, events: Any) -> None:
    """What an image or audio costs cannot be told from the bytes of a prompt."""
    name = "image" if len(events) == 2 else "transcription"
    run = run_metered(m.stream(*m.STREAMS[name]), (Sse(events),), meter)
    assert (run.task.calls, run.task.unpriced_calls, run.task.usage.tokens) == (1, 1, {})


def test_text_drawn_beside_an_image_is_charged_as_text(meter: Meter) -> None:
    """Where the answer splits its output, each kind has its own price."""
    # gpt-image-1.5: 120 x 5 + 200 text x 10 + 800 images x 32
    reply = openai_images(Billed(input=120, output=1000), text_output=200)
    task, _ = check(meter, m.plain(*m.ENDPOINTS["image"]), reply, "0.0282", "exact")
    assert task.usage.tokens == {"input": 120, "output": 200, "output_image": 800}


def test_svg_written_by_another_model_is_charged_as_that_models(meter: Meter) -> None:
    """Its tokens are billed at that model's price, beside those of the image."""
    # the image's 0.0329, and gpt-5: 5 x 1.25 + 7 x 10
    svg = {"model": "gpt-5", "input_tokens": 5, "output_tokens": 7, "reasoning_tokens": 0, "total_tokens": 12}
    check(meter, m.plain(*m.ENDPOINTS["image"]), {**IMAGES, "svg_usage": svg}, "0.03297625", "exact")


@pytest.mark.parametrize("item", ["code_interpreter_call", "image_generation_call"])
def test_hosted_tool_without_a_price_per_call_is_partial(meter: Meter, item: str) -> None:
    """A container's hours and the tokens of an image model are billed beside the tokens of the answer."""
    reply = openai_response("gpt-5-mini", '{"done": true}')
    reply = {**reply, "output": [*reply["output"], {"type": item, "id": "x_1", "status": "completed"}]}
    check(meter, p.response, reply, "0.000078", "partial")


RERANKED = {"results": [1, 0], "usage": {"prompt_tokens": 120, "completion_tokens": 24, "total_tokens": 144}}


@pytest.mark.parametrize("program", [m.unknown_path, m.unknown_path_async])
def test_post_to_an_unknown_path_is_a_call_if_its_answer_states_tokens(meter: Meter, program: Program) -> None:
    """Its operation is the last word of the path, its price that of the model asked for."""
    _, found = check(meter, program, Json(RERANKED), "0.000078", "exact")
    assert found["gen_ai.operation.name"] == "rerank"


@pytest.mark.parametrize(
    ("program", "reply"),
    [
        (m.unknown_path, {"results": [1, 0]}),
        (m.unknown_path, {"results": [1, 0], "usage": {"requests": 3}}),
        (m.update, {**openai_chat("gpt-5-mini"), "id": "chatcmpl-1"}),
        (m.upload, {"id": "file-1", "object": "file", "bytes": 9}),
        (m.count_tokens, {"object": "response.input_tokens", "input_tokens": 7}),
    ],
    ids=["no usage", "no tokens", "update", "upload", "count"],
)
def test_post_that_is_no_call_leaves_no_trace(meter: Meter, program: Program, reply: Any) -> None:
    """Without tokens of its own an unknown request is none of ours, nor are its failed attempts."""
    run = run_metered(program, (Json({}, 503, {"retry-after-ms": "1"}), Json(reply)), meter)
    assert run.seen[0] == "returned"
    assert (run.task.calls, run.task.retries) == (0, 0)
    assert meter.exporter.get_finished_spans()[:-1] == ()
    assert meter.metric("taskmeter.retries") == []
