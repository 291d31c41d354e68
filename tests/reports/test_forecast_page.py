"""docs/forecast.md shows what the command prints on the pilot that its program records."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent.parent / "docs" / "forecast.md"
SHOWN = re.findall(r"```\n\$ taskmeter (forecast .*)\n((?:.*\n)*?)```", PAGE.read_text())
NUMBER = r"[\d,]*\d(?:\.\d+)*"


@pytest.fixture(scope="module")
def pilot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pilot")
    program = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert program is not None
    run(directory, "-c", program[1])
    return directory


@pytest.mark.parametrize(("command", "output"), SHOWN, ids=[command for command, _ in SHOWN])
def test_the_page_shows_the_real_output(pilot: Path, command: str, output: str) -> None:
    """Every word, and every number within 5 %: another version of numpy may draw otherwise."""
    printed = run(pilot, "-m", "taskmeter", *command.split())
    assert words(printed) == words(output)
    assert numbers(printed) == pytest.approx(numbers(output), rel=0.05)


def test_the_page_shows_both_ways_to_give_a_volume() -> None:
    """By name, and one number with growth."""
    assert len(SHOWN) == 2


def words(text: str) -> list[str]:
    """All but numbers, and how the lines break and the columns lie."""
    return re.sub(NUMBER, "0", text).replace("─", "").split()


def numbers(text: str) -> list[float]:
    """All but the version of the prices."""
    found = re.findall(NUMBER, re.sub(r"genai-prices [\d.]+", "", text))
    return [float(number.replace(",", "")) for number in found]


def run(directory: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "TASKMETER_"))}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
