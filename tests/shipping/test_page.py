"""docs/delivery.md shows what the command really prints."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from taskmeter.cli.ship import ship
from tests.backends.backend import DEMO_SPANS
from tests.export.receiver import Receiver

PAGE = (Path(__file__).parents[2] / "docs" / "delivery.md").read_text()
SHOWN = re.findall(r"```\n(\$ taskmeter ship .*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("page") / "spool"
    command = [sys.executable, "-m", "taskmeter", "demo", "--spool", str(directory)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)  # it sets its whole process up
    return directory


def output(shown: str, url: str, spool: Path) -> str:
    """What the commands of a listing print, with the address that the page has."""
    lines: list[str] = []
    for command in re.findall(r"^\$ taskmeter ship (.*)$", shown, re.MULTILINE):
        arguments = shlex.split(command.replace("http://localhost:4318", url))
        done = CliRunner().invoke(ship, [*arguments, "--spool", str(spool), "--retry-for", "0.5"])
        lines += [
            f"$ taskmeter ship {command}",
            (done.stderr + done.stdout).replace(url, "http://localhost:4318").rstrip(),
        ]
    return "\n".join(lines) + "\n"


def test_what_is_delivered(spool: Path) -> None:
    """All of the demonstration, then nothing."""
    with Receiver() as receiver:
        assert output(SHOWN[0], receiver.url, spool) == SHOWN[0]
    assert len(receiver.spans) == DEMO_SPANS


def test_what_is_left(spool: Path) -> None:
    """Nobody listens. The page shows a run that tried again."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        printed = output(SHOWN[1], f"http://127.0.0.1:{listener.getsockname()[1]}", spool)
    assert printed == re.sub(r"taskmeter: .*\n", "", SHOWN[1])


def test_what_was_refused(spool: Path) -> None:
    """Two spans: 198, 99, 49, 24, 12, 6, 3 and 1 of them are refused, then 2 and 1."""
    with Receiver(statuses=[400] * 10) as receiver:
        CliRunner().invoke(ship, ["--endpoint", receiver.url, "--spool", str(spool)])
        assert output(SHOWN[2], receiver.url, spool) == SHOWN[2]


def test_every_option_is_on_the_page() -> None:
    """And the page has no other."""
    options = {name for option in ship.params if isinstance(option, click.Option) for name in option.opts}
    assert options == set(re.findall(r"--[a-z][a-z-]+", PAGE))
