"""`opentelemetry-instrument python app.py`: an application that knows nothing of us."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.export.programs import run, spooled
from tests.export.receiver import Receiver

BARE = """
import openai
from taskmeter.demo.stub import StubProvider
with StubProvider() as stub, openai.OpenAI(base_url=f"{stub.url}/v1", api_key="stub") as client:
    client.responses.create(model="gpt-5-mini", input="Where is order 17?")
"""


@pytest.fixture
def opentelemetry_instrument() -> tuple[str, ...]:
    """The command, from the environment that runs the tests."""
    return (str(Path(sys.executable).with_name("opentelemetry-instrument")), sys.executable)


def test_calls_get_their_cost_without_a_line_of_code(tmp_path: Path, opentelemetry_instrument: tuple[str, ...]) -> None:
    """The command finds our entry point; its own exporters send the span with its cost."""
    with Receiver() as receiver:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "httpx,httpx2",
            "OTEL_SERVICE_NAME": "untouched",
        }
        done = run(BARE, tmp_path, command=opentelemetry_instrument, **variables)
    assert (done.code, done.err) == (0, "")
    (call,) = [span for span in receiver.spans if span.kind == "call"]
    assert call.name == "chat gpt-5-mini"
    assert call.resource["service.name"] == "untouched"
    assert call.attributes["taskmeter.cost.status"] == "exact"
    cost = call.attributes["gen_ai.usage.cost.amount"]
    assert type(cost) is float
    assert cost > 0
    assert receiver.sum("taskmeter.cost") == cost
    assert not (tmp_path / ".taskmeter").exists()


def test_configure_under_the_command_adds_the_spool_only(
    tmp_path: Path, opentelemetry_instrument: tuple[str, ...]
) -> None:
    """The command's provider is the application's own: nothing is sent or stamped twice."""
    program = """
from opentelemetry import trace
import taskmeter
from app import work
taskmeter.configure()
processors = trace.get_tracer_provider()._active_span_processor._span_processors
print(sorted(type(p).__name__ for p in processors), work().calls)
"""
    with Receiver() as receiver:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "asgi,celery,httpx,httpx2,threading",  # which other tests need
        }
        done = run(program, tmp_path, command=opentelemetry_instrument, **variables)
    assert (done.code, done.err) == (0, "")
    assert done.out == "['BatchSpanProcessor', 'SpanQueue', 'TaskSpanProcessor'] 2"
    assert sorted(span.span_id for span in receiver.spans) == sorted(
        span.span_id for span in spooled(tmp_path / ".taskmeter")
    )
    assert len(receiver.spans) == 5
