"""Compaction: the same rows before and after, whatever is in the lines and whenever the process dies."""

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceState

from taskmeter import _semconv as names
from taskmeter.cli import main
from taskmeter.errors import SpoolError
from taskmeter.spool import parquet
from taskmeter.spool.columns import ATTRIBUTES
from taskmeter.spool.compact import Compaction, compact
from taskmeter.spool.read import SpoolReading
from taskmeter.spool.write import SpoolExporter

NOW = datetime(2100, 1, 1, tzinfo=UTC)
TRACE = "000000000000000000000000000000ab"


def run(directory: Path, **options: Any) -> Compaction:
    return compact(directory, older_than=timedelta(0), now=NOW, **options)


def line(*spans: dict[str, Any], **more: Any) -> bytes:
    document = {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "s"}, "spans": list(spans)}]}], **more}
    return json.dumps(document).encode() + b"\n"


def span(number: int, **more: Any) -> dict[str, Any]:
    return {"traceId": TRACE, "spanId": f"{number:016x}", "name": "work", **more}


def ids(directory: Path) -> list[str]:
    return [record.span_id.lstrip("0") for record in SpoolReading(directory)]


def by_span(documents: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> dict[str, Any]:
    """Each span with its attributes by key, its scope and its resource."""
    found = {}
    for document in documents:
        for resource in document["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for one in scope["spans"]:
                    attributes = {pair["key"]: pair["value"] for pair in one.get("attributes", [])}
                    around = {k: v for k, v in scope.items() if k != "spans"}, resource["resource"]
                    found[one["spanId"]] = ({**one, "attributes": attributes}, around, resource.get("schemaUrl"))
    return found


def test_nothing_of_a_span_is_lost(tmp_path: Path) -> None:
    """Resource, scope, schema, trace state, flags, events, links, status and odd attributes come back as OTLP."""
    context = SpanContext(0xAB, 1, is_remote=True, trace_state=TraceState([("vendor", "x")]))
    scope = TracerProvider().get_tracer("taskmeter", "1.2", "https://schema", {"a": 1})._instrumentation_scope
    exporter = SpoolExporter(tmp_path)
    exporter.export(
        [
            ReadableSpan(
                "chat gpt-5",
                context=context,
                parent=SpanContext(0xAB, 2, is_remote=True),
                resource=Resource({"service.name": "shop", "n": 1}, "https://resource"),
                attributes={
                    names.TASK_ID: "t",
                    names.CALLS: 3,
                    names.VALUE: 0.1,
                    names.COST_LATE: True,
                    names.WASTE_CLASS: "loop",
                    names.TASK_NAME: ["not", "a", "text"],
                    names.RETRIES: 2**70,
                    names.QUALITY: float("nan"),
                    names.HUMAN_MINUTES: 5,
                    "raw": b"\x00",
                },
                events=[Event("exception", {"exception.type": "E"}, 5)],
                links=[Link(SpanContext(0xC, 3, is_remote=False), {"why": "batch"})],
                kind=SpanKind.CLIENT,
                start_time=1_700_000_000_000_000_001,
                end_time=1_700_000_000_000_000_009,
                status=Status(StatusCode.ERROR, "broke"),
                instrumentation_scope=scope,
            )
        ]
    )
    exporter.shutdown()
    before = by_span(
        [json.loads(text) for path in tmp_path.glob("traces-*") for text in path.read_bytes().splitlines()]
    )
    [path] = run(tmp_path).written
    assert by_span(parquet.documents(path)) == before
    assert list(tmp_path.glob("traces-*")) == []


TEXTS = st.text(st.characters(exclude_categories=()), max_size=8)  # NUL and halves of surrogate pairs as well
VALUES = st.one_of(
    st.builds(lambda text: {"stringValue": text}, TEXTS),
    st.builds(lambda number: {"intValue": str(number)}, st.integers(-(2**70), 2**70)),
    st.builds(lambda number: {"intValue": number}, st.integers(-5, 5)),
    st.builds(lambda number: {"doubleValue": number}, st.floats()),
    st.builds(lambda number: {"doubleValue": number}, st.sampled_from(["NaN", "x", 3])),
    st.builds(lambda flag: {"boolValue": flag}, st.sampled_from([True, False, 1, "no", {}])),
    st.sampled_from(
        [{}, None, 7, {"arrayValue": {"values": [{"intValue": "1"}]}}, {"intValue": "1e5"}, {"intValue": float("inf")}]
    ),
)
KEYS = st.one_of(st.sampled_from(sorted(ATTRIBUTES)), TEXTS)
SPANS = st.fixed_dictionaries(
    {
        "traceId": st.sampled_from([TRACE, TRACE.upper(), "0" * 32, 7]),
        "spanId": st.sampled_from([f"{number:016x}" for number in range(4)]),
    },
    optional={
        "name": st.one_of(TEXTS, st.none(), st.integers()),
        "kind": st.sampled_from([3, "3", -1, 2**70, "x"]),
        "parentSpanId": st.sampled_from(["", "000000000000000A", "xyz"]),
        "startTimeUnixNano": st.sampled_from(["5", 5, 2**64, "-1"]),
        "status": st.sampled_from([{}, {"code": 2, "message": "m"}, 7]),
        "attributes": st.lists(st.fixed_dictionaries({"key": KEYS, "value": VALUES}), max_size=5),
        "events": st.just([{"name": "e"}]),
    },
)
LINES = st.one_of(
    st.builds(lambda spans: line(*spans), st.lists(SPANS, max_size=4)),
    st.sampled_from(
        [b"torn", b"\n", b'{"resourceSpans":7}\n', b"[" * 5000 + b"\n", b'{"resourceMetrics":[]}\n', b"{}\n"]
    ),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(LINES, max_size=3), min_size=1, max_size=2))
def test_the_same_rows_before_and_after(files: list[list[bytes]]) -> None:
    """Lines, Parquet or both: spans, their order and the count of duplicates are the same."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for number, lines in enumerate(files):
            (directory / f"traces-{number}.jsonl").write_bytes(b"".join(lines))
        before, after = SpoolReading(directory), SpoolReading(directory)
        try:
            spans = repr(list(before))
        except SpoolError:
            return
        done = run(directory)
        assert repr(list(after)) == spans
        assert (after.spans, after.duplicates) == (before.spans, before.duplicates)
        assert after.skipped_lines == after.skipped_spans == 0
        assert done.spans == before.spans + before.duplicates


def test_lines_that_no_report_can_use_are_set_aside_as_they_are(tmp_path: Path) -> None:
    """Torn lines, spans without ids and other signals are in `unread-*.jsonl`, byte for byte; the rest is compacted."""
    mixed, metrics = line(span(1), {"name": "no id"}), b'{"resourceMetrics":[1]}\n'
    (tmp_path / "traces-a.jsonl").write_bytes(line(span(2)) + mixed + metrics + b"\n" + b'{"resourceSp')
    done = run(tmp_path)
    assert (done.spans, done.lines_set_aside) == (2, 3)
    [unread] = tmp_path.glob("unread-a-*.jsonl")
    assert unread.read_bytes() == mixed + metrics + b'{"resourceSp\n'
    assert ids(tmp_path) == ["2", "1"]


def test_files_are_for_the_owner_only_and_nothing_else_stays(tmp_path: Path) -> None:
    """0600 for the Parquet file and for what is set aside; no scratch directory."""
    (tmp_path / "traces-a.jsonl").write_bytes(line(span(1)) + b"torn")
    run(tmp_path)
    modes = {path.name.split("-")[0]: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"spans": 0o600, "unread": 0o600, ".compact.lock": 0o600}


def test_a_file_that_is_open_stays(tmp_path: Path) -> None:
    """Until its writer has closed it, however old it is; files next to it go."""
    exporter = SpoolExporter(tmp_path)
    exporter.export([ReadableSpan("w", context=SpanContext(0xAB, 1, is_remote=False), resource=Resource({}))])
    (tmp_path / "traces-a.jsonl").write_bytes(line(span(2)))
    done = run(tmp_path)
    assert (done.sources, done.being_written) == (1, 1)
    exporter.export([ReadableSpan("w", context=SpanContext(0xAB, 3, is_remote=False), resource=Resource({}))])
    exporter.shutdown()
    assert ids(tmp_path) == ["2", "1", "3"]
    assert run(tmp_path).sources == 1
    assert sorted(ids(tmp_path)) == ["1", "2", "3"]


def test_young_and_undelivered_files_and_links_stay(tmp_path: Path) -> None:
    """What was written since, what has to be sent yet, and what is no file of the spool's own."""
    spool = tmp_path / "spool"
    spool.mkdir()
    for name, age in {"old": 10, "young": 1, "pending": 10}.items():
        path = spool / f"traces-{name}.jsonl"
        path.write_bytes(line(span(1)))
        os.utime(path, (NOW.timestamp() - age, NOW.timestamp() - age))
    (tmp_path / "elsewhere").write_bytes(line(span(2)))
    (spool / "traces-link.jsonl").symlink_to(tmp_path / "elsewhere")
    done = compact(spool, older_than=timedelta(seconds=5), now=NOW, is_pending=lambda path: "pending" in path.name)
    assert (done.sources, done.undelivered) == (1, 1)
    assert sorted(path.name for path in spool.glob("traces-*")) == [
        "traces-link.jsonl",
        "traces-pending.jsonl",
        "traces-young.jsonl",
    ]
    assert (tmp_path / "elsewhere").exists()


KILLED = """
import os, shutil, signal, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from taskmeter.spool.compact import compact

source, directory = Path(sys.argv[1]), Path(sys.argv[2])

def run(last):
    seen = 0
    def hook(event, arguments):
        nonlocal seen
        if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir") and "copy" in str(arguments[:2]):
            seen += 1
            if seen == last:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    compact(directory / f"copy{last}", older_than=timedelta(0), now=datetime(2100, 1, 1, tzinfo=UTC))
    os._exit(0)

for last in range(1, 100):
    shutil.copytree(source, directory / f"copy{last}")
    child = os.fork()
    if child == 0:
        run(last)
    if os.waitpid(child, 0)[1] == 0:
        break
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_point_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    """SIGKILL before each thing done to the directory: reports see each span once, and so they do after the next run,
    which leaves one Parquet file and no source."""
    source, copies = tmp_path / "source", tmp_path / "copies"
    source.mkdir()
    copies.mkdir()
    for number in (1, 2, 3):
        (source / f"traces-{number}.jsonl").write_bytes(line(span(number)) + b"torn\n")
    subprocess.run([sys.executable, "-c", KILLED, str(source), str(copies)], check=True, timeout=100)
    points = sorted(copies.iterdir())
    assert len(points) > 15
    for directory in points:
        assert sorted(ids(directory)) == ["1", "2", "3"]
        run(directory)
        assert sorted(ids(directory)) == ["1", "2", "3"]
        assert (
            sorted(path.name.split("-")[0] for path in directory.iterdir())
            == [".compact.lock", "spans"] + ["unread"] * 3
        )
        assert {path.read_bytes() for path in directory.glob("unread-*")} == {b"torn\n"}


def test_two_runs_exclude_each_other(tmp_path: Path) -> None:
    """The second says so, and does nothing."""
    (tmp_path / "traces-a.jsonl").write_bytes(line(span(1)))

    def again(_done: int, _of: int) -> None:
        with pytest.raises(SpoolError, match="Another process is compacting the spool"):
            run(tmp_path)

    assert run(tmp_path, progress=again).sources == 1


def test_a_full_disk_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """The error names the directory; the sources stay, and no half of a file."""
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    (tmp_path / "traces-a.jsonl").write_bytes(b"".join(line(span(number)) for number in range(1, 2000)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[0][1]))
    try:
        with pytest.raises(SpoolError, match="Cannot compact the spool"):
            run(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before[0])
        signal.signal(signal.SIGXFSZ, before[1])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".compact.lock", "traces-a.jsonl"]
    assert run(tmp_path).spans == 1999


def test_a_later_file_of_the_same_name_is_not_taken_for_the_one_compacted(tmp_path: Path) -> None:
    """A Collector rotates to the same name, and sizes may be equal: nothing of the second is deleted unread."""
    for number in (1, 2):
        (tmp_path / "traces-a.jsonl").write_bytes(line(span(number)) + b"torn")
        assert run(tmp_path).spans == 1
    assert ids(tmp_path) == ["1", "2"]
    assert len(list(tmp_path.glob("unread-*"))) == 2


def test_what_is_compacted_while_it_is_read_is_read_once(tmp_path: Path) -> None:
    """A reader that finds a file gone looks for the one that took its place."""
    for number in (1, 2):
        (tmp_path / f"traces-{number}.jsonl").write_bytes(line(span(number)))
    found = []
    for record in SpoolReading(tmp_path):
        found.append(record.span_id[-1])
        if len(found) == 1:
            run(tmp_path)
    assert found == ["1", "2"]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1"])
def test_a_damaged_parquet_file_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    """Nothing is reported as if it were all; compaction of other files goes on."""
    (tmp_path / "spans-x.parquet").write_bytes(content)
    (tmp_path / "traces-a.jsonl").write_bytes(line(span(1)))
    with pytest.raises(SpoolError, match=r"Cannot read the spool file '.*spans-x\.parquet': "):
        list(SpoolReading(tmp_path))
    assert run(tmp_path).sources == 1


def test_a_foreign_parquet_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    """Other columns, or JSON that is none."""
    duckdb.sql("SELECT 1 AS a").write_parquet(str(tmp_path / "spans-x.parquet"))
    with pytest.raises(SpoolError, match=r"spans-x\.parquet"):
        list(SpoolReading(tmp_path))


def test_a_directory_may_be_named_like_a_pattern_or_a_statement(tmp_path: Path) -> None:
    """Brackets, stars and quotes in a path are a path."""
    directory = tmp_path / "a[b]*?' OR 1=1 --"
    directory.mkdir()
    (directory / "traces-a.jsonl").write_bytes(line(span(1)))
    run(directory)
    assert ids(directory) == ["1"]
    assert len(list(directory.glob("*.parquet"))) == 1


def command(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(["compact", *map(str, arguments)])
    return int(end.value.code or 0)


def test_the_command_says_what_became_of_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files, sizes and spans; then that nothing is left to do."""
    (tmp_path / "traces-a.jsonl").write_bytes(line(span(1)) + b"torn")
    assert command("--spool", tmp_path) == 0
    assert capsys.readouterr().out == "Nothing to compact.\n"
    assert command("--spool", tmp_path, "--older-than", "0s") == 0
    [path] = tmp_path.glob("*.parquet")
    assert capsys.readouterr().out == (
        f"1 file (0.00 MB) became 1 file of Parquet ({(path.stat().st_size + 5) / 1e6:.2f} MB) with 1 spans.\n"
        "Lines that no report can use, set aside in unread-*.jsonl: 1.\n"
    )
    assert command("--spool", tmp_path / "none") == 1
    assert command("--spool", tmp_path, "--older-than", "7") == 2
    assert "Write a whole number and a unit: 7d, 12h, 30m or 0s" in capsys.readouterr().err
