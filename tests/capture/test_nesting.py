"""What happens inside a call without being its answer: credentials, nested calls, the application's middleware."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import anthropic
import openai
import pytest
import wrapt
from opentelemetry.trace import get_current_span

from taskmeter import track_task
from taskmeter.demo.stub import Billed, Error, Script, StubProvider, anthropic_message, openai_chat, openai_response
from tests.capture import programs as p
from tests.capture.harness import CLAUDE, CLAUDE_USD, GPT, GPT_USD, HTTP, Kit, Meter, attributes, run_metered

MESSAGE = anthropic_message(CLAUDE)
SMALL = anthropic_message(CLAUDE, "No.", Billed(input=10, output=2))
SMALL_USD = Decimal("0.00004")


@pytest.fixture(params=[False, True], ids=["ours", "native"])
def traced(request: pytest.FixtureRequest, meter: Meter) -> Any:
    return meter.tracer_provider if request.param else False


def test_request_of_an_authentication_flow_is_not_the_answer(meter: Meter) -> None:
    """An HTTP auth flow may send requests of its own through the same client."""

    class Flow(HTTP.Auth):
        requires_response_body = True

        def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
            token = yield HTTP.Request("GET", f"{stub.url}/v1/token")
            request.headers["x-token"] = str(token.status_code)
            yield request

    with StubProvider() as stub, track_task("test") as task:
        client = Kit(stub.url).openai(http_client=HTTP.Client(auth=Flow()))
        client.chat.completions.create(**p.CHAT)
        client.close()
        assert [request.path for request in stub.requests] == ["/v1/token", "/v1/chat/completions"]
    assert (task.calls, task.attempts, task.unpriced_calls) == (1, 1, 0)
    assert len(meter.model_spans()) == 1


def test_credentials_that_another_observed_client_fetches(meter: Meter) -> None:
    """A nested request that is no call is nobody's answer; a nested call is a call of its own."""
    with StubProvider(Script({"data": []}, SMALL, openai_chat(GPT))) as stub, track_task("test") as task:
        kit = Kit(stub.url)
        inner, helper = kit.openai(), kit.anthropic()

        def credentials() -> str:
            inner.models.list()
            helper.messages.create(**p.MESSAGE)
            return "token"

        client = openai.AzureOpenAI(
            azure_endpoint=stub.url, api_version="2025-04-01", azure_ad_token_provider=credentials
        )
        client.chat.completions.create(**p.CHAT)
        client.close()
        kit.close()
    assert task.calls == 2
    assert task.cost.total == meter.leaf_sum() == GPT_USD + SMALL_USD
    inner_span, outer_span = meter.model_spans()
    assert (inner_span.name, outer_span.name) == ("chat claude-sonnet-5", "chat gpt-5-mini")
    assert attributes(outer_span)["gen_ai.usage.input_tokens"] == 120


def test_async_credentials_that_another_observed_client_fetches(meter: Meter) -> None:
    """As in the synchronous client: listing models inside a call is not that call's answer."""

    async def main(url: str) -> None:
        async with Kit(url).aopenai() as inner:

            async def credentials() -> str:
                await inner.models.list()
                return "token"

            async with openai.AsyncAzureOpenAI(
                azure_endpoint=url, api_version="2025-04-01", azure_ad_token_provider=credentials
            ) as client:
                await client.chat.completions.create(**p.CHAT)

    with StubProvider(Script({"data": []}, openai_chat(GPT))) as stub, track_task("test") as task:
        asyncio.run(main(stub.url))
    assert (task.calls, task.unpriced_calls) == (1, 0)
    assert task.cost.total == meter.leaf_sum() == GPT_USD


def test_nested_call_of_a_client_that_is_not_observed() -> None:
    """It is neither counted nor taken for the answer of the call around it."""
    meter = Meter()
    with StubProvider(Script(SMALL, openai_chat(GPT))) as stub, track_task("test") as task:
        kit = Kit(stub.url)
        hidden = kit.anthropic()
        hook = {"request": [lambda _: hidden.messages.create(**p.MESSAGE)]}
        client = kit.openai(http_client=HTTP.Client(event_hooks=hook))
        meter.instrument(client)
        try:
            client.chat.completions.create(**p.CHAT)
        finally:
            meter.close()
        kit.close()
    assert (task.calls, task.cost.total) == (1, GPT_USD)


def test_context_of_the_caller_is_as_before(meter: Meter) -> None:
    """After a call, failed or not, the current span and task are those that were current."""
    with StubProvider(Script(Error(400), openai_chat(GPT))) as stub, track_task("test") as task:
        outer = get_current_span()
        client = Kit(stub.url).openai()
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(**p.CHAT)
        assert get_current_span() is outer
        client.chat.completions.create(**p.CHAT)
        assert get_current_span() is outer
        client.close()
    assert all(span.parent and span.parent.span_id == outer.get_span_context().span_id for span in meter.spans("call"))
    assert task.calls == 2


class Closure:
    """A wrapper of a neighbour's that makes of itself a plain function, not a method."""

    def __init__(self, function: Any, seen: list[Any]) -> None:
        self._function, self._seen = function, seen

    def __get__(self, stream: Any, owner: type) -> Any:
        return lambda: watched(self._function.__get__(stream, owner)(), self._seen)


def transparent(function: Any, seen: list[Any]) -> Any:
    """A neighbour's wrapper that says to be the method that it wraps."""
    return wrapt.FunctionWrapper(function, lambda wrapped, _, args, kwargs: watched(wrapped(*args, **kwargs), seen))


def watched(events: Any, seen: list[Any]) -> Any:
    for event in events:
        seen.append(event)
        yield event


@pytest.mark.parametrize("wrapper", [Closure, transparent])
@pytest.mark.parametrize("beneath", [True, False], ids=["beneath", "above"])
def test_wrapper_of_a_neighbour_on_the_same_stream(
    wrapper: Any, monkeypatch: pytest.MonkeyPatch, *, beneath: bool
) -> None:
    """Whoever came first, it sees every event, and so do we and the application."""
    seen: list[Any] = []
    meter = Meter()

    def put_on() -> None:
        monkeypatch.setattr(openai.Stream, "__stream__", wrapper(vars(openai.Stream)["__stream__"], seen))

    for step in (put_on, meter.instrument) if beneath else (meter.instrument, put_on):
        step()
    run = run_metered(p.response_stream, (openai_response(GPT),), meter)
    for step in (meter.close, monkeypatch.undo) if beneath else (monkeypatch.undo, meter.close):
        step()
    assert [event.type for event in seen] == [event["type"] for _, event in run.seen[1]]
    assert seen[-1].type == "response.completed"
    assert (run.task.calls, run.task.cost.total, meter.leaf_sum()) == (1, GPT_USD, GPT_USD)


def passing(request: Any, call_next: Any) -> Any:
    return call_next(request)


def tracing(meter: Meter) -> Any:
    def middleware(request: Any, call_next: Any) -> Any:
        with meter.tracer_provider.get_tracer("app").start_as_current_span("middleware"):
            return call_next(request)

    return middleware


def asking_again(request: Any, call_next: Any) -> Any:
    answer = call_next(request).parse()
    return call_next(request) if answer.content[0].text == "No." else answer


def cached(request: Any, call_next: Any) -> Any:
    return anthropic.types.Message.model_validate(MESSAGE)


def called(meter: Meter, middleware: list[Any], replies: list[Any], traced: Any) -> Any:
    with StubProvider(Script(*replies)) as stub, track_task("test") as task:
        client = Kit(stub.url, traced=traced).anthropic(middleware=middleware)
        answer = client.messages.create(**p.MESSAGE)
        client.close()
    [span] = meter.model_spans()
    assert task.cost.total == meter.leaf_sum()
    return SimpleNamespace(answer=answer, task=task, span=span, found=attributes(span))


def test_middleware_that_passes_on(meter: Meter, traced: Any) -> None:
    """One span, exact, with the retries of the SDK's own loop."""
    run = called(meter, [passing, passing], [Error(429, retry_after=0.01), MESSAGE], traced)
    assert (run.task.calls, run.task.attempts, run.task.cost.total) == (1, 2, CLAUDE_USD)
    assert run.found["taskmeter.cost.status"] == "exact"
    [attempt] = meter.spans("attempt")
    assert attempt.parent is not None
    assert attempt.parent.span_id == run.span.context.span_id


def test_middleware_with_a_span_of_its_own(meter: Meter, traced: Any) -> None:
    """The cost goes on the span of the call, not on the one that happens to be current."""
    run = called(meter, [tracing(meter)], [MESSAGE], traced)
    assert run.found["taskmeter.cost.exact"] == "0.00048"
    [other] = [span for span in meter.exporter.get_finished_spans() if span.name == "middleware"]
    assert "taskmeter.cost.exact" not in attributes(other)
    assert "taskmeter.span.kind" not in attributes(other)


def test_middleware_that_asks_again(meter: Meter, traced: Any) -> None:
    """Both answers were billed: the last is on the span, the one thrown away is waste on a leaf of its own."""
    run = called(meter, [asking_again], [SMALL, MESSAGE], traced)
    assert run.answer.content[0].text == "Done."
    assert (run.task.calls, run.task.attempts, run.task.retries) == (1, 2, 1)
    assert run.task.cost.total == CLAUDE_USD + SMALL_USD
    assert run.task.cost.wasted == SMALL_USD
    assert run.task.usage.input_tokens == 130
    assert run.found["taskmeter.cost.exact"] == "0.00048"
    [leaf] = meter.spans("charge")
    assert attributes(leaf)["taskmeter.cost.exact"] == "0.00004"
    assert attributes(leaf)["taskmeter.waste.class"] == "retry"


def test_middleware_that_answers_itself(meter: Meter, traced: Any) -> None:
    """Nothing was sent, so nothing was billed: that is known, and no unpriced call."""
    run = called(meter, [cached], [], traced)
    assert run.answer.id == MESSAGE["id"]
    assert (run.task.calls, run.task.cost.total, run.task.unpriced_calls) == (1, 0, 0)


def test_async_middleware_that_asks_again(meter: Meter, traced: Any) -> None:
    """As in the synchronous client."""

    async def again(request: Any, call_next: Any) -> Any:
        await call_next(request)
        return await call_next(request)

    async def main(url: str) -> None:
        async with Kit(url, traced=traced).aanthropic(middleware=[again]) as client:
            await client.messages.create(**p.MESSAGE)

    with StubProvider(Script(SMALL, MESSAGE)) as stub, track_task("test") as task:
        asyncio.run(main(stub.url))
    assert len(meter.model_spans()) == 1
    assert task.cost.total == meter.leaf_sum() == CLAUDE_USD + SMALL_USD


def test_middleware_and_a_stream(meter: Meter, traced: Any) -> None:
    """A stream that went through middleware is observed like any other."""
    with StubProvider(Script(MESSAGE)) as stub, track_task("test") as task:
        client = Kit(stub.url, traced=traced).anthropic(middleware=[passing])
        events = list(client.messages.create(**p.MESSAGE, stream=True))
        client.close()
    assert events[-1].type == "message_stop"
    assert (task.calls, task.cost.total) == (1, CLAUDE_USD)
    [span] = meter.model_spans()
    assert attributes(span)["taskmeter.cost.exact"] == "0.00048"
