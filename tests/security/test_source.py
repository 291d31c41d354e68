"""What the source must not contain: proven by reading all of it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import taskmeter

SOURCE = Path(taskmeter.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "mktemp", "system", "popen", "load_module"}
FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "marshal",
    "shelve",
    "yaml",
    "subprocess",
    "pty",
    "telnetlib",
}
RE_COMPILE = "re.compile"


def nodes() -> Iterator[tuple[Path, ast.AST]]:
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            yield file, node


def test_no_code_is_made_of_data_and_no_pickle_is_read() -> None:
    """No eval, exec, compile, pickle, marshal, shelve, yaml, shell or other program."""
    found = []
    for file, node in nodes():
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name.rpartition(".")[2] in FORBIDDEN_CALLS and name != RE_COMPILE:
                found.append((file.name, name))
        elif isinstance(node, ast.Import):
            found += [(file.name, each.name) for each in node.names if each.name.partition(".")[0] in FORBIDDEN_MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in FORBIDDEN_MODULES:
            found.append((file.name, str(node.module)))
    assert len(FILES) > 100
    assert found == []


def test_no_rule_of_security_is_switched_off_without_naming_it() -> None:
    """ruff's `S` rules hold in all of src: a `noqa` names the rule, and says why, and no file is exempt."""
    lines = [(file, line) for file in FILES for line in file.read_text().splitlines() if "noqa" in line]
    assert [(file.name, line) for file, line in lines if not re.search(r"noqa: [A-Z]+[0-9]+", line)] == []
    excused = [(file.name, line.strip()) for file, line in lines if re.search(r"noqa:.*\bS[0-9]{3}", line)]
    assert all(re.search(r"noqa: .* - ", line) for _, line in excused)
    assert not any(re.search(r"ruff: *noqa", file.read_text()) for file in FILES)


QUIET = """
import sys
from pathlib import Path

def refuse(event, arguments):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname"):
        raise AssertionError(f"{event} {arguments}")

sys.addaudithook(refuse)
import taskmeter
from taskmeter.cli import main
taskmeter.configure(spool="spool")
with taskmeter.track_task("resolve", key="T-1"):
    taskmeter.charge("1")
taskmeter.record_outcome(key="T-1", status="failed")
print(len(str(taskmeter.diagnose())) > 100)
taskmeter.configure(spool="spool").flush()
from taskmeter.cli.commands import taskmeter as commands
for name in commands.commands:
    arguments = {"show": ["T-1"], "outcome": ["T-1", "--status", "failed"]}.get(name, [])
    if name not in ("demo", "ship"):
        try:
            main([name, *arguments, "--spool", "spool"])
        except SystemExit as end:
            print(name, end.code)
"""


def test_nothing_goes_over_the_network_by_default(tmp_path: Path) -> None:
    """Without an endpoint no socket is made, bound, connected or resolved: by `configure()`, nor by any command that
    reads the spool."""
    program = tmp_path / "program.py"
    program.write_text(QUIET)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "AssertionError" not in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "True"
    assert {"report 0", "show 0", "outcome 0"} <= set(lines)


def test_what_carry_puts_into_a_pickle() -> None:
    """The function itself, the task's identity without its labels, and the trace's header: no context, no ledger."""
    from taskmeter import carry, track_task

    with track_task("resolve", key="T-1", labels={"secret": "label"}):
        made, (function, task, trace) = carry(abs).__reduce_ex__(5)  # type: ignore[misc]
    assert (made.__module__, made.__name__, function) == ("taskmeter.scopes.carry", "_arrived", abs)
    assert (task.name, task.key, dict(task.labels)) == ("resolve", "T-1", {})
    assert set(trace) <= {"traceparent", "tracestate"}


@pytest.mark.parametrize("name", ["__reduce__", "__reduce_ex__", "__setstate__", "__getstate__"])
def test_nothing_else_says_how_it_is_pickled(name: str) -> None:
    """`carry`'s function does, `BudgetExceeded`, which a pool of processes sends home, and the hooks, which are pickled
    as the functions that they stand for."""
    found = [file.name for file, node in nodes() if isinstance(node, ast.FunctionDef) and node.name == name]
    assert set(found) <= {"carry.py", "budget.py", "hooks.py"}


def test_every_proof_that_the_threat_model_names_is_there() -> None:
    """docs/threat-model.md points at tests that exist."""
    root = Path(__file__).parents[2]
    named = set(re.findall(r"`(tests/[\w/.]+)`", (root / "docs" / "threat-model.md").read_text()))
    assert len(named) > 8
    assert [path for path in named if not (root / path).exists()] == []
