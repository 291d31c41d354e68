"""Gives the sample agents their clients and their work."""

from __future__ import annotations

import asyncio
from typing import Final

import anthropic
import openai

from taskmeter import record_outcome
from taskmeter.demo.agents.classifier import classify_concurrently, classify_in_threads
from taskmeter.demo.agents.researcher import research
from taskmeter.demo.agents.resolver import resolve
from taskmeter.demo.scenario import ASYNC_MAILS, QUESTIONS, REOPENED, THREADED_MAILS, TICKETS

_KEY: Final = "stub"
"""Sent in the place of an API key, so that no real one is looked for."""


def everything(url: str) -> None:
    """Lets every agent do all its work against the provider at `url`."""
    # `trust_env=False`: a proxy named by the environment would not find a server on this machine's loopback.
    with openai.OpenAI(
        base_url=f"{url}/v1", api_key=_KEY, http_client=openai.DefaultHttpxClient(trust_env=False)
    ) as client:
        for ticket in TICKETS:
            resolve(client, ticket)
        classify_in_threads(client, THREADED_MAILS)
    with anthropic.Anthropic(
        base_url=url, api_key=_KEY, http_client=anthropic.DefaultHttpxClient(trust_env=False)
    ) as researcher:
        for question in QUESTIONS:
            research(researcher, question)
    asyncio.run(_classify_concurrently(url))
    hear_back()


def hear_back() -> None:
    """What customers say later. In an application this is another process, such as the help desk's webhook."""
    record_outcome(key=REOPENED, status="failed", reason="the customer wrote again")


async def _classify_concurrently(url: str) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{url}/v1", api_key=_KEY, http_client=openai.DefaultAsyncHttpxClient(trust_env=False)
    ) as client:
        await classify_concurrently(client, ASYNC_MAILS)
