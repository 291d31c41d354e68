"""A cost by the provider's own word, and one call of several models: what is booked beside the total."""

from __future__ import annotations

from decimal import Decimal
from types import ModuleType
from typing import Any

import anthropic
import openai

from taskmeter import pricing, track_task
from taskmeter.capture.terms import session_terms
from taskmeter.demo.stub import anthropic_message, openai_chat
from tests.capture import programs as p
from tests.capture.harness import GPT, GPT_USD, Kit, Meter, attributes
from tests.capture.sdks import http_of


def http(sdk: ModuleType, body: Any, **headers: str) -> Any:
    its = http_of(sdk)
    return its.Client(transport=its.MockTransport(lambda _: its.Response(200, json=body, headers=headers)))


def test_stated_cost_has_the_list_amount_beside_it(meter: Meter) -> None:
    """What is charged is what the gateway says; what the list says stays known."""
    answer = http(openai, openai_chat(GPT), **{"x-litellm-response-cost": "0.0001"})
    client = Kit("").openai(base_url="https://llm.example.com/v1", http_client=answer)
    meter.instrument()
    with track_task("test") as task:
        client.chat.completions.create(**p.CHAT)
    assert (task.cost.total, task.cost.list, task.cost.estimated) == (Decimal("0.0001"), GPT_USD, 0)
    [span] = meter.spans("call")
    found = attributes(span)
    assert found["gen_ai.usage.cost.source"] == "provider"
    assert found["taskmeter.cost.list_amount"] == float(GPT_USD)
    assert found["gen_ai.usage.input_tokens"] == 120
    assert found["taskmeter.price.origin"] == "stated in the response"


def test_each_model_of_a_call_is_charged_by_its_name(meter: Meter) -> None:
    """One call, one span with one cost; the metric tells what each model cost."""
    counts = {"cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    turns = [
        {"type": "message", "input_tokens": 1000, "output_tokens": 100, **counts},
        {"type": "advisor_message", "model": "claude-opus-5", "input_tokens": 2000, "output_tokens": 10, **counts},
    ]
    body = anthropic_message("claude-sonnet-5")
    body = {**body, "usage": {"input_tokens": 1000, "output_tokens": 100, "iterations": turns}}
    client = Kit("").anthropic(base_url="https://api.anthropic.com", http_client=http(anthropic, body))
    meter.instrument()
    with track_task("test") as task:
        client.messages.create(**p.MESSAGE)
    assert (task.calls, task.usage.input_tokens, task.usage.output_tokens) == (1, 3000, 110)
    [span] = meter.spans("call")
    # 1000 x 2 + 100 x 10, and 2000 x 5 + 10 x 25
    assert attributes(span)["taskmeter.cost.exact"] == "0.01325"
    by_model = {
        str(dict(point.attributes)["gen_ai.response.model"]): point.value for point in meter.metric("taskmeter.cost")
    }
    assert by_model == {"claude-sonnet-5": 0.003, "claude-opus-5": 0.01025}


def test_host_that_the_price_file_names_later_is_known_from_then_on() -> None:
    """What was thought of a host before a price file named its provider does not stay."""
    before = session_terms("models.acme.example", "openai")
    pricing.use({"hosts": {"models.acme.example": "openai"}})
    try:
        assert (before.variants, session_terms("models.acme.example", "openai").variants) == (
            (("host", "unknown"),),
            (),
        )
    finally:
        pricing.use(None)
