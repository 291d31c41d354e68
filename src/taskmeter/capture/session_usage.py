"""What the events of a realtime session say of usage: text, audio and images apart, also among cached tokens."""

from __future__ import annotations

from math import isfinite

from taskmeter.capture.reading import Reading, count_field, field, has_count, not_counts, split, text_field
from taskmeter.records import Part, Usage

_KINDS: dict[str, tuple[Part, Part]] = {
    "audio_tokens": ("input_audio", "cache_read_audio"),
    "image_tokens": ("input_image", "cache_read_image"),
}
_LONGEST_SECONDS = 10**9


def read_session_response(response: object) -> Reading:
    """A response that is over; its `usage`, if it states one."""
    usage, doubt = _tokens(field(response, "usage"))
    status = text_field(response, "status")
    return Reading(
        usage=usage,
        response_id=text_field(response, "id"),
        finish_reasons=(status,) if status else (),
        doubt=doubt,
    )


def read_transcription(event: object) -> Reading:
    """A transcript of what was said, billed by tokens or by time."""
    usage, doubt = _tokens(field(event, "usage"))
    heard = milliseconds(field(event, "usage", "seconds")) if usage is None else None
    if heard is not None:
        usage = Usage({}, {"input_audio_ms": heard} if heard else {})
    return Reading(usage=usage, doubt=doubt)


def milliseconds(seconds: object) -> int | None:
    """`seconds` in whole milliseconds; `None` for anything that is no duration."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return round(seconds * 1000) if isfinite(seconds) and 0 <= seconds < _LONGEST_SECONDS else None


def _tokens(usage: object) -> tuple[Usage | None, str]:
    """Counts as disjoint parts: OpenAI's totals include what their details state, cached tokens those of every kind."""
    if not has_count(usage, "input_tokens"):
        return None, ""
    inputs, outputs = field(usage, "input_token_details"), field(usage, "output_token_details")
    doubt = not_counts(inputs, ("cached_tokens",), ("audio_tokens",), ("image_tokens",)) or not_counts(
        outputs, ("audio_tokens",)
    )
    cached: dict[Part, int] = {}
    parts: dict[Part, int] = {}
    for name, (part, cached_part) in _KINDS.items():
        cached[cached_part] = count_field(inputs, "cached_tokens_details", name)
        parts[part] = count_field(inputs, name) - cached[cached_part]
    parts["cache_read"] = count_field(inputs, "cached_tokens") - sum(cached.values())
    parts |= cached
    if min(parts.values()) < 0:
        doubt = doubt or "more tokens of a kind came from the cache than there were"
        parts = {part: max(count, 0) for part, count in parts.items()}
    input_tokens, input_doubt = split(count_field(usage, "input_tokens"), "input", parts)
    spoken = count_field(outputs, "audio_tokens")
    output_tokens, output_doubt = split(count_field(usage, "output_tokens"), "output", {"output_audio": spoken})
    return Usage({**input_tokens, **output_tokens}), doubt or input_doubt or output_doubt
