"""What the events of a realtime session say of usage: text, audio and images apart, also among cached tokens."""

from __future__ import annotations

from typing import Any

from taskmeter._bounds import bounded
from taskmeter.capture.openai_tokens import read_tokens
from taskmeter.capture.openai_usage import milliseconds
from taskmeter.capture.reading import Reading, field, text_field
from taskmeter.records import Usage


def read_session_response(response: object) -> Reading:
    """A response that is over; its `usage`, if it states one."""
    wrong: list[str] = []
    tokens = read_tokens(field(response, "usage"), wrong)
    status = text_field(response, "status")
    return Reading(
        usage=None if tokens is None else Usage(tokens),
        response_id=text_field(response, "id"),
        finish_reasons=(status,) if status else (),
        gap="; ".join(wrong),
    )


def read_transcription(event: object) -> Reading:
    """A transcript of what was said, billed by tokens or by time."""
    wrong: list[str] = []
    tokens = read_tokens(field(event, "usage"), wrong)
    if tokens is not None:
        return Reading(Usage(tokens), gap="; ".join(wrong))
    return Reading(session_time(field(event, "usage", "seconds")))


def read_live_usage(usage: object) -> Reading | None:
    """Of a live session so far; `None` for anything that states no duration. Paused time is in it, at a price of its
    own that nobody publishes: the rest is billed at the known one."""
    seconds: Any = field(usage, "seconds")
    paused: Any = field(usage, "paused_seconds")
    if session_time(seconds) is None:
        return None
    if paused is None or paused == 0:
        return Reading(session_time(seconds))
    if session_time(paused) is None or paused > seconds:
        return Reading(session_time(seconds), gap=f"{bounded(str(paused))} paused seconds of {seconds} make no sense")
    gap = f"{paused} paused seconds are billed at a price that is not known"
    return Reading(session_time(seconds - paused), gap=gap)


def session_time(seconds: object) -> Usage | None:
    """The usage of what is billed by its time; `None` for anything that is no duration."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    if seconds == 0:
        return Usage()
    heard = milliseconds(seconds)
    return Usage({}, {"input_audio_ms": heard}) if heard else None
