"""Real providers that keep what they get in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from opentelemetry import context as otel
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from taskmeter.scopes import current_task
from taskmeter.telemetry import providers
from taskmeter.telemetry.exporter import CostExporter
from taskmeter.telemetry.processor import TaskSpanProcessor

Attributes = Mapping[str, Any]


class Backend:
    """A tracer and a meter provider in use, and what they were given."""

    def __init__(self, sampler: Sampler = ALWAYS_ON) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracer_provider = TracerProvider(sampler=sampler)
        self.tracer_provider.add_span_processor(TaskSpanProcessor())
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(CostExporter(self._exporter)))
        self.meter_provider = MeterProvider([self._reader])
        providers.use(self.tracer_provider, self.meter_provider)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def span(self, name: str) -> Any:
        (found,) = (span for span in self.spans if span.name == name)
        return found

    def points(self, metric: str) -> list[Any]:
        """The data points of `metric`, of everything so far."""
        data = self._reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for found in scope.metrics
            if found.name == metric
            for point in found.data.data_points
        ]

    def values(self, metric: str) -> dict[frozenset[tuple[str, Any]], float]:
        """The value of a counter, or the sum of a histogram, by its attributes."""
        return {
            frozenset((point.attributes or {}).items()): getattr(point, "value", None) or getattr(point, "sum", 0.0)
            for point in self.points(metric)
        }


@pytest.fixture
def backend() -> Iterator[Backend]:
    yield Backend()
    providers.use(None, None)


@pytest.fixture
def backends() -> Iterator[type[Backend]]:
    """To make some that differ, one after the other."""
    yield Backend
    providers.use(None, None)


@pytest.fixture(autouse=True)
def nothing_left_behind(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    before = otel.get_current()
    yield
    assert current_task() is None
    assert otel.get_current() == before
    assert [record.getMessage() for record in caplog.get_records("call") if "detach" in record.getMessage()] == []
