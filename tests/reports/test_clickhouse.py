"""The Collector's table in ClickHouse: the same report as from a spool with the same spans. ClickHouse is embedded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from threading import Thread
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskmeter.cli import main
from taskmeter.errors import SourceError, SpoolError, UsageError
from taskmeter.reports.breakdown import breakdown
from taskmeter.reports.compare import compare
from taskmeter.reports.engine import clickhouse
from taskmeter.reports.engine.collected import records
from taskmeter.reports.engine.warehouse import Warehouse, open_clickhouse, open_spool
from taskmeter.reports.forecast import forecast
from taskmeter.reports.forecast_result import Plan
from taskmeter.reports.relations import relate
from taskmeter.reports.scenario_texts import scenarios
from taskmeter.reports.selectors import Selector
from taskmeter.reports.steps import steps
from taskmeter.reports.task_tree import task_tree
from taskmeter.reports.unit_cost import unit_cost
from taskmeter.reports.value import value
from taskmeter.reports.value_result import Minutes, Work
from taskmeter.reports.volumes import read_horizon, read_volume
from taskmeter.reports.whatif import what_if
from taskmeter.spool.read import SpanRecord, SpoolReading
from tests.reports.priced import Call, random_calls, record_task, sent, try_changes
from tests.reports.spans import Recorder
from tests.reports.spools import SECOND, START, Spool

ROOT = Path(__file__).parents[2]

# The schema that the Collector's ClickHouse exporter makes.
OTEL_TRACES = """
CREATE TABLE otel_traces (
    Timestamp DateTime64(9) CODEC(Delta, ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)),
    TraceState String CODEC(ZSTD(1)),
    SpanName LowCardinality(String) CODEC(ZSTD(1)),
    SpanKind LowCardinality(String) CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Duration UInt64 CODEC(ZSTD(1)),
    StatusCode LowCardinality(String) CODEC(ZSTD(1)),
    StatusMessage String CODEC(ZSTD(1)),
    Events Nested (
        Timestamp DateTime64(9),
        Name LowCardinality(String),
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    Links Nested (
        TraceId String,
        SpanId String,
        TraceState String,
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1))
) ENGINE = MergeTree PARTITION BY toDate(Timestamp) ORDER BY (ServiceName, SpanName, toDateTime(Timestamp))
"""


class Embedded:
    """ClickHouse in this process, with the stock table."""

    def __init__(self) -> None:
        session = pytest.importorskip("chdb.session")
        self._session = session.Session()
        self._session.query(OTEL_TRACES)

    def fill(self, spans: list[dict[str, Any]]) -> None:
        self._session.query("TRUNCATE TABLE otel_traces")
        rows = "\n".join(json.dumps(_row(span)) for span in spans)
        self._session.query(f"INSERT INTO otel_traces FORMAT JSONEachRow {rows}")

    def fetch(self, query: str) -> Iterator[bytes]:
        yield self._session.query(query, "Parquet").bytes()

    def ask(self, query: str, form: str) -> bytes:
        return self._session.query(query, form).bytes()

    def close(self) -> None:
        self._session.close()


def _row(span: dict[str, Any]) -> dict[str, Any]:
    """A span as the exporter writes it: attributes as strings."""
    start = int(span["startTimeUnixNano"])
    return {
        "Timestamp": f"{start // 10**9}.{start % 10**9:09}",
        "TraceId": span["traceId"],
        "SpanId": span["spanId"],
        "ParentSpanId": span["parentSpanId"],
        "SpanName": span["name"],
        "ServiceName": "shop",
        "SpanAttributes": {pair["key"]: _text(*pair["value"].values()) for pair in span["attributes"]},
        "Duration": int(span["endTimeUnixNano"]) - start,
    }


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.fixture(scope="module")
def embedded() -> Iterator[Embedded]:
    database = Embedded()
    yield database
    database.close()


WORK = Work(task=Minutes(60), hourly=Decimal(60))
PLAN = Plan(volumes=(read_volume("1000/day"),), horizon=read_horizon("30d"), start=date(2026, 12, 1))
MIDDLE = START + 10 * SECOND
REPORTS: tuple[Callable[[Warehouse], object], ...] = (
    unit_cost,
    lambda warehouse: unit_cost(warehouse, "step"),
    lambda warehouse: unit_cost(warehouse, "model", since_ns=MIDDLE),
    breakdown,
    lambda warehouse: breakdown(warehouse, ["resolve"], until_ns=MIDDLE),
    lambda warehouse: value(warehouse, work=WORK),
    steps,
    lambda warehouse: compare(warehouse, Selector("..", until_ns=MIDDLE), Selector("..", since_ns=MIDDLE)),
    lambda warehouse: forecast(warehouse, PLAN),
)


def answers(warehouse: Warehouse) -> list[object]:
    """What each report says, or why it cannot."""
    said: list[object] = []
    for report in REPORTS:
        try:
            said.append(report(warehouse))
        except (UsageError, SpoolError) as error:
            said.append(str(error))
    return said


def trees(spans: Iterable[SpanRecord]) -> list[object]:
    """What `show` says of each task, or why it cannot."""
    try:
        relations = relate(spans)
    except UsageError as error:
        return [str(error)]
    return [task_tree(relations, task) for task in sorted(relations.tasks)]


def check(embedded: Embedded, random: Random) -> None:
    spool = Spool(random)
    if not any(span["attributes"] for span in spool.spans):
        return  # all lost: the spool holds spans, the table none of tasks
    embedded.fill(spool.write_again())
    with TemporaryDirectory() as name:
        spool.write(Path(name))
        with open_spool(SpoolReading(Path(name))) as warehouse:
            expected = answers(warehouse)
        shown = trees(SpoolReading(Path(name)))
    with open_clickhouse(embedded.fetch) as warehouse:
        assert answers(warehouse) == expected
    assert trees(records(embedded.fetch)) == shown


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_the_report_is_that_of_a_spool(embedded: Embedded, random: Random) -> None:
    """Every row, total and note; spans that were sent again count once."""
    check(embedded, random)


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
def test_the_report_is_that_of_each_of_500_spools(embedded: Embedded) -> None:
    """The same, at length."""
    for seed in range(500):
        check(embedded, Random(seed))


def test_what_if_is_that_of_a_spool(embedded: Embedded, tmp_path: Path) -> None:
    """Tiers told by amounts, fingerprints and what was carried come through a Collector too."""
    recorder = Recorder(tmp_path)
    again = Call({"input": 4_000}, more={"FINGERPRINT": "f" * 16, "CONTEXT_CARRIED_TOKENS": 2_000})
    about = Call({"input": 4_000}, more=sent("documents", 1_000, "0.00125"))
    record_task(recorder, "work", "t", [*random_calls(3), again, again, about])
    lines = [json.loads(line) for path in tmp_path.glob("*.jsonl") for line in path.read_text().splitlines()]
    found = [
        {"parentSpanId": ""} | span
        for document in lines
        for resource in document["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    embedded.fill(found)
    changes: dict[str, Any] = {
        "response_cache": "exact",
        "context": ["documents=-60%"],
        "route": ["work:gpt-5.4=gpt-5-nano@50%"],
        "cache": "50%-95%",
        "batch": ["*"],
    }
    expected = try_changes(tmp_path, **changes)
    assert expected.total.saving.likely > 0
    with open_clickhouse(embedded.fetch) as warehouse:
        assert what_if(warehouse, scenarios(**changes)) == expected


class Server(ThreadingHTTPServer):
    """ClickHouse's HTTP interface, as far as a client that only reads needs it, before the embedded one."""

    def __init__(self, embedded: Embedded) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.embedded = embedded
        self.users: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        asked = parse_qs(urlsplit(self.path).query)
        query = asked.get("query", [body])[0]
        self.server.users.append(self.headers.get("Authorization", ""))
        try:
            answer = self.server.embedded.ask(query, asked.get("default_format", ["TabSeparated"])[0])
        except RuntimeError as error:
            return self._send(500, str(error).encode(), {"X-ClickHouse-Exception-Code": "60"})
        return self._send(200, answer)

    def _send(self, status: int, content: bytes, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, text in headers.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        """Not on the terminal."""


@pytest.fixture
def server(embedded: Embedded) -> Iterator[Server]:
    server = Server(embedded)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("report", [("report",), ("breakdown",), ("show", "T-1")], ids=lambda words: words[0])
def test_the_command_reports_from_a_server(
    report: tuple[str, ...], embedded: Embedded, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--source clickhouse://` prints what `--spool` prints; a table that is not there is one line, no password."""
    spool = Spool(Random(7))
    embedded.fill(spool.spans)
    with TemporaryDirectory() as name:
        spool.write(Path(name))
        assert command(*report, "--spool", name, "--format", "json") == 0
    expected = capsys.readouterr().out
    url = f"clickhouse://me:secret@127.0.0.1:{server.server_port}/default"
    assert command(*report, "--source", url, "--format", "json") == 0
    assert capsys.readouterr().out == expected
    assert command(*report, "--source", f"{url}?table=nowhere") == 1
    said = capsys.readouterr().err
    assert said.startswith(f"taskmeter: Cannot read spans from clickhouse://me@127.0.0.1:{server.server_port}/default")
    assert "secret" not in said


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return int(end.value.code or 0)


def test_typed_columns_change_nothing(embedded: Embedded) -> None:
    """The statements of `deploy/clickhouse.sql` are those of the library; with them the report is the same."""
    statements = "\n".join(clickhouse.materialise())
    assert statements in (ROOT / "deploy" / "clickhouse.sql").read_text()
    spool = Spool(Random(7))
    embedded.fill(spool.spans)
    with open_clickhouse(embedded.fetch) as warehouse:
        expected = unit_cost(warehouse)
    for statement in clickhouse.materialise():
        embedded.ask(statement.rstrip(";"), "TabSeparated")
    embedded.fill(spool.spans)
    asked: list[str] = []

    def fetch(query: str) -> Iterator[bytes]:
        asked.append(query)
        return embedded.fetch(query)

    with open_clickhouse(fetch) as warehouse:
        assert unit_cost(warehouse) == expected
    assert "mapContains" not in asked[-1]


def test_a_table_without_tasks_says_so(embedded: Embedded) -> None:
    """Spans of others alone are no report."""
    embedded.fill(
        [
            {
                "traceId": "a" * 32,
                "spanId": "b" * 16,
                "parentSpanId": "",
                "name": "GET /",
                "startTimeUnixNano": "1790000000000000000",
                "endTimeUnixNano": "1790000000000000001",
                "attributes": [],
            }
        ]
    )
    with pytest.raises(SourceError, match="otel_traces holds no spans of tasks"), open_clickhouse(embedded.fetch):
        pass


@pytest.mark.parametrize(
    "url",
    [
        "spool",
        "mysql://host/db",
        "clickhouse:///db",
        "clickhouse://me:secret@/db",
        "clickhouse://me:secret@host:port/db",
        "clickhouse://me:secret@[host/db",
    ],
)
def test_another_source_is_refused_without_its_password(url: str) -> None:
    """The message says how one is written."""
    with pytest.raises(UsageError, match="clickhouse://user@host:8123/default") as error:
        clickhouse.connect(url)
    assert "secret" not in str(error.value)


def test_a_table_is_a_name() -> None:
    """Whatever it is called, it is quoted."""
    assert "FROM `otel`.`tra``ces; DROP`".replace("``", "\\`") in clickhouse.query("otel.tra`ces; DROP")
