"""Small programs, each one call, on OpenAI endpoints that are no conversation and on paths the SDK does not know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai

from tests.capture.harness import Kit, Program

WAV = ("a.wav", b"RIFF stub")
PNG = ("a.png", b"PNG stub")
IMAGE: Any = {"model": "gpt-image-1.5", "prompt": "A parcel."}
SPEECH: Any = {"model": "tts-1", "voice": "alloy", "input": "Where is order 17?"}
HEARD: Any = {"model": "gpt-4o-transcribe", "file": WAV}
DECISION: Any = {"model": "gpt-6-luna", "input": "order 17", "questions": [{"type": "predicate", "predicate": "late"}]}

ENDPOINTS: dict[str, tuple[str, dict[str, Any]]] = {
    "completion": ("completions", {"model": "gpt-3.5-turbo-instruct", "prompt": "Where is order 17?"}),
    "compaction": ("responses.compact", {"model": "gpt-5-mini", "input": "Where is order 17?"}),
    "decision": ("decisions", DECISION),
    "image": ("images.generate", IMAGE),
    "image_edit": ("images.edit", {**IMAGE, "image": PNG}),
    "image_variation": ("images.create_variation", {"model": "gpt-image-1.5", "image": PNG}),
    "transcription": ("audio.transcriptions", HEARD),
    "transcription_timed": ("audio.transcriptions", {**HEARD, "model": "whisper-1", "response_format": "verbose_json"}),
    "translation": ("audio.translations", {"model": "whisper-1", "file": WAV, "response_format": "verbose_json"}),
    "moderation": ("moderations", {"input": "Where is order 17?"}),
}
"""Method below the client (`create` where none is named) and its arguments."""

STREAMS: dict[str, tuple[str, dict[str, Any]]] = {
    "completion": ENDPOINTS["completion"],
    "image": ("images.generate", {**IMAGE, "partial_images": 1}),
    "image_edit": ("images.edit", {**IMAGE, "image": PNG, "partial_images": 1}),
    "transcription": ("audio.transcriptions", HEARD),
}


def method(client: Any, path: str, mode: str = "") -> Callable[..., Any]:
    """`images.generate` of `client`, or of its `with_raw_response`."""
    owner = client
    names = path.split(".")
    called = names.pop() if names[-1] in ("generate", "edit", "create_variation", "compact") else "create"
    for name in names:
        owner = getattr(owner, name)
    return getattr(getattr(owner, mode) if mode else owner, called)  # type: ignore[no-any-return]


def plain(path: str, arguments: dict[str, Any]) -> Program:
    return lambda kit: method(kit.openai(), path)(**arguments)


def plain_async(path: str, arguments: dict[str, Any]) -> Program:
    async def program(kit: Kit) -> Any:
        async with kit.aopenai() as client:
            return await method(client, path)(**arguments)

    return program


def raw(path: str, arguments: dict[str, Any]) -> Program:
    def program(kit: Kit) -> Any:
        response = method(kit.openai(), path, "with_raw_response")(**arguments)
        return [type(response).__qualname__, response.parse(), response.text]

    return program


def streaming_response(path: str, arguments: dict[str, Any]) -> Program:
    def program(kit: Kit) -> Any:
        with method(kit.openai(), path, "with_streaming_response")(**arguments) as response:
            return [type(response).__qualname__, response.parse()]

    return program


async def _read(client: Any, path: str, arguments: dict[str, Any]) -> Any:
    stream = await method(client, path)(**arguments, stream=True)
    return [type(stream).__qualname__, isinstance(stream, openai.AsyncStream), [event async for event in stream]]


def stream(path: str, arguments: dict[str, Any]) -> Program:
    def program(kit: Kit) -> Any:
        events = method(kit.openai(), path)(**arguments, stream=True)
        return [type(events).__qualname__, isinstance(events, openai.Stream), list(events)]

    return program


def stream_async(path: str, arguments: dict[str, Any]) -> Program:
    async def program(kit: Kit) -> Any:
        async with kit.aopenai() as client:
            return await _read(client, path, arguments)

    return program


# --- speech: its result is bytes


def speech(kit: Kit) -> Any:
    return kit.openai().audio.speech.create(**SPEECH).content


async def speech_async(kit: Kit) -> Any:
    async with kit.aopenai() as client:
        return (await client.audio.speech.create(**SPEECH)).content


def speech_streamed(kit: Kit) -> Any:
    with kit.openai().audio.speech.with_streaming_response.create(**SPEECH) as response:
        return b"".join(response.iter_bytes())


async def speech_streamed_async(kit: Kit) -> Any:
    async with (
        kit.aopenai() as client,
        client.audio.speech.with_streaming_response.create(**SPEECH) as response,
    ):
        return b"".join([chunk async for chunk in response.iter_bytes()])


def speech_as_events(kit: Kit) -> Any:
    client = kit.openai()
    return client.audio.speech.create(**{**SPEECH, "model": "gpt-4o-mini-tts"}, stream_format="sse").content


def speech_without_events(kit: Kit) -> Any:
    return kit.openai().audio.speech.create(**{**SPEECH, "model": "gpt-4o-mini-tts"}).content


def azure_image(kit: Kit) -> Any:
    client = openai.AzureOpenAI(
        azure_endpoint=kit.url, azure_deployment="house-image", api_version="2025-04-01", api_key="stub"
    )
    with client:
        return client.with_options(max_retries=0).images.generate(**IMAGE)


def transcription_as_text(kit: Kit) -> Any:
    return kit.openai().audio.transcriptions.create(model="whisper-1", file=WAV, response_format="text")


# --- paths that the SDK does not know


def unknown_path(kit: Kit) -> Any:
    body = {"model": "gpt-5-mini", "documents": ["a", "b"]}
    return kit.openai().post("/v9/rerank?top=1", body=body, cast_to=object)


async def unknown_path_async(kit: Kit) -> Any:
    async with kit.aopenai() as client:
        return await client.post("/v9/rerank", body={"model": "gpt-5-mini"}, cast_to=object)


def update(kit: Kit) -> Any:
    return kit.openai().chat.completions.update("chatcmpl-1", metadata={"a": "b"})


def upload(kit: Kit) -> Any:
    return kit.openai().files.create(file=WAV, purpose="user_data")


def count_tokens(kit: Kit) -> Any:
    return kit.openai().responses.input_tokens.count(model="gpt-5-mini", input="Where is order 17?")
