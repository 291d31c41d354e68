"""What the tests of the hooks share: clients of every kind against one stub, and what the meter then saw."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import anthropic
import openai
import pytest
from openai._base_client import AsyncHttpxClientWrapper, SyncHttpxClientWrapper
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel

from taskmeter import CostExporter, Task, TaskSpanProcessor, instrument, track_task, uninstrument
from taskmeter.demo.stub import Script, StubProvider
from tests.capture.sdks import accepts, http_of, lacking, needs

HTTP: Any = http_of(openai)
GPT = "gpt-5-mini"
CLAUDE = "claude-sonnet-5"
GPT_USD = Decimal("0.000078")
"""120 tokens in, 24 out."""
CLAUDE_USD = Decimal("0.00048")
"""The same."""
MESSAGES: Any = [{"role": "user", "content": "Where is order 17?"}]


_REQUEST_ID = re.compile("req_[0-9a-f]{32}")


class Meter:
    """Everything that one instrumented stretch of a test exported."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(TaskSpanProcessor())
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(CostExporter(self.exporter)))
        self.meter_provider = MeterProvider([self.reader])

    def instrument(self, client: Any = None, **options: Any) -> None:
        instrument(client, tracer_provider=self.tracer_provider, meter_provider=self.meter_provider, **options)

    def close(self) -> None:
        uninstrument()
        instrument(tracer_provider=None, meter_provider=None)
        uninstrument()
        self.tracer_provider.shutdown()
        self.meter_provider.shutdown()

    def spans(self, kind: str) -> list[ReadableSpan]:
        return [s for s in self.exporter.get_finished_spans() if attributes(s).get("taskmeter.span.kind") == kind]

    def model_spans(self) -> list[ReadableSpan]:
        """The spans that stand for a call of a model, whoever opened them."""
        return [
            span
            for span in self.exporter.get_finished_spans()
            if attributes(span).get("taskmeter.span.kind") == "call"
            or (span.instrumentation_scope and span.instrumentation_scope.name.startswith("com.anthropic"))
        ]

    def leaf_sum(self) -> Decimal:
        """What the exported leaves cost together, from their exact amounts."""
        leaves = (span for kind in ("call", "tool", "charge") for span in self.spans(kind))
        return sum((Decimal(str(attributes(leaf).get("taskmeter.cost.exact", "0"))) for leaf in leaves), Decimal(0))

    def metric(self, name: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        if data is None:
            return []
        found = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics if m.name == name]
        return [point for metric in found for point in metric.data.data_points]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


class ToStub(HTTP.BaseTransport):
    """Sends every request to the stub, whatever host it names."""

    def __init__(self, url: str) -> None:
        self._url = HTTP.URL(url)
        self._inner = HTTP.HTTPTransport(verify=False)

    def handle_request(self, request: Any) -> Any:
        request.url = request.url.copy_with(scheme="http", host=self._url.host, port=self._url.port)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


class AsyncToStub(HTTP.AsyncBaseTransport):
    """See `ToStub`."""

    def __init__(self, url: str) -> None:
        self._url = HTTP.URL(url)
        self._inner = HTTP.AsyncHTTPTransport(verify=False)

    async def handle_async_request(self, request: Any) -> Any:
        request.url = request.url.copy_with(scheme="http", host=self._url.host, port=self._url.port)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


class Kit:
    """Clients for one stub. `public` ones believe that they talk to the provider's own host."""

    def __init__(
        self, url: str, *, traced: Any = False, public: bool = False, asked: Callable[[], bool] = lambda: True
    ) -> None:
        self.url = url
        self._asked = asked
        self._public = public
        self._traced = traced
        self._open: list[Any] = []

    async def was_asked(self) -> None:
        """Waits until the stub has got a request, which has no event to wait for."""
        for _ in range(1_000):
            if self._asked():
                return
            await asyncio.sleep(0.01)

    def openai(self, **options: Any) -> openai.OpenAI:
        return self._opened(openai.OpenAI(**self._openai(options, HTTP.Client, ToStub)))

    def aopenai(self, **options: Any) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(**self._openai(options, HTTP.AsyncClient, AsyncToStub))

    def anthropic(self, **options: Any) -> anthropic.Anthropic:
        http = anthropic.DefaultHttpxClient(verify=False)  # cheaper to make, and there is no TLS here
        return self._opened(anthropic.Anthropic(**self._anthropic({"http_client": http, **options})))

    def aanthropic(self, **options: Any) -> anthropic.AsyncAnthropic:
        http = anthropic.DefaultAsyncHttpxClient(verify=False)
        return anthropic.AsyncAnthropic(**self._anthropic({"http_client": http, **options}))

    def _openai(self, options: dict[str, Any], client: Any, transport: Any) -> dict[str, Any]:
        if self._public:
            http = client(transport=transport(self.url))
            return {"api_key": "stub", "http_client": http, "base_url": "https://api.openai.com/v1", **options}
        http = (SyncHttpxClientWrapper if client is HTTP.Client else AsyncHttpxClientWrapper)(verify=False)
        return {"api_key": "stub", "base_url": f"{self.url}/v1", "http_client": http, **options}

    def _anthropic(self, options: dict[str, Any]) -> dict[str, Any]:
        settings = {"api_key": "stub", "base_url": self.url}
        if accepts(anthropic.Anthropic, "open_telemetry"):
            settings["open_telemetry"] = {"tracer_provider": self._traced} if self._traced else False
        elif self._traced:
            needs(has=False, what="spans of the SDK's own")
        return {**settings, **options}

    def _opened(self, client: Any) -> Any:
        self._open.append(client)
        return client

    def close(self) -> None:
        for client in self._open:
            client.close()


Program = Callable[[Kit], Any]


def plain(value: Any) -> Any:
    """A result as something that compares by value, its type included."""
    if isinstance(value, BaseModel):
        return type(value).__qualname__, value.model_dump(warnings=False)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value if isinstance(value, str | int | float | bytes | None) else type(value).__qualname__


def outcome(program: Program, kit: Kit) -> Any:
    """What the caller of `program` sees: its result or its exception."""
    try:
        result = program(kit)
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
    except BaseException as error:
        if lacking(error) or isinstance(error, pytest.skip.Exception):
            raise
        return "raised", type(error), _REQUEST_ID.sub("req_", str(error))
    finally:
        kit.close()
    return "returned", plain(result)


@contextmanager
def stubbed(*replies: Any) -> Iterator[StubProvider]:
    with StubProvider(Script(*replies)) as stub:
        yield stub


def run_bare(program: Program, replies: tuple[Any, ...], **kit: Any) -> Any:
    """Outcome and request bodies of `program` without us."""
    with stubbed(*replies) as stub:
        seen = outcome(program, Kit(stub.url, asked=lambda: bool(stub.requests), **kit))
        return seen, [request.body for request in stub.requests]


def run_metered(program: Program, replies: tuple[Any, ...], meter: Meter, **kit: Any) -> SimpleNamespace:
    """The same inside a task, with what the task says of itself."""
    task: Task
    with stubbed(*replies) as stub, track_task("test") as task:
        seen = outcome(program, Kit(stub.url, asked=lambda: bool(stub.requests), **kit))
        bodies = [request.body for request in stub.requests]
    return SimpleNamespace(seen=seen, bodies=bodies, task=task)
