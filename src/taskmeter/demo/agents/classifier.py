"""A batch of classifications with a cheap model: in a thread pool, and on an event loop. Each mail is a task."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from openai import APIStatusError, AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

from taskmeter import Task, track_task

MODEL: Final = "gpt-4.1-nano"
VALUE: Final = "0.04"
"""What a mail in the right queue saves, in USD."""
LABELS: Final = ("billing", "delivery", "returns", "other")


@dataclass(frozen=True, slots=True)
class Mail:
    """What is to be sorted."""

    id: str
    org: str
    text: str


def classify_in_threads(client: OpenAI, mails: Iterable[Mail]) -> list[str | None]:
    """The label of each mail, `None` where there is none, from eight threads."""

    def label_or_none(mail: Mail) -> str | None:
        try:
            return classify(client, mail)
        except APIStatusError:
            return None

    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(label_or_none, mails))


async def classify_concurrently(client: AsyncOpenAI, mails: Iterable[Mail]) -> list[str | None]:
    """The label of each mail, `None` where there is none, all at once on one event loop."""

    async def label_or_none(mail: Mail) -> str | None:
        try:
            return await classify_async(client, mail)
        except APIStatusError:
            return None

    return await asyncio.gather(*(label_or_none(mail) for mail in mails))


def classify(client: OpenAI, mail: Mail) -> str | None:
    """The label of one mail."""
    with track_task("classify", key=mail.id, customer=mail.org) as task:
        answer = client.chat.completions.create(model=MODEL, messages=prompt(mail), metadata={"mail": mail.id})
        return settle(task, answer)


async def classify_async(client: AsyncOpenAI, mail: Mail) -> str | None:
    """The label of one mail."""
    async with track_task("classify", key=mail.id, customer=mail.org) as task:
        answer = await client.chat.completions.create(model=MODEL, messages=prompt(mail), metadata={"mail": mail.id})
        return settle(task, answer)


def prompt(mail: Mail) -> list[ChatCompletionMessageParam]:
    """What the model is asked about one mail."""
    return [
        {"role": "system", "content": f"Sort the mail into one of {', '.join(LABELS)}, or say 'unsure'. One word."},
        {"role": "user", "content": mail.text},
    ]


def settle(task: Task, answer: ChatCompletion) -> str | None:
    """The label in `answer`, once it is said what came of `task`."""
    label = answer.choices[0].message.content
    if label in LABELS:
        task.succeed(value=VALUE)
        return label
    if label == "unsure":
        task.abandon("left to a person")
    else:
        task.fail("not one of the labels")
    return None
