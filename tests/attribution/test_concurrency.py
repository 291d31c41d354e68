"""Many threads and asyncio tasks at once under one task: exact totals, in all accounts."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from taskmeter import Task, carry, instrument, track_step, track_task
from tests.attribution.wire import PRICES, Clients
from tests.capture.harness import Meter, attributes

GPT = PRICES["openai"]


def run_threads(clients: Clients, threads: int, calls: int) -> tuple[Task, list[Task]]:
    parts: list[Task] = []

    def work() -> None:
        with track_task("part") as part:
            for _ in range(calls):
                with track_step("step"):
                    clients.call("openai", "1", asynchronous=False)
        parts.append(part)

    with track_task("whole") as whole:
        running = [threading.Thread(target=carry(work)) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    return whole, parts


def run_tasks(clients: Clients, count: int) -> tuple[Task, list[Task]]:
    async def part() -> Task:
        with track_task("part") as task:
            await clients.call("openai", "1", asynchronous=True)
        return task

    async def main() -> tuple[Task, list[Task]]:
        with track_task("whole") as whole:
            return whole, await asyncio.gather(*(part() for _ in range(count)))

    return asyncio.run(main())


def check(meter: Meter, whole: Task, parts: list[Task], calls: int) -> None:
    total = calls * GPT
    assert (whole.calls, whole.attempts, whole.cost.total, whole.cost.self) == (calls, calls, total, Decimal(0))
    assert {part.cost.total for part in parts} == {total / len(parts)}
    assert meter.leaf_sum() == total
    assert sum(point.value for point in meter.metric("taskmeter.cost")) == float(total)
    assert sum(point.count for point in meter.metric("gen_ai.client.operation.duration")) == calls
    assert {attributes(span)["taskmeter.task.id"] for span in meter.spans("call")} == {part.id for part in parts}
    [span] = [span for span in meter.spans("task") if attributes(span)["taskmeter.task.id"] == whole.id]
    assert Decimal(attributes(span)["taskmeter.cost.exact"]) == total


def test_threads(meter: Meter, clients: Clients) -> None:
    """16 threads with 15 calls each."""
    check(meter, *run_threads(clients, 16, 15), calls=240)


def test_asyncio_tasks(meter: Meter, clients: Clients) -> None:
    """250 of them at once."""
    check(meter, *run_tasks(clients, 250), calls=250)


@pytest.mark.fuzz
@pytest.mark.timeout(600)
def test_64_threads_with_200_calls(meter: Meter, clients: Clients) -> None:
    """The same with 12,800 calls."""
    check(meter, *run_threads(clients, 64, 200), calls=12_800)


@pytest.mark.fuzz
@pytest.mark.timeout(600)
def test_5000_asyncio_tasks(meter: Meter, clients: Clients) -> None:
    """The same with 5,000 nested tasks that are open at once."""
    check(meter, *run_tasks(clients, 5000), calls=5000)


class Failing(SpanExporter):
    """An exporter whose endpoint is gone."""

    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.FAILURE


class Raising(SpanExporter):
    """A worse one."""

    def export(self, spans: Any) -> SpanExportResult:
        raise OSError("gone")

    def shutdown(self) -> None: ...


def exporting(exporter: SpanExporter) -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


@pytest.mark.parametrize(
    "provider",
    [
        TracerProvider(sampler=ALWAYS_OFF),
        trace.NoOpTracerProvider(),
        exporting(Failing()),
        exporting(Raising()),
    ],
    ids=["sampled out", "no provider", "refused", "raising"],
)
def test_totals_do_not_depend_on_traces(provider: Any, meter: Meter, clients: Clients) -> None:
    """Of concurrent nested tasks with calls: ledgers and metrics are the same with no trace at all."""
    instrument(tracer_provider=provider, meter_provider=meter.meter_provider)
    whole, parts = run_tasks(clients, 20)
    assert (whole.cost.total, whole.calls) == (20 * GPT, 20)
    assert sum((part.cost.total for part in parts), Decimal(0)) == 20 * GPT
    assert sum(point.value for point in meter.metric("taskmeter.cost")) == float(20 * GPT)
    assert sum(point.sum for point in meter.metric("taskmeter.task.cost")) == float(40 * GPT)


def test_without_a_meter_provider_either(clients: Clients) -> None:
    """With nothing configured at all the ledger is right."""
    instrument(tracer_provider=trace.NoOpTracerProvider(), meter_provider=MeterProvider())
    whole, _ = run_threads(clients, 4, 5)
    assert whole.cost.total == 20 * GPT
