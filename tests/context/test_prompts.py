"""Which piece of a request counts as what, in each API, and in which order they are billed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskmeter.account import Prompt
from taskmeter.capture.anthropic import Anthropic
from taskmeter.capture.openai import OpenAI
from taskmeter.capture.prompt import FILE_BYTES, IMAGE_BYTES, Walk
from taskmeter.capture.tokens import request_bytes, request_weight, weight_of

PROVIDERS: Any = {"openai": OpenAI(), "anthropic": Anthropic()}


def prompt_of(request: Mapping[str, Any], api: str = "openai", operation: str = "chat") -> Prompt:
    """What is found in a request."""
    walk = Walk()
    return walk.prompt(PROVIDERS[api].read_prompt(request, operation, walk), api, operation)


def pieces(request: Mapping[str, Any], api: str = "openai", operation: str = "chat") -> list[tuple[str, int]]:
    """The sources of its pieces and what they weigh, in order."""
    return [(segment.source, segment.weight) for segment in prompt_of(request, api, operation).segments]


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
TOOL = {"type": "function", "function": {"name": "f", "description": "dd"}}
"""35 bytes: type, function twice, name, description, f and dd."""

CHATS: dict[str, tuple[dict[str, Any], list[tuple[str, int]]]] = {
    "instructions come before tools, whatever the order of the fields": (
        {"tools": [TOOL], "messages": [{"role": "developer", "content": "sss"}, user("u")]},
        [("system", 3), ("tools", 38), ("user", 1)],
    ),
    "a turn is all that the user says in a row": (
        {"messages": [user("old"), assistant("aaaaa"), user("new"), user("er")]},
        [("history", 8), ("user", 5)],
    ),
    "the question that an agent works on stays the current turn": (
        {
            "messages": [
                user("q"),
                assistant(None, tool_calls=[{"id": "call_1", "function": {"name": "f", "arguments": "{}"}}]),
                {"role": "tool", "tool_call_id": "call_1", "content": "result"},
            ]
        },
        [("user", 1), ("history", 3), ("tool_results", 6)],  # f and {}
    ),
    "a later system message is none of the user": (
        {"messages": [user("a"), assistant("b"), {"role": "system", "content": "ccc"}, user("d")]},
        [("history", 2), ("system", 3), ("user", 1)],
    ),
    "blocks of one message": (
        {
            "messages": [
                user([{"type": "text", "text": "see"}, IMAGE, {"type": "file", "file": {"file_id": "file-1"}}]),
            ]
        },
        [("user", 3), ("media", IMAGE_BYTES), ("documents", FILE_BYTES)],
    ),
    "an image in low detail has 85 tokens": (
        {"messages": [user([{"type": "image_url", "image_url": {"url": "https://x.example/i", "detail": "low"}}])]},
        [("media", 340)],
    ),
    "a schema for the answer is an instruction": (
        {"messages": [user("u")], "response_format": {"type": "json_object"}},
        [("system", 15), ("user", 1)],
    ),
}

RESPONSES: dict[str, tuple[dict[str, Any], list[tuple[str, int]]]] = {
    "a text": ({"instructions": "sss", "input": "uu"}, [("system", 3), ("user", 2)]),
    "items": (
        {
            "input": [
                user([{"type": "input_text", "text": "q"}]),
                {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "rrr"},
                {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "ss"}]},
            ],
        },
        [("user", 1), ("history", 33), ("tool_results", 5)],  # type, function_call, name, arguments, f and {}
    ),
    "what was found in files": (
        {"input": [{"type": "file_search_call", "id": "fs", "results": [{"text": "found"}]}, user("u")]},
        [("documents", 36), ("user", 1)],  # type, file_search_call, results, text and found
    ),
    "a file and an image": (
        {"input": [user([{"type": "input_file", "file_id": "f"}, {"type": "input_image", "file_id": "i"}])]},
        [("documents", FILE_BYTES), ("media", IMAGE_BYTES)],
    ),
}

MESSAGES: dict[str, tuple[dict[str, Any], list[tuple[str, int]]]] = {
    "tools come first, then the system prompt": (
        {"system": [{"type": "text", "text": "sss"}], "tools": [{"name": "f"}], "messages": [user("u")]},
        [("tools", 5), ("system", 3), ("user", 1)],
    ),
    "a message of tool results is no turn of the user": (
        {
            "messages": [
                user("q"),
                assistant([{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": "b"}}]),
                user([{"type": "tool_result", "tool_use_id": "toolu_1", "content": "rrr"}]),
            ]
        },
        [("user", 1), ("history", 12), ("tool_results", 3)],  # name, input, f, a and b
    ),
    "tool results hold blocks of any kind": (
        {
            "messages": [
                user(
                    [
                        {
                            "type": "tool_result",
                            "content": [
                                {"type": "text", "text": "tt"},
                                {"type": "image", "source": {"type": "url", "url": "https://x.example/i"}},
                                {"type": "search_result", "title": "h", "content": [{"type": "text", "text": "ddd"}]},
                            ],
                        }
                    ]
                )
            ]
        },
        # title, content, type, h, text, text and ddd
        [("tool_results", 2), ("media", IMAGE_BYTES), ("documents", 28)],
    ),
    "documents are documents by themselves": (
        {
            "messages": [
                user(
                    [
                        {"type": "document", "title": "t", "source": {"type": "text", "data": "dddd"}},
                        {"type": "document", "source": {"type": "base64", "data": "JVBERi0="}},
                        {"type": "text", "text": "u"},
                    ]
                )
            ]
        },
        [("documents", 5), ("documents", FILE_BYTES), ("user", 1)],
    ),
    "thinking that is sent back is history": (
        {"messages": [user("q"), assistant([{"type": "thinking", "thinking": "ttt", "signature": "s"}]), user("u")]},
        [("history", 22), ("user", 1)],  # q, thinking, signature, ttt and s
    ),
}


@pytest.mark.parametrize("name", CHATS)
def test_chat_completions(name: str) -> None:
    """Instructions, tools, then messages; by role, kind of block and turn."""
    request, expected = CHATS[name]
    assert pieces(request) == expected


@pytest.mark.parametrize("name", RESPONSES)
def test_responses(name: str) -> None:
    """Instructions, tools, then items by their type."""
    request, expected = RESPONSES[name]
    assert pieces(request) == expected


@pytest.mark.parametrize("name", MESSAGES)
def test_messages(name: str) -> None:
    """Tools, system prompt, then messages by their blocks."""
    request, expected = MESSAGES[name]
    assert pieces(request, "anthropic") == expected


@pytest.mark.parametrize(
    ("operation", "request_", "weight"),
    [
        ("embeddings", {"input": ["aa", "bbb"]}, 5),
        ("embeddings", {"input": [1, 2, 3]}, 3 * 4),
        ("text_completion", {"prompt": "aaaa"}, 4),
        ("speech", {"input": "aaa", "instructions": "bb"}, 5),
    ],
)
def test_other_endpoints_have_one_source(operation: str, request_: dict[str, Any], weight: int) -> None:
    """All that is given to them is the user's."""
    found = pieces(request_, operation=operation)
    assert [source for source, _ in found] == ["user"]
    assert found[0][1] == weight


def test_what_the_provider_keeps_comes_before_the_input() -> None:
    """After the instructions, which are sent anew with each request."""
    found = prompt_of({"instructions": "s", "previous_response_id": "resp_1", "input": "u"})
    assert [segment.source for segment in found.segments] == ["system", "user"]
    assert found.unseen == 1


def test_a_prompt_of_many_pieces_is_looked_at_in_part_and_weighed_in_whole() -> None:
    """2,000 messages of 100 bytes; what is not looked at weighs as much as what is."""
    messages = [user("q" * 100) if at % 2 else assistant("a" * 100) for at in range(1999)] + [user("u" * 100)]
    found = pieces({"messages": messages})
    assert sum(weight for _, weight in found) == pytest.approx(200_000, rel=0.001)
    assert found[-1] == ("user", 100)


def test_tools_beyond_those_looked_at_weigh_what_the_others_do() -> None:
    """200 tools of the same size."""
    parameters = {"type": "object", "properties": {f"p{at}": {"type": "string"} for at in range(20)}}
    tools = [{"name": f"tool_{at:03}", "input_schema": parameters} for at in range(200)]
    (one,) = pieces({"tools": tools[:1], "messages": []}, "anthropic")
    ((_, all_of_them),) = pieces({"tools": tools, "messages": []}, "anthropic")
    assert all_of_them == 200 * one[1]


@pytest.mark.parametrize(
    ("text", "weight"),
    [("", 0), ("abc", 3), ("é", 2), ("漢字", 6), ("漢" * 100_000, 300_000), ("a" * 999_999 + "é", 1_000_000)],
)
def test_text_weighs_its_utf8_bytes(text: str, weight: int) -> None:
    """By a sample of its characters where it is long and not ASCII."""
    assert weight_of(text) == pytest.approx(weight, rel=0.01)


def test_mixed_text_is_weighed_by_a_sample() -> None:
    """Half ASCII, half three bytes each, in turns: 2 bytes a character."""
    assert weight_of("a漢" * 50_000) == pytest.approx(200_000, rel=0.01)


def test_odd_requests_are_read_all_the_same() -> None:
    """Gateways and applications send what no type allows."""
    odd: list[Any] = [
        None,
        7,
        "text",
        [],
        {"role": None},
        {"content": [None, 3, {"type": None}]},
        {"content": {"a": 1}},
    ]
    for api in PROVIDERS:
        prompt_of({"messages": odd, "system": 3, "tools": "no", "input": odd, "instructions": 4.5}, api)
        prompt_of({"input": odd, "tools": [None, 3], "text": "x", "previous_response_id": 5}, api)
        prompt_of({"messages": None, "n": 10**5000, "temperature": float("nan")}, api)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "é", "漢", "🙂"]), st.integers(1, 20_000)), min_size=1, max_size=3))
def test_what_a_request_weighs_is_within_the_error_of_an_estimate(parts: list[tuple[str, int]]) -> None:
    """Whatever scripts follow each other in a text, its bytes are told to a quarter."""
    request = {"messages": [{"role": "user", "content": "".join(character * count for character, count in parts)}]}
    assert request_weight(request) == pytest.approx(request_bytes(request), rel=0.25)


def test_what_a_request_weighs_does_not_depend_on_the_length_of_its_texts() -> None:
    """Of a text that is not ASCII, 1,024 characters are looked at, be it ever so long."""
    looked: list[int] = []

    class Text(str):
        __slots__ = ()

        def __getitem__(self, place: Any) -> str:
            found = super().__getitem__(place)
            looked.append(len(found))
            return found

        def encode(self, *_: Any, **__: Any) -> bytes:
            raise AssertionError

    assert request_weight([Text("é" * 1_000_000)]) == 2_000_000
    assert sum(looked) == 1024
