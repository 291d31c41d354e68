"""What a program can see of its clients, answers and streams is the same with hooks and without."""

from __future__ import annotations

import copy
import gc
import inspect
import json
import pickle
import traceback
import typing
from collections.abc import Callable, Iterator
from typing import Any
from weakref import ref

import anthropic
import openai
import pytest
from anthropic import _base_client as anthropic_base
from anthropic import _streaming as anthropic_streaming
from openai import _base_client as openai_base
from openai import _streaming as openai_streaming

from taskmeter.demo.stub import anthropic_message, openai_chat, openai_chat_stream
from tests.capture import programs as p
from tests.capture.harness import CLAUDE, GPT, HTTP, Kit, Meter
from tests.capture.sdks import OLD, fake_http, http_of

CHAT = openai_chat(GPT)
MESSAGE = anthropic_message(CLAUDE)
FUNCTIONS: list[tuple[type, str]] = [
    (owner, name)
    for base, streaming, more in (
        (openai_base, openai_streaming, ()),
        (anthropic_base, anthropic_streaming, ("_request",)),
    )
    for kind, prefix in (("Sync", ""), ("Async", "Async"))
    for owner, name in (
        *(
            (getattr(base, f"{kind}APIClient"), name)
            for name in ("request", "_process_response", "_sleep_for_retry", *more)
        ),
        *((getattr(streaming, f"{prefix}Stream"), name) for name in ("__stream__", "close")),
    )
    if not OLD or hasattr(owner, name)
]
FUNCTIONS += [
    (http.Response, name)
    for http in (HTTP, http_of(anthropic))
    for name in ("close", "aclose", "iter_bytes", "aiter_bytes")
]


class Wire(HTTP.BaseTransport):
    """Answers from memory, says how much of a body was taken, and fails where it is told to."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.taken = 0
        self._error = error

    def handle_request(self, request: Any) -> Any:
        if self._error is not None:
            raise self._error
        if json.loads(request.content).get("stream"):
            return HTTP.Response(200, stream=Body(self), headers={"content-type": "text/event-stream"})
        return HTTP.Response(200, json=CHAT)


class Body(HTTP.SyncByteStream):
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def __iter__(self) -> Iterator[bytes]:
        for event in openai_chat_stream(CHAT):
            self._wire.taken += 1
            yield event.encode()


def client_on(wire: Wire, kind: type[openai.OpenAI] = openai.OpenAI, **options: Any) -> Any:
    return kind(api_key="x", base_url="http://wire/v1", http_client=HTTP.Client(transport=wire), **options)


def described() -> object:
    """What inspection says about each hooked function."""
    found = []
    for owner, name in FUNCTIONS:
        function = getattr(owner, name)
        found.append(
            (
                inspect.signature(function),
                inspect.iscoroutinefunction(function),
                inspect.isgeneratorfunction(function),
                inspect.isasyncgenfunction(function),
                inspect.isfunction(function),
                function.__name__,
                function.__qualname__,
                function.__module__,
                function.__doc__,
                function.__annotations__,
                inspect.getsource(function),
                inspect.getfullargspec(function),
            )
        )
    return found


def bound() -> object:
    """A method of an instance."""
    client = client_on(Wire())
    method = client.request
    return (
        method == client.request,
        hash(method) == hash(client.request),
        method.__self__ is client,
        inspect.ismethod(method),
        inspect.signature(method),
        isinstance(method, type(client.get)),
    )


def pickled() -> object:
    """Functions pickle and copy as references to themselves."""
    return [
        (
            pickle.loads(pickle.dumps(function, protocol)) == function,
            copy.copy(function) == function,
            copy.deepcopy(function) == function,
            copy.deepcopy({"f": function})["f"] == function,
        )
        for owner, name in FUNCTIONS
        for function in (getattr(owner, name),)
        for protocol in (2, pickle.HIGHEST_PROTOCOL)
    ]


def results_pickled() -> object:
    """Answers pickle, copy and compare."""
    chat = client_on(Wire()).chat.completions.create(**p.CHAT)
    http = fake_http(anthropic, lambda _: (json.dumps(MESSAGE).encode(), "application/json"))
    message = Kit("http://wire").anthropic(http_client=http).messages.create(**p.MESSAGE)
    return [
        (
            type(answer),
            pickle.loads(pickle.dumps(answer)) == answer,
            copy.deepcopy(answer) == answer,
            copy.copy(answer) == answer,
            sorted(vars(answer)),
            answer.model_dump() == type(answer).model_validate(answer.model_dump()).model_dump(),
        )
        for answer in (chat, message)
    ]


def clients_copied() -> object:
    """Clients copy as they do, or fail at it as they do."""
    client = client_on(Wire())
    found: list[object] = [type(client.copy()), sorted(vars(client.with_options(timeout=3)))]
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        try:
            found.append(type(attempt(client)))
        except Exception as error:
            found.append((type(error), str(error)))
    found.append(client.with_options(max_retries=0).chat.completions.create(**p.CHAT).choices[0].message.content)
    return found


class Loud(openai.OpenAI):
    """Overrides hooked methods, as subclasses do."""

    seen: typing.ClassVar[list[str]] = []

    def request(self, *args: Any, **kwargs: Any) -> Any:
        self.seen.append("request")
        return super().request(*args, **kwargs)

    def _process_response(self, **kwargs: Any) -> Any:
        self.seen.append("response")
        return super()._process_response(**kwargs)


def subclassed() -> object:
    """Overriding methods are called, once each, in the same order, and so are the SDK's."""
    Loud.seen = []
    client = client_on(Wire(), Loud)
    answer = client.chat.completions.create(**p.CHAT)
    events = list(client.chat.completions.create(**p.CHAT, stream=True))
    return Loud.seen, answer.choices[0].message.content, len(events), Loud.request.__qualname__


def collected() -> object:
    """What is let go goes at once where it does bare, and all of it with the next collection. (A hooked stream goes at
    once too, where a bare one is a cycle.)"""
    gc.collect()
    gc.disable()
    try:
        client = client_on(Wire())
        answer = client.chat.completions.create(**p.CHAT)
        stream = client.chat.completions.create(**p.CHAT, stream=True)
        next(stream)
        raw = client.chat.completions.with_raw_response.create(**p.CHAT)
        refs = [ref(answer), ref(raw), ref(client), ref(stream)]
        stream.close()
        del answer, raw, stream
        found = [each() is None for each in refs[:3]]
        del client
    finally:
        gc.enable()
    gc.collect()
    return found, [each() is None for each in refs]


def lazy() -> object:
    """Nothing is read ahead: how much was taken from the wire after each step."""
    wire = Wire()
    stream = client_on(wire).chat.completions.create(**p.CHAT, stream=True)
    taken = [wire.taken, *(wire.taken for _ in stream)]
    return type(stream), taken, wire.taken


def streams_typed() -> object:
    """The stream and its parts are the SDK's own."""
    stream = client_on(Wire()).chat.completions.create(**p.CHAT, stream=True)
    return (
        type(stream),
        isinstance(stream, openai.Stream),
        sorted(vars(stream)),
        inspect.isgenerator(stream._iterator),
        iter(stream) is not stream,
        type(stream.response),
        sorted(vars(stream.response).keys() - {"_elapsed", "_num_bytes_downloaded"}),
        stream.__enter__() is stream,
    )


class PropsError(Exception):
    """What the wire raises."""


def raised() -> object:
    """Exceptions are the same objects, with the same causes, and their tracebacks show the same frames but ours."""
    found: list[object] = []
    for cause in (PropsError("cut"), HTTP.ReadError("cut")):
        try:
            client_on(Wire(cause), max_retries=0).chat.completions.create(**p.CHAT)
        except (PropsError, openai.APIConnectionError) as error:
            frames = [
                (frame.name, frame.lineno)
                for trace in (error.__traceback__, cause.__traceback__)
                for frame in traceback.extract_tb(trace)
                if "taskmeter" not in frame.filename
            ]
            links = (error.__cause__ is cause, error.__context__ is cause, cause.__context__, cause.__cause__)
            found.append((type(error), error is cause, links, error.__suppress_context__, frames))
    return found


def stopped() -> object:
    """What stops a program arrives as the object that was raised."""
    stop = KeyboardInterrupt()
    try:
        client_on(Wire(stop)).chat.completions.create(**p.CHAT)
    except KeyboardInterrupt as error:
        return error is stop, error.__context__, error.__cause__
    return None


PROBES: list[Callable[[], object]] = [
    described,
    bound,
    pickled,
    results_pickled,
    clients_copied,
    subclassed,
    collected,
    lazy,
    streams_typed,
    raised,
    stopped,
]


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.__name__)
def test_host_sees_the_same(probe: Callable[[], object]) -> None:
    """Bare, hooked, and after the hooks came off."""
    bare = probe()
    meter = Meter()
    meter.instrument()
    try:
        hooked = probe()
    finally:
        meter.close()
    assert hooked == bare
    assert probe() == bare


def test_probes_see_something(meter: Meter) -> None:
    """They compare what they claim to compare."""
    first, second = (row[1] for row in raised())  # type: ignore[attr-defined]
    assert (first or OLD, second) == (True, False)  # old SDKs wrap whatever the wire raises
    assert stopped() == (True, None, None)
    assert lazy()[1] == [0, 1, 2, 3, 4]  # type: ignore[index]
    assert all(all(row) for row in pickled())  # type: ignore[attr-defined]
    assert collected()[1] == [True] * 4  # type: ignore[index]
