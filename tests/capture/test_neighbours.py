"""Other instrumentations of the same clients: around our hooks, inside them, beside them; who asks for silence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import openai
import pytest
import wrapt
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_http_instrumentation, suppress_instrumentation

from taskmeter import charge, instrument, track_task, track_tool, uninstrument
from taskmeter.demo.stub import Error, Script, StubProvider, anthropic_message, openai_chat
from taskmeter.telemetry import leaves
from tests.capture import programs as p
from tests.capture.harness import CLAUDE, CLAUDE_USD, GPT, GPT_USD, HTTP, Kit, Meter, attributes

CHAT = openai_chat(GPT)
SAID = {
    "openinference.span.kind": "LLM",
    "llm.system": "openai",
    "llm.model_name": GPT,
    "llm.token_count.prompt": 120,
    "llm.token_count.completion": 24,
}
"""What OpenInference says of that answer."""


def chat(kit: Kit) -> None:
    kit.openai().chat.completions.create(**p.CHAT)


@contextmanager
def neighbour(meter: Meter, **said: Any) -> Iterator[trace.Span]:
    """A span of another library that is current, and says at its end what it saw."""
    with meter.tracer_provider.get_tracer("openinference.instrumentation.openai").start_as_current_span(
        "theirs"
    ) as span:
        yield span
        span.set_attributes({**SAID, **said})


@pytest.fixture
def kit() -> Iterator[Kit]:
    with StubProvider(Script(CHAT, CHAT, CHAT)) as stub:
        kit = Kit(stub.url)
        yield kit
        kit.close()


def priced(meter: Meter) -> list[str]:
    """The names of the spans that carry money."""
    return [span.name for span in meter.exporter.get_finished_spans() if "gen_ai.usage.cost.amount" in attributes(span)]


def check(meter: Meter, task: Any, calls: int, usd: Decimal) -> None:
    assert (task.calls, task.cost.total, meter.leaf_sum()) == (calls, usd, usd)
    assert round(sum(Decimal(point.value) for point in meter.metric("taskmeter.cost")), 12) == usd


def test_around(meter: Meter, kit: Kit) -> None:
    """The span around our call is not one more."""
    with track_task("test") as task, neighbour(meter):
        chat(kit)
    check(meter, task, 1, GPT_USD)
    assert priced(meter) == [f"chat {GPT}"]


def test_around_with_a_fallback(meter: Meter) -> None:
    """Ours failed, and the library went elsewhere: what it says then is a call of its own."""
    with StubProvider(Script(Error(400))) as stub, track_task("test") as task:
        kit = Kit(stub.url)
        with neighbour(meter), pytest.raises(openai.BadRequestError):
            chat(kit)
        kit.close()
    check(meter, task, 2, GPT_USD)
    assert priced(meter) == ["theirs"]


def test_around_and_failed(meter: Meter) -> None:
    """A failed call is one, whoever else pictures it."""
    with StubProvider(Script(Error(400))) as stub, track_task("test") as task:
        kit = Kit(stub.url)
        with pytest.raises(openai.BadRequestError), neighbour(meter):
            chat(kit)
        kit.close()
    check(meter, task, 1, Decimal(0))


def test_inside(meter: Meter) -> None:
    """A span that starts inside our call's request is not one more."""

    def request(_: Any) -> None:
        with neighbour(meter):
            pass

    with StubProvider(Script(CHAT)) as stub, track_task("test") as task:
        kit = Kit(stub.url)
        client = kit.openai(http_client=HTTP.Client(event_hooks={"request": [request]}))
        client.chat.completions.create(**p.CHAT)
        kit.close()
    check(meter, task, 1, GPT_USD)
    assert priced(meter) == [f"chat {GPT}"]


@pytest.mark.parametrize("known_id", [True, False])
def test_beside(meter: Meter, kit: Kit, known_id: bool) -> None:
    """A tracer on callbacks, whose span is no parent of ours, tells of the same call: with its id or without."""
    said = {"gen_ai.response.id": CHAT["id"]} if known_id else {}
    tracer = meter.tracer_provider.get_tracer("openinference.instrumentation.langchain")
    with track_task("test") as task:
        span = tracer.start_span("theirs")
        chat(kit)
        span.set_attributes({**SAID, **said})
        span.end()
    check(meter, task, 1, GPT_USD)
    assert priced(meter) == [f"chat {GPT}"]


def test_beside_while_the_stream_is_open(meter: Meter) -> None:
    """Its span ends before our call does."""
    tracer = meter.tracer_provider.get_tracer("openinference.instrumentation.langchain")
    with StubProvider(Script(CHAT)) as stub, track_task("test") as task:
        kit = Kit(stub.url, public=True)
        span = tracer.start_span("theirs")
        stream = kit.openai().chat.completions.create(**p.CHAT, stream=True)
        next(stream)
        span.set_attributes(SAID)
        span.end()
        list(stream)
        kit.close()
    check(meter, task, 1, GPT_USD)


def test_another_call_beside(meter: Meter, kit: Kit) -> None:
    """One equal call of ours and two of a library that we do not hook: three calls, but for the one they share."""
    tracer = meter.tracer_provider.get_tracer("litellm")
    with track_task("test") as task:
        spans = [tracer.start_span(f"theirs {number}") for number in range(2)]
        chat(kit)
        for span in spans:
            span.set_attributes(SAID)
            span.end()
    assert task.calls == 2


def test_native_span_of_a_client_that_is_not_hooked() -> None:
    """It is priced as any other library's."""
    meter = Meter()
    with StubProvider(Script(anthropic_message(CLAUDE))) as stub, track_task("test") as task:
        kit = Kit(stub.url, traced=meter.tracer_provider)
        meter.instrument(kit.openai())
        try:
            kit.anthropic().messages.create(**p.MESSAGE)
        finally:
            meter.close()
        kit.close()
    assert (task.calls, task.cost.total, meter.leaf_sum()) == (1, CLAUDE_USD, CLAUDE_USD)
    assert priced(meter) == ["anthropic.messages.create"]


# --- who asks for silence


@contextmanager
def language_models_suppressed() -> Iterator[None]:
    """As OpenLLMetry's LangChain instrumentation does."""
    previous = otel.get_current()
    otel.attach(otel.set_value("suppress_language_model_instrumentation", True))
    try:
        yield
    finally:
        otel.attach(previous)


SILENCE = pytest.mark.parametrize("silence", [suppress_instrumentation, language_models_suppressed])


@SILENCE
def test_silenced_call_in_a_task(meter: Meter, kit: Kit, silence: Any) -> None:
    """No span and no metric of it, where it is made; its money is booked, and pictured when the task ends."""
    with track_task("test") as task:
        with silence():
            chat(kit)
        assert (task.calls, task.cost.total) == (1, GPT_USD)
        assert meter.exporter.get_finished_spans() == ()
    check(meter, task, 1, GPT_USD)
    leaf, ended = meter.exporter.get_finished_spans()
    assert (leaf.name, ended.name) == (f"charge {GPT}", "invoke_workflow test")
    assert leaf.parent is not None
    assert leaf.parent.span_id == ended.context.span_id
    assert attributes(leaf)["taskmeter.task.id"] == task.id
    assert meter.metric("gen_ai.client.operation.duration") == meter.metric("gen_ai.client.token.usage") == []


@SILENCE
@pytest.mark.parametrize("stream", [False, True])
def test_silenced_by_who_pictures_it(meter: Meter, silence: Any, stream: bool) -> None:
    """The span of whoever asked for silence carries the cost instead, in a task and outside of any."""
    with StubProvider(Script(CHAT, CHAT)) as stub:
        kit = Kit(stub.url, public=True)
        with track_task("test") as task, neighbour(meter), silence():
            answer = kit.openai().chat.completions.create(**p.CHAT, stream=stream)
            list(answer if stream else ())
        with neighbour(meter), silence():
            answer = kit.openai().chat.completions.create(**p.CHAT, stream=stream)
            list(answer if stream else ())
        kit.close()
    assert (task.cost.total, meter.leaf_sum()) == (GPT_USD, 2 * GPT_USD)
    assert priced(meter) == ["theirs", "theirs"]
    assert round(sum(Decimal(point.value) for point in meter.metric("taskmeter.cost")), 12) == 2 * GPT_USD


def test_silenced_retries(meter: Meter) -> None:
    """Failed attempts are not pictured either, nor where HTTP alone is silenced; they are counted."""
    for silence, spans in ((suppress_instrumentation, 2), (suppress_http_instrumentation, 2)):
        meter.exporter.clear()
        with StubProvider(Script(Error(429, retry_after=0.01), CHAT)) as stub, track_task("test") as task:
            kit = Kit(stub.url)
            with silence():
                chat(kit)
            kit.close()
        assert (task.retries, task.cost.total, meter.leaf_sum()) == (1, GPT_USD, GPT_USD)
        assert len(meter.exporter.get_finished_spans()) == spans


def test_silenced_task(meter: Meter, kit: Kit) -> None:
    """A task in a silenced place has no span; what it spent is pictured with the task around it."""
    with track_task("outer") as outer, suppress_instrumentation(), track_task("inner") as inner:
        chat(kit)
        charge("1")
        with track_tool("lookup", cost="2"):
            pass
    assert inner.cost.total == outer.cost.total == GPT_USD + 3
    assert meter.leaf_sum() == GPT_USD + 3
    assert {span.name for span in meter.exporter.get_finished_spans()} == {
        f"charge {GPT}",
        "charge other",
        "charge lookup",
        "invoke_workflow outer",
    }
    assert round(sum(Decimal(point.value) for point in meter.metric("taskmeter.cost")), 12) == GPT_USD + 3
    assert meter.metric("gen_ai.execute_tool.duration") == []
    assert [point.attributes["taskmeter.task.name"] for point in meter.metric("taskmeter.tasks")] == ["outer"]


def test_silence_that_was_never_lifted(meter: Meter) -> None:
    """OpenLLMetry's LangChain instrumentation leaves its key set: what is held back is bounded, and all there."""
    count = leaves.MOST_HELD + 20
    with track_task("test") as task, suppress_instrumentation():
        for _ in range(count):
            charge("1")
        assert len(meter.exporter.get_finished_spans()) == 20
    check(meter, task, 0, Decimal(count))


# --- who was there before us


@pytest.mark.parametrize("owner", [openai.OpenAI, openai.AsyncOpenAI])
def test_wrapper_on_a_subclass(owner: type, kit: Kit) -> None:
    """OpenInference wraps `OpenAI.request`, which it takes from the base class: our hooks go on top, and off again."""
    meter, seen = Meter(), []

    def theirs(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        seen.append(instance)
        return wrapped(*args, **kwargs)

    wrapt.wrap_function_wrapper(owner, "request", theirs)
    wrapper = owner.__dict__["request"]
    try:
        meter.instrument()
        meter.instrument()
        with track_task("test") as task:
            chat(kit)
            kit.openai().with_options(timeout=9).chat.completions.create(**p.CHAT)
        meter.close()
        assert owner.__dict__["request"] is wrapper
    finally:
        del owner.request  # type: ignore[attr-defined]
    assert (task.calls, task.cost.total) == (2, 2 * GPT_USD)
    assert len(seen) == (2 if owner is openai.OpenAI else 0)


def test_wrapper_that_came_after_us(kit: Kit) -> None:
    """One that is around our hook is left alone; so is a subclass's own method that calls it."""

    class Own(openai.OpenAI):
        def request(self, *args: Any, **kwargs: Any) -> Any:
            return super().request(*args, **kwargs)

    instrument()
    wrapt.wrap_function_wrapper(openai.OpenAI, "request", lambda wrapped, _, args, kwargs: wrapped(*args, **kwargs))
    wrapper, own = openai.OpenAI.__dict__["request"], Own.__dict__["request"]
    try:
        instrument()
        assert openai.OpenAI.__dict__["request"] is wrapper
        assert Own.__dict__["request"] is own
        with track_task("test") as task, Own(base_url=f"{kit.url}/v1", api_key="none") as client:
            client.chat.completions.create(**p.CHAT)
        assert task.calls == 1
    finally:
        uninstrument()
        del openai.OpenAI.request
