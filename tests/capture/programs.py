"""Small programs, each one call: what an application does with a client, on every surface and to every ending."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import openai
from pydantic import BaseModel

from tests.capture.harness import CLAUDE, GPT, MESSAGES, Kit


class Answer(BaseModel):
    done: bool


CHAT: Any = {"model": GPT, "messages": MESSAGES}
RESPONSE: Any = {"model": GPT, "input": "Where is order 17?"}
MESSAGE: Any = {"model": CLAUDE, "max_tokens": 100, "messages": MESSAGES}

# --- OpenAI chat


def chat(kit: Kit) -> Any:
    return kit.openai().chat.completions.create(**CHAT)


async def chat_async(kit: Kit) -> Any:
    async with kit.aopenai() as client:
        return await client.chat.completions.create(**CHAT)


def parsing(client: Any) -> Any:
    """Where `parse` and `stream` are: they were born in beta."""
    stable = client.chat.completions
    return stable if hasattr(stable, "parse") else client.beta.chat.completions


def chat_parse(kit: Kit) -> Any:
    return parsing(kit.openai()).parse(**CHAT, response_format=Answer)


async def chat_parse_async(kit: Kit) -> Any:
    async with kit.aopenai() as client:
        return await parsing(client).parse(**CHAT, response_format=Answer)


def chat_raw(kit: Kit) -> Any:
    raw = kit.openai().chat.completions.with_raw_response.create(**CHAT)
    return [type(raw).__qualname__, raw.status_code, raw.parse(), raw.text]


async def chat_raw_async(kit: Kit) -> Any:
    async with kit.aopenai() as client:
        raw = await client.chat.completions.with_raw_response.create(**CHAT)
        return [type(raw).__qualname__, raw.status_code, raw.parse(), raw.text]


def chat_streaming_response(kit: Kit) -> Any:
    with kit.openai().chat.completions.with_streaming_response.create(**CHAT) as response:
        return [type(response).__qualname__, response.parse()]


async def chat_streaming_response_async(kit: Kit) -> Any:
    async with kit.aopenai() as client, client.chat.completions.with_streaming_response.create(**CHAT) as response:
        return [type(response).__qualname__, await response.parse()]


def chat_clone(kit: Kit) -> Any:
    return kit.openai().with_options(timeout=5.0, max_retries=0).chat.completions.create(**CHAT)


def chat_module_level(kit: Kit) -> Any:
    openai.api_key, openai.base_url = "stub", f"{kit.url}/v1/"
    try:
        return openai.chat.completions.create(**CHAT)
    finally:
        openai._reset_client()  # type: ignore[no-untyped-call]
        openai.api_key = openai.base_url = None


def chat_low_level(kit: Kit) -> Any:
    return kit.openai().post("/chat/completions", body=CHAT, cast_to=object)


def azure_chat(kit: Kit) -> Any:
    client = openai.AzureOpenAI(
        azure_endpoint=kit.url, azure_deployment="house-gpt", api_version="2025-04-01", api_key="stub"
    )
    with client:
        return client.chat.completions.create(**CHAT)


def chat_stream(kit: Kit) -> Any:
    stream = kit.openai().chat.completions.create(**CHAT, stream=True)
    return [type(stream).__qualname__, isinstance(stream, openai.Stream), list(stream)]


async def chat_stream_async(kit: Kit) -> Any:
    async with kit.aopenai() as client:
        stream = await client.chat.completions.create(**CHAT, stream=True)
        return [type(stream).__qualname__, isinstance(stream, openai.AsyncStream), [event async for event in stream]]


def chat_stream_with_usage(kit: Kit) -> Any:
    options: Any = {"include_usage": True}
    return list(kit.openai().chat.completions.create(**CHAT, stream=True, stream_options=options))


def chat_stream_without_usage(kit: Kit) -> Any:
    options: Any = {"include_usage": False}
    return list(kit.openai().chat.completions.create(**CHAT, stream=True, stream_options=options))


def chat_stream_raw(kit: Kit) -> Any:
    return list(kit.openai().chat.completions.with_raw_response.create(**CHAT, stream=True).parse())


def chat_stream_streaming_response(kit: Kit) -> Any:
    with kit.openai().chat.completions.with_streaming_response.create(**CHAT, stream=True) as response:
        return list(response.parse())


def chat_helper(kit: Kit) -> Any:
    with parsing(kit.openai()).stream(**CHAT) as stream:
        return [type(stream).__qualname__, [event.type for event in stream], stream.get_final_completion()]


async def chat_helper_async(kit: Kit) -> Any:
    async with kit.aopenai() as client, parsing(client).stream(**CHAT) as stream:
        return [type(stream).__qualname__, [e.type async for e in stream], await stream.get_final_completion()]


# --- OpenAI Responses, embeddings


def response(kit: Kit) -> Any:
    return kit.openai().responses.create(**RESPONSE)


async def response_async(kit: Kit) -> Any:
    async with kit.aopenai() as client:
        return await client.responses.create(**RESPONSE)


def response_parse(kit: Kit) -> Any:
    return kit.openai().responses.parse(**RESPONSE, text_format=Answer)


def response_stream(kit: Kit) -> Any:
    return list(kit.openai().responses.create(**RESPONSE, stream=True))


async def response_stream_async(kit: Kit) -> Any:
    async with kit.aopenai() as client:
        return [event async for event in await client.responses.create(**RESPONSE, stream=True)]


def response_helper(kit: Kit) -> Any:
    with kit.openai().responses.stream(**RESPONSE) as stream:
        return [[event.type for event in stream], stream.get_final_response()]


def embeddings(kit: Kit) -> Any:
    return kit.openai().embeddings.create(model="text-embedding-3-small", input=["a", "b"])


async def embeddings_async(kit: Kit) -> Any:
    async with kit.aopenai() as client:
        return await client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])


# --- Anthropic messages


def message(kit: Kit) -> Any:
    return kit.anthropic().messages.create(**MESSAGE)


async def message_async(kit: Kit) -> Any:
    async with kit.aanthropic() as client:
        return await client.messages.create(**MESSAGE)


def message_beta(kit: Kit) -> Any:
    return kit.anthropic().beta.messages.create(**MESSAGE, betas=["context-1m-2025-08-07"])


def message_raw(kit: Kit) -> Any:
    raw = kit.anthropic().messages.with_raw_response.create(**MESSAGE)
    return [type(raw).__qualname__, raw.parse()]


def message_streaming_response(kit: Kit) -> Any:
    with kit.anthropic().messages.with_streaming_response.create(**MESSAGE) as response:
        return [type(response).__qualname__, response.parse()]


async def message_streaming_response_async(kit: Kit) -> Any:
    async with kit.aanthropic() as client, client.messages.with_streaming_response.create(**MESSAGE) as response:
        return [type(response).__qualname__, await response.parse()]


def message_clone(kit: Kit) -> Any:
    return kit.anthropic().with_options(timeout=5.0).messages.create(**MESSAGE)


def message_parse(kit: Kit) -> Any:
    return kit.anthropic().messages.parse(**MESSAGE, output_format=Answer)


def message_stream(kit: Kit) -> Any:
    stream = kit.anthropic().messages.create(**MESSAGE, stream=True)
    return [type(stream).__qualname__, list(stream)]


async def message_stream_async(kit: Kit) -> Any:
    async with kit.aanthropic() as client:
        return [event async for event in await client.messages.create(**MESSAGE, stream=True)]


def message_stream_beta(kit: Kit) -> Any:
    return list(kit.anthropic().beta.messages.create(**MESSAGE, stream=True))


def message_stream_raw(kit: Kit) -> Any:
    return list(kit.anthropic().messages.with_raw_response.create(**MESSAGE, stream=True).parse())


def message_helper(kit: Kit) -> Any:
    with kit.anthropic().messages.stream(**MESSAGE) as stream:
        return [type(stream).__qualname__, list(stream.text_stream), stream.get_final_message()]


async def message_helper_async(kit: Kit) -> Any:
    async with kit.aanthropic() as client, client.messages.stream(**MESSAGE) as stream:
        return [[event.type async for event in stream], await stream.get_final_message()]


def message_helper_beta(kit: Kit) -> Any:
    with kit.anthropic().beta.messages.stream(**MESSAGE) as stream:
        return stream.get_final_message()


# --- what is no call


def models(kit: Kit) -> Any:
    return [type(kit.openai().models.list()).__qualname__, type(kit.anthropic().models.list()).__qualname__]


def count_tokens(kit: Kit) -> Any:
    return kit.anthropic().messages.count_tokens(model=CLAUDE, messages=MESSAGES)


def retrieve(kit: Kit) -> Any:
    return type(kit.openai().responses.retrieve("resp_1")).__qualname__


# --- endings


def chat_stream_closed(kit: Kit) -> Any:
    stream = kit.openai().chat.completions.create(**CHAT, stream=True)
    events = [next(stream), next(stream)]
    stream.close()
    return events


def chat_stream_with_exit(kit: Kit) -> Any:
    with kit.openai().chat.completions.create(**CHAT, stream=True) as stream:
        return [next(stream), next(stream)]


def chat_stream_broken_off(kit: Kit) -> Any:
    seen = []
    for event in kit.openai().chat.completions.create(**CHAT, stream=True):
        seen.append(event)
        if len(seen) == 2:
            break
    gc.collect()
    return seen


def chat_stream_unread(kit: Kit) -> Any:
    kit.openai().chat.completions.create(**CHAT, stream=True)
    gc.collect()


async def chat_stream_closed_async(kit: Kit) -> Any:
    async with kit.aopenai() as client:
        stream = await client.chat.completions.create(**CHAT, stream=True)
        events = [await anext(stream), await anext(stream)]
        await stream.close()
        return events


def chat_helper_left(kit: Kit) -> Any:
    with parsing(kit.openai()).stream(**CHAT) as stream:
        return next(iter(stream)).type


def message_stream_closed(kit: Kit) -> Any:
    stream = kit.anthropic().messages.create(**MESSAGE, stream=True)
    events = [next(stream) for _ in range(3)]
    stream.close()
    return events


async def message_stream_closed_async(kit: Kit) -> Any:
    async with kit.aanthropic() as client:
        stream = await client.messages.create(**MESSAGE, stream=True)
        events = [await anext(stream) for _ in range(3)]
        await stream.close()
        return events


def message_stream_broken_off(kit: Kit) -> Any:
    seen = []
    for event in kit.anthropic().messages.create(**MESSAGE, stream=True):
        seen.append(event)
        if len(seen) == 3:
            break
    gc.collect()
    return seen


def message_stream_unread(kit: Kit) -> Any:
    kit.anthropic().messages.create(**MESSAGE, stream=True)
    gc.collect()


def message_helper_left(kit: Kit) -> Any:
    with kit.anthropic().messages.stream(**MESSAGE) as stream:
        return [next(stream).type for _ in range(3)]


async def chat_cancelled(kit: Kit) -> Any:
    async with kit.aopenai() as client:
        task = asyncio.create_task(client.chat.completions.create(**CHAT))
        await kit.was_asked()
        task.cancel()
        await task


async def message_cancelled(kit: Kit) -> Any:
    async with kit.aanthropic() as client:
        task = asyncio.create_task(client.messages.create(**MESSAGE))
        await kit.was_asked()
        task.cancel()
        await task


async def chat_stream_cancelled(kit: Kit) -> Any:
    async def read(stream: Any) -> None:
        async for _ in stream:
            await asyncio.sleep(0)

    async with kit.aopenai() as client:
        task = asyncio.create_task(read(await client.chat.completions.create(**CHAT, stream=True)))
        await kit.was_asked()
        task.cancel()
        await task


def chat_timeout(kit: Kit) -> Any:
    return kit.openai(timeout=0.2, max_retries=0).chat.completions.create(**CHAT)


def message_timeout(kit: Kit) -> Any:
    return kit.anthropic(timeout=0.2, max_retries=0).messages.create(**MESSAGE)


async def chat_timeout_async(kit: Kit) -> Any:
    async with kit.aopenai(timeout=0.2, max_retries=1) as client:
        return await client.chat.completions.create(**CHAT)


def batch_results(kit: Kit) -> Any:
    return kit.openai().files.content("file-out").text


def batch_results_streamed(kit: Kit) -> Any:
    with kit.openai().files.with_streaming_response.content("file-out") as response:
        return list(response.iter_lines())


def message_batch_results(kit: Kit) -> Any:
    return list(kit.anthropic().messages.batches.results("b"))
