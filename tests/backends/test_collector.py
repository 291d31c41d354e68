"""The path at scale: tasks over OTLP into the OpenTelemetry Collector with deploy/collector.yaml, which writes to
ClickHouse, from where reports read. The Collector is built from source once, in minutes; of ClickHouse the engine is
real, and a server of ours speaks for it."""

from __future__ import annotations

import io
import json
import re
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from taskmeter.cli import main
from tests.backends import backend
from tests.backends.backend import DEMO, DEMO_SPANS, free_port
from tests.export.programs import environment, run, spooled
from tests.reports.clickhouses import Engine, Server, serving
from tests.reports.test_clickhouse import OTEL_TRACES

pytestmark = [pytest.mark.backends, pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT: Final = Path(__file__).parents[2]
SHIPPED: Final = ROOT / "deploy" / "collector.yaml"
# What differs from one place to another. Of the compressions of clickhouse-go our server knows none.
HERE: Final = """
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{grpc}"}}, http: {{endpoint: "127.0.0.1:{http}"}}}}}}}}
extensions: {{file_storage: {{directory: "{directory}/storage"}}}}
exporters: {{clickhouse: {{endpoint: "http://127.0.0.1:{clickhouse}", compress: none}}}}
service: {{telemetry: {{metrics: {{level: none}}}}}}
"""
FASTER: Final = 30
"""The Collector waits for so much shorter than it is told to."""
WRITER: Final = "Basic " + b64encode(b"writer:secret").decode()
REPORTS: Final = (
    ("report",),
    ("report", "--by", "customer"),
    ("value", "--task-minutes", "30"),
    ("steps",),
    ("breakdown",),
    ("whatif", "--route", "*:*=gpt-4.1-nano", "--cache", "50%-95%"),
    ("show", "T-1002"),
)


@cache
def program() -> str:
    """The Collector."""
    built = subprocess.run([ROOT / "tools" / "collector.sh"], check=False, stdout=subprocess.PIPE, text=True)
    if built.returncode:
        pytest.fail("there is no OpenTelemetry Collector; what tools/collector.sh said of it is above")
    return built.stdout.strip()


def _sooner(wait: re.Match[str]) -> str:
    seconds = int(wait[2]) * {"s": 1, "m": 60}[wait[3]]
    return f"{wait[1]}{seconds * 1000 // FASTER}ms\n"


@contextmanager
def collecting(server: Server, directory: Path, sampling_percentage: int) -> Iterator[dict[str, str]]:
    """The Collector with the shipped configuration but for `sampling_percentage`; yields its endpoints by protocol."""
    shipped = SHIPPED.read_text()
    assert "sampling_percentage: 10\n" in shipped
    shipped = shipped.replace("sampling_percentage: 10\n", f"sampling_percentage: {sampling_percentage}\n")
    shipped, waits = re.subn(r"((?:wait|received|timeout): )(\d+)([sm])\n", _sooner, shipped)
    assert waits == 3
    config, here = directory / "collector.yaml", directory / "here.yaml"
    config.write_text(shipped)
    ports = {"grpc": free_port(), "http": free_port()}
    here.write_text(HERE.format(**ports, directory=directory, clickhouse=server.server_port))
    server.engine.ask("DROP DATABASE IF EXISTS otel")
    command: list[str | Path] = ["env", "CLICKHOUSE_PASSWORD=secret", program(), "--config", config, "--config", here]
    with backend.serving(command, ports["http"], directory):
        yield {protocol: f"http://127.0.0.1:{port}" for protocol, port in ports.items()}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    engine = Engine()
    with serving(engine) as server:
        yield server
    engine.close()


def rows(server: Server, query: str) -> list[list[Any]]:
    """The rows of an answer."""
    found: list[list[Any]] = json.loads(server.engine.ask(query, "JSONCompact", "otel"))["data"]
    return found


def wait(done: Callable[[], object]) -> None:
    """Until the Collector has got so far."""
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def stored(server: Server) -> int:
    """Rows in the table."""
    return int(rows(server, "SELECT count() FROM otel_traces")[0][0])


def said(*words: str) -> str:
    """What the command prints."""
    with redirect_stdout(io.StringIO()) as output, pytest.raises(SystemExit) as end:
        main(words)
    assert not end.value.code, words
    return output.getvalue()


def reports(*source: str) -> list[str]:
    """Each report on a source, with every digit."""
    return [said(*words, *source, "--format", "json") for words in REPORTS]


def test_the_shipped_configuration_is_valid() -> None:
    """The Collector finds nothing to say about it."""
    checked = subprocess.run(
        [program(), "validate", "--config", SHIPPED],
        check=False,
        env=environment(CLICKHOUSE_PASSWORD="secret"),
        capture_output=True,
        text=True,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@dataclass(frozen=True, slots=True)
class Delivered:
    """A run of the demonstration by way of the Collector, over HTTP, then again over gRPC; what reports said of it."""

    statements: list[str]
    users: set[str]
    log: str
    expected: list[str]
    stock: list[str]
    """In the exporter's own table."""
    typed: list[str]
    """With the columns of deploy/clickhouse.sql, and each span twice."""
    columns: list[list[Any]]
    metrics: list[list[Any]]


@pytest.fixture(scope="module")
def delivered(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    directory = tmp_path_factory.mktemp("collector")
    source = ("--source", f"clickhouse://reader@127.0.0.1:{server.server_port}/otel")
    spool = directory / "spool"
    server.statements.clear()
    server.users.clear()
    with collecting(server, directory, sampling_percentage=100) as endpoints:
        done = run(DEMO, directory, OTEL_EXPORTER_OTLP_ENDPOINT=endpoints["http"])
        assert (done.code, done.err) == (0, "")
        wait(lambda: stored(server) >= DEMO_SPANS)
        users = set(server.users)
        expected = reports("--spool", str(spool))
        stock = reports(*source)
        server.engine.ask((ROOT / "deploy" / "clickhouse.sql").read_text(), database="otel")
        again = said("ship", "--spool", str(spool), "--endpoint", endpoints["grpc"], "--protocol", "grpc")
        assert f" {DEMO_SPANS} sent" in again
        wait(lambda: stored(server) >= 2 * DEMO_SPANS)
        typed = reports(*source)
        columns = rows(
            server,
            "SELECT count(), uniqExact(TraceId, SpanId), count(taskmeter_span_kind), count(taskmeter_cost_exact),"
            " countIf(mapContains(SpanAttributes, 'taskmeter.cost.exact')) FROM otel_traces",
        )
        metrics = rows(
            server,
            "SELECT sum(Value) FROM (SELECT argMax(Value, TimeUnix) AS Value FROM otel_metrics_sum"
            " WHERE MetricName = 'taskmeter.tasks' GROUP BY Attributes)",
        )
    log = (directory / "server.log").read_text()
    return Delivered(list(server.statements), users, log, expected, stock, typed, columns, metrics)


def test_reports_are_those_of_the_spool(delivered: Delivered) -> None:
    """Out of the exporter's own table, to the last digit."""
    assert dict(zip(REPORTS, delivered.stock, strict=True)) == dict(zip(REPORTS, delivered.expected, strict=True))
    assert all(json.loads(report) for report in delivered.expected)


def test_typed_columns_and_spans_sent_again_change_nothing(delivered: Delivered) -> None:
    """`deploy/clickhouse.sql` applies to that table, its columns are filled, and what was shipped again counts once."""
    assert dict(zip(REPORTS, delivered.typed, strict=True)) == dict(zip(REPORTS, delivered.expected, strict=True))
    [[count, distinct, kinds, typed_costs, costs]] = delivered.columns
    assert (count, distinct) == (2 * DEMO_SPANS, DEMO_SPANS)
    assert kinds == 2 * DEMO_SPANS
    assert typed_costs == costs > 0


def test_metrics_arrive_too(delivered: Delivered) -> None:
    """They count every task, whatever is sampled."""
    assert delivered.metrics == [[64]]


def test_the_table_is_the_one_that_other_tests_use(delivered: Delivered) -> None:
    """But for the time to live."""
    [made] = [one for one in delivered.statements if one.startswith('CREATE TABLE IF NOT EXISTS "otel"."otel_traces" ')]
    made = made.replace('"otel"."otel_traces"', "otel_traces").replace(
        "TTL toDateTime(Timestamp) + toIntervalDay(90)", ""
    )
    assert made.split() == OTEL_TRACES.split()


def test_the_collector_logs_in_and_complains_of_nothing(delivered: Delivered) -> None:
    """As the user and with the password of the configuration."""
    assert delivered.users == {WRITER}
    assert [line for line in delivered.log.splitlines() if "\terror\t" in line or "\twarn\t" in line] == []


TASKS: Final = """
import taskmeter
from taskmeter import carry, charge, configure, record_outcome, track_task

def spend(usd):
    charge(usd, category="retrieval", item="index")

configure()
for number in range(500):
    with track_task("ordinary", key=f"T-{number}"):
        spend("0.01")
for number in range(20):
    with track_task("failed") as task:
        spend("0.01")
        task.fail("no such order")
    with track_task("outer"):
        with track_task("abandoned within") as task:
            spend("0.01")
            task.abandon("gave up")
    with track_task("costly"):
        spend("0.50")
    with track_task("late"):
        spend("0.01")
        later = carry(spend)
    later("0.02")
    record_outcome(key=f"T-{number}", status="failed", reason="reopened")
"""
LAST: Final = """
from taskmeter import configure, track_task
configure(spool="elsewhere")
with track_task("last") as task:
    task.fail("so that it is kept")
"""


def test_the_shipped_sampling_keeps_what_matters_whole(server: Server, tmp_path: Path) -> None:
    """Traces with a failed, abandoned or costly task or late money, and recorded outcomes: all; of others a tenth, and
    none in part."""
    with collecting(server, tmp_path, sampling_percentage=10) as endpoints:
        done = run(TASKS, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoints["http"])
        assert (done.code, done.err) == (0, "")
        run(LAST, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoints["http"])
        wait(lambda: rows(server, "SELECT 1 FROM otel_traces WHERE SpanName = 'invoke_workflow last'"))
        found = rows(server, "SELECT TraceId, SpanId FROM otel_traces WHERE SpanName != 'invoke_workflow last'")
    kept = {(trace, span) for trace, span in found}
    names: dict[str, set[str]] = {}
    spans: dict[str, set[tuple[str, str]]] = {}
    for span in spooled(tmp_path / ".taskmeter"):
        names.setdefault(span.trace_id, set()).add(span.name)
        spans.setdefault(span.trace_id, set()).add((span.trace_id, span.span_id))
    ordinary = {trace for trace in names if "invoke_workflow ordinary" in names[trace]}
    assert (len(names), len(ordinary)) == (600, 500)
    assert all(spans[trace] <= kept for trace in names.keys() - ordinary)
    kept_ordinary = {trace for trace in ordinary if spans[trace] & kept}
    assert all(spans[trace] <= kept for trace in kept_ordinary)
    assert 17 <= len(kept_ordinary) <= 83, "50 are expected; this is five standard deviations away"
    assert len(found) == len(kept)


SLOW: Final = """
import time
from taskmeter import charge, configure, track_task
setup = configure()
with track_task("slow") as task:
    for _ in range(3):
        charge("0.01", category="retrieval", item="index")
        setup.flush()
        time.sleep(2)
    task.fail("after long work")
"""


def test_a_task_of_minutes_is_kept_when_it_fails(server: Server, tmp_path: Path) -> None:
    """What it paid for arrives long before its own span, which says so; as slow here as the Collector is fast."""
    with collecting(server, tmp_path, sampling_percentage=10) as endpoints:
        done = run(SLOW, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoints["http"])
        assert (done.code, done.err) == (0, "")
        wait(lambda: rows(server, "SELECT 1 FROM otel_traces WHERE SpanName = 'invoke_workflow slow'"))
        assert stored(server) == 4
