"""The `taskmeter` command, as a user runs it."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from taskmeter._version import __version__
from taskmeter.cli import main
from tests.reports.spans import Recorder


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    recorder = Recorder(tmp_path / "spool")
    with recorder.task("resolve", "a1", "0.30000000000000000001", TASK_KEY="T-1", CALLS=1):
        recorder.call("0.30000000000000000001")
    recorder.relations()
    return recorder.directory


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


def test_report_prints_a_table_without_colour_when_piped(spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Plain text, at most 100 columns."""
    assert run("report", "--spool", spool) == 0
    out = capsys.readouterr().out
    assert "resolve" in out
    assert "$0.3000" in out
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 100


def test_show_prints_the_tree(spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By business key."""
    assert run("show", "T-1", "--spool", spool) == 0
    assert "└ chat gpt-5" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["report"], ["show", "T-1"]])
def test_json_and_csv_carry_every_digit(spool: Path, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    """Both formats, both commands, nothing else on standard output."""
    assert run(*command, "--spool", spool, "--format", "json") == 0
    result = json.loads(capsys.readouterr().out)
    amounts = [row["total"] for row in result["rows"]] if "rows" in result else [result["nodes"][0]["cost"]]
    assert amounts == ["0.30000000000000000001"]
    assert run(*command, "--spool", spool, "--format", "csv") == 0
    first = next(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert "0.30000000000000000001" in first.values()


def test_the_spool_comes_from_the_environment(
    spool: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`TASKMETER_SPOOL`, else `.taskmeter` here."""
    monkeypatch.chdir(spool.parent)
    assert run("report") == 1
    assert "There is no spool directory '.taskmeter'" in capsys.readouterr().err
    monkeypatch.setenv("TASKMETER_SPOOL", "spool")
    assert run("report") == 0


def test_missing_data_is_one_line_and_exit_code_1(spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No spool, no such task."""
    assert run("report", "--spool", spool / "none") == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert run("show", "T-2", "--spool", spool) == 1
    assert capsys.readouterr().err == ("taskmeter: No task with id or key 'T-2' in the spool. Closest: 'T-1'.\n")


def test_an_empty_directory_name_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    """It is not the working directory."""
    for command in (["report"], ["show", "T-1"], ["demo"]):
        assert run(*command, "--spool", "") == 2
        assert "'' is no directory" in capsys.readouterr().err


def test_misuse_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown format, and currencies that cannot be added."""
    assert run("report", "--format", "xml") == 2
    recorder = Recorder(tmp_path)
    for currency in ("USD", "EUR"):
        recorder.call("1", CALL_COST_CURRENCY=currency)
    recorder._provider.shutdown()
    capsys.readouterr()
    assert run("report", "--spool", tmp_path) == 2
    assert capsys.readouterr().err.startswith("taskmeter: The spool holds amounts in several currencies")


def test_what_was_skipped_and_noted_goes_to_standard_error(spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output stays what a program can parse."""
    (spool / "traces-torn.jsonl").write_text('{"resourceSpans":[{"reso')
    recorder = Recorder(spool)
    with recorder.task("dark", "d", None, UNPRICED_CALLS=1):
        recorder.call(None)
    recorder.relations()
    assert run("report", "--spool", spool, "--format", "csv") == 0
    out, err = capsys.readouterr()
    assert len(list(csv.reader(io.StringIO(out)))) == 4
    assert err.splitlines() == [
        f"taskmeter: {spool}: 1 unreadable line was skipped (torn or not OTLP/JSON)",
        "taskmeter: 1 call could not be priced: totals that include one are lower bounds.",
        "taskmeter: unpriced: none of the calls of these tasks could be priced.",
    ]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The installed one."""
    assert run("--version") == 0
    assert capsys.readouterr().out == f"taskmeter, version {__version__}\n"


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False, env=environment or None
    )


@pytest.mark.parametrize("package", ["click", "rich"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(package: str) -> None:
    """Without the extra, the command says how to get it."""
    done = python(
        "-c", f"import sys; sys.modules[{package!r}] = None; from taskmeter.cli import main; main(['report'])"
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"taskmeter: The taskmeter command needs {package}, which is not installed. "
        "Install it with: pip install 'taskmeter[report]'\n"
    )


def test_demo_names_all_that_is_missing_before_it_starts() -> None:
    """One command installs it all."""
    done = python(
        "-c",
        "import sys; sys.modules |= dict.fromkeys(('openai', 'anthropic', 'rich')); "
        "from taskmeter.cli import main; main(['demo'])",
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "taskmeter: `taskmeter demo` needs each of rich, openai, anthropic, which is not installed. "
        "Install it with: pip install 'taskmeter[report,openai,anthropic]'\n"
    )


def test_runs_as_a_module_in_a_terminal_that_knows_ascii_only(spool: Path) -> None:
    """`python -m taskmeter`; what cannot be shown is replaced, not an error."""
    done = python("-m", "taskmeter", "show", "a1", "--spool", str(spool), PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "chat gpt-5" in done.stdout


def test_demo_reports_what_its_agents_cost(tmp_path: Path) -> None:
    """The whole way: agents, stub provider, capture, pricing, ledger, spans, spool, report, tree."""
    done = python("-m", "taskmeter", "demo", "--spool", str(tmp_path / "demo"))
    assert done.returncode == 0, done.stderr
    assert "TOTAL" in done.stdout
    assert "task resolve_ticket" in done.stdout
    assert f"The record stays in {tmp_path / 'demo'}" in done.stderr
    again = python("-m", "taskmeter", "report", "--spool", str(tmp_path / "demo"), "--format", "json")
    result = json.loads(again.stdout)
    assert result["notes"] == []
    assert {row["kind"] for row in result["rows"]} == {"task"}
