"""`python -m tools.clickhouse DIRECTORY [--typed]`: ClickHouse's engine with the spans of a directory's Parquet files in
the Collector's table, behind its HTTP interface, until standard input ends. Prints the URL for `--source`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from taskmeter.spool.columns import ATTRIBUTES
from tests.reports.clickhouses import Engine, serving
from tests.reports.test_clickhouse import OTEL_TRACES

TYPED: Final = Path(__file__).parents[1] / "deploy" / "clickhouse.sql"
LABEL: Final = "taskmeter.label.team"
PAIRS: Final = ", ".join(f"'{name}', ifNull(toString(`{name}`), '')" for name in ATTRIBUTES)
FILL: Final = f"""
INSERT INTO otel_traces (
    Timestamp, TraceId, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName, ResourceAttributes, ScopeName,
    SpanAttributes, Duration, StatusCode
)
SELECT fromUnixTimestamp64Nano(start_ns), trace_id, span_id, ifNull(parent_span_id, ''), name, 'Internal', service,
    map('service.version', version), scope,
    mapFilter((k, v) -> v != '', map({PAIRS}, '{LABEL}', JSONExtractString(attributes, '{LABEL}', 'stringValue'))),
    end_ns - start_ns, 'Unset'
FROM file('{{path}}', Parquet) SETTINGS max_partitions_per_insert_block = 0
"""


def main(directory: Path, *, typed: bool) -> None:
    """Fills the table file by file, and serves it."""
    engine = Engine()
    engine.ask(OTEL_TRACES)
    if typed:
        engine.ask(TYPED.read_text())
    for path in sorted(directory.glob("*.parquet")):
        engine.ask(FILL.format(path=path))
    with serving(engine) as server:
        print(f"clickhouse://127.0.0.1:{server.server_port}/default", flush=True)
        sys.stdin.read()
    engine.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), typed="--typed" in sys.argv)
