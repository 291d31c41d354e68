"""`taskmeter whatif` as a user runs it, and how its results look."""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from taskmeter.cli import main
from tests.reports.priced import Call, record_task, sent
from tests.reports.spans import Recorder

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    recorder = Recorder(tmp_path / "spool")
    for number in range(10):
        outcome = "succeeded" if number else "failed"
        record_task(recorder, "classify", f"t{number}", [Call({"input": 100_000}, "gpt-5.5")], outcome)
    return recorder.directory


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


def test_the_page_shows_what_is_printed(spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command and its output in docs/whatif.md."""
    page = (ROOT / "docs" / "whatif.md").read_text()
    (shown,) = re.findall(r"```\n\$ taskmeter whatif (.*?)\n(.*?)```", page, re.DOTALL)
    options = [option.strip("'") for option in shown[0].split()]
    assert run("whatif", *options, "--spool", spool) == 0
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert [re.sub(r"genai-prices [\d.]+\d", "genai-prices", line) for line in printed] == [
        re.sub(r"genai-prices [\d.]+\d", "genai-prices", line) for line in shown[1].splitlines()
    ]


def test_the_page_is_a_program(tmp_path: Path) -> None:
    """The examples of docs/whatif.md, in a process of their own, which they set up."""
    program = "".join(re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "whatif.md").read_text(), re.DOTALL))
    assert program.count("assert ") > 5
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path, timeout=120)


def test_json_and_csv_carry_every_figure(spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ranges as three numbers; a CSV line for each change, each workflow and the total."""
    options = ("whatif", "--route", "classify=gpt-5-nano", "--success", "-10%", "--spool", spool)
    assert run(*options, "--format", "json") == 0
    result = json.loads(capsys.readouterr().out)
    # 10 x 100,000 tokens at 0.05 a million
    assert result["total"]["new_total"] == ["0.05"] * 3
    assert result["total"]["new_success_rate"] == 0.8
    assert result["coverage"]["priced_share"] == 1.0
    assert run(*options, "--format", "csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["kind"], row["name"]) for row in rows] == [
        ("scenario", "'--route classify=gpt-5-nano"),
        ("workflow", "classify"),
        ("total", "TOTAL"),
    ]
    assert rows[1]["new_total_high"] == "0.05"
    assert {(row["repriced_share"], row["repriced_calls"], row["left"]) for row in rows} == {("1.0", "10", "")}


@pytest.mark.parametrize("output", ["table", "json", "csv"])
def test_suggestions_in_every_format(tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str) -> None:
    """And where there are none."""
    recorder = Recorder(tmp_path / "spool")
    record_task(recorder, "a", "t", [Call({"input": 1_000, "output": 9}, more=sent("user", 1_000, "0.00125"))])
    assert run("whatif", "--suggest", "--spool", recorder.directory, "--format", output) == 0
    assert "gpt-6-luna" in capsys.readouterr().out
    record_task(recorder, "a", "t2", [Call({"input": 1_000, "output": 9_000}, more=sent("tools", 1_000, "0.00125"))])
    assert run("whatif", "--suggest", "--since", "2099-01-01", "--spool", recorder.directory, "--format", output) == 0
    assert {"table": "\nNothing to suggest.\n", "json": '"rows": []', "csv": "currency\n"}[
        output
    ] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "taskmeter whatif needs a change, as in --route 'classify:*=gpt-5-nano', or --suggest"),
        (("--suggest", "--batch", "*"), "--suggest makes a report of its own: leave it out to try changes"),
        (("--batch", ":gpt-5"), "--batch ':gpt-5' names no step or task."),
    ],
)
def test_misuse(spool: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str) -> None:
    """Exit code 2 and one line."""
    assert run("whatif", *options, "--spool", spool) == 2
    assert capsys.readouterr().err.startswith(f"taskmeter: {message}")
