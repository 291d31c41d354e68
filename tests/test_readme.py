"""What the documents show is what the commands print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHOWN = [
    ("README.md", "taskmeter report"),
    ("README.md", "taskmeter show T-1002"),
    ("docs/cli.md", "taskmeter report"),
    ("docs/cli.md", "taskmeter report --detail"),
    ("docs/cli.md", "taskmeter show T-1002"),
    ("docs/cli.md", "taskmeter breakdown --name resolve_ticket --name classify"),
]


@pytest.fixture(scope="module")
def demo_spool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spool = tmp_path_factory.mktemp("demo") / "spool"
    taskmeter("demo", "--spool", str(spool))
    return spool


@pytest.mark.parametrize(("document", "command"), SHOWN)
def test_a_document_shows_the_real_output(document: str, command: str, demo_spool: Path) -> None:
    """The block under a command is its output on the demo's spool; times differ from run to run, price data by day."""
    shown = re.search(rf"```\n\$ {re.escape(command)}\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    assert shown is not None
    printed = taskmeter(*command.split()[1:], "--spool", str(demo_spool))
    assert normal(shown[1]) == normal(printed)


def taskmeter(*arguments: str) -> str:
    """What the command prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-m", "taskmeter", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def normal(table: str) -> list[list[str]]:
    """Words of each line, times left out: their width moves columns."""
    table = re.sub(r"genai-prices [\d.]+ \([\d-]+\)", "PRICES", table)
    lines = [re.sub(r"<?[\d.]+ (ms|s)\b", "TIME", line) for line in table.strip().splitlines()]
    return [line.replace("─", "").split() for line in lines]
