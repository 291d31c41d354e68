"""The Collector's table in ClickHouse: the same report as from a spool with the same spans. ClickHouse is embedded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskmeter.cli import main
from taskmeter.errors import SourceError, SpoolError, UsageError
from taskmeter.reports.breakdown import breakdown
from taskmeter.reports.compare import compare
from taskmeter.reports.engine import clickhouse
from taskmeter.reports.engine.collected import records
from taskmeter.reports.engine.selection import relate_collected_task
from taskmeter.reports.engine.warehouse import Warehouse, open_clickhouse, open_spool
from taskmeter.reports.forecast import forecast
from taskmeter.reports.forecast_result import Plan
from taskmeter.reports.relations import Relations, relate
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
from tests.reports.clickhouses import Engine, Server, serving
from tests.reports.priced import Call, random_calls, record_task, sent, try_changes
from tests.reports.spans import Recorder
from tests.reports.spools import SECOND, START, Spool

ROOT = Path(__file__).parents[2]

# The schema that version 0.161 of the Collector's ClickHouse exporter makes, as a test in tests/backends compares.
OTEL_TRACES = """
CREATE TABLE IF NOT EXISTS otel_traces (
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
    ) CODEC(ZSTD(1)),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_res_attr_key mapKeys(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_res_attr_value mapValues(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_span_attr_key mapKeys(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_span_attr_value mapValues(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_duration Duration TYPE minmax GRANULARITY 1
) ENGINE = MergeTree()
PARTITION BY toDate(Timestamp)
ORDER BY (ServiceName, SpanName, toDateTime(Timestamp))
SETTINGS index_granularity=8192, ttl_only_drop_parts = 1
"""


class Embedded(Engine):
    """With the stock table."""

    def __init__(self) -> None:
        super().__init__()
        self.ask(OTEL_TRACES)

    def fill(self, spans: list[dict[str, Any]]) -> None:
        self.ask("TRUNCATE TABLE otel_traces")
        rows = "\n".join(json.dumps(_row(span)) for span in spans)
        self.ask(f"INSERT INTO otel_traces FORMAT JSONEachRow {rows}")


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


@pytest.fixture
def server(embedded: Embedded) -> Iterator[Server]:
    with serving(embedded) as server:
        yield server


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


@pytest.mark.parametrize("wanted", ["T-1", "T-none", ""])
def test_show_fetches_what_it_shows(wanted: str, embedded: Embedded) -> None:
    """Of the traces of the task alone, whatever else is in the table; where there is none, of the last ones."""
    spool = Spool(Random(12))
    embedded.fill(spool.spans)
    embedded.ask(
        "INSERT INTO otel_traces (Timestamp, TraceId, SpanId, SpanName, SpanAttributes)"
        " SELECT fromUnixTimestamp64Nano(number), leftPad(toString(number), 32, '0'), '1', 'invoke_workflow old',"
        " map('taskmeter.span.kind', 'task', 'taskmeter.task.id', toString(number)) FROM numbers(2_000)"
    )
    fetched: list[int] = []

    def fetch(query: str) -> Iterator[bytes]:
        fetched.append(int(embedded.ask(f"SELECT count() FROM ({query})")))
        return embedded.fetch(query)

    relations = relate_collected_task(fetch, "otel_traces", wanted)
    assert fetched[-1] < 1_500 < fetched[1]
    with TemporaryDirectory() as name:
        spool.write(Path(name))
        whole = relate(SpoolReading(Path(name)))
    assert shown_or_refused(relations, wanted) == shown_or_refused(whole, wanted)


def shown_or_refused(relations: Relations, wanted: str) -> object:
    """The tree of a task, or that there is none, with the most recent one."""
    try:
        return task_tree(relations, wanted)
    except SpoolError as error:
        return str(error).rstrip(".").partition(",")[0]


def test_typed_columns_change_nothing(embedded: Embedded) -> None:
    """The statements of `deploy/clickhouse.sql` are those of the library; with them the report is the same."""
    statements = "\n".join(clickhouse.materialise())
    assert statements in (ROOT / "deploy" / "clickhouse.sql").read_text()
    spool = Spool(Random(7))
    embedded.fill(spool.spans)
    with open_clickhouse(embedded.fetch) as warehouse:
        expected = unit_cost(warehouse)
    for statement in clickhouse.materialise():
        embedded.ask(statement.rstrip(";"))
    embedded.fill(spool.spans)
    asked: list[str] = []

    def fetch(query: str) -> Iterator[bytes]:
        asked.append(query)
        return embedded.fetch(query)

    with open_clickhouse(fetch) as warehouse:
        assert unit_cost(warehouse) == expected
    assert "SpanAttributes" not in asked[-1]


@pytest.mark.parametrize(("columns", "index"), [((), "idx_span_attr_key"), (None, "taskmeter_spans")])
def test_spans_of_others_are_passed_over(embedded: Embedded, columns: Sequence[str] | None, index: str) -> None:
    """By an index: the exporter's own, or that of `deploy/clickhouse.sql`. Of 13 granules one is read."""
    embedded.ask("DROP DATABASE IF EXISTS crowded")
    embedded.ask("CREATE DATABASE crowded")
    embedded.ask(OTEL_TRACES, database="crowded")
    for statement in clickhouse.materialise():
        embedded.ask(statement.rstrip(";"), database="crowded")
    embedded.ask(
        "INSERT INTO otel_traces (TraceId, SpanId, SpanName, SpanAttributes)"
        " SELECT toString(number), '1', 'GET /', map('url.path', '/') FROM numbers(99_999)"
        " UNION ALL SELECT 'a', '1', 'outcome succeeded', map('taskmeter.span.kind', 'outcome')",
        database="crowded",
    )
    known = [column.split()[0] for column in embedded.ask("DESCRIBE crowded.otel_traces").decode().splitlines()]
    query = clickhouse.query("crowded.otel_traces", known if columns is None else columns)
    plan = json.loads(embedded.ask(f"EXPLAIN indexes = 1, json = 1 {query}", "TSVRaw"))
    used = {found["Name"]: found for found in indexes(plan) if found["Type"] == "Skip"}
    assert used[index]["Selected Granules"] == 1
    assert used[index]["Initial Granules"] == 13
    assert len(list(embedded.ask(query, "CSV").splitlines())) == 1


def indexes(plan: Any) -> Iterator[dict[str, Any]]:
    """Those that a plan speaks of, at any depth."""
    if isinstance(plan, dict):
        yield from plan.get("Indexes", [])
    if isinstance(plan, dict | list):
        for inner in plan.values() if isinstance(plan, dict) else plan:
            yield from indexes(inner)


def test_the_columns_of_another_database_are_not_taken_for_its_own(embedded: Embedded) -> None:
    """A table of the same name elsewhere may have typed columns."""
    embedded.ask("DROP DATABASE IF EXISTS other")
    embedded.ask("CREATE DATABASE other")
    embedded.ask(OTEL_TRACES, database="other")
    for statement in clickhouse.materialise("otel_traces"):
        embedded.ask(statement.rstrip(";"))
    embedded.fill(Spool(Random(12)).spans)
    embedded.ask("INSERT INTO other.otel_traces SELECT * FROM default.otel_traces")
    with open_clickhouse(embedded.fetch) as warehouse:
        expected = unit_cost(warehouse)
    with open_clickhouse(embedded.fetch, "other.otel_traces") as warehouse:
        assert unit_cost(warehouse) == expected


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
