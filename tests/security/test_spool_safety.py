"""The spool is its owner's alone, and whoever shares the directory cannot make it write or wait elsewhere."""

from __future__ import annotations

import logging
import os
import resource
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from taskmeter import Spool
from taskmeter.diagnosis.surroundings import spool_at, spool_findings
from taskmeter.errors import ShippingError, SpoolError
from taskmeter.spool.key import shared_key
from taskmeter.spool.read import SpoolReading
from taskmeter.spool.retention import Retention
from taskmeter.spool.shipping.backlog import backlogs
from taskmeter.spool.shipping.lock import only_shipper
from taskmeter.spool.shipping.progress import slug
from taskmeter.spool.write import SpoolExporter
from tests.reports.spans import Recorder
from tests.shipping.endpoint import NAME, Backend, ship

NOW = datetime(2026, 11, 27, tzinfo=UTC)


def written(directory: Path) -> list[Path]:
    recorder = Recorder(directory)
    with recorder.task("resolve", "a1", "0.5"):
        pass
    recorder.relations()
    return sorted(directory.glob("traces-*.jsonl"))


def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    """0600, in a directory of 0700, whatever the umask."""
    before = os.umask(0)
    try:
        (file,) = written(tmp_path / "spool")
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_link_that_waits_for_a_spool_file(tmp_path: Path) -> None:
    """Is not followed: its target is not touched, and the file gets another name."""
    target = tmp_path / "victim"
    target.write_text("mine")
    spool = tmp_path / "spool"
    spool.mkdir(mode=0o700)
    (spool / f"traces-{NOW:%Y%m%dT%H%M%S.%fZ}-{os.getpid()}.jsonl").symlink_to(target)
    exporter = SpoolExporter(spool, now=lambda: NOW)
    recorder: Any = Recorder(tmp_path / "other")
    recorder._provider._active_span_processor._span_processors[0].span_exporter = exporter
    with recorder.task("resolve", "a1", "0.5"):
        pass
    exporter.shutdown()
    assert target.read_text() == "mine"
    assert len(list(spool.glob("traces-*-1.jsonl"))) == 1


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_a_directory_that_everybody_can_write(mode: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Is written, and warned of, by the log and by the doctor: the record is worth more than none."""
    spool = tmp_path / "spool"
    spool.mkdir()
    spool.chmod(mode)
    with caplog.at_level(logging.WARNING):
        assert len(written(spool)) == 1
    assert caplog.text.count("everybody can write there") == 1
    (finding,) = spool_findings(spool_at(spool, in_use=False))
    assert (finding.level, "chmod 700" in finding.fix) == ("action", True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user(tmp_path: Path) -> None:
    """Is warned of: its owner can replace what is in it."""
    spool = tmp_path / "spool"
    spool.mkdir()
    os.chown(spool, 65_534, 65_534)
    (finding,) = spool_findings(spool_at(spool, in_use=False))
    assert "belongs to user 65534" in finding.says


def test_a_pipe_in_place_of_a_file(tmp_path: Path) -> None:
    """Is not opened, which would wait for a writer for ever; nor is a directory of that name."""
    os.mkfifo(tmp_path / "traces-pipe.jsonl")
    (tmp_path / "traces-directory.jsonl").mkdir()
    (tmp_path / "traces-zero.jsonl").symlink_to("/dev/zero")
    with pytest.raises(SpoolError, match=r"holds no traces-\*\.jsonl or"):
        list(SpoolReading(tmp_path))
    (file,) = [path for path in written(tmp_path) if path.is_file() and "Z-" in path.name]
    assert file.stat().st_size > 0
    assert len(list(SpoolReading(tmp_path))) == 1


@pytest.mark.parametrize(
    "name", ["traces-a.jsonl", "receipts-a.jsonl", "shipped-a.jsonl", "dead-letter-a.jsonl", "fingerprint.key"]
)
def test_a_pipe_holds_nobody_up(name: str, tmp_path: Path) -> None:
    """Neither the program that writes, nor the shipper, nor the doctor."""
    os.mkfifo(tmp_path / name)
    assert shared_key(tmp_path) is None or name != "fingerprint.key"
    for file in written(tmp_path):
        os.utime(file, (0, 0))
    Retention(
        tmp_path, Spool(keep_bytes=None, keep_days=1), ship=True, lost=lambda spans: pytest.fail(f"{spans}")
    ).run()
    assert [each.spans for each in backlogs(tmp_path)] == []
    backend = Backend()
    assert ship(tmp_path, backend).sent == len(backend.accepted) > 0


def test_a_link_that_waits_for_the_shipper(tmp_path: Path) -> None:
    """Under a name that everybody can foresee: its target is neither emptied nor written."""
    target = tmp_path / "victim"
    target.write_text("mine")
    spool = tmp_path / "spool"
    spool.mkdir(mode=0o700)
    (spool / f"ship-{slug(NAME)}.lock").symlink_to(target)
    with pytest.raises(ShippingError, match="cannot be taken"), only_shipper(spool, NAME):
        pass
    (spool / f"shipped-{slug(NAME)}.jsonl").symlink_to(target)
    written(spool)
    assert ship(spool, Backend()).sent > 0
    assert target.read_text() == "mine"


def test_a_full_disk_leaves_no_drafts_of_the_key(tmp_path: Path) -> None:
    """One that cannot be written is taken away again, or every start of a program would leave another."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limit[1]))
    try:
        assert shared_key(tmp_path) is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert list(tmp_path.iterdir()) == []
