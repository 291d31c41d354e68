"""Does everything that taskmeter watches, with a secret at every place where somebody may keep one."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import anthropic
import openai
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor
from pydantic import BaseModel

import taskmeter
from taskmeter import track_step, track_task, track_tool
from tests.capture.sdks import http_of
from tests.security.canary import CANARY, secret

HTTP: Any = http_of(openai)
TEXT = {"chat": "said", "refusal": "refused", "tool": "called"}


class Answer(BaseModel):
    done: bool


class Failing(SpanProcessor):
    """Of the application: its message has a secret."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        if "failing processor" in span.name:
            raise RuntimeError(secret("processor exception"))


def reply(request: Any) -> Any:
    """What the provider says: by the path, and by the status that the request asks for in a header."""
    status = int(request.headers.get("x-status", 200))
    headers = {"x-answer": secret("response header"), "x-litellm-response-cost": secret("cost header")}
    if request.headers.get("x-break"):
        raise HTTP.ConnectError(secret("connection exception"))
    if status != 200:
        body: Any = {"error": {"message": secret("provider error"), "type": "bad", "param": secret("error param")}}
        return HTTP.Response(status, json=body, headers={**headers, "retry-after-ms": "1"})
    asked = json.loads(request.content) if request.headers["content-type"] == "application/json" else {}
    path = request.url.path
    events = (
        anthropic_events if path.endswith("/messages") else response_events if path.endswith("/responses") else chunks
    )
    if asked.get("stream"):
        return HTTP.Response(200, content=events(), headers={**headers, "content-type": "text/event-stream"})
    return HTTP.Response(200, json=whole(path), headers=headers)


def whole(path: str) -> dict[str, Any]:
    if path.endswith("/messages"):
        blocks = [
            {"type": "thinking", "thinking": secret("thinking"), "signature": secret("signature")},
            {"type": "text", "text": secret("answer")},
            {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": secret("model-made argument")}},
        ]
        usage = {"input_tokens": 9, "output_tokens": 3}
        answered = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5", "usage": usage}
        return {**answered, "content": blocks, "stop_reason": "tool_use", "stop_sequence": secret("stop sequence")}
    if path.endswith("/responses"):
        return response()
    if path.endswith("/files"):
        return {"id": "file_1", "object": "file", "filename": secret("file name"), "bytes": 1, "purpose": "user_data"}
    function = {"name": "look", "arguments": json.dumps({"at": secret("model-made argument")})}
    calls = [{"id": "c1", "type": "function", "function": function}]
    message = {"role": "assistant", "content": secret("answer"), "refusal": secret("refusal"), "tool_calls": calls}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-5-mini", "choices": choices, "usage": usage}


def response() -> dict[str, Any]:
    content = [
        {"type": "output_text", "text": secret("answer"), "annotations": []},
        {"type": "refusal", "refusal": secret("refusal")},
    ]
    call = {
        "type": "function_call",
        "id": "f",
        "call_id": "c1",
        "name": "look",
        "arguments": json.dumps(secret("arguments")),
    }
    output = [{"type": "message", "id": "m", "role": "assistant", "content": content, "status": "completed"}, call]
    usage = {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}
    answered = {"id": "resp_1", "object": "response", "model": "gpt-5-mini", "status": "completed", "output": output}
    return {**answered, "usage": usage, "metadata": {"m": secret("metadata")}, "instructions": secret("instructions")}


def sse(*events: Any) -> bytes:
    return b"".join(f"event: {event.get('type', '')}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def chunks() -> bytes:
    delta = {"content": secret("streamed answer"), "refusal": secret("streamed refusal")}
    shared = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-5-mini"}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    return sse(
        {**shared, "choices": [{"index": 0, "delta": delta, "finish_reason": "stop"}]},
        {**shared, "choices": [], "usage": usage},
    )


def response_events() -> bytes:
    delta = {"type": "response.output_text.delta", "item_id": "m", "output_index": 0, "content_index": 0}
    return sse({**delta, "delta": secret("streamed answer")}, {"type": "response.completed", "response": response()})


def anthropic_events() -> bytes:
    message = {**whole("/messages"), "content": [], "stop_reason": None, "stop_sequence": None}
    return sse(
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": secret("streamed answer")}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    )


TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "look",
            "description": secret("tool definition"),
            "parameters": {"type": "object", "properties": {secret("parameter"): {"type": "string"}}},
        },
    }
]
CHAT: Any = {
    "model": "gpt-5-mini",
    "messages": [
        {"role": "system", "content": secret("system prompt")},
        {"role": "user", "content": secret("prompt"), "name": "someone"},
        {"role": "tool", "tool_call_id": "c1", "content": secret("tool result")},
    ],
    "tools": TOOLS,
    "metadata": {"ticket": secret("metadata")},
    "user": secret("user"),
    "safety_identifier": secret("safety identifier"),
    "extra_headers": {"x-secret": secret("extra header")},
    "extra_query": {"token": secret("extra query")},
}
RESPONSE: Any = {"model": "gpt-5-mini", "input": secret("prompt"), "instructions": secret("instructions")}
MESSAGE: Any = {
    "model": "claude-sonnet-5",
    "max_tokens": 100,
    "system": secret("system prompt"),
    "messages": [{"role": "user", "content": [{"type": "text", "text": secret("prompt")}]}],
    "metadata": {"user_id": secret("user id")},
    "stop_sequences": [secret("stop sequence")],
    "tools": [{"name": "look", "description": secret("tool definition"), "input_schema": {"type": "object"}}],
}
STATUS: Callable[[int], Any] = lambda status: {"extra_headers": {"x-status": str(status)}}  # noqa: E731
BASE = f"https://user:{secret('url-password').replace(' ', '-')}@gateway.example/v1"


@contextmanager
def anything() -> Iterator[None]:
    """Whatever a provider's SDK or a tool raises is the application's to handle."""
    with suppress(Exception):  # a secret is in its message, and must not be in what taskmeter makes of it
        yield


def openai_calls(transport: Any) -> None:
    client = openai.OpenAI(
        api_key=secret("key").replace(" ", "-"),
        base_url=BASE,
        default_headers={"x-default": secret("default header")},
        default_query={"sig": secret("default query")},
        http_client=HTTP.Client(transport=transport),
        max_retries=1,
    )
    for program in (
        lambda: client.chat.completions.create(**CHAT),
        lambda: client.chat.completions.with_raw_response.create(**CHAT).parse(),
        lambda: list(client.chat.completions.create(**CHAT, stream=True)),
        lambda: next(iter(client.chat.completions.create(**CHAT, stream=True))),
        lambda: client.chat.completions.parse(model="gpt-5-mini", messages=CHAT["messages"], response_format=Answer),
        lambda: client.responses.create(**RESPONSE),
        lambda: list(client.responses.create(**RESPONSE, stream=True)),
        lambda: client.chat.completions.create(**{**CHAT, **STATUS(400)}),
        lambda: client.chat.completions.create(**{**CHAT, **STATUS(500)}),
        lambda: client.chat.completions.create(**{**CHAT, "extra_headers": {"x-break": "1"}}),
        lambda: client.files.create(file=(secret("file name"), b"x"), purpose="user_data"),
        lambda: client.audio.transcriptions.create(model="whisper-1", file=(secret("file name"), b"x")),
        lambda: client.embeddings.create(model="text-embedding-3-small", input=secret("prompt")),
    ):
        with anything():
            program()  # type: ignore[no-untyped-call]


def anthropic_calls(transport: Any, **options: Any) -> None:
    client = anthropic.Anthropic(
        api_key=secret("key").replace(" ", "-"),
        base_url=BASE,
        default_headers={"x-default": secret("default header")},
        http_client=HTTP.Client(transport=transport),
        max_retries=1,
        **options,
    )

    @anthropic.beta_tool
    def look(at: str) -> str:
        """Fails: its message has a secret."""
        raise ValueError(secret("tool exception") + at)

    for program in (
        lambda: client.messages.create(**MESSAGE),
        lambda: list(client.messages.create(**MESSAGE, stream=True)),
        lambda: client.messages.create(**MESSAGE, **STATUS(400)),
        lambda: client.messages.create(**MESSAGE, **STATUS(500)),
        lambda: client.messages.create(**MESSAGE, extra_headers={"x-break": "1"}),
        lambda: client.beta.messages.tool_runner(
            model="claude-sonnet-5", max_tokens=9, messages=MESSAGE["messages"], tools=[look], max_iterations=2
        ).until_done(),
    ):
        with anything():
            program()  # type: ignore[no-untyped-call]


async def asynchronous(transport: Any) -> None:
    http = HTTP.AsyncClient(transport=transport)
    aopenai = openai.AsyncOpenAI(api_key=secret("key").replace(" ", "-"), base_url=BASE, http_client=http)
    aanthropic = anthropic.AsyncAnthropic(api_key=secret("key").replace(" ", "-"), base_url=BASE, http_client=http)
    await aopenai.chat.completions.create(**CHAT)
    async for _ in await aopenai.chat.completions.create(**CHAT, stream=True):
        pass
    await aanthropic.messages.create(**MESSAGE)
    async for _ in await aanthropic.messages.create(**MESSAGE, stream=True):
        pass
    with anything():
        await aopenai.chat.completions.create(**{**CHAT, **STATUS(400)})


async def mcp() -> None:
    from mcp import Client

    from tests.capture.mcp_server import server

    async with Client(server) as client:
        for tool in ("order_status", "refund"):
            with anything():
                await client.call_tool(tool, {"order": secret("argument")})


@track_tool("lookup", cost="0.01")
def lookup(question: str) -> str:
    if "fail" in question:
        raise LookupError(secret("tool exception") + question)
    return secret("tool result")


def refuse(*_: object, **__: object) -> str:
    raise LookupError(secret("callable exception"))


@track_task("callables", key=refuse, customer=refuse)
def callables(_prompt: str) -> None:
    """Its callables fail, or say what is no amount."""
    track_tool("cost", cost=refuse)(secret)("tool result")
    track_tool("amount", cost=lambda _: secret("no amount"))(secret)("tool result")  # type: ignore[arg-type, return-value]
    track_tool("quantity", cost="1", unit="page", quantity=refuse)(secret)("tool result")  # type: ignore[arg-type]


def tasks(transport: Any) -> None:
    with track_task("resolve", key="T-1", customer="acme", labels={"channel": "mail"}) as task:
        with track_step("draft") as step:
            openai_calls(transport)
            step.discard("failed validation")
        anthropic_calls(transport)
        anthropic_calls(transport, open_telemetry=False)
        asyncio.run(asynchronous(transport))
        asyncio.run(mcp())
        lookup(secret("tool argument"))
        with anything():
            lookup("fail " + secret("tool argument"))
        trace.get_tracer("app").start_span("ours").end()
        with anything(), track_step("failing processor"):
            pass
        task.succeed(value="2")
    with anything(), track_task("failing"):
        raise RuntimeError(secret("task exception"))
    callables(secret("prompt"))
    taskmeter.record_outcome(key="T-1", status="failed", reason="reopened")
    for wrong in (lambda: taskmeter.charge(secret("amount")), lambda: taskmeter.instrument(secret("client"))):  # type: ignore[arg-type]
        with suppress(taskmeter.TaskmeterError):  # shows what it was given, by the application, to say what is wrong
            wrong()


def main() -> None:
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    logging.getLogger("taskmeter").setLevel(logging.DEBUG)
    logging.getLogger("openai").setLevel(logging.CRITICAL)
    logging.getLogger("anthropic").setLevel(logging.CRITICAL)
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    warnings.simplefilter("always")
    os.environ["SECRET_OF_THE_APPLICATION"] = secret("environment")
    setup = taskmeter.configure(service_name="shop", spool="spool")
    trace.get_tracer_provider().add_span_processor(Failing())  # type: ignore[attr-defined]
    tasks(HTTP.MockTransport(reply))
    sys.stdout.write(f"{taskmeter.diagnose()} {taskmeter.diagnose().as_dict()}\n")
    assert CANARY not in repr(setup.settings)
    setup.flush()


if __name__ == "__main__":
    main()
