"""The work of the programs that these tests start: one task with a call of each provider, a tool and a charge."""

from __future__ import annotations

import anthropic
import openai

import taskmeter
from taskmeter import _guard
from taskmeter.demo.stub import StubProvider

_guard.strict = True


def work(count: int = 1) -> taskmeter.Task:
    """Does the task `count` times; returns the last."""
    task = None
    with (
        StubProvider() as stub,
        openai.OpenAI(
            base_url=f"{stub.url}/v1", api_key="stub", http_client=openai.DefaultHttpxClient(trust_env=False)
        ) as client,
        anthropic.Anthropic(
            base_url=stub.url, api_key="stub", http_client=anthropic.DefaultHttpxClient(trust_env=False)
        ) as claude,
    ):
        for number in range(count):
            with taskmeter.track_task("answer", key=f"K-{number}", customer="acme") as task:
                messages = [{"role": "user", "content": "Where is order 17?"}]
                client.chat.completions.create(model="gpt-5-mini", messages=messages)
                claude.messages.create(model="claude-sonnet-5", messages=messages, max_tokens=100)
                with taskmeter.track_tool("look_up", cost="0.002"):
                    pass
                taskmeter.charge("0.0004", category="retrieval", item="index")
    assert task is not None
    return task
