"""Clients for the clouds that resell models: hooked by the base class they share, named and priced as who answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import anthropic
import openai
import pytest

from taskmeter import track_task
from taskmeter.demo.stub import anthropic_message, openai_chat
from tests.capture.harness import GPT, MESSAGES, Meter, attributes
from tests.capture.sdks import fake_http

SONNET = "claude-sonnet-4-5-20250929"
BEDROCK_MODEL = f"anthropic.{SONNET}-v1:0"


def http(sdk: ModuleType) -> Any:
    body = json.dumps(openai_chat(GPT) if sdk is openai else anthropic_message(SONNET)).encode()
    return fake_http(sdk, lambda _: (body, "application/json"))


def message(client: Any, model: str = SONNET) -> None:
    client.messages.create(model=model, max_tokens=9, messages=MESSAGES)


def chat(client: Any) -> None:
    client.chat.completions.create(model="our-deployment", messages=MESSAGES)


PLATFORMS: dict[str, tuple[Callable[[], Any], Callable[[Any], None], str]] = {
    "bedrock": (
        lambda: anthropic.AnthropicBedrock(api_key="x", aws_region="us-east-1", http_client=http(anthropic)),
        lambda client: message(client, BEDROCK_MODEL),
        "aws.bedrock",
    ),
    "vertex": (
        lambda: anthropic.AnthropicVertex(
            region="us-east5", project_id="p", access_token="x", http_client=http(anthropic)
        ),
        message,
        "gcp.vertex_ai",
    ),
    "foundry": (
        lambda: anthropic.AnthropicFoundry(api_key="x", resource="ours", http_client=http(anthropic)),
        message,
        "azure.ai.inference",
    ),
    "azure": (
        lambda: openai.AzureOpenAI(
            api_key="x", azure_endpoint="https://x.openai.azure.com", api_version="2025-01-01", http_client=http(openai)
        ),
        chat,
        "azure.ai.openai",
    ),
    "groq": (
        lambda: openai.OpenAI(api_key="x", base_url="https://api.groq.com/openai/v1", http_client=http(openai)),
        chat,
        "groq",
    ),
}


@pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")
@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_reseller_is_named_and_its_call_counted_once(meter: Meter, platform: str) -> None:
    """One call, one span, the tokens of the answer, and a price or the reason why there is none."""
    make, use, provider = PLATFORMS[platform]
    with make() as client, track_task("test") as task:
        use(client)
    [span] = meter.spans("call")
    found = attributes(span)
    assert found["gen_ai.provider.name"] == provider
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (120, 24)
    assert (task.calls, task.usage.input_tokens, task.usage.output_tokens) == (1, 120, 24)
    if platform == "groq":  # serves no model of that name
        assert (found["taskmeter.cost.status"], task.unpriced_calls) == ("unpriced", 1)
    else:
        assert task.cost.total == meter.leaf_sum() > 0
    if platform in ("azure", "foundry"):  # another list's price is an estimate
        assert found["taskmeter.cost.status"] == "estimated"
