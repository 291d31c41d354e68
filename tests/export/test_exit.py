"""What is open when the interpreter ends is ended with it, once, and exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.export.programs import run, spooled

START = """
import asyncio, sys, threading, time
import anthropic, openai, taskmeter
from taskmeter.demo.stub import Hang, Script, Sse, StubProvider, anthropic_message, anthropic_message_stream
from taskmeter.demo.stub import openai_chat, openai_chat_stream
taskmeter.configure()
CHAT = dict(model="gpt-5-mini", messages=[{"role": "user", "content": "Where is order 17?"}])
MESSAGE = dict(CHAT, model="claude-sonnet-5", max_tokens=100)
def clients(*replies):
    stub = StubProvider(Script(*replies))
    stub.__enter__()
    return (openai.OpenAI(base_url=f"{stub.url}/v1", api_key="k"), anthropic.Anthropic(base_url=stub.url, api_key="k"),
            openai.AsyncOpenAI(base_url=f"{stub.url}/v1", api_key="k"))
"""
HALF_READ_CHAT = """
client, _, _ = clients(Sse(openai_chat_stream(openai_chat("gpt-5-mini"), include_usage=False)))
stream = client.chat.completions.create(**CHAT, stream=True)
next(stream)
"""
UNREAD_CHAT = """
client, _, _ = clients(openai_chat("gpt-5-mini"))
stream = client.chat.completions.create(**CHAT, stream=True)
"""
EXIT_INSIDE_A_LOOP = """
_, client, _ = clients(anthropic_message("claude-sonnet-5"))
for event in client.messages.create(**MESSAGE, stream=True):
    if event.type == "content_block_delta":
        sys.exit(3)
"""
HALF_READ_MESSAGE = """
_, client, _ = clients(anthropic_message("claude-sonnet-5"))
stream = client.messages.create(**MESSAGE, stream=True)
next(stream)
"""
DAEMON_THREAD = """
client, _, _ = clients(Hang(30))
threading.Thread(target=lambda: client.chat.completions.create(**CHAT), daemon=True).start()
time.sleep(0.5)
"""
DAEMON_THREAD_MESSAGE = """
_, client, _ = clients(Hang(30))
threading.Thread(target=lambda: client.messages.create(**MESSAGE), daemon=True).start()
time.sleep(0.5)
"""
RAISED = """
client, _, _ = clients(openai_chat("gpt-5-mini"))
stream = client.chat.completions.create(**CHAT, stream=True)
next(stream)
raise RuntimeError
"""


@pytest.mark.parametrize(
    ("program", "code", "status", "error"),
    [
        pytest.param(HALF_READ_CHAT, 0, "estimated", None, id="half-read chat"),
        pytest.param(UNREAD_CHAT, 0, "estimated", None, id="unread chat"),
        pytest.param(EXIT_INSIDE_A_LOOP, 3, "estimated", None, id="exit inside a loop"),
        pytest.param(HALF_READ_MESSAGE, 0, "estimated", None, id="half-read message"),
        pytest.param(RAISED, 1, "estimated", None, id="uncaught exception"),
        pytest.param(DAEMON_THREAD, 0, "unpriced", "SystemExit", id="chat under way"),
        pytest.param(DAEMON_THREAD_MESSAGE, 0, "unpriced", None, id="message under way"),
    ],
)
def test_open_call_is_ended_and_spooled(
    program: str, code: int, status: str, error: str | None, tmp_path: Path
) -> None:
    """One span in the spool, with what is known of its cost."""
    done = run(START + program, tmp_path)
    assert (done.code, "taskmeter" in done.err and "failed in" in done.err) == (code, False)
    calls = [span for span in spooled(tmp_path / ".taskmeter") if span.attributes.get("taskmeter.span.kind") == "call"]
    assert len(calls) == 1
    found: dict[str, Any] = dict(calls[0].attributes)
    assert found["taskmeter.cost.status"] == status
    assert found.get("error.type") == error
    assert found.get("taskmeter.attempt.possibly_billed", False) is (status == "unpriced")
