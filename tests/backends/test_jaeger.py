"""Jaeger v2 keeps our spans with their types and links, and finds them again. Built from source once, in minutes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from tests.backends.backend import DEMO, DEMO_SPANS, free_port, serving
from tests.export.programs import run, spooled

pytestmark = [pytest.mark.backends, pytest.mark.slow, pytest.mark.timeout(3600)]

MODULE: Final = "github.com/jaegertracing/jaeger@v1.76.0"
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "taskmeter" / MODULE
CONFIG: Final = """
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}
  telemetry: {{metrics: {{level: none}}}}
extensions:
  jaeger_storage: {{backends: {{memory: {{memory: {{max_traces: 1000}}}}}}}}
  jaeger_query:
    storage: {{traces: memory}}
    http: {{endpoint: "127.0.0.1:{query}"}}
    grpc: {{endpoint: "127.0.0.1:{grpc}"}}
receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{otlp}"}}}}}}
exporters:
  jaeger_storage_exporter: {{trace_storage: memory}}
"""


def binary() -> Path:
    """The Jaeger program, built from the Go module proxy unless it is in the cache."""
    program = CACHE / "jaeger"
    if not program.exists():
        go = shutil.which("go")
        if go is None:
            pytest.fail(f"Jaeger has to be built: install Go 1.25 or later, or put its program at {program}")
        environment = os.environ | {"CGO_ENABLED": "0"}
        found = subprocess.run([go, "mod", "download", "-json", MODULE], check=True, capture_output=True, text=True)
        source = json.loads(found.stdout)["Dir"]
        CACHE.mkdir(parents=True, exist_ok=True)
        built = program.with_suffix(".part")
        command = [go, "build", "-C", source, "-trimpath", "-ldflags=-s -w", "-o", built, "./cmd/jaeger"]
        subprocess.run(command, check=True, env=environment)
        built.rename(program)
    return program


class Jaeger:
    """A running Jaeger, which forgets everything when it ends."""

    def __init__(self, otlp_port: int, query_port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{otlp_port}"
        self._query = f"http://127.0.0.1:{query_port}"

    def find(self, service: str, **tags: str) -> list[Any]:
        """The spans of all traces of `service` that have a span with these tags."""
        query = urllib.parse.urlencode({"service": service, "limit": 500, "tags": json.dumps(tags)})
        with urllib.request.urlopen(f"{self._query}/api/traces?{query}") as answer:  # noqa: S310 - our own server
            return [span for trace in json.load(answer)["data"] for span in trace["spans"]]


@contextmanager
def running(directory: Path) -> Iterator[Jaeger]:
    """Jaeger on free ports of this machine."""
    ports = {"otlp": free_port(), "query": free_port(), "grpc": free_port()}
    config = directory / "jaeger.yaml"
    config.write_text(CONFIG.format(**ports))
    with serving([binary(), "--config", config], ports["otlp"], directory):
        yield Jaeger(ports["otlp"], ports["query"])


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Jaeger, list[Any], Path]]:
    """One run of the demonstration, as Jaeger gives it back."""
    directory = tmp_path_factory.mktemp("jaeger")
    with running(directory) as jaeger:
        variables = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{jaeger.endpoint}/v1/traces",
            "OTEL_SERVICE_NAME": "helpdesk",
        }
        done = run(DEMO, directory, **variables)
        assert (done.code, done.err) == (0, "")
        found: list[Any] = []
        deadline = time.monotonic() + 10
        while len(found) < DEMO_SPANS and time.monotonic() < deadline:
            time.sleep(0.1)
            found = jaeger.find("helpdesk")
        yield jaeger, found, directory / "spool"


def tags(span: Any) -> dict[str, tuple[str, Any]]:
    """Type and value of each tag of a span."""
    return {tag["key"]: (tag["type"], tag["value"]) for tag in span["tags"]}


def test_every_span_arrives_below_its_parent(spans: tuple[Jaeger, list[Any], Path]) -> None:
    """The tree is that of the spool."""
    _, found, spool = spans
    arrived = {
        span["spanID"]: [link["spanID"] for link in span["references"] if link["refType"] == "CHILD_OF"]
        for span in found
    }
    assert len(found) == DEMO_SPANS
    assert arrived == {span.span_id: [span.parent_span_id] if span.parent_span_id else [] for span in spooled(spool)}


def test_costs_are_numbers_there(spans: tuple[Jaeger, list[Any], Path]) -> None:
    """Doubles and integers, so that they can be compared and summed; the exact amount as text."""
    _, found, _ = spans
    calls = [tags(span) for span in found if tags(span).get("taskmeter.span.kind") == ("string", "call")]
    tasks = [tags(span) for span in found if tags(span).get("taskmeter.span.kind") == ("string", "task")]
    assert (len(calls), len(tasks)) == (82, 64)
    costs = [call["gen_ai.usage.cost.amount"] for call in calls if "gen_ai.usage.cost.amount" in call]
    assert len(costs) == 80
    assert {kind for kind, _ in costs} == {"float64"}
    assert {task["taskmeter.cost.total"][0] for task in tasks} == {"float64"}
    assert {task["taskmeter.calls"][0] for task in tasks} == {"int64"}
    assert all(
        Decimal(str(task["taskmeter.cost.total"][1])) == Decimal(task["taskmeter.cost.exact"][1]) for task in tasks
    )


def test_a_task_is_found_by_its_business_key(spans: tuple[Jaeger, list[Any], Path]) -> None:
    """With every call below it."""
    jaeger, _, _ = spans
    found = jaeger.find("helpdesk", **{"taskmeter.task.key": "T-1002"})
    kinds = sorted(tags(span)["taskmeter.span.kind"][1] for span in found)
    assert kinds == ["attempt", *["call"] * 5, *["step"] * 3, "task", *["tool"] * 3]
