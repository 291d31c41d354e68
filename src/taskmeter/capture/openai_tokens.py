"""OpenAI's token counts, of every endpoint and of sessions, as disjoint parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from taskmeter.capture.counts import fields_of, is_count, parts_of, split, total_of
from taskmeter.records import Part

_CHAT: Final[Mapping[str, Part | None]] = dict.fromkeys(
    (
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
        # The same again, under other names.
        "input_tokens",
        "output_tokens",
        "input_tokens_details",
        "output_tokens_details",
        "prompt_cache_miss_tokens",
        # Details that are told beside the totals: see `_BESIDE`.
        "cached_tokens",
        "cached_tokens_details",
        "prompt_cache_hit_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        # What the call cost is not a count: see `stated`.
        "cost",
        "cost_details",
        "cost_in_usd_ticks",
        "is_byok",
    )
)
_RESPONSE: Final[Mapping[str, Part | None]] = {
    **_CHAT,
    "input_token_details": None,
    "output_token_details": None,
    "reasoning_tokens": None,
    "model": None,
    "seconds": None,
    "type": None,
}
_INPUT: Final[Mapping[str, Part | None]] = {
    "cached_tokens": "cache_read",
    "cache_write_tokens": "cache_write",
    "cache_creation_tokens": "cache_write",  # LiteLLM's name for it
    "audio_tokens": "input_audio",
    "image_tokens": "input_image",
    "text_tokens": None,  # the rest
    "cached_tokens_details": None,
    "cache_write_tokens_details": None,
}
_BESIDE: Final[Mapping[str, Part | None]] = {
    "cached_tokens": "cache_read",  # drawings inside a Response, Moonshot
    "prompt_cache_hit_tokens": "cache_read",  # DeepSeek
    "cache_read_input_tokens": "cache_read",  # LiteLLM
    "cache_creation_input_tokens": "cache_write",  # LiteLLM
}
"""Details that some tell beside the totals; included in them all the same."""
_CACHED: Final[Mapping[str, Part | None]] = {
    "audio_tokens": "cache_read_audio",
    "image_tokens": "cache_read_image",
    "cached_image_tokens": "cache_read_image",
    "text_tokens": None,
    "cached_text_tokens": None,
}
_UNCACHED: Final[Mapping[Part, Part]] = {"cache_read_audio": "input_audio", "cache_read_image": "input_image"}
_WRITTEN: Final[Mapping[str, Part | None]] = {"ttl_12h_tokens": "cache_write_12h", "ttl_30m_tokens": "cache_write"}
_OUTPUT: Final[Mapping[str, Part | None]] = {
    "reasoning_tokens": "reasoning",
    "audio_tokens": "output_audio",
    "image_tokens": "output_image",
    "text_tokens": None,  # the rest
    "accepted_prediction_tokens": None,  # output like any other, as are the rejected
    "rejected_prediction_tokens": None,
}


def read_tokens(usage: object, wrong: list[str], *, draws: bool = False) -> dict[Part, int] | None:
    """A usage's tokens as disjoint parts, or `None` for one that counts none. OpenAI's totals include their details.

    Adds to `wrong` what does not add up. `draws` says that output which is not said to be text is an image.
    """
    top = fields_of(usage)
    if is_count(top.get("prompt_tokens")):
        inputs, outputs, known = "prompt_tokens", "completion_tokens", _CHAT
    elif is_count(top.get("input_tokens")):
        inputs, outputs, known = "input_tokens", "output_tokens", _RESPONSE
    else:
        return None
    parts_of(top, known, wrong)
    input_total, output_total = total_of(top, inputs, wrong), total_of(top, outputs, wrong)
    total = top.get("total_tokens")
    if total is None:
        if top.get(outputs) is None:
            wrong.append("neither a total nor an output count is stated")
    elif total != input_total + output_total:
        wrong.append(f"{input_total} tokens in and {output_total} out are not the total of {str(total)[:20]}")
    parts = _input_parts(top, _details(top, inputs), input_total, wrong)
    details = _details(top, outputs)
    made = parts_of(details, _OUTPUT, wrong)
    if known is _RESPONSE and not details and is_count(top.get("reasoning_tokens")) and top["reasoning_tokens"]:
        made["reasoning"] = cast("int", top["reasoning_tokens"])
    whole: Part = "output_image" if draws and details.get("image_tokens") is None else "output"
    return parts | split(output_total, whole, made, wrong)


def _input_parts(
    top: Mapping[str, object], details: Mapping[str, object], total: int, wrong: list[str]
) -> dict[Part, int]:
    parts = parts_of(details, _INPUT, wrong)
    if not top.keys().isdisjoint(_BESIDE):
        told = {name: value for name, value in top.items() if name in _BESIDE}
        parts = parts_of(told, _BESIDE, wrong) | parts
    if parts:
        text = details.get("text_tokens")
        kinds = parts.get("input_audio", 0) + parts.get("input_image", 0)
        if is_count(text) and text + kinds > total:
            wrong.append(f"{text} tokens of text and {kinds} others are more than {total}")
    if (cached := details.get("cached_tokens_details") or top.get("cached_tokens_details")) is not None:
        _split_cached(cached, parts, wrong)
    if (written := details.get("cache_write_tokens_details")) is not None:
        _split_written(written, parts, wrong)
    return split(total, "input", parts, wrong)


def _split_cached(breakdown: object, parts: dict[Part, int], wrong: list[str]) -> None:
    """Takes the cached tokens of each kind out of the cached tokens, and out of the tokens of that kind."""
    for part, count in parts_of(fields_of(breakdown), _CACHED, wrong).items():
        for outer in ("cache_read", _UNCACHED[part]):
            left = parts.get(outer, 0) - count
            if left < 0:
                wrong.append(f"{count} {part} tokens are more than {parts.get(outer, 0)} {outer}")
            if left > 0:
                parts[outer] = left
            else:
                parts.pop(outer, None)
        parts[part] = count


def _split_written(breakdown: object, parts: dict[Part, int], wrong: list[str]) -> None:
    """Tells the writes that live for 12 hours from those that live for 30 minutes."""
    written, stated = parts.pop("cache_write", 0), parts_of(fields_of(breakdown), _WRITTEN, wrong)
    if sum(stated.values()) > written:
        wrong.append(f"cache writes by time to live add up to {sum(stated.values())}, not to {written}")
        written = sum(stated.values())
    long = stated.get("cache_write_12h", 0)
    if long:
        parts["cache_write_12h"] = long
    if written > long:
        parts["cache_write"] = written - long


def _details(top: Mapping[str, object], total: str) -> dict[str, object]:
    """The breakdown of a total: sessions and transcriptions write `input_token_details`, all others with an s."""
    found = top.get(f"{total}_details")
    if found is None:
        found = top.get(f"{total[:-1]}_details")
    return fields_of(found)
