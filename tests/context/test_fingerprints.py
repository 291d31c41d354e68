"""Which requests are the same."""

from __future__ import annotations

from typing import Any

import pytest

from taskmeter.account import marks
from tests.context.test_prompts import IMAGE, TOOL, assistant, prompt_of, user

LONG = "".join(f"{number}," for number in range(200_000))
BASE: dict[str, Any] = {"model": "m", "messages": [user("u")], "tools": [TOOL], "temperature": 0}


def fingerprint(request: dict[str, Any], operation: str = "chat", api: str = "openai") -> bytes:
    return prompt_of(request, api, operation).fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"temperature": 1},
        {"temperature": 0.5},
        {"n": 2},
        {"tools": []},
        {"tools": [{**TOOL, "function": {"name": "f", "description": "de"}}]},
        {"messages": [user("v")]},
        {"messages": [assistant("u")]},
        {"messages": [user("u"), user("")]},
        {"messages": [user("u"), user("u")]},
        {"messages": [user(LONG)]},
        {"messages": [user([IMAGE])]},
        {"response_format": {"type": "json_object"}},
        {"messages": [user("u"), assistant(None, tool_calls=[{"id": "c", "function": {"name": "f"}}])]},
    ],
)
def test_what_changes_the_answer_changes_the_fingerprint(change: dict[str, Any]) -> None:
    """Model, parameters, tools, who said what."""
    assert fingerprint(BASE | change) != fingerprint(BASE)


@pytest.mark.parametrize(
    "change",
    [
        {"stream": True, "stream_options": {"include_usage": True}},
        {"metadata": {"run": "7"}, "user": "u-1", "store": True},
        {"service_tier": "flex", "prompt_cache_key": "k"},
        {"tools": [{**TOOL, "cache_control": {"type": "ephemeral"}}]},
    ],
)
def test_what_changes_delivery_or_price_only_does_not(change: dict[str, Any]) -> None:
    """The same question, billed or brought in another way."""
    assert fingerprint(BASE | change) == fingerprint(BASE)


def test_ids_of_tool_calls_do_not_count() -> None:
    """They are drawn anew by the provider for each call."""
    one, two = (
        {
            "messages": [
                assistant(None, tool_calls=[{"id": name, "function": {"name": "f", "arguments": "{}"}}]),
                {"role": "tool", "tool_call_id": name, "content": "r"},
            ]
        }
        for name in ("call_1", "call_2")
    )
    assert fingerprint(one) == fingerprint(two)


def test_endpoints_and_providers_are_told_apart() -> None:
    """By operation and by who answers."""
    request = {"messages": [user("u")], "model": "m"}
    found = {fingerprint(request), fingerprint(request, "other"), fingerprint(request, api="anthropic")}
    assert len(found) == 3


def test_the_kept_conversation_counts() -> None:
    """The same words after another answer are another question."""
    asked = {"model": "m", "input": "and now?"}
    found = {fingerprint(asked), *(fingerprint({**asked, "previous_response_id": each}) for each in ("r_1", "r_2"))}
    assert len(found) == 3


@pytest.mark.parametrize("where", [0, 500, len(LONG) - 1])
def test_the_ends_of_a_long_text_count(where: int) -> None:
    """To the letter."""
    other = LONG[:where] + "x" + LONG[where + 1 :]
    assert fingerprint({"messages": [user(other)]}) != fingerprint({"messages": [user(LONG)]})


def test_the_length_of_a_long_text_counts() -> None:
    """Wherever it was cut."""
    middle = len(LONG) // 2
    assert fingerprint({"messages": [user(LONG[:middle] + LONG[middle + 1 :])]}) != fingerprint(
        {"messages": [user(LONG)]}
    )


@pytest.mark.parametrize("where", range(0, 16384, 1023))
def test_all_of_a_text_up_to_16_kb_counts(where: int) -> None:
    """To the letter."""
    text = LONG[:16384]
    assert marks.mark(text[:where] + "x" + text[where + 1 :]) != marks.mark(text)


@pytest.mark.parametrize("where", range(0, len(LONG), len(LONG) // 40))
def test_a_passage_of_a_long_text_counts(where: int) -> None:
    """An eighth of it, wherever it is: there is a window in each sixteenth."""
    passage = len(LONG) // 8
    other = LONG[:where] + "x" * len(LONG[where : where + passage]) + LONG[where + passage :]
    assert marks.mark(other) != marks.mark(LONG)


def test_a_fingerprint_depends_on_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody without it can tell what was asked; with the same one it is the same in any process."""
    monkeypatch.setattr(marks, "_secret", marks._secret)
    found: list[bytes] = []
    for key in (b"k" * 32, b"j" * 32, b"k" * 32):
        marks.use_key(key)
        found.append(fingerprint(BASE))
    assert found[0] != found[1]
    assert found[0] == found[2]
