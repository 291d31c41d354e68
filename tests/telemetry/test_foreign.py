"""Spans of libraries that no hook sees: which of them are calls, what those cost, and that each is booked once."""

from __future__ import annotations

import time
import uuid
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags

from taskmeter import CostExporter, TaskSpanProcessor, _guard, charge, track_step, track_task
from taskmeter.telemetry import exporter, known, pictures

GPT_USD = Decimal("0.00028")
"""gpt-5-mini: 1000 tokens in, 400 of them from the cache; 60 out, 20 of them reasoning."""
CLAUDE_USD = Decimal("0.00193")
"""claude-sonnet-5: 1000 tokens in, 400 read from the cache, 100 written to it; 60 out."""
BEDROCK_USD = Decimal("0.0031845")
"""claude-sonnet-4-5 on Bedrock, in one region: the same."""

OPENINFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.system": "openai",
    "llm.model_name": "gpt-5-mini",
    "llm.token_count.prompt": 1000,
    "llm.token_count.prompt_details.cache_read": 400,
    "llm.token_count.prompt_details.audio": 0,
    "llm.token_count.completion": 60,
    "llm.token_count.completion_details.reasoning": 20,
    "llm.token_count.total": 1060,
}
CONVENTION = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5-mini",
    "gen_ai.response.model": "gpt-5-mini",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.cache_read.input_tokens": 400,
    "gen_ai.usage.output_tokens": 60,
    "gen_ai.usage.reasoning.output_tokens": 20,
}
CONVERSE = {
    "gen_ai.operation.name": "chat",
    "gen_ai.system": "aws.bedrock",
    "gen_ai.request.model": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "gen_ai.usage.input_tokens": 500,
    "gen_ai.usage.cache_read.input_tokens": 400,
    "gen_ai.usage.cache_creation.input_tokens": 100,
    "gen_ai.usage.output_tokens": 60,
}
LITELLM = {
    "gen_ai.operation.name": "chat",
    "gen_ai.system": "anthropic",
    "gen_ai.request.model": "claude-sonnet-5",
    "gen_ai.response.model": "claude-sonnet-5",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 60,
    "gen_ai.usage.total_tokens": 1060,
    "litellm.call_id": "aa15f76c",
    "llm.request.type": "acompletion",
}
LITELLM_USAGE = (
    "{'completion_tokens': 60, 'prompt_tokens': 1000, 'prompt_tokens_details': {'audio_tokens': None,"
    " 'cached_tokens': 400}, 'cache_creation_input_tokens': 100, 'cache_read_input_tokens': 400}"
)
LOGFIRE_USAGE = '{"prompt_tokens":1000,"prompt_tokens_details":{"cached_tokens":400}}'
LANGSMITH_USAGE = (
    '{"input_tokens":1000,"input_token_details":{"cache_read":400,"cache_creation":0,"ephemeral_5m_input_tokens":100}}'
)
OF_LOGFIRE = {name: value for name, value in CONVENTION.items() if "cache" not in name}
OF_LANGSMITH = {**{name: LITELLM[name] for name in list(LITELLM)[:6]}, "langsmith.span.kind": "llm"}

# As each library writes them: with the stub provider in November 2026, Google's and Bedrock's from their source.
RECORDED: list[tuple[str, dict[str, Any], Decimal]] = [
    ("openinference.instrumentation.openai", OPENINFERENCE, GPT_USD),
    ("opentelemetry.instrumentation.genai.openai", CONVENTION, GPT_USD),
    (
        "opentelemetry.instrumentation.openai.v1",
        {
            "llm.request.type": "chat",
            "gen_ai.system": "OpenAI",
            "gen_ai.request.model": "gpt-5-mini",
            "gen_ai.usage.prompt_tokens": 1000,
            "gen_ai.usage.completion_tokens": 60,
            "gen_ai.usage.cache_read_input_tokens": 400,
            "llm.usage.total_tokens": 1060,
        },
        GPT_USD,
    ),
    (
        "openinference.instrumentation.anthropic",
        {
            "openinference.span.kind": "LLM",
            "llm.provider": "anthropic",
            "llm.model_name": "claude-sonnet-5",
            "llm.token_count.prompt": 1000,
            "llm.token_count.prompt_details.cache_read": 400,
            "llm.token_count.prompt_details.cache_write": 100,
            "llm.token_count.completion": 60,
        },
        CLAUDE_USD,
    ),
    (
        "com.anthropic.sdk.python",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "anthropic",
            "gen_ai.request.model": "claude-sonnet-5",
            "gen_ai.usage.input_tokens": 1000,
            "gen_ai.usage.cache_read.input_tokens": 400,
            "gen_ai.usage.cache_write.input_tokens": 100,
            "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": 100,
            "gen_ai.usage.output_tokens": 60,
        },
        Decimal("0.00208"),
    ),
    ("litellm", {**LITELLM, "metadata.usage_object": LITELLM_USAGE}, CLAUDE_USD),
    (
        "openinference.instrumentation.litellm",
        {**OPENINFERENCE, "llm.model_name": "openai/gpt-5-mini", "llm.provider": "openai"},
        GPT_USD,
    ),
    ("logfire.openai", {**OF_LOGFIRE, "gen_ai.usage.raw": LOGFIRE_USAGE}, GPT_USD),
    ("langsmith", {**OF_LANGSMITH, "langsmith.metadata.usage_metadata": LANGSMITH_USAGE}, CLAUDE_USD),
    ("opentelemetry.instrumentation.botocore.bedrock-runtime", CONVERSE, BEDROCK_USD),
    ("opentelemetry.instrumentation.bedrock", {**CONVERSE, "gen_ai.usage.total_tokens": 560}, BEDROCK_USD),
    (
        "openinference.instrumentation.bedrock",
        {
            "openinference.span.kind": "LLM",
            "llm.provider": "aws",
            "llm.model_name": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "llm.token_count.prompt": 1000,
            "llm.token_count.prompt_details.cache_read": 400,
            "llm.token_count.prompt_details.cache_write": 100,
            "llm.token_count.completion": 60,
        },
        BEDROCK_USD,
    ),
    (
        "opentelemetry.instrumentation.google_genai",
        {
            "gen_ai.operation.name": "generate_content",
            "gen_ai.system": "gemini",
            "gen_ai.request.model": "gemini-2.5-flash",
            "gen_ai.usage.input_tokens": 1000,
            "gen_ai.usage.output_tokens": 60,
        },
        Decimal("0.00045"),
    ),
    (
        "openinference.instrumentation.openai",
        {
            "openinference.span.kind": "EMBEDDING",
            "llm.system": "openai",
            "embedding.model_name": "text-embedding-3-small",
            "llm.token_count.prompt": 1000,
            "llm.token_count.total": 1000,
        },
        Decimal("0.00002"),
    ),
]


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls of the test before are close enough in time to be taken for this one's."""
    monkeypatch.setattr(known, "_recent", [None] * known.RECENT)
    monkeypatch.setattr(known, "_open", {})


def foreign(backend: Any, source: str, attributes: dict[str, Any], name: str = "theirs", **options: Any) -> Any:
    """A span as another library writes it: attributes set while it is open."""
    span = backend.tracer_provider.get_tracer(source).start_span(name, **options)
    span.set_attributes(attributes)
    return span


def leaf_sum(backend: Any) -> Decimal:
    found = [dict(span.attributes) for span in backend.spans]
    leaves = (each for each in found if each.get("taskmeter.span.kind") in ("call", "tool", "charge"))
    return sum((Decimal(leaf.get("taskmeter.cost.exact", "0")) for leaf in leaves), Decimal(0))


def counted(backend: Any) -> Decimal:
    return round(sum(map(Decimal, backend.values("taskmeter.cost").values()), Decimal(0)), 12)


def theirs(backend: Any) -> dict[str, Any]:
    return dict(backend.span("theirs").attributes)


@pytest.mark.parametrize(("source", "attributes", "usd"), RECORDED, ids=lambda value: value if value is str else None)
def test_a_library_that_no_hook_sees(source: str, attributes: dict[str, Any], usd: Decimal, backend: Any) -> None:
    """Its call is booked to the task, exact to the last digit, and its span says what it cost."""
    with track_task("work") as task:
        foreign(backend, source, attributes).end()
    assert (task.cost.total, task.cost.estimated, task.calls, task.unpriced_calls) == (usd, 0, 1, 0)
    assert leaf_sum(backend) == counted(backend) == usd
    stated = theirs(backend)
    assert stated["taskmeter.cost.status"] == "exact"
    assert stated["gen_ai.usage.cost.amount"] == float(usd)
    assert (stated["taskmeter.span.kind"], stated["taskmeter.task.id"]) == ("call", task.id)
    assert task.usage.input_tokens == 1000
    assert {name: stated[name] for name in attributes} == attributes  # what it states stays as it is


NO_CALLS: list[tuple[str, dict[str, Any]]] = [
    ("openinference.instrumentation.crewai", {**OPENINFERENCE, "openinference.span.kind": "AGENT"}),
    ("openinference.instrumentation.langchain", {**OPENINFERENCE, "openinference.span.kind": "CHAIN"}),
    ("opentelemetry.instrumentation.langchain", {**CONVENTION, "traceloop.span.kind": "workflow"}),
    ("pydantic-ai", {**CONVENTION, "gen_ai.operation.name": "invoke_agent"}),
    ("pydantic-ai", {"agent_name": "clerk", "model_name": "gpt-5-mini", "gen_ai.usage.input_tokens": 1000}),
    ("langsmith", {**OF_LANGSMITH, "langsmith.span.kind": "chain"}),
    ("app", {**LITELLM, "metadata.usage_object": LITELLM_USAGE}),  # LiteLLM wrote on the span that was current
    ("mcp", {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "lookup"}),
    ("httpx", {"http.request.method": "POST", "server.address": "api.openai.com"}),
    ("app", {"gen_ai.request.model": "gpt-5-mini"}),
]


@pytest.mark.parametrize(("source", "attributes"), NO_CALLS)
def test_what_is_no_call(source: str, attributes: dict[str, Any], backend: Any) -> None:
    """Agents, chains and tools are not calls, whatever sums they carry; nor are requests."""
    with track_task("work") as task:
        foreign(backend, source, attributes).end()
    assert (task.calls, task.cost.total) == (0, 0)
    assert "taskmeter.span.kind" not in theirs(backend)


DOUBTFUL: list[tuple[str, dict[str, Any], Decimal, str]] = [
    ("acme.ai", CONVENTION, GPT_USD, "acme.ai does not say whether its input count includes cached tokens"),
    ("logfire.openai", OF_LOGFIRE, Decimal("0.00037"), "logfire.openai does not state cached tokens"),
    ("litellm", {**LITELLM, "metadata.usage_object": "{'a"}, Decimal("0.0026"), "litellm does not state cached tokens"),
    (
        "opentelemetry.instrumentation.google_generativeai",
        {**OF_LOGFIRE, "gen_ai.usage.output_tokens": 40, "gen_ai.usage.total_tokens": 1060},
        Decimal("0.00037"),
        "its counts do not add up to the total: the rest taken for reasoning",
    ),
    (
        "opentelemetry.instrumentation.langchain",
        {**CONVENTION, "gen_ai.provider.name": "Langchain"},
        GPT_USD,
        "nobody says who answered: priced as openai's",
    ),
    (
        "openinference.instrumentation.openai",
        {**OPENINFERENCE, "llm.token_count.completion_details.reasoning": 70},
        Decimal("0.00030"),
        "parts of its counts add up to more than the whole",
    ),
]


@pytest.mark.parametrize(("source", "attributes", "usd", "reason"), DOUBTFUL)
def test_what_is_doubtful_is_an_estimate(
    source: str, attributes: dict[str, Any], usd: Decimal, reason: str, backend: Any
) -> None:
    """Where a span may leave something out, its cost is labelled, and says why."""
    with track_task("work") as task:
        foreign(backend, source, attributes).end()
    assert task.cost.total == task.cost.estimated == leaf_sum(backend) == usd
    assert theirs(backend)["taskmeter.cost.status"] == "estimated"
    assert theirs(backend)["taskmeter.cost.status.reason"] == reason


@pytest.mark.parametrize("total", [{}, {"gen_ai.usage.total_tokens": 660}])
def test_counts_that_can_only_leave_cached_tokens_out(total: dict[str, int], backend: Any) -> None:
    """More cached tokens than input, or a total that needs them added: exact, whoever wrote it."""
    counts = {"gen_ai.usage.input_tokens": 200 if total else 100, "gen_ai.usage.output_tokens": 60}
    cached = 400 if total else 900
    attributes = {**CONVENTION, **counts, **total, "gen_ai.usage.cache_read.input_tokens": cached}
    with track_task("work") as task:
        foreign(backend, "acme.ai", attributes).end()
    assert task.usage.input_tokens == counts["gen_ai.usage.input_tokens"] + cached
    assert task.cost.estimated == 0 < task.cost.total


def test_a_model_without_a_price(backend: Any) -> None:
    """What a vLLM server of one's own answers is counted, and unpriced: no amount, and no 0."""
    own = {**CONVENTION, "gen_ai.provider.name": "vllm", "gen_ai.response.model": "acme/clerk-8b"}
    with track_task("work") as task:
        foreign(backend, "opentelemetry.instrumentation.openai.v1", own).end()
    assert (task.calls, task.unpriced_calls, task.usage.input_tokens) == (1, 1, 1000)
    assert theirs(backend)["taskmeter.cost.status"] == "unpriced"
    assert "gen_ai.usage.cost.amount" not in theirs(backend)


def test_a_call_without_a_usage(backend: Any) -> None:
    """Unpriced if it succeeded; without cost if it failed; waste if it failed and was billed."""
    silent = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-5-mini"}
    with track_task("work") as task:
        foreign(backend, "acme.ai", silent).end()
        for attributes in (silent, {**OF_LOGFIRE}):
            failing = foreign(backend, "acme.ai", attributes, "failed")
            failing.set_status(Status(StatusCode.ERROR))
            failing.end()
    assert (task.calls, task.unpriced_calls) == (3, 1)
    assert task.cost.total == task.cost.wasted == leaf_sum(backend) == Decimal("0.00037")


def test_outside_of_any_task(backend: Any) -> None:
    """Priced on its span and counted, in no task."""
    foreign(backend, "acme.ai", OF_LOGFIRE).end()
    assert leaf_sum(backend) == counted(backend) == Decimal("0.00037")
    [point] = backend.points("taskmeter.cost")
    assert "taskmeter.task.name" not in point.attributes


def test_a_span_that_outlives_its_task(backend: Any) -> None:
    """It is booked late to the task in which it began, and counted at once."""
    with track_task("work") as task:
        late = foreign(backend, "acme.ai", OF_LOGFIRE)
    assert task.cost.total == counted(backend) == 0
    late.end()
    assert task.cost.total == counted(backend) == Decimal("0.00037")
    assert theirs(backend)["taskmeter.task.id"] == task.id


def test_a_span_in_a_step_of_a_nested_task(backend: Any) -> None:
    """It belongs to the innermost scope; a discarded step makes it waste."""
    with track_task("outer") as outer, track_task("inner") as inner, track_step("draft") as step:
        foreign(backend, "acme.ai", OF_LOGFIRE).end()
        step.discard()
    assert inner.cost.self == inner.cost.wasted == outer.cost.total == Decimal("0.00037")
    assert outer.cost.self == 0


def test_a_context_that_was_lost_is_that_of_the_parent(backend: Any) -> None:
    """A tracer on callbacks knows the parent span only."""
    with track_task("work") as task:
        parent = trace.set_span_in_context(trace.get_current_span(), Context())
        foreign(backend, "acme.ai", OF_LOGFIRE, context=parent).end()
    assert task.calls == 1
    assert theirs(backend)["taskmeter.task.id"] == task.id


# --- several pictures of one call


def within(span: Any) -> Context:
    return trace.set_span_in_context(span)


def test_a_call_that_two_libraries_picture_one_in_the_other(backend: Any) -> None:
    """The inner one is the call, below an agent that carries the sum, and a framework's span of the same call."""
    with track_task("work") as task:
        agent = foreign(backend, "crewai", {**OPENINFERENCE, "openinference.span.kind": "AGENT"}, "agent")
        outer = foreign(
            backend, "openinference.instrumentation.langchain", OPENINFERENCE, "outer", context=within(agent)
        )
        request = foreign(backend, "app", {}, "between", context=within(outer))
        foreign(backend, "acme.ai", OF_LOGFIRE | {"gen_ai.response.id": "chatcmpl-1"}, context=within(request)).end()
        for span in (request, outer, agent):
            span.end()
    assert (task.calls, task.cost.total) == (1, Decimal("0.00037"))
    assert leaf_sum(backend) == counted(backend) == Decimal("0.00037")
    assert [span.name for span in backend.spans if "gen_ai.usage.cost.amount" in span.attributes] == ["theirs"]


def test_a_framework_span_with_the_sum_of_its_calls(backend: Any) -> None:
    """A span that calls itself a call, and holds two, is none."""
    doubled = {**OPENINFERENCE, "llm.token_count.prompt": 2000, "llm.token_count.completion": 120}
    with track_task("work") as task:
        outer = foreign(backend, "framework", doubled, "outer")
        for name in ("first", "second"):
            foreign(backend, "openinference.instrumentation.openai", OPENINFERENCE, name, context=within(outer)).end()
        outer.end()
    assert (task.calls, task.cost.total) == (2, 2 * GPT_USD)


def test_a_model_whose_tool_makes_a_call(backend: Any) -> None:
    """Both are calls: neither the model nor the counts are the same."""
    with track_task("work") as task:
        outer = foreign(backend, "opentelemetry.instrumentation.google_genai", dict(RECORDED[12][1]), "outer")
        foreign(backend, "openinference.instrumentation.openai", OPENINFERENCE, context=within(outer)).end()
        outer.set_attribute("gen_ai.usage.output_tokens", 100)
        outer.end()
    assert task.calls == 2


@pytest.mark.parametrize("ids", [("a", "a"), (None, "a"), (None, None)])
def test_a_call_that_two_libraries_picture_side_by_side(ids: tuple[str | None, str | None], backend: Any) -> None:
    """Recognised by the response's id, or where one does not state it by time, model and counts."""
    named = [{**CONVENTION, **({"gen_ai.response.id": name} if name else {})} for name in ids]
    with track_task("work") as task:
        spans = [
            foreign(backend, source, attributes, source)
            for source, attributes in zip(("openinference.a", "opentelemetry.b"), named, strict=True)
        ]
        for span in spans:
            span.end()
    assert (task.calls, task.cost.total) == (1, GPT_USD)
    assert leaf_sum(backend) == counted(backend) == GPT_USD


def test_calls_that_look_alike(backend: Any) -> None:
    """Three equal calls at once, seen by two libraries, are three; and so are three that one library saw."""
    with track_task("work") as task:
        both = [
            foreign(backend, source, CONVENTION, source)
            for source in ("openinference.a", "opentelemetry.b")
            for _ in range(3)
        ]
        for span in both:
            span.end()
    assert (task.calls, task.cost.total) == (3, 3 * GPT_USD)


@pytest.mark.parametrize(
    "change",
    [
        {"gen_ai.response.id": "b"},
        {"gen_ai.usage.output_tokens": 61, "gen_ai.response.id": ""},
        {"gen_ai.response.model": "gpt-5", "gen_ai.request.model": "gpt-5.4", "gen_ai.response.id": ""},
    ],
)
def test_calls_that_differ(change: dict[str, Any], backend: Any) -> None:
    """Another id, another count or another model is another call."""
    with track_task("work") as task:
        spans = [
            foreign(backend, "openinference.a", {**CONVENTION, "gen_ai.response.id": "a"}, "a"),
            foreign(backend, "opentelemetry.b", {**CONVENTION, **change}, "b"),
        ]
        for span in spans:
            span.end()
    assert task.calls == 2


def test_calls_one_after_the_other(backend: Any) -> None:
    """An equal call a while later is another one, whoever tells of it."""
    start = time.time_ns()
    with track_task("work") as task:
        foreign(backend, "openinference.a", CONVENTION, "a", start_time=start).end(start + 10**9)
        foreign(backend, "opentelemetry.b", CONVENTION, "b", start_time=start + 2 * 10**9).end(start + 3 * 10**9)
    assert task.calls == 2


class Unique(IdGenerator):
    """Hypothesis seeds what OpenTelemetry makes ids of, anew for each example."""

    def generate_span_id(self) -> int:
        return uuid.uuid4().int >> 64

    def generate_trace_id(self) -> int:
        return uuid.uuid4().int


Tree = tuple[str, list[Any]]
TREES = st.recursive(
    st.tuples(st.sampled_from(["call", "agent", "twice"]), st.just([])),
    lambda below: st.tuples(st.sampled_from(["agent", "task", "step"]), st.lists(below, max_size=3)),
    max_leaves=8,
)


@given(st.lists(TREES, max_size=3))
def test_law_every_call_is_booked_once(trees: list[Tree]) -> None:
    """Whatever is nested in what: leaves sum to the total, and each call is counted once."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(id_generator=Unique())
    provider.add_span_processor(TaskSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(CostExporter(memory)))
    run = SimpleNamespace(tracer_provider=provider, spans=[])

    def grow(kind: str, below: list[Any]) -> int:
        if kind in ("task", "step"):
            with track_task("inner") if kind == "task" else track_step("part"):
                return sum(grow(*each) for each in below)
        sums = {**CONVENTION, "gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 5000}
        if kind == "agent":
            with run.tracer_provider.get_tracer("agents").start_as_current_span("agent", attributes=sums):
                return sum(grow(*each) for each in below)
        said = {**CONVENTION, "gen_ai.response.id": uuid.uuid4().hex}
        with run.tracer_provider.get_tracer("openinference.a").start_as_current_span("call", attributes=said):
            if kind == "twice":
                foreign(run, "opentelemetry.b", said, "again").end()
        return 1

    with track_task("work") as task:
        calls = sum(grow(*each) for each in trees)
    run.spans = memory.get_finished_spans()
    assert task.calls == calls
    assert task.cost.total == leaf_sum(run) == calls * GPT_USD


# --- the exporter, bounds and faults


def test_exporter_leaves_all_else_as_it_is() -> None:
    """A span that is no call passes as the same object; one that is keeps events, links and what it dropped."""
    memory = InMemorySpanExporter()
    plain = InMemorySpanExporter()
    provider = TracerProvider(span_limits=SpanLimits(max_span_attributes=20, max_events=1))
    provider.add_span_processor(TaskSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(plain))
    provider.add_span_processor(SimpleSpanProcessor(CostExporter(memory)))
    tracer = provider.get_tracer("acme.ai")
    tracer.start_span("request").end()
    link = Link(SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1)))
    call = tracer.start_span("chat", links=[link])
    call.set_attributes({f"a{number}": number for number in range(20)})
    call.set_attributes(OF_LOGFIRE)
    call.add_event("first")
    call.add_event("second")
    call.end()
    (before, original), (after, annotated) = plain.get_finished_spans(), memory.get_finished_spans()
    assert before is after
    assert "gen_ai.usage.cost.amount" not in (original.attributes or {})
    assert (annotated.attributes or {})["gen_ai.usage.cost.amount"] == 0.00037
    assert annotated.dropped_attributes == original.dropped_attributes > 0
    assert annotated.dropped_events == original.dropped_events == 1
    assert (annotated.links, annotated.events) == (original.links, original.events)


def test_two_processors_book_once(backend: Any) -> None:
    """The application's and ours may both be there."""
    backend.tracer_provider.add_span_processor(TaskSpanProcessor())
    with track_task("work") as task:
        foreign(backend, "acme.ai", OF_LOGFIRE).end()
    assert (task.calls, leaf_sum(backend)) == (1, Decimal("0.00037"))


def test_what_is_remembered_is_bounded(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans that never end, and calls that nobody exports, push out the oldest."""
    monkeypatch.setattr(known, "MOST_OPEN", 50)
    monkeypatch.setattr(pictures, "MOST_KEPT", 50)
    monkeypatch.setattr(pictures, "_additions", {})
    tracer = backend.tracer_provider.get_tracer("leaky")
    for _ in range(100):
        tracer.start_span("never ends")
        foreign(backend, "acme.ai", OF_LOGFIRE, "call").end()
    assert (len(known._open), len(pictures._additions)) == (49, 50)  # one of those open gave way to the last call
    foreign(backend, "acme.ai", OF_LOGFIRE).end()
    assert theirs(backend)["gen_ai.usage.cost.amount"] == 0.00037


def broken(*args: Any) -> Any:
    raise ZeroDivisionError


def test_a_fault_of_ours_costs_the_price_only(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's span is exported as it would be without us, and the task goes on."""
    monkeypatch.setattr(_guard, "strict", False)
    monkeypatch.setattr(pictures, "_settle", broken)
    with track_task("work") as task:
        foreign(backend, "acme.ai", OF_LOGFIRE).end()
        charge("1")
    assert task.cost.total == 1
    assert theirs(backend) == {**OF_LOGFIRE, "taskmeter.task.id": task.id, "taskmeter.task.name": "work"}
    monkeypatch.undo()
    monkeypatch.setattr(_guard, "strict", False)
    monkeypatch.setattr(exporter, "_annotated", broken)
    foreign(backend, "acme.ai", OF_LOGFIRE, "second").end()
    assert "gen_ai.usage.cost.amount" not in backend.span("second").attributes
    assert {"telemetry.foreign_call", "telemetry.annotate"} <= set(_guard.faults)
