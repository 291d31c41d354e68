"""The key by which the fingerprints of all processes of one spool agree."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from taskmeter.spool.key import FILE, shared_key
from tests.export.programs import run, spooled

PROGRAM = """
import taskmeter
from app import work
taskmeter.configure({arguments})
work()
"""


def test_a_key_is_made_once_for_the_owners_eyes(tmp_path: Path) -> None:
    """32 random bytes, and nothing else is left behind."""
    spool = tmp_path / "new" / "spool"
    key = shared_key(spool)
    assert key is not None
    assert len(key) == 32
    assert shared_key(spool) == key
    assert shared_key(tmp_path / "other") != key
    assert [path.name for path in spool.iterdir()] == [FILE]
    if os.name == "posix":
        assert (spool / FILE).stat().st_mode & 0o777 == 0o600
        assert spool.stat().st_mode & 0o777 == 0o700


def test_processes_that_start_together_get_the_same_key(tmp_path: Path) -> None:
    """Whoever comes first makes it."""
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(shared_key, [tmp_path] * 32))
    assert len(keys) == 1
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_what_is_no_key_is_not_used(tmp_path: Path, content: bytes) -> None:
    """A file that was cut short, or is somebody else's, stays as it is."""
    (tmp_path / FILE).write_bytes(content)
    assert shared_key(tmp_path) is None
    assert (tmp_path / FILE).read_bytes() == content


def test_without_a_directory_there_is_no_key(tmp_path: Path) -> None:
    """Fingerprints then agree within one process only, and nothing is raised."""
    (tmp_path / "file").write_text("")
    assert shared_key(tmp_path / "file" / "spool") is None


def test_two_processes_of_one_spool_make_the_same_fingerprints(tmp_path: Path) -> None:
    """So that calls repeated in several processes can be found."""
    for _ in range(2):
        assert run(PROGRAM.format(arguments=""), tmp_path).code == 0
    found = [span.attributes.get("taskmeter.call.fingerprint") for span in spooled(tmp_path / ".taskmeter")]
    stated = [each for each in found if each is not None]
    assert len(stated) == 2 * len(set(stated)) > 2


def test_a_program_that_measures_nothing_makes_no_key(tmp_path: Path) -> None:
    """`configure(context=False)` leaves no file of it."""
    assert run(PROGRAM.format(arguments="spool='spool', context=False"), tmp_path).code == 0
    assert [path.suffix for path in (tmp_path / "spool").iterdir()] == [".jsonl"]
