"""What a response that states no usage may have used: from the bytes of the text that it brings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from taskmeter.capture.reading import Reading, field, items, text_field
from taskmeter.capture.tokens import estimated_tokens, how, request_bytes, request_tokens, utf8_length
from taskmeter.records import Part, Usage

_ANSWERS = ("choices", "output", "content")
"""Where a chat completion, a Response and a message keep what the model said."""
_TEXTS = ("content", "text", "refusal", "reasoning_content", "thinking", "name", "arguments", "input")
_INNER = ("message", "tool_calls", "function", "content", "summary")


def estimate(reading: Reading, body: object, request: Mapping[str, object], operation: str) -> Reading:
    """`reading`, which has no usage, with that of the text in `request` and in `body`; as it is for a `body` that is
    no answer of a model, of which thus nothing is known."""
    answers = [answer for name in _ANSWERS for answer in items(field(body, name))]
    if not answers and not (operation == "embeddings" and items(field(body, "data"))):
        return reading
    counts: dict[Part, int] = {
        "input": request_tokens(request),
        "output": estimated_tokens(sum(_text_bytes(answer) for answer in answers)),
    }
    return Reading(
        usage=Usage({part: count for part, count in counts.items() if count}),
        model=reading.model,
        response_id=reading.response_id,
        finish_reasons=reading.finish_reasons,
        variants=reading.variants,
        doubt=f"the response states no usage: tokens {how()}",
    )


def _text_bytes(value: object) -> int:
    """Bytes of what the model said in one part of its answer, parsed or as decoded JSON."""
    size = sum(utf8_length(text_field(value, name)) for name in _TEXTS)
    given = field(value, "input")
    if isinstance(given, Mapping):  # the arguments of a tool, decoded
        size += request_bytes(cast("Mapping[str, object]", given))
    for name in _INNER:
        inner = field(value, name)
        if inner is not None and not isinstance(inner, str):
            size += sum(_text_bytes(item) for item in items(inner) or (inner,))
    return size
