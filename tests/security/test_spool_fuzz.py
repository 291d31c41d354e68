"""A spool may be written by anybody: whatever is in it, it is read, reported on, and no terminal obeys it."""

from __future__ import annotations

import csv
import io
import json
import resource
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from taskmeter.errors import SpoolError, UsageError
from taskmeter.reports import render
from taskmeter.reports.breakdown import breakdown
from taskmeter.reports.engine.warehouse import open_spool
from taskmeter.reports.late import cut_depth
from taskmeter.reports.relations import Relations, relate
from taskmeter.reports.task_tree import task_tree
from taskmeter.reports.unit_cost import unit_cost
from taskmeter.spool.read import SpoolReading
from tests.reports.spans import Recorder
from tests.security.hostile import Mutator


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The lines of a spool with a span of every kind."""
    recorder = Recorder(tmp_path_factory.mktemp("honest"))
    with recorder.task("resolve", "a1", "0.5", "0.3", TASK_KEY="T-1", CUSTOMER="acme", CALLS=2, HUMAN_MINUTES=2.5):
        with recorder.span("step draft", "step", STEP_NAME="draft", STEP_DISCARDED=True, COST_EXACT="0.1"):
            recorder.call("0.1", INPUT_TOKENS=120, OUTPUT_TOKENS=24)
        with recorder.task("lookup", "b1", "0.2"):
            recorder.call("0.2", COST_STATUS="estimated")
        with recorder.span("attempt 1", "attempt", HTTP_STATUS=503, ATTEMPT_WAIT=0.5):
            pass
    with recorder.span("outcome failed", "outcome", OUTCOME="failed", TASK_KEY="T-1", VALUE=1.5, OUTCOME_SEQUENCE=1):
        pass
    recorder.relations()
    return b"".join(path.read_bytes() for path in recorder.directory.iterdir()).splitlines()


def rendered(result: Any) -> str:
    """In every form; that of people as a terminal gets it."""
    console = Console(
        file=io.StringIO(),
        highlight=False,
        markup=False,
        emoji=False,
        width=render.least_width(result),
        color_system=None,
    )
    console.print(render.as_table(result))
    table: str = console.file.getvalue()  # type: ignore[attr-defined]
    json.loads(render.as_json(result), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    render.as_json(result).encode("ascii")
    rows = list(csv.reader(io.StringIO(render.as_csv(result))))
    assert len({len(row) for row in rows}) == 1
    return table


def reported(directory: Path) -> Relations | None:
    """What can be read of it, through every report."""
    relations = None
    with suppress(SpoolError, UsageError):  # nothing could be read; amounts in two currencies
        relations = relate(SpoolReading(directory))
        with open_spool(SpoolReading(directory)) as warehouse:
            tables = [rendered(unit_cost(warehouse)), rendered(breakdown(warehouse))]
        tables += [rendered(task_tree(relations, task.id)) for task in list(relations.tasks.values())[:3]]
        for table in tables:
            assert all(character.isprintable() or character == "\n" for character in table)
    return relations


def fuzz(honest: list[bytes], directory: Path, inputs: int, *, seed: int, at_once: int = 5) -> tuple[int, int]:
    """Reads and reports on `inputs` hostile lines, `at_once` in a spool before the honest ones. Returns how many spools
    and rows that came to."""
    mutator, spools, spans = Mutator(seed), 0, 0
    file = directory / "traces-hostile.jsonl"
    for _ in range(inputs // at_once):
        lines = [mutator.line(honest) for _ in range(at_once - 1)]
        file.write_bytes(b"\n".join([*lines, mutator.spans(8), *honest]))
        relations = reported(directory)
        spools += relations is not None
        spans += 0 if relations is None else len(relations.rows)
    return spools, spans


def test_reports_over_a_fuzzed_spool(honest: list[bytes], tmp_path: Path) -> None:
    """150 mutated lines: only `SpoolError` and `UsageError` leave the reader and the reports, in every form."""
    spools, spans = fuzz(honest, tmp_path, 150, seed=1)
    assert spools > 20
    assert spans > 200


@pytest.mark.fuzz
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", range(2, 12))
def test_reports_over_10_000_fuzzed_lines(seed: int, honest: list[bytes], tmp_path: Path) -> None:
    """Ten times the same with 10,000, read 20 at once, in memory that does not grow."""
    fuzz(honest, tmp_path, 1_000, seed=seed + 100, at_once=20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spools, rows = fuzz(honest, tmp_path, 10_000, seed=seed, at_once=20)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    sys.stderr.write(f"10,000 lines: reports over {spools} of 500 spools, {rows} rows, {grown:.0f} MiB grown\n")
    assert spools > 300
    assert grown < 100


def test_what_is_nested_without_end() -> None:
    """Rows more than 4,000 deep hang under nothing: nobody walks further up than that, in whatever order they come."""
    for numbers in (range(1, 10_000), range(9_999, 0, -1)):
        parents = {number: number - 1 for number in numbers}
        cut_depth(parents)
        assert sorted(set(range(1, 10_000)) - set(parents)) == [4_001, 8_002]


READ_LONG = """
import resource, sys
from pathlib import Path
from taskmeter.errors import SpoolError
from taskmeter.spool.read import SpoolReading
resource.setrlimit(resource.RLIMIT_AS, (1024**3, 1024**3))
reading = SpoolReading(Path(sys.argv[1]))
try:
    print(len(list(reading)), end=" ")
except SpoolError as error:
    print("none", end=" ")
# Not `ru_maxrss`, which begins with that of the process that started this one.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(reading.problems(), int(peak.split()[1]) < 800 * 1024)
"""


@pytest.mark.parametrize(
    ("piece", "says"),
    [
        (b"[", "1 line was skipped of more than 16 MiB"),
        (b'{"resourceSpans":', "1 line was skipped of more than 16 MiB"),
        (b"\x00", "1 line was skipped of more than 16 MiB"),
    ],
    ids=["brackets", "objects", "zeros"],
)
def test_a_line_of_100_megabytes(piece: bytes, says: str, honest: list[bytes], tmp_path: Path) -> None:
    """It is not read, which is said, and what comes after it is; a program with 1 GiB of memory gets through."""
    with (tmp_path / "traces-long.jsonl").open("wb") as file:
        file.write(honest[0] + b"\n")
        for _ in range(100):
            file.write(piece * (1024**2 // len(piece)))
        file.write(b"\n" + honest[1] + b"\n")
    program = [sys.executable, "-c", READ_LONG, str(tmp_path)]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=300)
    assert done.stdout.strip() == f"2 ['{says}'] True", done.stderr


@pytest.mark.parametrize("piece", [b"[],", b"[[", b'{"a":1},', b"1,", b'"\\u0000",'], ids=repr)
def test_a_line_that_unfolds(piece: bytes, honest: list[bytes], tmp_path: Path) -> None:
    """As long as a line may be, and made to take as much memory as it can: a program with 1 GiB gets through."""
    line = b"[" + piece * ((16 * 1024**2 - 10) // len(piece)) + b"1]\n"
    (tmp_path / "traces-bomb.jsonl").write_bytes(line + honest[0] + b"\n")
    program = [sys.executable, "-c", READ_LONG, str(tmp_path)]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=300)
    expected = "1 ['1 unreadable line was skipped (torn or not OTLP/JSON)'] True"
    assert done.stdout.strip() == expected, done.stderr
