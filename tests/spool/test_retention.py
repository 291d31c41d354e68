"""Which files of a spool are deleted, and which are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from taskmeter import Spool
from taskmeter.spool.files import SpoolFile, is_written
from taskmeter.spool.receipts import ReceiptWriter
from taskmeter.spool.retention import Retention
from taskmeter.spool.shipping.progress import Progress, span_files
from taskmeter.spool.write import SpoolExporter
from tests.spool.test_write_and_read import span

DAY = 86_400
NOW = 1_800_000_000.0
TRACE_ID = 0xAB


def filled(directory: Path, *ages_days: float) -> list[Path]:
    """A closed file with one span for each age; the span of the first has the id 1."""
    paths = []
    for number, days in enumerate(ages_days, 1):
        exporter = SpoolExporter(directory)
        exporter.export([span(number)])
        assert exporter._file is not None
        paths.append(exporter._file.path)
        exporter.shutdown()
        os.utime(paths[-1], (NOW - days * DAY,) * 2)
    return paths


def left(directory: Path, paths: list[Path], policy: Spool, *, ship: bool = False) -> tuple[list[int], list[int]]:
    """The numbers of the files that are left, and what was reported as lost."""
    lost: list[int] = []
    Retention(directory, policy, ship=ship, lost=lost.append, wall=lambda: NOW, clock=lambda: 5.0).run()
    return [number for number, path in enumerate(paths, 1) if path.exists()], lost


def test_the_oldest_files_go_when_there_is_too_much(tmp_path: Path) -> None:
    """Until the others are no larger than allowed; nothing that was never to be shipped counts as lost."""
    paths = filled(tmp_path, 1, 4, 3, 2)
    size = paths[0].stat().st_size
    assert left(tmp_path, paths, Spool(keep_bytes=2 * size)) == ([1, 4], [])
    assert left(tmp_path, paths, Spool(keep_bytes=2 * size)) == ([1, 4], [])


def test_old_files_go(tmp_path: Path) -> None:
    """Those not written for longer than allowed."""
    paths = filled(tmp_path, 5, 31, 29)
    assert left(tmp_path, paths, Spool(keep_days=30)) == ([1, 3], [])


def test_everything_stays_by_request(tmp_path: Path) -> None:
    """No limits, no deletion."""
    paths = filled(tmp_path, 1, 5_000)
    assert left(tmp_path, paths, Spool(keep_bytes=None)) == ([1, 2], [])


def test_a_clock_that_was_set_deletes_nothing_by_age(tmp_path: Path) -> None:
    """A year ahead, all at once: no file is a year old because of that. Size counts as ever."""
    paths = filled(tmp_path, 0, 0)
    wall = NOW
    policy = Spool(keep_days=30, keep_bytes=None)
    retention = Retention(tmp_path, policy, ship=False, lost=pytest.fail, wall=lambda: wall, clock=lambda: 5.0)
    wall = NOW + 365 * DAY
    retention.run()
    assert all(path.exists() for path in paths)


def test_a_file_that_is_being_written_stays(tmp_path: Path) -> None:
    """Whichever process writes it; when it is closed it may go."""
    exporter = SpoolExporter(tmp_path)
    exporter.export([span(9)])
    [written] = tmp_path.iterdir()
    os.utime(written, (0, 0))
    paths = [written, *filled(tmp_path, 0)]
    assert is_written(written)
    assert left(tmp_path, paths, Spool(keep_bytes=1)) == ([1], [])
    exporter.shutdown()
    assert not is_written(written)
    assert left(tmp_path, paths, Spool(keep_bytes=1)) == ([], [])


def test_what_is_to_be_shipped_waits_for_its_receipt(tmp_path: Path) -> None:
    """Too old or too much, a file stays until an endpoint has accepted all that is in it."""
    paths = filled(tmp_path, 40, 39, 38)
    size = paths[0].stat().st_size
    policy = Spool(keep_bytes=2 * size, keep_days=30)
    assert left(tmp_path, paths, policy, ship=True) == ([1, 2, 3], [])
    receipts = ReceiptWriter(tmp_path, "http://collector:4318/v1/traces")
    receipts.accepted([(TRACE_ID, 1), (TRACE_ID, 2)])
    receipts.close()
    assert left(tmp_path, paths, policy, ship=True) == ([3], [])


def test_what_was_shipped_may_go(tmp_path: Path) -> None:
    """The delivery ledger says so, without receipts; each endpoint that the spool is shipped to counts."""
    paths = filled(tmp_path, 40, 39, 38)
    policy = Spool(keep_bytes=None, keep_days=30)
    files = {file.path: file for file in span_files(tmp_path)}
    first, second = (Progress(tmp_path, f"http://collector:{port}/v1/traces") for port in (1, 2))
    first.settle({files[path].identity: files[path].size for path in paths})
    second.settle({files[paths[0]].identity: files[paths[0]].size})
    assert left(tmp_path, paths, policy, ship=True) == ([2, 3], [])
    second.settle({files[path].identity: files[path].size for path in paths})
    assert left(tmp_path, paths, policy, ship=True) == ([], [])


def test_at_twice_its_size_the_spool_loses_what_was_not_shipped(tmp_path: Path) -> None:
    """The oldest first, no more than needed, and counted."""
    paths = filled(tmp_path, 5, 4, 3, 2, 1)
    size = paths[0].stat().st_size
    assert left(tmp_path, paths, Spool(keep_bytes=2 * size), ship=True) == ([2, 3, 4, 5], [1])


def test_a_name_is_never_taken_twice(tmp_path: Path) -> None:
    """Two files of one process and one moment."""
    from datetime import UTC, datetime

    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    files = [SpoolFile(tmp_path, noon) for _ in range(2)]
    assert [file.path.name for file in files] == [
        f"traces-20260101T120000.000000Z-{os.getpid()}.jsonl",
        f"traces-20260101T120000.000000Z-{os.getpid()}-1.jsonl",
    ]
    assert [file.close() for file in files] == [0, 0]
    assert list(tmp_path.iterdir()) == []
