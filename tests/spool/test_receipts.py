"""Which spans an endpoint has accepted, as it is written down beside them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from taskmeter.spool.receipts import (
    LARGEST_FILE,
    Receipts,
    ReceiptWriter,
    endpoint_name,
    prune_receipts,
    receipted_endpoints,
)

URL = "http://collector:4318/v1/traces"
TRACE, SPAN, OTHER = "0" * 30 + "a1", "0" * 14 + "b2", "0" * 14 + "c3"


def test_what_was_accepted_is_read_back(tmp_path: Path) -> None:
    """By trace and span id, for that endpoint and no other, with what comes later."""
    writer, receipts = ReceiptWriter(tmp_path / "spool", URL), Receipts(tmp_path / "spool", URL)
    receipts.refresh()
    assert (TRACE, SPAN) not in receipts
    assert writer.accepted([(0xA1, 0xB2)])
    receipts.refresh()
    assert (TRACE, SPAN) in receipts
    assert (TRACE, OTHER) not in receipts
    assert writer.accepted([(0xA1, 0xC3)])
    receipts.refresh()
    assert (TRACE, OTHER) in receipts
    assert len(receipts) == 2
    other = Receipts(tmp_path / "spool", "http://elsewhere:4318/v1/traces")
    other.refresh()
    assert len(other) == 0
    assert receipted_endpoints(tmp_path / "spool") == {URL}


def test_a_file_holds_no_secret_and_is_the_owners(tmp_path: Path) -> None:
    """The endpoint's user info and query are left out; 0600 in 0700."""
    writer = ReceiptWriter(tmp_path / "spool", "https://me:hunter2@Collector:4318/v1/traces?token=hunter2")
    writer.accepted([(0xA1, 0xB2)])
    writer.close()
    (path,) = (tmp_path / "spool").iterdir()
    assert json.loads(path.read_text()) == {
        "endpoint": "https://collector:4318/v1/traces",
        "spans": {TRACE: [SPAN]},
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://HOST:4318/v1/traces/", "http://host:4318/v1/traces"),
        ("https://user@host/v1/traces#fragment", "https://host/v1/traces"),
        ("grpc://[::1]:4317", "grpc://[::1]:4317"),
    ],
)
def test_an_endpoint_has_one_name(url: str, name: str) -> None:
    """However it is spelled."""
    assert endpoint_name(url) == name
    assert endpoint_name(name) == name


def test_an_announcement_names_no_span(tmp_path: Path) -> None:
    """It says that the process delivers by itself."""
    receipts = Receipts(tmp_path, URL)
    receipts.refresh()
    assert not receipts.announced
    ReceiptWriter(tmp_path, URL).announce()
    receipts.refresh()
    assert (receipts.announced, len(receipts)) == (True, 0)


def test_lines_that_make_no_sense_are_passed_over(tmp_path: Path) -> None:
    """Torn, cut in half, of other shape: what is whole counts, and a torn end is read when it is whole."""
    good = json.dumps({"endpoint": URL, "spans": {TRACE: [SPAN]}})
    path = tmp_path / "receipts-x.jsonl"
    path.write_text(
        f'{{"endpoint"\n[]\n{{"endpoint": 1, "spans": {{}}}}\n{{"endpoint": "{URL}", "spans": {{"a": [3]}}}}\n'
    )
    receipts = Receipts(tmp_path, URL)
    receipts.refresh()
    assert len(receipts) == 0
    with path.open("a") as file:
        file.write(good)
    receipts.refresh()
    assert len(receipts) == 0
    with path.open("a") as file:
        file.write("\n")
    receipts.refresh()
    assert (TRACE, SPAN) in receipts


def test_a_receipt_that_cannot_be_written_is_counted_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file is in the way of the directory. Nothing is raised."""
    (tmp_path / "file").write_text("")
    writer = ReceiptWriter(tmp_path / "file" / "spool", URL)
    assert not writer.accepted([(1, 2), (1, 3)])
    assert not writer.accepted([(1, 4)])
    assert writer.lost == 3
    assert [record.message.partition(" (")[0] for record in caplog.records] == [
        f"taskmeter cannot write receipts in {tmp_path / 'file' / 'spool'}"
    ]


def test_a_file_has_a_largest_size(tmp_path: Path) -> None:
    """The writer goes on in a new one, and all are read."""
    writer = ReceiptWriter(tmp_path, URL)
    batch = 60_000  # 19 bytes each
    for first in range(1, 10 * batch, batch):
        writer.accepted((1, span_id) for span_id in range(first, first + batch))
    files = list(tmp_path.iterdir())
    assert len(files) == 2
    assert all(path.stat().st_size <= LARGEST_FILE for path in files)
    receipts = Receipts(tmp_path, URL)
    receipts.refresh()
    assert len(receipts) == 10 * batch


def test_a_forked_process_writes_a_file_of_its_own(tmp_path: Path) -> None:
    """Also where the fork came while another thread held the lock."""
    program = f"""
import os
from pathlib import Path
from taskmeter.spool.receipts import ReceiptWriter
writer = ReceiptWriter(Path({str(tmp_path)!r}), {URL!r})
writer.accepted([(1, 2)])
with writer._lock:
    child = os.fork()
    if not child:
        writer.accepted([(1, 3)])
        os._exit(0)
os.waitpid(child, 0)
writer.accepted([(1, 4)])
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=60)
    assert sorted(len(path.read_text().splitlines()) for path in tmp_path.iterdir()) == [1, 2]


def test_receipts_go_with_the_spans_they_are_about(tmp_path: Path) -> None:
    """A file older than the oldest span file is deleted, with an hour to spare; the others stay."""
    began = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()
    (tmp_path / "traces-20261127T120000.000000Z-1.jsonl").write_text("")
    for name, age_seconds in {"receipts-1.jsonl": 3_601, "receipts-2.jsonl": 3_599, "receipts-3.jsonl": -60}.items():
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (began - age_seconds,) * 2)
    prune_receipts(tmp_path, began + 7_200)
    left = ["receipts-2.jsonl", "receipts-3.jsonl", "traces-20261127T120000.000000Z-1.jsonl"]
    assert sorted(path.name for path in tmp_path.iterdir()) == left
    (tmp_path / left[-1]).unlink()
    prune_receipts(tmp_path, began + 7_200)
    assert list(tmp_path.iterdir()) == []


def test_receipts_stay_while_the_age_of_a_span_file_is_unknown(tmp_path: Path) -> None:
    """An OpenTelemetry Collector's."""
    (tmp_path / "traces-collector.jsonl").write_text("")
    (tmp_path / "receipts-1.jsonl").write_text("")
    os.utime(tmp_path / "receipts-1.jsonl", (0, 0))
    prune_receipts(tmp_path, 1e9)
    assert (tmp_path / "receipts-1.jsonl").exists()
