"""Every hand-derived case through the public path: the real client over a fake wire, the cost read off its span."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from types import ModuleType
from typing import Any

import anthropic
import openai
import pytest

from taskmeter import track_task
from taskmeter.demo.stub import anthropic_batch, anthropic_message_stream, openai_chat_stream, openai_response_stream
from tests.capture.harness import MESSAGES, Meter, attributes
from tests.capture.sdks import accepts, http_of
from tests.pricing.cases import claude, clouds, gateways, gpt, media, streams, unthought
from tests.pricing.cases.case import Case, calculated

CASES: list[Case] = [case for each in (gpt, media, claude, streams, clouds, gateways, unthought) for case in each.CASES]


class Wire:
    """Clients of every kind, whose provider answers as the case at hand says, at its time."""

    def __init__(self) -> None:
        self.content = b""
        self.headers: dict[str, str] = {}
        self.at = datetime.now(UTC)
        self._clients: dict[str, Any] = {}

    def now_ns(self) -> int:
        return int(self.at.timestamp()) * 10**9

    def http(self, sdk: ModuleType) -> Any:
        its = http_of(sdk)

        def reply(request: Any) -> Any:
            path = request.url.path
            if "/messages/batches/" in path and not path.endswith("/results"):
                return its.Response(200, json=anthropic_batch(path.rpartition("/")[2], f"{path}/results"))
            return its.Response(200, content=self.content, headers=self.headers)

        return its.Client(transport=its.MockTransport(reply))

    def client(self, name: str) -> Any:
        if name not in self._clients:
            self._clients[name] = CLIENTS[name](self.http)
        return self._clients[name]

    def says(self, case: Case, body: Any) -> None:
        events = isinstance(body, list)
        kind = "text/event-stream" if events else "application/json"
        self.headers = {"content-type": kind, **case.headers}
        if events:
            self.content = b"".join(event.encode() for event in body)
        else:
            self.content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.at = datetime.fromisoformat(case.at).replace(tzinfo=UTC)


UNTRACED: Any = {"open_telemetry": False} if accepts(anthropic.Anthropic, "open_telemetry") else {}


def _openai(base_url: str) -> Callable[[Any], Any]:
    return lambda http: openai.OpenAI(api_key="x", base_url=base_url, http_client=http(openai))


def _claude(base_url: str) -> Callable[[Any], Any]:
    return lambda http: anthropic.Anthropic(api_key="x", base_url=base_url, http_client=http(anthropic), **UNTRACED)


def _bedrock(http: Any) -> Any:
    return anthropic.AnthropicBedrock(api_key="x", aws_region="us-east-1", http_client=http(anthropic), **UNTRACED)


def _vertex(region: str) -> Callable[[Any], Any]:
    return lambda http: anthropic.AnthropicVertex(
        region=region, project_id="p", access_token="x", http_client=http(anthropic), **UNTRACED
    )


CLIENTS: dict[str, Callable[[Any], Any]] = {
    "openai": _openai("https://api.openai.com/v1"),
    "openai eu": _openai("https://eu.api.openai.com/v1"),
    "openai us": _openai("https://us.api.openai.com/v1"),
    "azure": lambda http: openai.AzureOpenAI(
        api_key="x", azure_endpoint="https://x.openai.azure.com", api_version="2025-01-01", http_client=http(openai)
    ),
    "groq": _openai("https://api.groq.com/openai/v1"),
    "openrouter": _openai("https://openrouter.ai/api/v1"),
    "xai": _openai("https://api.x.ai/v1"),
    "perplexity": _openai("https://api.perplexity.ai"),
    "gateway": _openai("https://llm.example.com/v1"),
    "localhost": _openai("http://127.0.0.1:4000/v1"),
    "anthropic": _claude("https://api.anthropic.com"),
    "anthropic gateway": _claude("https://llm.example.com"),
    "anthropic openrouter": _claude("https://openrouter.ai/api"),
    "bedrock": _bedrock,
    "vertex": _vertex("us-east5"),
    "vertex eu": _vertex("eu"),
    "vertex global": _vertex("global"),
    "foundry": lambda http: anthropic.AnthropicFoundry(
        api_key="x", resource="ours", http_client=http(anthropic), **UNTRACED
    ),
}


def _chat(client: Any, case: Case, **more: Any) -> Any:
    return client.chat.completions.create(model=asked(case), messages=MESSAGES, extra_body=dict(case.request), **more)


def _raw(client: Any, case: Case) -> Any:
    return client.chat.completions.with_raw_response.create(model=asked(case), messages=MESSAGES)


def _response(client: Any, case: Case, **more: Any) -> Any:
    return client.responses.create(model=asked(case), input="Where is order 17?", extra_body=dict(case.request), **more)


def _message(client: Any, case: Case, **more: Any) -> Any:
    body = dict(case.request)
    return client.messages.create(model=asked(case), messages=MESSAGES, max_tokens=99, extra_body=body, **more)


def _openai_batch(client: Any, case: Case) -> None:
    _ = client.files.content(f"file-{case.name}").content


AUDIO = ("a.wav", b"RIFF")
SURFACES: dict[str, tuple[str, Callable[[Any, Case], Any]]] = {
    "chat": ("openai", _chat),
    "chat raw": ("openai", _raw),
    "chat stream": ("openai", lambda client, case: list(_chat(client, case, stream=True))),
    "response": ("openai", _response),
    "response stream": ("openai", lambda client, case: list(_response(client, case, stream=True))),
    "openai batch": ("openai", _openai_batch),
    "embedding": ("openai", lambda client, case: client.embeddings.create(model=asked(case), input="a")),
    "image": ("openai", lambda client, case: client.images.generate(model=asked(case), prompt="A parcel.")),
    "transcription": (
        "openai",
        lambda client, case: client.audio.transcriptions.create(model=asked(case), file=AUDIO, response_format="json"),
    ),
    "speech": (
        "openai",
        lambda client, case: client.audio.speech.create(model=asked(case), input="Your order is late.", voice="alloy"),
    ),
    "moderation": ("openai", lambda client, case: client.moderations.create(model=asked(case), input="Hello.")),
    "message": ("anthropic", _message),
    "message stream": ("anthropic", lambda client, case: list(_message(client, case, stream=True))),
    "message stream, left": ("anthropic", lambda client, case: _left(_message(client, case, stream=True))),
    "anthropic batch": (
        "anthropic",
        lambda client, case: list(client.messages.batches.results(f"msgbatch-{case.name}")),
    ),
}
STREAMS = {
    "chat stream": openai_chat_stream,
    "response stream": openai_response_stream,
    "message stream": anthropic_message_stream,
    "message stream, left": anthropic_message_stream,
}


def asked(case: Case) -> str:
    return case.model or str(case.answer["model"])


def _left(stream: Any) -> None:
    for event in stream:
        if event.type == "content_block_delta":
            stream.close()
            return


def answer(case: Case) -> Any:
    if case.surface == "openai batch":
        line = {"custom_id": "1", "response": {"status_code": 200, "body": case.answer}, "error": None}
        return (json.dumps(line) + "\n").encode()
    if case.surface == "anthropic batch":
        return (json.dumps({"custom_id": "1", "result": {"type": "succeeded", "message": case.answer}}) + "\n").encode()
    if case.surface in STREAMS and isinstance(case.answer, dict):
        return STREAMS[case.surface](case.answer)
    return case.answer


@pytest.fixture(scope="module")
def wire() -> Iterator[tuple[Wire, Meter]]:
    running, meter = Wire(), Meter()
    meter.instrument(clock=running.now_ns)
    yield running, meter
    meter.close()


def test_there_are_150_cases_and_each_has_its_own_name() -> None:
    """They are told apart by name."""
    assert len({case.name for case in CASES}) == len(CASES) >= 150


@pytest.mark.parametrize("case", [case for case in CASES if case.by], ids=lambda case: case.name)
def test_derivation(case: Case) -> None:
    """The arithmetic of a case comes to its amount."""
    assert calculated(case.by) == Decimal(case.usd)


@pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(wire: tuple[Wire, Meter], case: Case) -> None:
    """What the span of the call says is what was derived by hand."""
    running, meter = wire
    meter.exporter.clear()
    running.says(case, answer(case))
    provider, call = SURFACES[case.surface]
    with track_task("case") as task:
        call(running.client(case.client or provider), case)
    [span] = meter.spans("call")
    found = attributes(span)
    exact = found.get("taskmeter.cost.exact")
    assert (found["taskmeter.cost.status"], exact and Decimal(exact)) == (
        case.status,
        Decimal(case.usd) if case.usd else None,
    ), found.get("taskmeter.cost.status.reason")
    assert case.reason in found.get("taskmeter.cost.status.reason", "")
    assert case.status == "exact" or case.reason
    if case.usd:
        assert found["gen_ai.usage.cost.source"] == ("provider" if case.by_provider else "local")
        assert task.cost.total == Decimal(case.usd)
