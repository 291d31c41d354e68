"""Every way to call a model is one call: counted, priced, pictured once, and the same to its caller as without us."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import openai
import pytest

from taskmeter.demo.stub import (
    Billed,
    Event,
    Json,
    Sse,
    anthropic_message,
    openai_chat,
    openai_chat_stream,
    openai_embeddings,
    openai_response,
)
from tests.capture import programs as p
from tests.capture.harness import (
    CLAUDE,
    CLAUDE_USD,
    GPT,
    GPT_USD,
    HTTP,
    Kit,
    Meter,
    Program,
    ToStub,
    attributes,
    run_bare,
    run_metered,
)

CHAT = openai_chat(GPT, '{"done": true}')
RESPONSE = openai_response(GPT, '{"done": true}')
MESSAGE = anthropic_message(CLAUDE, '{"done": true}')
EMBEDDINGS = openai_embeddings("text-embedding-3-small", 2, Billed(input=120, output=0), as_base64=True)
EMBEDDINGS_USD = Decimal("0.0000024")
UNSTATED_USD = Decimal("0.00001")
"""A stream without usage: 30 bytes of prompt are 8 tokens, 14 of answer 4."""

EXACT = [
    *((program, CHAT, GPT_USD) for program in (
        p.chat, p.chat_async, p.chat_parse, p.chat_parse_async, p.chat_raw, p.chat_raw_async, p.chat_streaming_response,
        p.chat_streaming_response_async, p.chat_clone, p.chat_module_level, p.chat_low_level, p.chat_stream_with_usage,
    )),
    *((program, RESPONSE, GPT_USD) for program in (
        p.response, p.response_async, p.response_parse, p.response_stream, p.response_stream_async, p.response_helper,
    )),
    (p.embeddings, EMBEDDINGS, EMBEDDINGS_USD),
    (p.embeddings_async, EMBEDDINGS, EMBEDDINGS_USD),
]  # fmt: skip
ANTHROPIC = [
    p.message, p.message_async, p.message_beta, p.message_raw, p.message_streaming_response,
    p.message_streaming_response_async, p.message_clone, p.message_parse, p.message_stream, p.message_stream_async,
    p.message_stream_beta, p.message_stream_raw, p.message_helper, p.message_helper_async, p.message_helper_beta,
]  # fmt: skip
ASKED = [p.chat_stream, p.chat_stream_async, p.chat_helper, p.chat_helper_async]
NOT_ASKED = [p.chat_stream_raw, p.chat_stream_streaming_response, p.chat_stream_without_usage]


def named(value: object) -> str | None:
    return getattr(value, "__name__", None)


def check(meter: Meter, program: Program, reply: Any, usd: Decimal, status: str, **kit: Any) -> Any:
    """Runs `program` bare and metered and compares; then what the meter says must be this one call."""
    meter.close()
    bare = run_bare(program, (reply,), **({**kit, "traced": False} if kit.get("traced") else kit))
    meter = Meter()
    if kit.get("traced"):
        kit["traced"] = meter.tracer_provider
    meter.instrument()
    try:
        run = run_metered(program, (reply,), meter, **kit)
    finally:
        meter.close()
    assert run.seen == bare[0]
    assert run.seen[0] == "returned"
    assert (run.task.calls, run.task.attempts, run.task.retries, run.task.unpriced_calls) == (1, 1, 0, 0)
    assert run.task.cost.total == run.task.cost.model == meter.leaf_sum() == usd
    assert run.task.cost.wasted == 0
    assert run.task.cost.estimated == (usd if status == "estimated" else 0)
    [span] = meter.model_spans()
    assert span.status.status_code.name == ("OK" if kit.get("traced") else "UNSET")
    return bare[1], run, span, meter


@pytest.mark.parametrize(("program", "reply", "usd"), EXACT, ids=named)
@pytest.mark.parametrize("public", [False, True], ids=["gateway", "public"])
def test_openai_call_is_exact(meter: Meter, program: Program, reply: Any, usd: Decimal, *, public: bool) -> None:
    """Whatever the surface, the tokens and the cost are those that the response states, on one span."""
    bodies, run, span, _ = check(meter, program, reply, usd, "exact", public=public)
    assert run.bodies == bodies
    found = attributes(span)
    assert found["taskmeter.cost.status"] == "exact"
    assert found["gen_ai.usage.input_tokens"] == 120
    assert found["taskmeter.task.name"] == "test"
    assert found["gen_ai.provider.name"] == "openai"
    assert found["gen_ai.usage.cost.amount"] == float(usd)


def test_azure_says_it_is_azure(meter: Meter) -> None:
    """The class names the provider; the deployment's name in the path is no hindrance."""
    _, _, span, _ = check(meter, p.azure_chat, CHAT, GPT_USD, "estimated")
    assert attributes(span)["gen_ai.provider.name"] == "azure.ai.openai"


@pytest.mark.parametrize("program", ASKED, ids=named)
def test_usage_of_a_chat_stream_is_asked_for_and_the_extra_chunk_hidden(meter: Meter, program: Program) -> None:
    """On the provider's own host the stream is exact, and the application sees the events that it would see bare."""
    bodies, run, span, _ = check(meter, program, CHAT, GPT_USD, "exact", public=True)
    assert "stream_options" not in bodies[0]
    assert run.bodies == [{**bodies[0], "stream_options": {"include_usage": True}}]
    assert attributes(span)["taskmeter.cost.status"] == "exact"
    assert attributes(span)["gen_ai.response.time_to_first_chunk"] > 0


@pytest.mark.parametrize(
    ("program", "public"), [*((program, False) for program in ASKED), *((q, True) for q in NOT_ASKED)], ids=named
)
def test_usage_of_a_chat_stream_is_not_asked_for_elsewhere(meter: Meter, program: Program, *, public: bool) -> None:
    """A gateway may refuse the field, a raw response is the application's own, and a stated wish is a wish."""
    bodies, run, span, _ = check(meter, program, CHAT, UNSTATED_USD, "estimated", public=public)
    assert run.bodies == bodies
    assert attributes(span)["taskmeter.cost.status"] == "estimated"
    assert "estimated as UTF-8 bytes / 4" in attributes(span)["taskmeter.cost.status.reason"]


def test_azure_stream_is_asked_and_its_filter_results_stay(meter: Meter) -> None:
    """Only the chunk that brings the usage is hidden, not another one without choices."""
    events = openai_chat_stream(CHAT)
    assert isinstance(events[0].data, dict)
    filtered = Event({**events[0].data, "choices": [], "prompt_filter_results": []})

    def program(kit: Kit) -> Any:
        client = openai.AzureOpenAI(
            azure_endpoint="https://house.openai.azure.com",
            api_version="2025-04-01",
            api_key="stub",
            http_client=HTTP.Client(transport=ToStub(kit.url)),
        )
        with client:
            return list(client.chat.completions.create(**p.CHAT, stream=True))

    run = run_metered(program, (Sse([filtered, *events]),), meter)
    assert run.bodies[0]["stream_options"] == {"include_usage": True}
    assert [len(chunk[1]["choices"]) for chunk in run.seen[1]] == [0, 1, 1, 1]
    assert run.task.usage.input_tokens == 120


def test_stream_usage_false_asks_for_nothing(meter: Meter) -> None:
    """`instrument(stream_usage=False)` leaves every request as it is."""
    meter.instrument(stream_usage=False)
    run = run_metered(p.chat_stream, (CHAT,), meter, public=True)
    assert "stream_options" not in run.bodies[0]
    assert run.task.cost.estimated == UNSTATED_USD


@pytest.mark.parametrize("program", ANTHROPIC, ids=named)
@pytest.mark.parametrize("traced", [False, True], ids=["untraced", "traced"])
def test_anthropic_call_has_one_span(meter: Meter, program: Program, *, traced: bool) -> None:
    """The SDK's own span is annotated where it opens one; where it does not, we open ours."""
    bodies, run, span, found = check(meter, program, MESSAGE, CLAUDE_USD, "exact", traced=traced)
    assert run.bodies == bodies
    assert span.name == ("anthropic.messages.create" if traced else "chat claude-sonnet-5")
    assert attributes(span)["taskmeter.task.name"] == "test"
    if not (traced and "streaming_response" in program.__name__):
        assert attributes(span)["taskmeter.cost.exact"] == "0.00048"
        assert attributes(span)["gen_ai.usage.input_tokens"] == 120
        assert attributes(span)["gen_ai.usage.output_tokens"] == 24
    else:  # the SDK ends its span when the body is read, which is before anybody parses it
        [leaf] = found.spans("charge")
        assert attributes(leaf)["taskmeter.cost.status"] == "exact"


@pytest.mark.parametrize(
    ("program", "replies"),
    [
        (p.models, 2),
        (p.count_tokens, 1),
        (p.retrieve, 1),
    ],
    ids=named,
)
def test_what_is_no_call_is_not_counted(meter: Meter, program: Program, replies: int) -> None:
    """Listing, polling and counting tokens cost nothing."""
    answers = {p.models: {"data": [], "has_more": False}, p.count_tokens: {"input_tokens": 7}, p.retrieve: RESPONSE}
    run = run_metered(program, (Json(answers[program]),) * replies, meter)
    assert run.seen[0] == "returned"
    assert run.task.calls == 0
    assert meter.model_spans() == []


def test_metrics_of_a_call(meter: Meter) -> None:
    """Duration and tokens are metered beside the span, and the cost by the task."""
    run_metered(p.chat, (CHAT,), meter)
    [duration] = meter.metric("gen_ai.client.operation.duration")
    assert duration.count == 1
    tokens = {point.attributes["gen_ai.token.type"]: point.sum for point in meter.metric("gen_ai.client.token.usage")}
    assert tokens == {"input": 120, "output": 24}
    [cost] = meter.metric("taskmeter.cost")
    assert cost.value == pytest.approx(0.000078)
