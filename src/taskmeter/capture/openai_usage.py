"""What OpenAI's answers say of their usage: every endpoint's counts as disjoint parts and billed units."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Final

from taskmeter.capture.counts import fields_of
from taskmeter.capture.openai_tokens import read_tokens
from taskmeter.capture.openai_tools import ToolUse, tool_use
from taskmeter.capture.reading import NO_FIELDS, Portion, Reading, field, items, text_field
from taskmeter.records import Usage

_IMAGE_OPERATIONS: Final = frozenset({"image_generation", "image_edit", "image_variation"})
_IN_PROGRESS: Final = frozenset({"queued", "in_progress", "requires_action", "cancelling"})
_FAILED: Final = frozenset({"failed", "cancelled", "expired"})
_LATER: Final = frozenset({"response", "thread.run", "video"})
"""`object` of what may be answered before it is made, and is then polled by its id."""
_FUNCTION_CALLS: Final = frozenset({"function_call", "custom_tool_call"})
"""Items of a Response that ask the application to run a tool."""
_FREE_MODELS: Final = ("omni-moderation", "text-moderation")
_COSTS: Final = ("cost", "cost_in_usd_ticks")
"""Fields of a usage that may state what the call cost."""


def read_answer(body: object, operation: str) -> Reading:
    """A whole answer, parsed or as decoded JSON: told apart by its names, and by `operation` where those are shared."""
    answer = fields_of(body)
    counted = answer.get("usage")
    wrong: list[str] = []
    tools = tool_use(answer, wrong)
    tokens = read_tokens(counted, wrong, draws=operation in _IMAGE_OPERATIONS)
    usage, doubt = (Usage(tokens, tools.fees), "") if tokens is not None else _units(answer, operation)
    portions: tuple[Portion, ...] = ()
    if tools.portions and usage is not None:
        portions = (Portion(usage), *tools.portions)
        for portion in tools.portions:
            usage += portion.usage
    if counted is not None:
        counted = fields_of(counted)
    status, tier, model = answer.get("status"), answer.get("service_tier"), answer.get("model")
    status = status if isinstance(status, str) else None
    model = model if isinstance(model, str) else None
    return Reading(
        usage=usage,
        model=model,
        response_id=text_field(answer, "id"),
        finish_reasons=(status,) if status else finish_reasons(answer),
        variants=(("service_tier", tier),) if isinstance(tier, str) and tier else (),
        doubt=doubt or tools.doubt,
        gap="; ".join(wrong) or _unstated_search(operation, model, tools),
        portions=portions,
        costs=counted if counted is not None and any(name in counted for name in _COSTS) else NO_FIELDS,
        free="OpenAI's moderation is free" if model is not None and model.startswith(_FREE_MODELS) else "",
        in_progress=status in _IN_PROGRESS and answer.get("object") in _LATER and usage is None,
        error_type=_error_type(answer, status) if status in _FAILED else None,
        calls_tools=any(text_field(item, "type") in _FUNCTION_CALLS for item in items(answer.get("output"))),
    )


def finish_reasons(body: object) -> tuple[str, ...]:
    """Why the choices of a completion, or of a chunk of one, ended."""
    reasons = (text_field(choice, "finish_reason") for choice in items(field(body, "choices")))
    return tuple(reason for reason in reasons if reason)


def last_speech_event(body: object) -> object:
    """What ends speech that was asked for as events and read whole, which the SDK hands over as bytes."""
    content = getattr(getattr(body, "response", None), "content", None)
    if not isinstance(content, bytes) or not content.startswith((b"data:", b"event:")):
        return body
    at = content.rfind(b"speech.audio.done")
    try:
        return json.loads(content[content.rfind(b"data:", 0, at) + len(b"data:") :].split(b"\n", 1)[0])
    except ValueError:
        return body


def request_units(operation: str, request: Mapping[str, object]) -> Usage | None:
    """What a request alone shows to be billed, where its answer never says: the characters that speech is made of."""
    text = request.get("input")
    if operation != "speech" or not isinstance(text, str) or not text:
        return None
    return Usage({}, {"input_characters": len(text)})


def milliseconds(seconds: object) -> int:
    """`seconds`, a number or as OpenAI writes it for videos a string, in whole ms; 0 for anything else."""
    if isinstance(seconds, str) and seconds.isascii() and seconds.isdigit() and len(seconds) < _LONGEST:
        seconds = int(seconds)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return 0
    return round(seconds * 1000) if isfinite(seconds) and 0 < seconds < 10**_LONGEST else 0


_LONGEST: Final = 9
"""Digits of a duration in seconds: thirty years."""


def _error_type(answer: Mapping[str, object], status: str | None) -> str | None:
    """Why a job that the provider accepted came to nothing."""
    if answer.get("object") not in _LATER:
        return None
    return text_field(answer, "error", "code") or text_field(answer, "last_error", "code") or status


def _unstated_search(operation: str, model: str | None, tools: ToolUse) -> str:
    """Models that search the web in a chat are billed for it by the request, which their answers do not tell."""
    searches = operation == "chat" and model is not None and "-search-" in model and "web_search" not in tools.fees
    return "searches of the web are billed, and not stated" if searches else ""


def _units(answer: Mapping[str, object], operation: str) -> tuple[Usage | None, str]:
    """What is billed by time: the audio heard (`usage.seconds`, or its `duration`), the video made."""
    if operation in ("transcription", "translation"):
        billed = milliseconds(field(answer, "usage", "seconds"))
        if billed:
            return Usage({}, {"input_audio_ms": billed}), ""
        heard = milliseconds(answer.get("duration"))
        if heard:
            return Usage({}, {"input_audio_ms": heard}), "the billed time is not stated: that of the audio"
    made = milliseconds(answer.get("seconds")) if answer.get("object") == "video" else 0
    if made and answer.get("status") == "completed":
        return Usage({}, {"output_video_ms": made}), ""
    return None, ""
