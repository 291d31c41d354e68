"""What a report prints was written by others: no terminal and no spreadsheet obeys it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from taskmeter.cli import main
from taskmeter.reports.text import cell, line, plain
from tests.reports.spans import Recorder
from tests.security.hostile import ESCAPES

DANGEROUS = (
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\",
    "\x9b31mred",
    "\x1bc",
    "a\rb",
    "a\x08b",
    "\u202egpj.exe",
    "a\u200bb\u2060c\ufeff",
    "\u2066x\u2069",
    "\U000e0041",
    "\ud800",
    "a\u2028b",
    "\x00",
    "\x7f",
)


@pytest.mark.parametrize("text", DANGEROUS, ids=ascii)
def test_a_terminal_only_prints_a_text(text: str) -> None:
    """Escape sequences, controls, what reverses or hides text, and what cannot be encoded are gone."""
    for shown in (line(text), plain(text), cell(text)):
        assert shown.isprintable()
        shown.encode()


# OWASP's list of what begins a formula, its full-width forms, and what spreadsheets skip before one.
FORMULAS = (
    "=1+1",
    "+1+1",
    "-1+1",
    "-5",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    " =1+1",
    "\u00a0=1+1",
    "\u200b=1+1",
    "\uff1d1+1",
    "\uff0b1",
    "\uff0d1",
    "\uff20SUM",
    "|calc",
    "%0a",
)


@pytest.mark.parametrize("text", FORMULAS, ids=ascii)
def test_a_cell_is_no_formula(text: str) -> None:
    """It begins with an apostrophe."""
    assert cell(text).startswith("'")


@pytest.mark.parametrize(
    ("text", "cell_text"),
    [
        ("a;=1+1", "a;'=1+1"),
        ("a; +1", "a; '+1"),
        ("a;b=1", "a;b=1"),
        ("a=1", "a=1"),
        ("2-1", "2-1"),
        ('"=1+1"', '"=1+1"'),
        ("resolve ticket", "resolve ticket"),
    ],
)
def test_a_cell_that_is_split_is_no_formula_either(text: str, cell_text: str) -> None:
    """Where a semicolon separates cells, what comes after it begins one."""
    assert cell(text) == cell_text


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[str, str]:
    with pytest.raises(SystemExit):
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return captured.out, captured.err


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Every text of which is hostile."""
    recorder = Recorder(tmp_path / "spool")
    hostile = f"={ESCAPES}"
    with recorder.task(hostile, "a" * 32, "0.5", TASK_KEY=hostile, CUSTOMER=hostile, OUTCOME_REASON=hostile):
        with recorder.span(hostile, "step", STEP_NAME=hostile, STEP_DISCARDED=True, STEP_DISCARD_REASON=hostile):
            recorder.call("0.2", model=hostile, COST_REASON=hostile, COST_STATUS="estimated", ERROR_TYPE=hostile)
        recorder.leaf("tool", hostile, "0.1")
        recorder.leaf("charge", hostile, "0.2")
    with recorder.span(
        "outcome", "outcome", OUTCOME="failed", TASK_KEY=hostile + "2", TASK_NAME=hostile, OUTCOME_SEQUENCE=1
    ):
        pass
    recorder.relations()
    with (recorder.directory / "traces-0.jsonl").open("w") as file:
        file.write("not json\n")
    return recorder.directory


@pytest.mark.parametrize("command", [("report",), ("show", "aaaa"), ("show", "nothing like it \x1b[31m\u202e")])
def test_no_command_prints_what_a_terminal_obeys(
    command: tuple[str, ...], spool: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither as a table nor as an error or a note; JSON and CSV stay what they are."""
    for form in ("table", "csv", "json"):
        out, err = run(capsys, *command, "--spool", spool, "--format", form)
        assert all(character.isprintable() or character == "\n" for character in out + err)
        assert "evil" not in out or form == "json"
        if form == "json" and out:
            assert out.isascii()
            json.loads(out)
        if form == "csv" and out:
            cells = [text for row in csv.reader(io.StringIO(out)) for text in row]
            assert not any(text.startswith(("=", "+", "@")) for text in cells)


def test_a_spool_with_a_hostile_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its path is quoted in an error, and only printed."""
    _, err = run(capsys, "report", "--spool", tmp_path / "a\x1b[31m\u202eb")
    assert "There is no spool directory" in err
    assert all(character.isprintable() or character == "\n" for character in err)
    _, err = run(capsys, "outcome", "T\x1b[31m", "--status", "failed", "--at", "\x1b[31m", "--spool", tmp_path)
    assert all(character.isprintable() or character == "\n" for character in err)
