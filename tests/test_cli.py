"""The `taskmeter` command, as a user runs it."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from taskmeter import pricing
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


@pytest.mark.parametrize("package", ["click", "duckdb", "numpy", "rich"])
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
    """The whole way: agents, stub provider, capture, pricing, ledger, spans, spool, report, tree. The name of the
    directory, too, is only printed."""
    directory = tmp_path / "\x1b[5mdemo\u202e"
    done = python("-m", "taskmeter", "demo", "--spool", str(directory))
    assert done.returncode == 0, done.stderr
    assert all(line.isprintable() for line in (done.stdout + done.stderr).split("\n"))
    assert "TOTAL" in done.stdout
    assert "task resolve_ticket" in done.stdout
    assert f"The record stays in {tmp_path / 'demo'}," in done.stderr
    again = python("-m", "taskmeter", "report", "--spool", str(directory), "--format", "json")
    result = json.loads(again.stdout)
    assert result["notes"] == []
    assert {row["kind"] for row in result["rows"]} == {"task"}


def outcome_of(spool: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    capsys.readouterr()
    assert run("report", "--spool", spool, "--format", "json") == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    return {name: rows[0][name] for name in ("succeeded", "failed", "value", "human_minutes", "total")}


@pytest.mark.parametrize("task", ["T-1", "a1", "a1" + "0" * 26])
def test_outcome_revises_a_task(task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By key, by id, or by the beginning of its id; says which task and what it was."""
    task_id = "a1" + "0" * 30
    recorder = Recorder(tmp_path)
    with recorder.task("resolve", task_id, "0.3", TASK_KEY="T-1" if task != "a1" else "a1"):
        recorder.call("0.3")
    recorder.relations()
    at = ("--at", "2026-11-23T09:30:00+00:00")
    assert run("outcome", task, "--status", "failed", "--reason", "reopened", *at, "--spool", tmp_path) == 0
    assert capsys.readouterr() == (f"resolve {task_id}: failed, was succeeded\n", "")
    assert run("show", task_id, "--spool", tmp_path) == 0
    out = capsys.readouterr().out
    assert "failed: reopened" in out
    assert "└ outcome failed" in out
    assert outcome_of(tmp_path, capsys)["failed"] == 1


def test_outcome_prices_human_minutes_by_the_price_file(
    spool: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`[rates] human_per_hour` of `taskmeter.toml`, or of what `TASKMETER_CONFIG` names."""
    prices = spool.parent / "taskmeter.toml"
    prices.write_text("[rates]\nhuman_per_hour = '60'\n")
    monkeypatch.setenv("TASKMETER_CONFIG", str(prices))
    said = ("--value", "12.5", "--human-minutes", "4", "--quality", "0.9", "--name", "resolve")
    assert run("outcome", "T-1", "--status", "succeeded", *said, "--spool", spool) == 0
    assert outcome_of(spool, capsys) == {
        "succeeded": 1,
        "failed": 0,
        "value": "12.5",
        "human_minutes": "4",
        "total": "4.30000000000000000001",
    }
    pricing.use(None)


def test_outcome_without_a_task_is_kept(spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And shown by every report until its task turns up."""
    assert run("outcome", "T-9", "--status", "failed", "--spool", spool) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"taskmeter: no task of {spool} is meant by 'T-9': kept as unmatched\n")
    assert run("report", "--spool", spool) == 0
    assert "No task for the outcome failed of 'T-9'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["T-1"], "Missing option '--status'"),
        (["T-1", "--status", "won"], "'won' is not one of"),
        (["T-1", "--status", "failed", "--value", "much"], "value='much' is not a number"),
        (["T-1", "--status", "failed", "--at", "noon"], "--at 'noon' is no time"),
        (["T-1", "--status", "failed", "--at", "2026-11-23T09:30:00"], "must be a datetime with a time zone"),
    ],
)
def test_outcome_that_makes_no_sense_is_misuse(
    arguments: list[str], message: str, spool: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and nothing is written."""
    assert run("outcome", *arguments, "--spool", spool) == 2
    assert message in capsys.readouterr().err
    assert len(list(spool.glob("*.jsonl"))) == 1


def test_outcome_of_an_id_that_is_not_whole_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two tasks begin like that."""
    recorder = Recorder(tmp_path)
    for last in "01":
        with recorder.task("resolve", "a1b2" + "0" * 27 + last, "0.3"):
            pass
    recorder.relations()
    assert run("outcome", "a1b2", "--status", "failed", "--spool", tmp_path) == 2
    assert "'a1b2' is how the ids of 2 tasks begin; give more of it" in capsys.readouterr().err


def test_outcome_needs_the_spool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory that is not there is more likely a mistake than a wish."""
    assert run("outcome", "T-1", "--status", "failed", "--spool", tmp_path / "none") == 1
    assert "There is no spool directory" in capsys.readouterr().err
