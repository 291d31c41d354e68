"""Response bodies and event streams as no provider should send them, but some gateway will."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from taskmeter.demo.stub import (
    anthropic_message,
    anthropic_message_stream,
    openai_chat,
    openai_chat_stream,
    openai_response,
    openai_response_stream,
)
from tests.capture.harness import CLAUDE, GPT

SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.integers(2**53, 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6),
)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=4), inner, max_size=2)),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], new: Any, *, drop: bool) -> Any:
    """A copy in which the value at `path` is `new`, or is missing."""
    if not path:
        return new
    key, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    if drop and not rest and isinstance(copy, dict):
        del copy[key]
    else:
        copy[key] = changed(copy[key], tuple(rest), new, drop=drop)
    return copy


@st.composite
def mutated(draw: st.DrawFn, original: Any) -> Any:
    """`original` with some of its values replaced or missing."""
    value = original
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(places(value)))
        value = changed(value, path, draw(ANYTHING), drop=draw(st.booleans()))
    return value


BODIES: dict[str, Any] = {
    "chat": openai_chat(GPT, "Hello there."),
    "response": openai_response(GPT, "Hello there."),
    "message": anthropic_message(CLAUDE, "Hello there."),
}
EVENTS: dict[str, list[tuple[str | None, Any]]] = {
    "chat": [(event.name, event.data) for event in openai_chat_stream(openai_chat(GPT, "Hello there."))],
    "response": [(event.name, event.data) for event in openai_response_stream(openai_response(GPT, "Hello."))],
    "message": [(event.name, event.data) for event in anthropic_message_stream(anthropic_message(CLAUDE, "Hello."))],
}


def body_of(family: str) -> st.SearchStrategy[bytes]:
    """A body as bytes: mutated, any other JSON, or no JSON at all."""
    return st.one_of(
        mutated(BODIES[family]).map(lambda body: json.dumps(body).encode()),
        mutated(BODIES[family]).map(lambda body: json.dumps(body).encode()),
        ANYTHING.map(lambda body: json.dumps(body).encode()),
        st.binary(max_size=12),
    )


@st.composite
def stream_of(draw: st.DrawFn, family: str) -> bytes:
    """Events as bytes: some mutated, missing, twice, out of order, or cut off in the middle."""
    events = list(EVENTS[family])
    for _ in range(draw(st.integers(0, 3))):
        if not events:
            break
        place = draw(st.integers(0, len(events) - 1))
        name, data = events[place]
        match draw(st.sampled_from(["mutate", "mutate", "drop", "repeat", "swap", "rename", "garbage"])):
            case "mutate":
                events[place] = (name, draw(mutated(data)))
            case "drop":
                del events[place]
            case "repeat":
                events.insert(place, (name, data))
            case "swap":
                events[place], events[0] = events[0], events[place]
            case "rename":
                names = ["error", "ping", "message_delta", "message_start", "thread.run", "x"]
                events[place] = (draw(st.none() | st.sampled_from(names)), data)
            case _:
                events[place] = (name, draw(st.text(max_size=5)))
    lines = []
    for name, data in events:
        text = data if isinstance(data, str) else json.dumps(data)
        lines.append(f"event: {name}\ndata: {text}\n\n" if name else f"data: {text}\n\n")
    content = "".join(lines).encode("utf-8", "surrogatepass")
    return content[: draw(st.integers(0, len(content)))] if draw(st.integers(0, 4)) == 0 else content
