"""What OpenAI's answers say of their usage: every endpoint's counts as disjoint parts and billed units."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite

from taskmeter.capture.reading import Reading, count_field, field, has_count, items, not_counts, split, text_field
from taskmeter.records import Part, Usage

IMAGE_OPERATIONS = frozenset({"image_generation", "image_edit", "image_variation"})
_IN_PROGRESS = frozenset({"queued", "in_progress", "requires_action", "cancelling"})
_FAILED = frozenset({"failed", "cancelled", "expired"})
_LATER = frozenset({"response", "thread.run", "video"})
"""`object` of what may be answered before it is made, and is then polled by its id."""
_FREE_MODELS = ("omni-moderation", "text-moderation")
_HOSTED_TOOLS = {
    "file_search_call": "file_search",
    "code_interpreter_call": "code_interpreter",
    "image_generation_call": "image_generation",
}
"""Items of a Response that OpenAI bills beside its tokens. Those without a price per call make the cost `partial`."""


def read_answer(body: object, operation: str) -> Reading:
    """A whole answer, parsed or as decoded JSON: told apart by its names, and by `operation` where those are shared."""
    usage, doubt = _usage(field(body, "usage"), operation, _fees(body))
    if usage is None:
        usage, doubt = _units(body, operation, doubt)
    tier = text_field(body, "service_tier")
    status = text_field(body, "status")
    model = text_field(body, "model")
    return Reading(
        usage=usage,
        model=model,
        response_id=text_field(body, "id"),
        finish_reasons=(status,) if status else finish_reasons(body),
        variants=(("service_tier", tier),) if tier else (),
        doubt=doubt,
        free="OpenAI's moderation is free" if (model or "").startswith(_FREE_MODELS) else "",
        in_progress=status in _IN_PROGRESS and text_field(body, "object") in _LATER and usage is None,
        error_type=_error_type(body, status),
    )


def finish_reasons(body: object) -> tuple[str, ...]:
    """Why the choices of a completion, or of a chunk of one, ended."""
    reasons = (text_field(choice, "finish_reason") for choice in items(field(body, "choices")))
    return tuple(reason for reason in reasons if reason)


def last_speech_event(body: object) -> object:
    """What ends speech that was asked for as events and read whole, which the SDK hands over as bytes."""
    content = field(body, "response", "content")
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


def _error_type(body: object, status: str | None) -> str | None:
    """Why a job that the provider accepted came to nothing."""
    if status not in _FAILED or text_field(body, "object") not in _LATER:
        return None
    return text_field(body, "error", "code") or text_field(body, "last_error", "code") or status


def _units(body: object, operation: str, doubt: str) -> tuple[Usage | None, str]:
    """What is billed by time: the audio heard (`usage.seconds`, or its `duration`), the video made."""
    if operation in ("transcription", "translation"):
        billed = _milliseconds(field(body, "usage", "seconds"))
        if billed:
            return Usage({}, {"input_audio_ms": billed}), ""
        heard = _milliseconds(field(body, "duration"))
        if heard:
            return Usage({}, {"input_audio_ms": heard}), "the billed time is not stated: that of the audio"
    made = _milliseconds(field(body, "seconds")) if text_field(body, "object") == "video" else 0
    if made and text_field(body, "status") == "completed":
        return Usage({}, {"output_video_ms": made}), ""
    return None, doubt


def _milliseconds(seconds: object) -> int:
    """`seconds`, a number or as OpenAI writes it for videos a string, in whole ms; 0 for anything else."""
    if isinstance(seconds, str) and seconds.isascii() and seconds.isdigit() and len(seconds) < _LONGEST:
        seconds = int(seconds)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return 0
    return round(seconds * 1000) if isfinite(seconds) and 0 < seconds < 10**_LONGEST else 0


_LONGEST = 9
"""Digits of a duration in seconds: thirty years."""

_INPUT_DETAILS: dict[str, Part] = {
    "cached_tokens": "cache_read",
    "cache_write_tokens": "cache_write",
    "audio_tokens": "input_audio",
    "image_tokens": "input_image",
}
_CACHED_DETAILS: dict[str, tuple[Part, Part]] = {
    "audio_tokens": ("cache_read_audio", "input_audio"),
    "image_tokens": ("cache_read_image", "input_image"),
}
_OUTPUT_DETAILS: dict[str, Part] = {
    "reasoning_tokens": "reasoning",
    "audio_tokens": "output_audio",
    "image_tokens": "output_image",
}


def _usage(usage: object, operation: str, fees: dict[str, int]) -> tuple[Usage | None, str]:
    """Counts as disjoint parts. OpenAI's totals include what their details state."""
    if has_count(usage, "prompt_tokens"):
        input_total, output_total = "prompt_tokens", "completion_tokens"
    elif has_count(usage, "input_tokens"):
        input_total, output_total = "input_tokens", "output_tokens"
    else:
        return None, ""
    input_details, output_details = _details(usage, input_total), _details(usage, output_total)
    cached = (input_details, "cached_tokens_details")
    late_write = (input_details, "cache_write_tokens_details", "ttl_12h_tokens")
    doubt = not_counts(
        usage,
        (output_total,),
        *((input_details, name) for name in _INPUT_DETAILS),
        *((*cached, name) for name in _CACHED_DETAILS),
        *((output_details, name) for name in _OUTPUT_DETAILS),
    )
    unstated = count_field(usage, "total_tokens") - count_field(usage, input_total) - count_field(usage, output_total)
    if unstated > 0 or not (has_count(usage, output_total) or has_count(usage, "total_tokens")):
        doubt = doubt or "its counts do not add up to a total"
    if count_field(usage, *late_write):
        doubt = doubt or "written to the cache for 12 hours, charged as for 30 minutes"
    parts: dict[Part, int] = {part: count_field(usage, input_details, name) for name, part in _INPUT_DETAILS.items()}
    for name, (part, uncached) in _CACHED_DETAILS.items():
        count = count_field(usage, *cached, name)
        parts[part] = count
        parts["cache_read"] -= count
        parts[uncached] -= count
    if min(parts.values()) < 0:
        parts = {part: max(count, 0) for part, count in parts.items()}
        doubt = doubt or "more tokens of a kind came from the cache than there were"
    input_tokens, input_doubt = split(count_field(usage, input_total), "input", parts)
    whole: Part = "output"
    if operation in IMAGE_OPERATIONS and not has_count(usage, output_details, "image_tokens"):
        whole = "output_image"
    output_tokens, output_doubt = split(
        count_field(usage, output_total),
        whole,
        {part: count_field(usage, output_details, name) for name, part in _OUTPUT_DETAILS.items()},
    )
    return Usage({**input_tokens, **output_tokens}, fees), doubt or input_doubt or output_doubt


def _details(usage: object, total: str) -> str:
    """The name under which a total is broken down: transcriptions write `input_token_details`, all others with an s."""
    singular = f"{total.removesuffix('s')}_details"
    return singular if field(usage, singular) is not None else f"{total}_details"


def _fees(body: object) -> dict[str, int]:
    """What is billed beside tokens: hosted tools of a Response, drawings that another model made."""
    output = items(field(body, "output"))
    fees: dict[str, int] = {}
    svg = count_field(body, "svg_usage", "total_tokens")
    if svg:
        fees["svg_tokens"] = svg
    if not output and field(body, "tool_usage") is None:
        return fees
    stated = ("tool_usage", "web_search", "num_requests")
    fees["web_search"] = (
        count_field(body, *stated)
        if has_count(body, *stated)
        else sum(
            text_field(item, "type") == "web_search_call" and text_field(item, "action", "type") in (None, "search")
            for item in output
        )
    )
    for item in output:
        fee = _HOSTED_TOOLS.get(text_field(item, "type") or "")
        if fee is not None:
            fees[fee] = fees.get(fee, 0) + 1
    return {fee: count for fee, count in fees.items() if count}
