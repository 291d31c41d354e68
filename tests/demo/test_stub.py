"""The stub provider, as the real clients see it over real sockets."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import anthropic.types
import anthropic.types.beta
import httpx2
import openai
import openai.types
import openai.types.audio
import openai.types.beta.threads
import openai.types.chat
import openai.types.responses
import pytest
from pydantic import TypeAdapter

from taskmeter.demo.stub import (
    Billed,
    Error,
    Event,
    Handler,
    Hang,
    Json,
    Request,
    Script,
    Sse,
    StubProvider,
    ToolCall,
    anthropic_message,
    anthropic_message_stream,
    openai_chat,
    openai_chat_stream,
    openai_compaction,
    openai_completion,
    openai_decision,
    openai_embeddings,
    openai_images,
    openai_images_stream,
    openai_moderation,
    openai_response,
    openai_response_stream,
    openai_run,
    openai_timed_transcription,
    openai_transcription,
    openai_transcription_stream,
    openai_video,
    succeed,
)
from taskmeter.errors import UsageError

HELLO: Any = [{"role": "user", "content": "hello"}]
TEXT = "It is on its way: it left Rotterdam on Tuesday."
BILLED = Billed(input=1000, output=80, cache_read=600, cache_write=100, reasoning=30)
LOOKUP = ToolCall("lookup", {"order": 17, "customer": "acme"})


class Clients:
    """Real clients of one stub; every one is closed with the fixture."""

    def __init__(self, stub: StubProvider) -> None:
        self.stub = stub
        self.openai = openai.OpenAI(base_url=f"{stub.url}/v1", api_key="stub")
        self.anthropic = anthropic.Anthropic(base_url=stub.url, api_key="stub")

    def async_openai(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.stub.url}/v1", api_key="stub")

    def async_anthropic(self) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(base_url=self.stub.url, api_key="stub")


@pytest.fixture
def serve() -> Iterator[Callable[[Handler], Clients]]:
    """`serve(handler)` starts a stub and returns clients of it."""
    started: list[Clients] = []

    def start(handler: Handler) -> Clients:
        clients = Clients(StubProvider(handler).__enter__())
        started.append(clients)
        return clients

    yield start
    for clients in started:
        clients.openai.close()
        clients.anthropic.close()
        clients.stub.__exit__(None, None, None)


Serve = Callable[[Handler], Clients]


# --- bodies are what the SDKs' own strict models accept


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (openai.types.chat.ChatCompletion, openai_chat("gpt-5", TEXT, BILLED)),
        (openai.types.chat.ChatCompletion, openai_chat("gpt-5", billed=BILLED, tool_calls=[LOOKUP])),
        (openai.types.responses.Response, openai_response("gpt-5", TEXT, BILLED)),
        (openai.types.responses.Response, openai_response("gpt-5", tool_calls=[LOOKUP], billed=Billed(web_searches=2))),
        (openai.types.CreateEmbeddingResponse, openai_embeddings("text-embedding-3-small", 2)),
        (anthropic.types.Message, anthropic_message("claude-sonnet-5", TEXT, BILLED)),
        (
            anthropic.types.Message,
            anthropic_message("claude-sonnet-5", "", Billed(web_searches=1), tool_calls=[LOOKUP]),
        ),
        (anthropic.types.beta.BetaMessage, anthropic_message("claude-sonnet-5", TEXT, BILLED)),
        (openai.types.responses.CompactedResponse, openai_compaction("gpt-5", BILLED)),
        (openai.types.Completion, openai_completion("gpt-3.5-turbo-instruct", TEXT, BILLED)),
        (openai.types.ImagesResponse, openai_images(BILLED, image_input=100, text_output=10)),
        (openai.types.audio.Transcription, openai_transcription(TEXT, BILLED, audio_input=900)),
        (openai.types.audio.TranscriptionVerbose, openai_timed_transcription(TEXT, seconds=7.5)),
        (openai.types.ModerationCreateResponse, openai_moderation()),
        (openai.types.Video, openai_video()),
        (openai.types.Video, openai_video(status="failed")),
        (openai.types.beta.threads.Run, openai_run("gpt-5")),
        (openai.types.beta.threads.Run, openai_run("gpt-5", status="completed", billed=BILLED)),
        (openai.types.Decision, openai_decision("gpt-6-luna", [0.1, 0.9], BILLED)),
    ],
)
def test_a_body_passes_the_validation_of_the_sdks_own_model(model: Any, body: Any) -> None:
    """Every required field is there, with the right type."""
    model.model_validate(body)


@pytest.mark.parametrize(
    ("union", "events"),
    [
        (openai.types.chat.ChatCompletionChunk, openai_chat_stream(openai_chat("gpt-5", TEXT, BILLED))[:-1]),
        (
            openai.types.chat.ChatCompletionChunk,
            openai_chat_stream(openai_chat("gpt-5", tool_calls=[LOOKUP]), include_usage=False)[:-1],
        ),
        (openai.types.responses.ResponseStreamEvent, openai_response_stream(openai_response("gpt-5", TEXT, BILLED))),
        (
            openai.types.responses.ResponseStreamEvent,
            openai_response_stream(openai_response("gpt-5", tool_calls=[LOOKUP])),
        ),
        (openai.types.ImageGenStreamEvent, openai_images_stream(openai_images(), partials=2)),
        (openai.types.ImageEditStreamEvent, openai_images_stream(openai_images(), "image_edit")),
        (openai.types.audio.TranscriptionStreamEvent, openai_transcription_stream(openai_transcription(TEXT))),
        (
            anthropic.types.RawMessageStreamEvent,
            [
                event
                for event in anthropic_message_stream(anthropic_message("c", TEXT, BILLED, tool_calls=[LOOKUP]))
                if event.name != "ping"
            ],
        ),
    ],
)
def test_every_event_of_a_stream_passes_the_validation_of_the_sdks_own_model(union: Any, events: list[Event]) -> None:
    """Every required field is there, with the right type."""
    adapter: TypeAdapter[Any] = TypeAdapter(union)
    for event in events:
        adapter.validate_python(event.data)


# --- OpenAI


def test_a_chat_completion_carries_its_text_and_usage(serve: Serve) -> None:
    """Cached and reasoning tokens arrive as parts of the totals."""
    client = serve(lambda _: openai_chat("gpt-5-mini", TEXT, BILLED)).openai
    answer = client.chat.completions.create(model="gpt-5-mini", messages=HELLO)
    assert answer.choices[0].message.content == TEXT
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (1000, 80, 1080)
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 600
    assert answer.usage.prompt_tokens_details.cache_write_tokens == 100
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens == 30


@pytest.mark.parametrize("asked", [True, False])
def test_a_chat_stream_reports_usage_only_when_asked(serve: Serve, asked: bool) -> None:
    """Usage comes in a last chunk without choices, after the finish reason."""
    client = serve(lambda _: openai_chat("gpt-5-mini", TEXT, BILLED)).openai
    options: Any = {"stream_options": {"include_usage": True}} if asked else {}
    chunks = list(client.chat.completions.create(model="gpt-5-mini", messages=HELLO, stream=True, **options))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == TEXT
    assert [chunk.usage.prompt_tokens for chunk in chunks if chunk.usage] == ([1000] if asked else [])
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"


def test_the_chat_stream_helper_puts_tool_calls_together(serve: Serve) -> None:
    """Arguments come in fragments that join to the JSON that was scripted."""
    client = serve(lambda _: openai_chat("gpt-5-mini", tool_calls=[LOOKUP, LOOKUP])).openai
    tool: Any = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}
    with client.chat.completions.stream(model="gpt-5-mini", messages=HELLO, tools=[tool]) as stream:
        calls = stream.get_final_completion().choices[0].message.tool_calls
    assert calls is not None
    assert [call.function.arguments for call in calls] == ['{"order": 17, "customer": "acme"}'] * 2


@pytest.mark.parametrize("stream", [True, False])
def test_a_response_carries_text_usage_and_reasoning(serve: Serve, stream: bool) -> None:
    """The completed event of a stream is the same answer that JSON brings."""
    client = serve(lambda _: openai_response("gpt-5", TEXT, BILLED)).openai
    if stream:
        events = list(client.responses.create(model="gpt-5", input="hello", stream=True))
        assert events[0].type == "response.created"
        assert [event.sequence_number for event in events] == list(range(len(events)))
        last = events[-1]
        assert last.type == "response.completed"
        answer = last.response
        assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == TEXT
    else:
        answer = client.responses.create(model="gpt-5", input="hello")
    assert answer.output_text == TEXT
    assert [item.type for item in answer.output] == ["reasoning", "message"]
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (1000, 80)
    assert answer.usage.input_tokens_details.cached_tokens == 600
    assert answer.usage.output_tokens_details.reasoning_tokens == 30


def test_the_responses_stream_helper_puts_a_function_call_together(serve: Serve) -> None:
    """The SDK's own accumulator accepts the order of events."""
    client = serve(lambda _: openai_response("gpt-5", tool_calls=[LOOKUP])).openai
    with client.responses.stream(model="gpt-5", input="hello") as stream:
        (item,) = stream.get_final_response().output
    assert item.type == "function_call"
    assert item.arguments == '{"order": 17, "customer": "acme"}'


@pytest.mark.parametrize("encoding", [{}, {"encoding_format": "float"}])
def test_embeddings_come_as_base64_or_floats_as_asked(serve: Serve, encoding: Any) -> None:
    """The SDK asks for base64 unless told otherwise."""
    clients = serve(succeed)
    answer = clients.openai.embeddings.create(model="text-embedding-3-small", input=["a", "b"], **encoding)
    assert [item.embedding for item in answer.data] == [[0.125] * 8] * 2
    assert clients.stub.requests[0].body["encoding_format"] == ("float" if encoding else "base64")


# --- Anthropic


@pytest.mark.parametrize("beta", [True, False])
@pytest.mark.parametrize("stream", [True, False])
def test_a_message_carries_text_tools_and_every_kind_of_token(serve: Serve, beta: bool, stream: bool) -> None:
    """Stable and beta endpoint, whole and streamed, add up to the same message."""
    billed = Billed(
        input=1000, output=80, cache_read=600, cache_write=100, cache_write_1h=50, reasoning=30, web_searches=2
    )
    clients = serve(lambda _: anthropic_message("claude-sonnet-5", TEXT, billed, tool_calls=[LOOKUP]))
    messages: Any = clients.anthropic.beta.messages if beta else clients.anthropic.messages
    asked: Any = {"model": "claude-sonnet-5", "max_tokens": 100, "messages": HELLO}
    if stream:
        with messages.stream(**asked) as running:
            message = running.get_final_message()
    else:
        message = messages.create(**asked)
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    assert message.content[1].text == TEXT
    assert message.content[2].input == {"order": 17, "customer": "acme"}
    assert message.stop_reason == "tool_use"
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (250, 600, 150)
    assert usage.cache_creation.ephemeral_1h_input_tokens == 50
    assert usage.output_tokens == 80
    assert usage.server_tool_use.web_search_requests == 2


def test_the_default_handler_counts_tokens_lists_and_knows_what_it_does_not_know(serve: Serve) -> None:
    """Endpoints that are not calls answer too; an unknown path is a 404."""
    clients = serve(succeed)
    assert list(clients.openai.models.list()) == []
    assert clients.anthropic.messages.count_tokens(model="c", messages=HELLO).input_tokens == 16
    with pytest.raises(openai.NotFoundError):
        clients.openai.conversations.create()


# --- faults


def test_rate_limits_and_server_errors_are_retried_by_the_sdks_own_loops(serve: Serve) -> None:
    """Each retry is a request of its own, numbered by the SDK."""
    clients = serve(Script(Error(429, retry_after=0.01), Error(500, retry_after=0.01), then=succeed))
    assert clients.openai.responses.create(model="gpt-5", input="hello").output_text == "Done."
    assert [request.retry_count for request in clients.stub.requests] == [0, 1, 2]


@pytest.mark.parametrize(
    ("status", "openai_error", "openai_type", "anthropic_error", "anthropic_type"),
    [
        (400, openai.BadRequestError, "invalid_request_error", anthropic.BadRequestError, "invalid_request_error"),
        (429, openai.RateLimitError, "rate_limit_error", anthropic.RateLimitError, "rate_limit_error"),
        (500, openai.InternalServerError, "server_error", anthropic.InternalServerError, "api_error"),
        (529, openai.InternalServerError, "server_error", anthropic.OverloadedError, "overloaded_error"),
    ],
)
def test_an_error_wears_the_envelope_of_the_provider_that_was_asked(
    serve: Serve,
    status: int,
    openai_error: type[openai.APIStatusError],
    openai_type: str,
    anthropic_error: type[anthropic.APIStatusError],
    anthropic_type: str,
) -> None:
    """The SDKs find the type and the request id where they look for them."""
    clients = serve(lambda _: Error(status))
    with pytest.raises(openai_error) as ours:
        clients.openai.with_options(max_retries=0).responses.create(model="gpt-5", input="hello")
    assert ours.value.type == openai_type
    assert str(ours.value.request_id).startswith("req_")
    with pytest.raises(anthropic_error) as theirs:
        clients.anthropic.with_options(max_retries=0).messages.create(model="c", max_tokens=9, messages=HELLO)
    assert theirs.value.type == anthropic_type
    assert str(theirs.value.request_id).startswith("req_")


@pytest.mark.parametrize("whole", [0, 1, 4])
def test_a_cut_stream_brings_the_whole_events_before_the_cut_and_then_breaks(serve: Serve, whole: int) -> None:
    """The event in which the connection drops never arrives; the connection is not used again."""
    events = openai_chat_stream(openai_chat("gpt-5", TEXT))
    clients = serve(Script(Sse(events, cut_after=whole), then=succeed))
    received: list[Any] = []
    stream = clients.openai.chat.completions.create(model="gpt-5", messages=HELLO, stream=True)
    with pytest.raises(openai.APIConnectionError):
        received.extend(stream)
    assert len(received) == whole
    assert clients.openai.chat.completions.create(model="gpt-5", messages=HELLO).choices[0].message.content == "Done."


def test_a_cut_anthropic_stream_raises_the_transports_error(serve: Serve) -> None:
    """The Anthropic SDK lets it through as it is. `ping` is swallowed by the SDK."""
    events = anthropic_message_stream(anthropic_message("c", TEXT))
    client = serve(lambda _: Sse(events, cut_after=4)).anthropic
    received: list[Any] = []
    stream = client.messages.create(model="c", max_tokens=9, messages=HELLO, stream=True)
    with pytest.raises(httpx2.RemoteProtocolError):
        received.extend(stream)
    assert [event.type for event in received] == ["message_start", "content_block_start", "content_block_delta"]


def test_a_hanging_request_ends_with_the_clients_timeout_and_does_not_delay_the_end(serve: Serve) -> None:
    """Leaving the block ends whatever still hangs."""
    clients = serve(lambda _: Hang(60))
    with pytest.raises(openai.APITimeoutError):
        clients.openai.with_options(max_retries=0, timeout=0.05).responses.create(model="gpt-5", input="hello")


def test_a_hang_that_ends_closes_the_connection(serve: Serve) -> None:
    """No byte of an answer is sent."""
    client = serve(lambda _: Hang(0.01)).openai.with_options(max_retries=0)
    with pytest.raises(openai.APIConnectionError):
        client.responses.create(model="gpt-5", input="hello")


def test_a_stream_can_be_slow(serve: Serve) -> None:
    """Each event waits."""
    events = openai_chat_stream(openai_chat("gpt-5", "short"))
    client = serve(lambda _: Sse(events, delay_seconds=0.03)).openai
    start = time.monotonic()
    list(client.chat.completions.create(model="gpt-5", messages=HELLO, stream=True))
    assert time.monotonic() - start > 0.1


def test_a_client_may_drop_a_stream_early(serve: Serve) -> None:
    """The stub takes no offence, and serves the next request."""
    clients = serve(lambda _: openai_chat("gpt-5", TEXT * 2000))
    with clients.openai.chat.completions.create(model="gpt-5", messages=HELLO, stream=True) as stream:
        next(iter(stream))
    assert len(clients.openai.chat.completions.create(model="gpt-5", messages=HELLO).choices) == 1


# --- the program that owns the stub


def test_a_script_is_followed_in_order_and_may_mix_replies_bodies_and_handlers(serve: Serve) -> None:
    """A reply, a bare body and a handler are all steps."""
    script = Script(
        Json({"object": "response", "id": "resp_1", "model": "gpt-5", "output": []}, headers={"x-test": "yes"}),
        openai_response("gpt-5", "second"),
        lambda request: openai_response(request.body["model"], "third"),
    )
    clients = serve(script)
    raw = clients.openai.responses.with_raw_response.create(model="gpt-5", input="hello")
    assert raw.headers["x-test"] == "yes"
    assert script.replies_left == 2
    texts = [clients.openai.responses.create(model="gpt-5", input="hello").output_text for _ in range(2)]
    assert texts == ["second", "third"]


def test_a_request_too_many_is_told_to_the_client_and_raised_at_the_end() -> None:
    """A script that has run out does not go unnoticed, not even by a caller that swallows errors."""
    with (
        pytest.raises(UsageError, match=r"POST /v1/responses is one request more than the 0 replies"),
        StubProvider(Script()) as stub,
        openai.OpenAI(base_url=f"{stub.url}/v1", api_key="stub") as client,
        pytest.raises(openai.BadRequestError, match="the stub's handler failed"),
    ):
        client.responses.create(model="gpt-5", input="hello")
    assert len(stub.requests) == 1


def test_the_error_of_the_block_wins_over_the_handlers() -> None:
    """What went wrong first for the reader is what the reader sees."""
    with (
        pytest.raises(openai.BadRequestError),
        StubProvider(Script()) as stub,
        openai.OpenAI(base_url=f"{stub.url}/v1", api_key="stub") as client,
    ):
        client.responses.create(model="gpt-5", input="hello")


def test_requests_are_on_record() -> None:
    """Method, path, query, headers in lower case and the parsed body."""
    with StubProvider() as stub, anthropic.Anthropic(base_url=stub.url, api_key="stub") as client:
        client.messages.create(model="c", max_tokens=9, messages=HELLO, extra_query={"beta": "true"})
        (request,) = stub.requests
    assert (request.method, request.path, request.query) == ("POST", "/v1/messages", "beta=true")
    assert request.provider == "anthropic"
    assert request.headers["authorization"] == "Bearer stub"
    assert request.body == {"model": "c", "max_tokens": 9, "messages": HELLO}
    assert request == Request(request.method, request.path, "beta=true", request.headers, request.body)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"output": -1}, "Billed.output is -1; a count is 0 or more"),
        ({"input": 10, "cache_read": 11}, "Billed.input is 10, less than the cached tokens it includes"),
        ({"output": 10, "reasoning": 11}, "Billed.output is 10, less than the reasoning it includes"),
    ],
)
def test_counts_that_contradict_each_other_are_refused(counts: dict[str, int], message: str) -> None:
    """Parts never exceed their total."""
    with pytest.raises(UsageError, match=message):
        Billed(**counts)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: openai_chat("gpt-5", billed=Billed(cache_write_1h=5)), "OpenAI has no such cache"),
        (lambda: openai_chat("gpt-5", billed=Billed(web_searches=1)), "a chat completion reports none"),
    ],
)
def test_what_a_provider_cannot_bill_is_refused(build: Callable[[], object], message: str) -> None:
    """A body that no provider would send is not built."""
    with pytest.raises(UsageError, match=message):
        build()


def test_a_body_without_a_known_stream_is_refused(serve: Serve) -> None:
    """A stream of one's own goes in `Sse`."""
    with (
        pytest.raises(UsageError, match=r"no stream is known for a body with \['a'\]"),
        StubProvider(lambda _: {"a": 1}) as stub,
        httpx2.Client(trust_env=False) as client,
    ):
        client.post(f"{stub.url}/v1/responses", json={"stream": True})


# --- concurrency


def test_64_threads_get_64_times_their_own_answer(serve: Serve) -> None:
    """One thread per connection, answers do not mix."""
    clients = serve(lambda request: openai_response("gpt-5", request.body["input"]))

    def ask(number: int) -> str:
        return clients.openai.responses.create(model="gpt-5", input=f"question {number}").output_text

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(ask, range(256)))
    assert answers == [f"question {number}" for number in range(256)]
    assert len(clients.stub.requests) == 256


def test_async_clients_are_served_concurrently(serve: Serve) -> None:
    """Forty calls that each take 50 ms overlap."""
    slow = Sse(openai_response_stream(openai_response("gpt-5", "hi")), delay_seconds=0.005)
    clients = serve(lambda request: slow if request.provider == "openai" else anthropic_message("c", TEXT))

    async def run() -> tuple[list[str], str]:
        async with clients.async_openai() as ours, clients.async_anthropic() as theirs:

            async def ask() -> str:
                stream = await ours.responses.create(model="gpt-5", input="hello", stream=True)
                return [event.type async for event in stream][-1]

            async with theirs.messages.stream(model="c", max_tokens=9, messages=HELLO) as message:
                text = await message.get_final_text()
            return await asyncio.gather(*(ask() for _ in range(40))), text

    assert asyncio.run(run()) == (["response.completed"] * 40, TEXT)


def test_leaving_the_block_ends_idle_connections_and_leaves_no_thread() -> None:
    """Keep-alive clients that stay open do not keep the stub alive, and its port is free."""
    before = set(threading.enumerate())
    with openai.OpenAI(base_url="http://unused.invalid", api_key="stub") as unused:
        with StubProvider() as stub:
            client = unused.with_options(base_url=f"{stub.url}/v1")
            client.responses.create(model="gpt-5", input="hello")
            assert len(set(threading.enumerate()) - before) == 2
        assert set(threading.enumerate()) == before
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", int(stub.url.rpartition(":")[2]))) != 0
