"""Real providers in memory, and a check after each test that nothing of a scope is left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from opentelemetry import context as otel
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from taskmeter.scopes import current_task
from taskmeter.telemetry import providers


class Spans:
    """The finished spans."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def all(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def names(self) -> list[str]:
        return [span.name for span in self.all()]

    def only(self, name: str) -> Mapping[str, object]:
        """The attributes of the one span of that name."""
        (span,) = (span for span in self.all() if span.name == name)
        return span.attributes or {}


@pytest.fixture
def spans() -> Iterator[Spans]:
    recorded = Spans()
    providers.use(recorded.provider, None)
    yield recorded
    providers.use(None, None)


@pytest.fixture(autouse=True)
def nothing_left_behind(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    before = otel.get_current()
    yield
    assert current_task() is None
    assert otel.get_current() == before
    assert [record.getMessage() for record in caplog.get_records("call") if "detach" in record.getMessage()] == []
