"""What a span costs the spool's thread: our encoder against OpenTelemetry's own."""

from __future__ import annotations

import json
from collections.abc import Iterator

from openai import OpenAI
from opentelemetry.exporter.otlp.json.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import taskmeter
from bench.harness import Plan, Result, compare
from bench.wire import client
from taskmeter.spool.encode import encode_line


def spans(count: int) -> list[ReadableSpan]:
    """Spans as the hooks make them."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    taskmeter.instrument(tracer_provider=provider)
    openai = client(OpenAI)
    with taskmeter.track_task("bench", key="T-1", customer="acme"):
        for _ in range(count):
            openai.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "x"}])
    taskmeter.uninstrument()
    return list(exporter.get_finished_spans())


def run(plan: Plan) -> Iterator[Result]:
    """A batch of 100 calls and their task; divide by 101 for one span."""
    batch = spans(100)
    yield compare(
        "101 spans: OpenTelemetry's encoder, then ours",
        lambda: json.dumps(encode_spans(batch).to_dict()),
        lambda: encode_line(batch),
        plan,
    )
