"""What the tests with real backends share: a run of the demonstration, and a server to send it to."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.export.programs import environment

DEMO: Final = """
from pathlib import Path
from taskmeter import _guard
from taskmeter.demo import run
_guard.strict = True
run(Path("spool"))
"""
"""Leaves its spool in `spool`, below the working directory."""
DEMO_SPANS: Final = 198


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(command: Sequence[str | Path], port: int, directory: Path) -> Iterator[None]:
    """Runs a server until the block is left, which starts as soon as `port` is listened on."""
    log = directory / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(command, env=environment(), cwd=directory, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 30
        while not _listens(port):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield
    finally:
        server.kill()  # what it holds is gone anyway; Jaeger takes ten seconds to end by itself
        server.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
