"""`FakeProvider`: real clients, no network, and errors that say what the test forgot."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pytest

from taskmeter import track_task
from taskmeter.demo.stub import Event, Json, Sse
from taskmeter.errors import UsageError
from taskmeter.testing import Answer, Billed, Error, FakeProvider, Request, ToolCall, recorded_tasks

MESSAGES: Any = [{"role": "user", "content": "Where is order 17?"}]
BILLED = Billed(input=1_000, output=100, cache_read=200)


def chat(client: Any, **options: Any) -> Any:
    return client.chat.completions.create(model="gpt-5-mini", messages=MESSAGES, **options)


def respond(client: Any, **options: Any) -> Any:
    return client.responses.create(model="gpt-5-mini", input="Where is order 17?", **options)


def embed(client: Any, **options: Any) -> Any:
    return client.embeddings.create(model="text-embedding-3-small", input=["one", "two"], **options)


def message(client: Any, **options: Any) -> Any:
    return client.messages.create(model="claude-sonnet-5", max_tokens=100, messages=MESSAGES, **options)


OPENAI = (openai.OpenAI, openai.AsyncOpenAI)
ANTHROPIC = (anthropic.Anthropic, anthropic.AsyncAnthropic)
GPT_USD = Decimal("0.000405")
"""800 tokens at $0.25, 200 cached at $0.025, 100 out at $2 per million."""
CLAUDE_USD = Decimal("0.00264")
"""800 tokens at $2, 200 cached at $0.20, 100 out at $10 per million."""


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("kinds", "program", "stream", "usd"),
    [
        (OPENAI, chat, False, GPT_USD),
        (OPENAI, chat, True, GPT_USD),
        (OPENAI, respond, False, GPT_USD),
        (OPENAI, respond, True, GPT_USD),
        (OPENAI, embed, False, Decimal("0.00002")),
        (ANTHROPIC, message, False, CLAUDE_USD),
        (ANTHROPIC, message, True, CLAUDE_USD),
    ],
)
def test_every_endpoint_bills_what_the_test_states(
    kinds: tuple[Any, Any], program: Callable[..., Any], stream: bool, usd: Decimal, asynchronous: bool
) -> None:
    """Whole or streamed, sync or async, by the SDK that is installed and the HTTP client that it is built on."""
    fake = FakeProvider(Answer("On its way.", BILLED))
    client: Any = fake.client(kinds[asynchronous])

    async def read_async() -> None:
        answer = await program(client, **({"stream": True} if stream else {}))
        if stream:
            assert [event async for event in answer]

    def read() -> None:
        answer = program(client, **({"stream": True} if stream else {}))
        if stream:
            assert list(answer)

    with recorded_tasks() as tasks, track_task("resolve"):
        asyncio.run(read_async()) if asynchronous else read()
    assert (tasks.only().cost.total, tasks.only().cost.estimated) == (usd, 0)
    assert fake.requests[0].streamed is stream


def test_an_answer_arrives_as_the_client_parses_it() -> None:
    """Text, tool calls, usage and the model that answers."""
    fake = FakeProvider(
        Answer("On its way.", BILLED, model="gpt-5-mini-2025-08-07"),
        Answer(tool_calls=[ToolCall("crm.lookup", {"order": 17})]),
        Answer("On its way."),
    )
    client = fake.client(openai.OpenAI)
    first, second = chat(client), chat(client)
    third = message(fake.client(anthropic.Anthropic))
    assert (first.choices[0].message.content, first.model) == ("On its way.", "gpt-5-mini-2025-08-07")
    assert first.usage.prompt_tokens_details.cached_tokens == 200
    assert second.choices[0].message.tool_calls[0].function.arguments == '{"order": 17}'
    assert (third.content[0].text, third.model) == ("On its way.", "claude-sonnet-5")
    assert (len(fake.requests), fake.replies_left) == (3, 0)


def test_requests_are_on_record() -> None:
    """What the application sent: path, headers, body."""
    fake = FakeProvider(then=Answer())
    respond(fake.client(openai.OpenAI, default_headers={"X-Team": "support"}))
    (request,) = fake.requests
    assert (request.method, request.path, request.provider) == ("POST", "/v1/responses", "openai")
    assert request.body["input"] == "Where is order 17?"
    assert (request.headers["x-team"], request.headers["authorization"]) == ("support", "Bearer test")


def test_retries_are_the_clients_own() -> None:
    """An error with a wait, then success: one call, two attempts."""
    fake = FakeProvider(Error(429, retry_after=0.01), Answer())
    with recorded_tasks() as tasks, track_task("resolve"):
        respond(fake.client(openai.OpenAI))
    assert (tasks.only().calls, tasks.only().attempts, tasks.only().retries) == (1, 2, 1)
    assert [request.retry_count for request in fake.requests] == [0, 1]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Error(401), openai.AuthenticationError),
        (Error(503), openai.InternalServerError),
        (TimeoutError(), openai.APITimeoutError),
        (ConnectionError(), openai.APIConnectionError),
    ],
)
def test_failures_arrive_as_the_clients_own_errors(reply: Any, expected: type[Exception]) -> None:
    """HTTP errors, and exceptions that the transport raises."""
    with pytest.raises(expected):
        respond(FakeProvider(then=reply).client(openai.OpenAI, max_retries=0))


def test_a_function_decides_by_the_request() -> None:
    """As one reply of a script, or for all of them."""

    def by_model(request: Request) -> Answer:
        return Answer(f"I am {request.body['model']}.")

    fake = FakeProvider(by_model, Answer("scripted"), then=by_model)
    client = fake.client(openai.OpenAI)
    assert [respond(client).output_text for _ in range(3)] == ["I am gpt-5-mini.", "scripted", "I am gpt-5-mini."]


def test_other_bodies_go_out_as_they_are() -> None:
    """A dict is the JSON; `Json` and `Sse` of the stub send what they hold."""
    models = {"object": "list", "data": [{"id": "gpt-5-mini", "object": "model", "created": 0, "owned_by": "x"}]}
    events = Sse([Event({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, name="error")])
    fake = FakeProvider(models, Json({"input_tokens": 7}), events)
    assert [model.id for model in fake.client(openai.OpenAI).models.list()] == ["gpt-5-mini"]
    client = fake.client(anthropic.Anthropic)
    assert client.messages.count_tokens(model="claude-sonnet-5", messages=MESSAGES).input_tokens == 7
    with pytest.raises(anthropic.APIStatusError, match="busy"):
        list(message(client, stream=True))


def test_a_request_that_nothing_was_scripted_for() -> None:
    """The client gets an error that names it, at once; leaving the block raises it if the application swallowed it."""
    fake = FakeProvider(Answer())
    client = fake.client(openai.OpenAI)
    with fake:
        respond(client)
    told = "POST /v1/responses is one request more than the 1 replies of the script"
    with pytest.raises(UsageError, match=told), fake, pytest.raises(openai.BadRequestError, match=told):
        respond(client)
    assert len(fake.requests) == 2


def test_a_function_that_fails() -> None:
    """The client is told, and the block raises what came of it."""

    def broken(request: Request) -> Answer:
        raise KeyError("order")

    fake = FakeProvider(then=broken)
    client = fake.client(anthropic.Anthropic)
    told = r"the reply to /v1/messages failed: KeyError\('order'\)"
    with pytest.raises(UsageError, match=told) as raised, fake, pytest.raises(anthropic.BadRequestError, match=told):
        message(client)
    assert isinstance(raised.value.__cause__, KeyError)


def test_an_error_of_the_block_is_its_own() -> None:
    """It is not covered up by a request too many."""
    with pytest.raises(openai.BadRequestError), FakeProvider() as fake:
        respond(fake.client(openai.OpenAI))


def test_an_answer_fits_no_other_endpoint() -> None:
    """The message says for which it is, and what to do."""
    with pytest.raises(openai.BadRequestError, match=r"/v1/moderations is none of .*reply with a dict"):
        FakeProvider(Answer()).client(openai.OpenAI).moderations.create(input="x")


def test_any_client_class_of_an_sdk() -> None:
    """Azure's, with its own options; a transport for an HTTP client of one's own."""
    fake = FakeProvider(then=Answer("Hello."))
    azure = fake.client(openai.AzureOpenAI, azure_endpoint="https://x.openai.azure.com", api_version="2025-01-01")
    assert chat(azure).choices[0].message.content == "Hello."
    http = openai.DefaultHttpxClient(transport=fake.transport(openai.OpenAI), headers={"X-Mine": "yes"})
    assert respond(openai.OpenAI(api_key="test", http_client=http)).output_text == "Hello."
    assert fake.requests[1].headers["x-mine"] == "yes"


@pytest.mark.parametrize("reply", ["text", 429, None, Answer, TimeoutError])
def test_what_is_no_reply_is_refused_at_once(reply: Any) -> None:
    """Before any request: the message lists what is one."""
    with pytest.raises(UsageError, match=r"is no reply; give an Answer\(\.\.\.\), an Error\(status\)"):
        FakeProvider(reply)


def test_what_needs_a_socket_is_refused() -> None:
    """A stream that is cut or slow."""
    with pytest.raises(UsageError, match="StubProvider"):
        FakeProvider(then=Sse([], cut_after=1))


@pytest.mark.parametrize("kind", [inspect.Signature, recorded_tasks, "openai"])
def test_what_is_no_client_class_is_refused(kind: Any) -> None:
    """The message says which are."""
    with pytest.raises(UsageError, match=r"is no client class of an SDK; pass openai\.OpenAI"):
        FakeProvider().client(kind)
