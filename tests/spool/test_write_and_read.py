"""What the exporter writes is what the reader reads, whatever happens to the files in between."""

import json
import logging
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

from taskmeter import Spool, _guard
from taskmeter.errors import SpoolError
from taskmeter.spool.encode import encode_line
from taskmeter.spool.read import SpanRecord, SpoolReading
from taskmeter.spool.write import SpoolExporter

TRACE = "000000000000000000000000000000ab"


def span(span_id: int, name: str = "work") -> ReadableSpan:
    return ReadableSpan(name, context=SpanContext(0xAB, span_id, is_remote=False), resource=Resource({}))


def export(directory: Path, *batches: Sequence[ReadableSpan]) -> Path:
    exporter = SpoolExporter(directory)
    for batch in batches:
        assert exporter.export(batch) is SpanExportResult.SUCCESS
    exporter.shutdown()
    [path] = directory.glob("traces-*.jsonl")
    return path


def test_a_span_survives_the_round_trip(tmp_path: Path) -> None:
    """Ids, times, kind, status, scope, service and every type of attribute come back as they were."""
    original = ReadableSpan(
        "chat gpt-5",
        context=SpanContext(0xAB, 0xC, is_remote=False),
        parent=SpanContext(0xAB, 0xD, is_remote=False),
        resource=Resource({"service.name": "shop"}),
        attributes={"text": "ü", "n": 7, "on": True, "x": 0.5, "raw": b"\x00", "many": ["a", "b"], "none": None},
        kind=SpanKind.CLIENT,
        start_time=1_700_000_000_000_000_001,
        end_time=1_700_000_000_000_000_009,
        status=Status(StatusCode.ERROR),
        instrumentation_scope=TracerProvider().get_tracer("taskmeter")._instrumentation_scope,
    )
    export(tmp_path, [original])
    assert list(SpoolReading(tmp_path)) == [
        SpanRecord(
            trace_id=TRACE,
            span_id="000000000000000c",
            parent_span_id="000000000000000d",
            name="chat gpt-5",
            kind=3,
            start_ns=1_700_000_000_000_000_001,
            end_ns=1_700_000_000_000_000_009,
            attributes={
                "text": "ü",
                "n": 7,
                "on": True,
                "x": 0.5,
                "raw": b"\x00",
                "many": ["a", "b"],
                "none": None,
            },
            status_code=2,
            scope="taskmeter",
            service="shop",
        )
    ]


def test_files_are_for_the_owner_only_and_come_with_the_first_batch(tmp_path: Path) -> None:
    """Nothing is created before there is something to write; then a 0700 directory and a 0600 file."""
    directory = tmp_path / "a" / "spool"
    exporter = SpoolExporter(directory)
    assert not directory.exists()
    exporter.export([span(1)])
    [path] = directory.iterdir()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.name.endswith(f"Z-{os.getpid()}.jsonl")
    exporter.shutdown()


def test_a_batch_is_one_line(tmp_path: Path) -> None:
    """Two batches are two lines of JSON in one file."""
    path = export(tmp_path, [span(1), span(2)], [span(3)])
    lines = path.read_bytes().splitlines()
    assert [len(json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]) for line in lines] == [2, 1]


def test_torn_and_malformed_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    """Whatever is in a line, the other lines are read."""
    path = export(tmp_path, [span(1)])
    good = path.read_bytes()
    odd = [b"not json", b"[1]", b"\xff\xfe", b"[" * 100_000, b'{"resourceSpans":7}', good[: len(good) // 2], b""]
    path.write_bytes(b"\n".join([*odd, b""]) + good.replace(b"0000000001", b"0000000002") + good[:40])
    reading = SpoolReading(tmp_path)
    assert [record.span_id for record in reading] == ["0000000000000002"]
    assert (reading.spans, reading.skipped_lines, reading.skipped_spans, reading.duplicates) == (1, 7, 0, 0)
    assert reading.problems() == ["7 unreadable lines were skipped (torn or not OTLP/JSON)"]


def test_a_span_without_usable_ids_does_not_cost_its_neighbours(tmp_path: Path) -> None:
    """Spans with a missing, short or zero id are skipped one by one."""
    good = {"traceId": TRACE, "spanId": "000000000000000A", "name": "work"}
    spans = [{}, {**good, "spanId": "0" * 16}, {**good, "traceId": "ab"}, {**good, "startTimeUnixNano": "x"}, good]
    document = {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}
    (tmp_path / "traces-x.jsonl").write_text(json.dumps(document))
    reading = SpoolReading(tmp_path)
    assert [record.span_id for record in reading] == ["000000000000000a"]
    assert reading.skipped_spans == 4


def test_a_span_written_twice_is_read_once(tmp_path: Path) -> None:
    """A batch that was sent again, into the same file or another, does not count twice."""
    path = export(tmp_path, [span(1)], [span(1), span(2)])
    (tmp_path / "traces-copy.jsonl").write_bytes(path.read_bytes())
    reading = SpoolReading(tmp_path)
    assert [record.span_id[-1] for record in reading] == ["1", "2"]
    assert reading.duplicates == 4


def test_reads_what_a_collector_wrote(tmp_path: Path) -> None:
    """A line as the OpenTelemetry Collector's file exporter writes it: no parent, integers as text, other signals."""
    (tmp_path / "traces-collector.jsonl").write_text(
        '{"resourceMetrics":[]}\n'
        '{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},'
        '"scopeSpans":[{"scope":{"name":"taskmeter","version":"0.1.0"},"spans":[{"traceId":'
        '"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","parentSpanId":"","flags":256,"name":"w",'
        '"kind":1,"startTimeUnixNano":"1544712660000000000","endTimeUnixNano":"1544712661000000000","attributes":['
        '{"key":"n","value":{"intValue":"3"}},{"key":"x","value":{"doubleValue":"NaN"}},{"key":"l","value":'
        '{"arrayValue":{"values":[{"boolValue":true}]}}},{"key":"m","value":{"kvlistValue":{"values":'
        '[{"key":"a","value":{"stringValue":"b"}}]}}}],"status":{}}]}]}]}\n'
    )
    [record] = SpoolReading(tmp_path)
    assert record.parent_span_id is None
    assert record.end_ns - record.start_ns == 1_000_000_000
    assert {**record.attributes, "x": str(record.attributes["x"])} == {"n": 3, "x": "nan", "l": [True], "m": {"a": "b"}}
    assert (record.service, record.scope, record.status_code) == ("shop", "taskmeter", 0)


def test_a_spool_that_is_missing_or_empty_says_so(tmp_path: Path) -> None:
    """The error names the directory and how it gets filled."""
    for directory, what in ((tmp_path / "none", "There is no spool directory"), (tmp_path, "holds no traces-")):
        with pytest.raises(SpoolError, match=what) as error:
            list(SpoolReading(directory))
        assert repr(str(directory)) in str(error.value)
        assert "taskmeter.configure()" in str(error.value)
    (tmp_path / "traces-x.jsonl").write_text("torn")
    with pytest.raises(SpoolError, match="holds no spans \\(1 unreadable line"):
        list(SpoolReading(tmp_path))


def test_a_failure_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where no directory can be made, export fails without raising; when it can, writing starts."""
    blocker = tmp_path / "spool"
    blocker.write_text("a file where the directory should be")
    exporter = SpoolExporter(blocker)
    with caplog.at_level(logging.WARNING, logger="taskmeter"):
        assert exporter.export([span(1), span(2)]) is SpanExportResult.FAILURE
        assert exporter.export([span(3)]) is SpanExportResult.FAILURE
    assert len(caplog.records) == 1
    assert str(blocker) in caplog.text
    blocker.unlink()
    assert exporter.export([span(4)]) is SpanExportResult.SUCCESS
    exporter.shutdown()
    assert len(list(SpoolReading(blocker))) == 1


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes: a write is cut short there, as on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[0][1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before[0])
        signal.signal(signal.SIGXFSZ, before[1])


def test_a_batch_that_was_cut_short_leaves_nothing_behind(tmp_path: Path) -> None:
    """What was written of it is taken back, so that it can come again, whole, and is there once."""
    exporter = SpoolExporter(tmp_path)
    exporter.export([span(1)])
    [path] = tmp_path.iterdir()
    with largest_file(path.stat().st_size + 30):
        assert exporter.export([span(2), span(3)]) is SpanExportResult.FAILURE
        assert exporter.export([span(2), span(3)]) is SpanExportResult.FAILURE
    assert exporter.export([span(2), span(3)]) is SpanExportResult.SUCCESS
    exporter.shutdown()
    reading = SpoolReading(tmp_path)
    assert sorted(record.span_id[-1] for record in reading) == ["1", "2", "3"]
    assert (reading.skipped_lines, reading.duplicates) == (0, 0)


def test_no_empty_file_stays_behind(tmp_path: Path) -> None:
    """Where nothing at all could be written."""
    exporter = SpoolExporter(tmp_path)
    with largest_file(10):
        for _ in range(3):
            assert exporter.export([span(1)]) is SpanExportResult.FAILURE
        exporter.shutdown()
    assert list(tmp_path.iterdir()) == []


def test_after_shutdown_nothing_is_written(tmp_path: Path) -> None:
    """Late spans fail, also when no file was ever opened."""
    exporter = SpoolExporter(tmp_path / "spool")
    exporter.shutdown()
    exporter.shutdown()
    assert exporter.export([span(1)]) is SpanExportResult.FAILURE
    assert not (tmp_path / "spool").exists()


def test_a_fault_of_ours_stays_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A span that cannot be encoded fails its batch and raises nothing."""
    monkeypatch.setattr(_guard, "strict", False)
    exporter = SpoolExporter(tmp_path)
    assert exporter.export([None]) is SpanExportResult.FAILURE  # type: ignore[list-item]
    exporter.shutdown()


def test_a_file_is_closed_at_its_size_and_at_its_age(tmp_path: Path) -> None:
    """A line is never parted; the clock that counts is one that nobody sets."""
    at = 0.0
    line = len(encode_line([span(1)]))
    exporter = SpoolExporter(tmp_path, Spool(file_bytes=2 * line, file_seconds=60), clock=lambda: at)
    for number in range(1, 6):
        exporter.export([span(number)])
    at = 59.9
    assert exporter.rest() == pytest.approx(0.1)
    assert len(list(tmp_path.iterdir())) == 3
    at = 60.0
    assert exporter.rest() is None
    exporter.export([span(6)])
    exporter.shutdown()
    assert sorted(path.read_bytes().count(b"\n") for path in tmp_path.iterdir()) == [1, 1, 2, 2]
    assert len(list(SpoolReading(tmp_path))) == 6


def test_a_clock_that_is_set_back_costs_nothing(tmp_path: Path) -> None:
    """A name that is taken already is somebody else's file: another is found."""
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    exporters = [SpoolExporter(tmp_path, now=lambda: noon) for _ in range(3)]
    for number, exporter in enumerate(exporters, 1):
        assert exporter.export([span(number)]) is SpanExportResult.SUCCESS
        exporter.shutdown()
    assert len(list(tmp_path.iterdir())) == 3
    assert sorted(record.span_id[-1] for record in SpoolReading(tmp_path)) == ["1", "2", "3"]


def test_what_was_in_a_file_that_is_deleted_is_reported(tmp_path: Path) -> None:
    """Exactly; what comes then is written to a new file, in a new directory."""
    removed: list[int] = []
    exporter = SpoolExporter(tmp_path / "spool", removed=removed.append)
    exporter.export([span(1), span(2)])
    exporter.export([span(3)])
    shutil.rmtree(tmp_path / "spool")
    assert exporter.export([span(4)]) is SpanExportResult.SUCCESS
    assert removed == [3]
    [path] = (tmp_path / "spool").iterdir()
    path.unlink()
    exporter.shutdown()
    assert removed == [3, 1]


def test_a_descriptor_that_became_anothers_is_left_alone(tmp_path: Path) -> None:
    """A program that closes what it does not know, and opens something of its own: nothing of ours gets in there."""
    exporter = SpoolExporter(tmp_path / "spool")
    exporter.export([span(1)])
    assert exporter._file is not None
    theirs = os.open(tmp_path / "theirs", os.O_WRONLY | os.O_CREAT)
    os.dup2(theirs, exporter._file._file)
    assert exporter.export([span(2)]) is SpanExportResult.SUCCESS
    exporter.shutdown()
    assert (tmp_path / "theirs").read_bytes() == b""
    assert len(list(SpoolReading(tmp_path / "spool"))) == 2


@pytest.mark.parametrize(("policy", "synced"), [("never", 0), ("interval", 2), ("always", 5)])
def test_fsync(tmp_path: Path, policy: Any, synced: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four batches in 0.9 s and one in the second after: never, once a second, or each time."""
    at = 0.0
    exporter = SpoolExporter(tmp_path, Spool(fsync=policy), clock=lambda: at)
    done: list[int] = []
    exporter.export([span(1)])  # the directory is synced too, with the first
    monkeypatch.setattr(os, "fsync", done.append)
    for number, at in enumerate((0.1, 0.5, 0.9, 1.1), 2):  # noqa: B007 - the clock reads it
        exporter.export([span(number)])
    at = 2.2
    exporter.rest()
    exporter.export([span(6)])
    assert len(done) == synced
    exporter.shutdown()


FORK = """
import os, sys
from pathlib import Path
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext
from taskmeter.spool.write import SpoolExporter

exporter = SpoolExporter(Path(sys.argv[1]))

def export(span_id):
    exporter.export([ReadableSpan("work", context=SpanContext(0xAB, span_id, is_remote=False))])

export(1)
with exporter._lock:
    child = os.fork()
    if child == 0:
        export(2)
        os._exit(0)
os.waitpid(child, 0)
export(3)
print(os.getpid(), child)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_writes_a_file_of_its_own(tmp_path: Path) -> None:
    """Also when the fork came while another thread held the exporter's lock. In an interpreter of its own, as
    fork hooks of what other tests imported are none of our business."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, str(tmp_path)]
    pids = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.split()
    lines = {path.stem.rsplit("-", 1)[1]: path.read_bytes().count(b"\n") for path in tmp_path.iterdir()}
    assert lines == {pids[0]: 2, pids[1]: 1}
    assert sorted(record.span_id[-1] for record in SpoolReading(tmp_path)) == ["1", "2", "3"]


def test_works_behind_a_batch_processor(tmp_path: Path) -> None:
    """The way `configure()` uses it: nested spans through the SDK's own pipeline."""
    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    provider.add_span_processor(BatchSpanProcessor(SpoolExporter(tmp_path)))
    tracer = provider.get_tracer("taskmeter")
    with tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner"):
        pass
    provider.shutdown()
    inner, outer = SpoolReading(tmp_path)
    assert (inner.name, inner.parent_span_id, outer.parent_span_id) == ("inner", outer.span_id, None)
