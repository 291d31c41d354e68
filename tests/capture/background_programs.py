"""Programs whose answer is made after the request that asked for it has returned, and is asked for again by its id."""

from __future__ import annotations

import gc
from typing import Any

from tests.capture.harness import Kit
from tests.capture.programs import RESPONSE

RESPONSE_ID = "resp_1"
BACKGROUND: Any = {**RESPONSE, "background": True}


def polled(kit: Kit) -> Any:
    """Starts, asks twice too early, then once in time, and once more than needed."""
    responses = kit.openai().responses
    return [responses.create(**BACKGROUND), *(responses.retrieve(RESPONSE_ID) for _ in range(4))]


async def polled_async(kit: Kit) -> Any:
    async with kit.aopenai() as client:
        first = await client.responses.create(**BACKGROUND)
        return [first, *[await client.responses.retrieve(RESPONSE_ID) for _ in range(4)]]


def polled_raw(kit: Kit) -> Any:
    responses = kit.openai().responses.with_raw_response
    return [responses.create(**BACKGROUND).parse(), *(responses.retrieve(RESPONSE_ID).text for _ in range(4))]


def polled_streaming_response(kit: Kit) -> Any:
    responses = kit.openai().responses.with_streaming_response
    with responses.create(**BACKGROUND) as response:
        seen = [response.parse()]
    for _ in range(4):
        with responses.retrieve(RESPONSE_ID) as response:
            seen.append(response.parse())
    return seen


def cancelled(kit: Kit) -> Any:
    responses = kit.openai().responses
    return [responses.create(**BACKGROUND), responses.cancel(RESPONSE_ID), responses.retrieve(RESPONSE_ID)]


def retrieved_as_stream(kit: Kit) -> Any:
    responses = kit.openai().responses
    return [responses.create(**BACKGROUND), list(responses.retrieve(RESPONSE_ID, stream=True))]


async def retrieved_as_stream_async(kit: Kit) -> Any:
    async with kit.aopenai() as client:
        first = await client.responses.create(**BACKGROUND)
        return [first, [event async for event in await client.responses.retrieve(RESPONSE_ID, stream=True)]]


def stream_taken_up_again(kit: Kit) -> Any:
    responses = kit.openai().responses
    with responses.create(**BACKGROUND, stream=True) as stream:
        seen = [next(stream), next(stream)]
    return [seen, list(responses.retrieve(RESPONSE_ID, stream=True, starting_after=1))]


def stream_read_whole(kit: Kit) -> Any:
    return list(kit.openai().responses.create(**BACKGROUND, stream=True))


def items_listed(kit: Kit) -> Any:
    responses = kit.openai().responses
    seen = [responses.create(**BACKGROUND), list(responses.input_items.list(RESPONSE_ID))]
    return [*seen, responses.retrieve(RESPONSE_ID)]


def stream_dropped(kit: Kit) -> Any:
    responses = kit.openai().responses
    seen = [next(responses.create(**BACKGROUND, stream=True))]
    gc.collect()
    return [*seen, responses.retrieve(RESPONSE_ID)]


def run_and_poll(kit: Kit) -> Any:
    runs = kit.openai().beta.threads.runs
    return runs.create_and_poll(thread_id="thread_stub", assistant_id="asst_stub", poll_interval_ms=1)


async def run_and_poll_async(kit: Kit) -> Any:
    async with kit.aopenai() as client:
        runs = client.beta.threads.runs
        return await runs.create_and_poll(thread_id="thread_stub", assistant_id="asst_stub", poll_interval_ms=1)


def run_streamed(kit: Kit) -> Any:
    return list(kit.openai().beta.threads.runs.create(thread_id="thread_stub", assistant_id="asst_stub", stream=True))


def video_and_poll(kit: Kit) -> Any:
    return kit.openai().videos.create_and_poll(prompt="A parcel.", model="sora-2", poll_interval_ms=1)


def video_with_content(kit: Kit) -> Any:
    videos = kit.openai().videos
    video = videos.create(prompt="A parcel.", model="sora-2")
    content = videos.download_content(video.id).content
    return [video, content, videos.retrieve(video.id)]
