"""Prompts and answers are recorded only where the application says how: redacted, bounded, in the convention's form."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest

import taskmeter
from taskmeter import ContentCapture, _guard
from taskmeter.demo.stub import (
    Error,
    anthropic_message,
    openai_chat,
    openai_response,
)
from taskmeter.errors import ConfigurationError, UsageError
from tests.capture import tool_programs as t
from tests.capture.harness import CLAUDE, GPT, Kit, Meter, Program, attributes, run_metered
from tests.capture.sdks import fake_http

TOOLS: Any = [
    {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}}
]
CHAT: Any = {
    "model": GPT,
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Where is 17?"},
                {"type": "image_url", "image_url": {"url": "data:x"}},
            ],
        },
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"order": 17}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "on its way"},
    ],
    "tools": TOOLS,
}
MESSAGE: Any = {
    "model": CLAUDE,
    "max_tokens": 100,
    "system": [{"type": "text", "text": "Be brief."}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Where is 17?"},
                {"type": "image", "source": {"type": "url", "url": "https://x"}},
            ],
        },
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "look", "input": {"order": 17}}]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "on its way"}]}
            ],
        },
    ],
    "tools": [{"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}],
}
RESPONSE: Any = {
    "model": GPT,
    "instructions": "Be brief.",
    "input": [
        {"role": "user", "content": "Where is 17?"},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"order": 17}'},
        {"type": "function_call_output", "call_id": "c1", "output": "on its way"},
    ],
    "tools": [{"type": "function", "name": "look", "description": "Looks.", "parameters": {"type": "object"}}],
}
CALLED = {
    "role": "assistant",
    "parts": [{"type": "tool_call", "id": "c1", "name": "look", "arguments": '{"order": 17}'}],
}
DEFINED = [{"type": "function", "name": "look", "description": "Looks.", "parameters": {"type": "object"}}]
BRIEF = [{"type": "text", "content": "Be brief."}]
ASKED = {"type": "text", "content": "Where is 17?"}


def gave(response: Any, role: str = "tool") -> Any:
    return {"role": role, "parts": [{"type": "tool_call_response", "id": "c1", "response": response}]}


def said(text: str, reason: str) -> Any:
    return [{"role": "assistant", "parts": [{"type": "text", "content": text}], "finish_reason": reason}]


def recorded(meter: Meter) -> dict[str, Any]:
    """The content on the one span of a call, decoded."""
    (span,) = meter.model_spans()
    found = {name: value for name, value in attributes(span).items() if name in NAMES}
    return {NAMES[name]: json.loads(value) for name, value in found.items()}


NAMES = {
    "gen_ai.system_instructions": "instructions",
    "gen_ai.input.messages": "input",
    "gen_ai.output.messages": "output",
    "gen_ai.tool.definitions": "tools",
}
CHAT_CONTENT = {
    "input": [
        {"role": "system", "parts": BRIEF},
        {"role": "user", "parts": [ASKED, {"type": "image_url"}]},
        CALLED,
        gave("on its way"),
    ],
    "tools": DEFINED,
    "output": said("It left.", "stop"),
}
MESSAGE_CONTENT = {
    "instructions": BRIEF,
    "input": [
        {"role": "user", "parts": [ASKED, {"type": "image"}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "look", "arguments": {"order": 17}}]},
        gave([{"type": "text", "text": "on its way"}], "user"),
    ],
    "tools": DEFINED,
    "output": said("It left.", "end_turn"),
}
RESPONSE_CONTENT = {
    "instructions": BRIEF,
    "input": [{"role": "user", "parts": [ASKED]}, CALLED, gave("on its way")],
    "tools": DEFINED,
    "output": said("It left.", "completed"),
}


async def chat_async(kit: Kit) -> Any:
    async with kit.aopenai() as client:
        return [event async for event in await client.chat.completions.create(**CHAT, stream=True)]


async def message_async(kit: Kit) -> Any:
    async with kit.aanthropic() as client:
        return [event async for event in await client.messages.create(**MESSAGE, stream=True)]


SURFACES: dict[str, tuple[Program, Any, Any]] = {
    "chat": (lambda kit: kit.openai().chat.completions.create(**CHAT), openai_chat(GPT, "It left."), CHAT_CONTENT),
    "chat stream": (
        lambda kit: list(kit.openai().chat.completions.create(**CHAT, stream=True)),
        openai_chat(GPT, "It left."),
        CHAT_CONTENT,
    ),
    "chat stream async": (chat_async, openai_chat(GPT, "It left."), CHAT_CONTENT),
    "response": (
        lambda kit: kit.openai().responses.create(**RESPONSE),
        openai_response(GPT, "It left."),
        RESPONSE_CONTENT,
    ),
    "response stream": (
        lambda kit: list(kit.openai().responses.create(**RESPONSE, stream=True)),
        openai_response(GPT, "It left."),
        RESPONSE_CONTENT,
    ),
    "message": (
        lambda kit: kit.anthropic().messages.create(**MESSAGE),
        anthropic_message(CLAUDE, "It left."),
        MESSAGE_CONTENT,
    ),
    "message stream": (
        lambda kit: list(kit.anthropic().messages.create(**MESSAGE, stream=True)),
        anthropic_message(CLAUDE, "It left."),
        MESSAGE_CONTENT,
    ),
    "message stream async": (message_async, anthropic_message(CLAUDE, "It left."), MESSAGE_CONTENT),
}
surfaces = pytest.mark.parametrize(("program", "reply", "content"), SURFACES.values(), ids=SURFACES)


@surfaces
def test_content_of_a_call(program: Program, reply: Any, content: Any, meter: Meter) -> None:
    """Instructions, messages, tools and the answer, whatever the surface; of what is no text, only what it is."""
    meter.instrument(content=ContentCapture(redact=str))
    run_metered(program, (reply,), meter)
    assert recorded(meter) == content


@pytest.mark.parametrize("name", ["message", "message stream", "message stream async"])
def test_content_on_the_span_of_the_sdk(name: str, meter: Meter) -> None:
    """Anthropic's own span has it."""
    program, reply, content = SURFACES[name]
    meter.instrument(content=ContentCapture(redact=str))
    run_metered(program, (reply,), meter, traced=meter.tracer_provider)
    assert recorded(meter) == content


@surfaces
def test_nothing_is_recorded_by_default(program: Program, reply: Any, content: Any, meter: Meter) -> None:
    """Not even with OpenTelemetry's own switch, which knows of no redaction."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
        run_metered(program, (reply,), meter)
    assert recorded(meter) == {}
    assert "It left" not in str([span.to_json() for span in meter.exporter.get_finished_spans()])


@surfaces
def test_every_text_is_redacted(program: Program, reply: Any, content: Any, meter: Meter) -> None:
    """Nothing but the convention's own words gets past the callable."""
    meter.instrument(content=ContentCapture(redact=lambda _: "X"))
    run_metered(program, (reply,), meter)
    texts = json.dumps(recorded(meter))
    for word in ("brief", "Where", "17", "look", "Looks", "c1", "on its way", "left", "object"):
        assert word not in texts
    assert recorded(meter)["output"][0]["parts"][0] == {"type": "text", "content": "X"}


def refuse(_: str) -> str:
    raise LookupError("no rule for: Where is 17?")


@pytest.mark.parametrize("redact", [refuse, lambda _: None, lambda text: refuse(text) if "left" in text else text])
@surfaces
def test_nothing_is_recorded_where_redaction_fails(
    program: Program,
    reply: Any,
    content: Any,
    redact: Callable[[str], Any],
    meter: Meter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither what it failed at nor what it had done before; the call itself is priced, and the fault counted."""
    monkeypatch.setattr(_guard, "strict", False)
    meter.instrument(content=ContentCapture(redact=redact))
    run = run_metered(program, (reply,), meter)
    assert recorded(meter) == {}
    assert run.task.cost.total > 0
    assert _guard.faults == {"capture.content": 1}


def test_a_word_that_is_none_is_redacted(meter: Meter) -> None:
    """A role or a reason is recorded as it is only if it looks like one."""
    meter.instrument(content=ContentCapture(redact=lambda _: "X"))
    answer = openai_chat(GPT)
    answer["choices"][0]["finish_reason"] = "Because of card 4111"
    messages: Any = [{"role": "Doctor Who", "content": "a"}, {"role": "user", "content": "b"}]
    program: Program = lambda kit: kit.openai().chat.completions.create(model=GPT, messages=messages)  # noqa: E731
    run_metered(program, (answer,), meter)
    content = recorded(meter)
    assert [message["role"] for message in content["input"]] == ["X", "user"]
    assert content["output"][0]["finish_reason"] == "X"


def test_the_doctor_tells_of_the_switch_of_the_convention(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    """That it records nothing, and what would; not where content is recorded."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "span_only")
    says = [finding.fix for finding in taskmeter.diagnose().findings if "CAPTURE_MESSAGE_CONTENT" in finding.says]
    assert len(says) == 1
    assert "ContentCapture(redact=...)" in says[0]
    meter.instrument(content=ContentCapture(redact=str))
    assert "CAPTURE_MESSAGE_CONTENT" not in str(taskmeter.diagnose())


@pytest.mark.parametrize("traced", [False, True])
def test_a_failed_call_has_what_was_asked(traced: bool, meter: Meter) -> None:
    """There is no answer to record."""
    meter.instrument(content=ContentCapture(redact=str))
    program: Program = lambda kit: kit.anthropic(max_retries=0).messages.create(**MESSAGE)  # noqa: E731
    run_metered(program, (Error(500),), meter, traced=meter.tracer_provider if traced else False)
    assert recorded(meter) == {name: value for name, value in MESSAGE_CONTENT.items() if name != "output"}


def test_content_is_bounded(meter: Meter) -> None:
    """At most so many bytes an attribute, the newest messages kept, and valid JSON; that it was cut is said."""
    meter.instrument(content=ContentCapture(redact=str, max_bytes=300))
    old, new = "ö" * 400, 'the "newest" \U0001f600 ' * 10
    messages: Any = [{"role": "user", "content": old}, {"role": "user", "content": new}]
    program: Program = lambda kit: kit.openai().chat.completions.create(model=GPT, messages=messages)  # noqa: E731
    run_metered(program, (openai_chat(GPT, "a" * 1_000),), meter)
    (span,) = meter.model_spans()
    found = attributes(span)
    assert found["taskmeter.content.cut"] is True
    assert all(len(str(found[name]).encode()) <= 300 for name in NAMES if name in found)
    content = recorded(meter)
    assert content["input"][-1]["parts"][0]["content"] == new
    assert content["output"][0]["parts"][0]["content"].strip("a") == ""
    assert len(content["output"][0]["parts"][0]["content"]) > 200


def test_a_secret_is_not_cut_before_it_is_redacted(meter: Meter) -> None:
    """Half of it would not be recognised."""
    meter.instrument(content=ContentCapture(redact=lambda text: text.replace("sk-0123456789", "***"), max_bytes=300))
    messages: Any = [{"role": "user", "content": "a" * 230 + "sk-0123456789"}]
    program: Program = lambda kit: kit.openai().chat.completions.create(model=GPT, messages=messages)  # noqa: E731
    run_metered(program, (openai_chat(GPT),), meter)
    assert "sk-" not in json.dumps(recorded(meter))


def test_what_is_too_long_to_be_redacted_is_left_out(meter: Meter) -> None:
    """It is neither held nor shown to the callable."""
    longest = 0

    def redact(text: str) -> str:
        nonlocal longest
        longest = max(longest, len(text))
        return text

    meter.instrument(content=ContentCapture(redact=redact))
    messages: Any = [{"role": "user", "content": "a" * 1_048_577}]
    chunk = {
        "id": "c",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {"content": "b" * 600_000}}],
    }
    stream = f"data: {json.dumps(chunk)}\n\n".encode() * 2 + b"data: [DONE]\n\n"
    client = Kit("http://gateway.example").openai(
        http_client=fake_http(openai, lambda _: (stream, "text/event-stream"))
    )
    assert len(list(client.chat.completions.create(model=GPT, messages=messages, stream=True))) == 2
    content = recorded(meter)
    assert longest < 1_000
    assert content["input"][0]["parts"][0]["content"] == "(left out: too long)"
    assert "output" not in content


@pytest.mark.parametrize(
    ("program", "replies"),
    [
        (t.openai_runner, t.OPENAI),
        (t.openai_runner_async, t.OPENAI),
        (t.anthropic_runner, t.ANTHROPIC),
        (t.anthropic_runner_async, t.ANTHROPIC),
    ],
)
def test_what_a_tool_was_given_and_gave(program: Program, replies: Any, meter: Meter) -> None:
    """On the span of the run, as text."""
    meter.instrument(content=ContentCapture(redact=lambda text: text.replace("17", "<order>")))
    run_metered(program, replies, meter)
    for span in meter.spans("tool"):
        found = attributes(span)
        assert "".join(str(found["gen_ai.tool.call.arguments"]).split()) == '{"order":<order>}'
        assert "shipped" in str(found["gen_ai.tool.call.result"])
    assert len(meter.spans("tool")) == 2


def test_a_tool_whose_content_cannot_be_redacted(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has its span and its count, and no content."""
    monkeypatch.setattr(_guard, "strict", False)
    meter.instrument(content=ContentCapture(redact=refuse))
    run = run_metered(t.openai_runner, t.OPENAI, meter)
    assert run.task.tool_runs == 2
    assert not any("gen_ai.tool.call.arguments" in attributes(span) for span in meter.spans("tool"))
    assert _guard.faults["capture.tool_content"] == 2


@pytest.mark.parametrize(
    "arguments", [{"redact": "***"}, {"redact": str, "max_bytes": 10}, {"redact": str, "max_bytes": "1"}]
)
def test_a_capture_that_makes_no_sense(arguments: Any) -> None:
    """Is refused where it is made."""
    with pytest.raises(UsageError, match=next(reversed(arguments))):
        ContentCapture(**arguments)


def test_content_true_is_refused() -> None:
    """There is no recording without a word on redaction."""
    with pytest.raises(ConfigurationError, match=r"ContentCapture\(redact="):
        taskmeter.instrument(content=True)  # type: ignore[arg-type]
