"""Programs on the SDKs themselves, and what each of them costs: the script says what is billed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import anthropic
import openai

GPT = "gpt-5-mini"
CLAUDE = "claude-sonnet-5"
MESSAGES: Any = [{"role": "user", "content": "Where is order 17?"}]
CHAT: Any = {"model": GPT, "messages": MESSAGES}
MESSAGE: Any = {"model": CLAUDE, "max_tokens": 200, "messages": MESSAGES}
RESPONSE: Any = {"model": GPT, "input": "Where is order 17?"}


def _openai(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=1)


def _aopenai(url: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=1)


def _options(url: str, *, native: bool) -> dict[str, Any]:
    return {"base_url": url, "api_key": "none", "max_retries": 1, **({} if native else {"open_telemetry": False})}


def chat(url: str) -> None:
    with _openai(url) as client:
        client.chat.completions.create(**CHAT)


async def chat_async(url: str) -> None:
    async with _aopenai(url) as client:
        await client.chat.completions.create(**CHAT)


def chat_stream(url: str) -> None:
    with _openai(url) as client:
        list(client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True}))


async def chat_stream_async(url: str) -> None:
    async with _aopenai(url) as client:
        stream = await client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True})
        async for _ in stream:
            pass


def chat_stream_left(url: str) -> None:
    with _openai(url) as client, client.chat.completions.create(**CHAT, stream=True) as stream:
        for _ in stream:
            break


def chat_refused(url: str) -> None:
    with _openai(url) as client, contextlib.suppress(openai.BadRequestError):
        client.chat.completions.create(**CHAT)


def response(url: str) -> None:
    with _openai(url) as client:
        client.responses.create(**RESPONSE)


async def response_async(url: str) -> None:
    async with _aopenai(url) as client:
        await client.responses.create(**RESPONSE)


def response_stream(url: str) -> None:
    with _openai(url) as client:
        list(client.responses.create(**RESPONSE, stream=True))


async def responses_at_once(url: str) -> None:
    async with _aopenai(url) as client:
        await asyncio.gather(*(client.responses.create(**RESPONSE) for _ in range(5)))


def embeddings(url: str) -> None:
    with _openai(url) as client:
        client.embeddings.create(model="text-embedding-3-small", input="Where is order 17?")


def message(url: str, *, native: bool) -> None:
    with anthropic.Anthropic(**_options(url, native=native)) as client:
        client.messages.create(**MESSAGE)


async def message_async(url: str, *, native: bool) -> None:
    async with anthropic.AsyncAnthropic(**_options(url, native=native)) as client:
        await client.messages.create(**MESSAGE)


def message_stream(url: str, *, native: bool) -> None:
    with anthropic.Anthropic(**_options(url, native=native)) as client:
        list(client.messages.create(**MESSAGE, stream=True))


async def message_stream_async(url: str, *, native: bool) -> None:
    async with anthropic.AsyncAnthropic(**_options(url, native=native)) as client:
        async for _ in await client.messages.create(**MESSAGE, stream=True):
            pass


def message_helper(url: str, *, native: bool) -> None:
    with anthropic.Anthropic(**_options(url, native=native)) as client, client.messages.stream(**MESSAGE) as stream:
        stream.get_final_message()


def message_stream_left(url: str, *, native: bool) -> None:
    client = anthropic.Anthropic(**_options(url, native=native))
    with client, client.messages.create(**MESSAGE, stream=True) as stream:
        for _ in stream:
            break


def message_refused(url: str, *, native: bool) -> None:
    with anthropic.Anthropic(**_options(url, native=native)) as client, contextlib.suppress(anthropic.BadRequestError):
        client.messages.create(**MESSAGE)


async def messages_at_once(url: str, *, native: bool) -> None:
    async with anthropic.AsyncAnthropic(**_options(url, native=native)) as client:
        await asyncio.gather(*(client.messages.create(**MESSAGE) for _ in range(5)))
