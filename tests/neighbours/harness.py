"""Neighbours, how each is switched on, and what was exported while they watched."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Callable
from decimal import Decimal
from importlib import import_module
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from taskmeter import CostExporter, Task, TaskSpanProcessor, instrument, track_task
from taskmeter.demo.stub import Script, StubProvider

INSTRUMENTORS = {
    "openinference": (
        "openinference.instrumentation.openai:OpenAIInstrumentor",
        "openinference.instrumentation.anthropic:AnthropicInstrumentor",
    ),
    "openllmetry": (
        "opentelemetry.instrumentation.openai:OpenAIInstrumentor",
        "opentelemetry.instrumentation.anthropic:AnthropicInstrumentor",
    ),
    "opentelemetry": (
        "opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor",
        "opentelemetry.instrumentation.genai.anthropic:AnthropicInstrumentor",
    ),
    "langchain-openinference": ("openinference.instrumentation.langchain:LangChainInstrumentor",),
    "langchain-openllmetry": ("opentelemetry.instrumentation.langchain:LangchainInstrumentor",),
    "langchain-openllmetry-both": (
        "opentelemetry.instrumentation.langchain:LangchainInstrumentor",
        "opentelemetry.instrumentation.openai:OpenAIInstrumentor",
        "opentelemetry.instrumentation.anthropic:AnthropicInstrumentor",
    ),
    "litellm-openinference": ("openinference.instrumentation.litellm:LiteLLMInstrumentor",),
    "agents-openinference": ("openinference.instrumentation.openai_agents:OpenAIAgentsInstrumentor",),
    "agents-openllmetry": ("opentelemetry.instrumentation.openai_agents:OpenAIAgentsInstrumentor",),
}
ENVIRONMENT = {
    "langchain-langsmith": {
        "LANGSMITH_OTEL_ENABLED": "true",
        "LANGSMITH_OTEL_ONLY": "true",
        "LANGSMITH_TRACING": "true",
        "LANGSMITH_API_KEY": "none",
    },
    "litellm-own": {"USE_OTEL_LITELLM_REQUEST_SPAN": "true"},
}
LEAVES = ("call", "tool", "charge")


class Bench:
    """A provider that both write to, the neighbour's spans and ours."""

    def __init__(self, who: str, order: str) -> None:
        self.who = who
        os.environ.update(ENVIRONMENT.get(who, {}))
        os.environ.update(LITELLM_LOCAL_MODEL_COST_MAP="True", OPENAI_AGENTS_DISABLE_TRACING="0", OPENAI_API_KEY="none")
        self.exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self._meters = MeterProvider([self._reader])
        processors = (TaskSpanProcessor(), SimpleSpanProcessor(CostExporter(self.exporter)))
        if who == "logfire":
            self._provider: Any = _logfire(list(processors))
        else:
            self._provider = TracerProvider()
            for processor in processors:
                self._provider.add_span_processor(processor)
            trace.set_tracer_provider(self._provider)
        ours = [lambda: instrument(tracer_provider=self._provider, meter_provider=self._meters)]
        theirs = [lambda: _switch_on(who, self._provider)]
        for switch in theirs + ours if order == "before" else ours + theirs:
            switch()

    def run(self, program: Callable[..., Any], replies: list[Any], **options: Any) -> Task:
        """The task that `program` was, once all has been exported that concerns it."""
        self.exporter.clear()
        with StubProvider(Script(*replies)) as stub, track_task("test") as task:
            result = program(stub.url, **options)
            if inspect.iscoroutine(result):
                asyncio.run(result)
        _settle(self.who)
        return task

    def spans(self) -> list[ReadableSpan]:
        """Those of the last run."""
        return list(self.exporter.get_finished_spans())

    def leaf_sum(self) -> Decimal:
        """What the exported leaves of the last run cost together, to the last digit."""
        found = [dict(span.attributes or {}) for span in self.spans()]
        leaves = (each for each in found if each.get("taskmeter.span.kind") in LEAVES)
        return sum((Decimal(str(leaf.get("taskmeter.cost.exact", "0"))) for leaf in leaves), Decimal(0))

    def foreign_spans(self) -> list[ReadableSpan]:
        """The neighbour's own."""
        ours = ("taskmeter", "com.anthropic.sdk.python")
        return [
            span for span in self.spans() if span.instrumentation_scope and span.instrumentation_scope.name not in ours
        ]

    def counted(self) -> Decimal:
        """What the metric has counted since the start, to 12 digits."""
        data = self._reader.get_metrics_data()
        points = [
            point.value
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == "taskmeter.cost"
            for point in metric.data.data_points
        ]
        return round(sum(map(Decimal, points), Decimal(0)), 12)

    def close(self) -> None:
        self._meters.shutdown()


def _switch_on(who: str, provider: Any) -> None:
    if who == "logfire":
        import logfire

        logfire.instrument_openai()
        logfire.instrument_anthropic()
    elif who == "litellm-own":
        import litellm

        litellm.callbacks = ["otel"]
    elif who.startswith("agents"):
        from agents import set_trace_processors

        set_trace_processors([])  # it would send its traces to OpenAI
    for path in INSTRUMENTORS.get(who, ()):
        module, _, name = path.partition(":")
        getattr(import_module(module), name)().instrument(tracer_provider=provider)


def _logfire(processors: list[Any]) -> Any:
    import logfire

    logfire.configure(
        send_to_logfire=False, console=False, inspect_arguments=False, additional_span_processors=processors
    )
    return trace.get_tracer_provider()


def _settle(who: str) -> None:
    """Waits for what a neighbour tells in a thread of its own."""
    import time

    if who == "langchain-langsmith":
        from langchain_core.tracers.langchain import wait_for_all_tracers

        wait_for_all_tracers()
        time.sleep(0.5)
    elif who.startswith("litellm"):
        time.sleep(0.7)
