"""OpenAI's answers that are no conversation: legacy completions, images, audio, videos, assistants' runs, decisions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from taskmeter.demo.stub.contents import Billed, fragments, new_id
from taskmeter.demo.stub.wire import Body, Event, Raw

_PIXEL = "iVBORw0KGgo="
"""Base64 of what a PNG begins with."""
_CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)


def openai_completion(model: str, text: str = "Done.", billed: Billed | None = None) -> Body:
    """The body of a legacy completion."""
    billed = billed or Billed()
    return {
        "id": new_id("cmpl-"),
        "object": "text_completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": "stop"}],
        "usage": _plain_usage("prompt_tokens", "completion_tokens", billed),
    }


def openai_completion_stream(body: Body, *, include_usage: bool = True) -> list[Event]:
    """The chunks that bring the completion `body`; its usage comes last, in a chunk of its own, or not at all."""
    shared = {key: body[key] for key in ("id", "object", "created", "model")}
    [choice] = body["choices"]
    pieces = [{**choice, "text": piece, "finish_reason": None} for piece in fragments(choice["text"])]
    choices = [*pieces, {**choice, "text": ""}]
    events = [Event({**shared, "choices": [each]}) for each in choices]
    if include_usage:
        events.append(Event({**shared, "choices": [], "usage": body["usage"]}))
    return [*events, Event("[DONE]")]


def openai_images(
    billed: Billed | None = None, *, image_input: int = 0, text_output: int | None = None, images: int = 1
) -> Body:
    """The body of an images answer: `image_input` of its input and all of its output but `text_output` are images.

    `text_output` is `None` for a model that does not say what its output is made of.
    """
    billed = billed or Billed()
    usage: dict[str, Any] = {
        **_plain_usage("input_tokens", "output_tokens", billed),
        "input_tokens_details": {"text_tokens": billed.input - image_input, "image_tokens": image_input},
    }
    if text_output is not None:
        usage["output_tokens_details"] = {"text_tokens": text_output, "image_tokens": billed.output - text_output}
    return {
        "created": int(time.time()),
        "background": "opaque",
        "data": [{"b64_json": _PIXEL} for _ in range(images)],
        "output_format": "png",
        "quality": "low",
        "size": "1024x1024",
        "usage": usage,
    }


def openai_images_stream(body: Body, kind: str = "image_generation", *, partials: int = 1) -> list[Event]:
    """The events that bring the image of `body`; `kind` is `image_generation` or `image_edit`."""
    shared = {key: body[key] for key in ("background", "output_format", "quality", "size")}
    shared |= {"b64_json": _PIXEL, "created_at": body["created"]}
    payloads: list[dict[str, Any]] = [
        {"type": f"{kind}.partial_image", **shared, "partial_image_index": index} for index in range(partials)
    ]
    payloads.append({"type": f"{kind}.completed", **shared, "usage": body["usage"]})
    return [Event(payload, name=payload["type"]) for payload in payloads]


def openai_transcription(text: str = "Done.", billed: Billed | None = None, *, audio_input: int = 0) -> Body:
    """The body of a transcription by a model that is billed by token; `audio_input` of its input is audio."""
    billed = billed or Billed()
    details = {"audio_tokens": audio_input, "text_tokens": billed.input - audio_input}
    usage = {**_plain_usage("input_tokens", "output_tokens", billed), "type": "tokens", "input_token_details": details}
    return {"text": text, "usage": usage}


def openai_timed_transcription(text: str = "Done.", *, seconds: float) -> Body:
    """The body of a transcription by a model that is billed by the second, whisper."""
    usage = {"type": "duration", "seconds": seconds}
    return {"text": text, "language": "english", "duration": float(seconds), "segments": [], "usage": usage}


def openai_transcription_stream(body: Body) -> list[Event]:
    """The events that bring the transcription `body`."""
    payloads: list[dict[str, Any]] = [
        {"type": "transcript.text.delta", "delta": piece} for piece in fragments(body["text"])
    ]
    payloads.append({"type": "transcript.text.done", "text": body["text"], "usage": body["usage"]})
    return [Event(payload, name=payload["type"]) for payload in payloads]


def openai_speech(content: bytes = b"ID3 stub") -> Raw:
    """Audio: bytes that say nothing of their usage."""
    return Raw(content, "audio/mpeg")


def openai_moderation(model: str = "omni-moderation-latest", inputs: int = 1) -> Body:
    """The body of a moderation answer that flags nothing."""
    result = {
        "flagged": False,
        "categories": dict.fromkeys(_CATEGORIES, False),
        "category_scores": dict.fromkeys(_CATEGORIES, 0.01),
        "category_applied_input_types": {category: ["text"] for category in _CATEGORIES},
    }
    return {"id": new_id("modr-"), "model": model, "results": [result] * inputs}


def openai_video(model: str = "sora-2", *, seconds: int = 4, status: str = "queued", video_id: str = "") -> Body:
    """The body of a video job in `status`."""
    done = status == "completed"
    return {
        "id": video_id or new_id("video_"),
        "object": "video",
        "created_at": int(time.time()),
        "completed_at": int(time.time()) if done else None,
        "model": model,
        "progress": 100 if done else 0,
        "seconds": str(seconds),
        "size": "720x1280",
        "status": status,
        "error": {"code": "moderation_blocked", "message": "stub"} if status == "failed" else None,
    }


def openai_run(model: str, *, status: str = "queued", run_id: str = "", billed: Billed | None = None) -> Body:
    """The body of an assistant's run in `status`; it states its usage once it is over."""
    over = status in ("completed", "failed", "cancelled", "incomplete", "expired")
    usage = _plain_usage("prompt_tokens", "completion_tokens", billed or Billed()) if over else None
    return {
        "id": run_id or new_id("run_"),
        "object": "thread.run",
        "created_at": int(time.time()),
        "thread_id": "thread_stub",
        "assistant_id": "asst_stub",
        "status": status,
        "model": model,
        "instructions": "Be brief.",
        "metadata": {},
        "parallel_tool_calls": True,
        "last_error": None,
        "tools": [],
        "usage": usage,
    }


def openai_decision(model: str, probabilities: Sequence[float] = (0.5,), billed: Billed | None = None) -> Body:
    """The body of a decision: one predicate for each of the `probabilities`."""
    billed = billed or Billed()
    return {
        "model": model,
        "answers": [{"type": "predicate", "name": None, "probability": each} for each in probabilities],
        "usage": {
            **_plain_usage("input_tokens", "output_tokens", billed),
            "input_tokens_details": {"cached_tokens": billed.cache_read, "cache_write_tokens": billed.cache_write},
            "output_tokens_details": {"reasoning_tokens": billed.reasoning},
        },
    }


def _plain_usage(input_name: str, output_name: str, billed: Billed) -> dict[str, int]:
    return {input_name: billed.input, output_name: billed.output, "total_tokens": billed.input + billed.output}
