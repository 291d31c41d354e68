"""Runs small programs in processes of their own: OpenTelemetry's providers are one per process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from taskmeter.spool.read import SpanRecord, SpoolReading

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Run:
    """What a program left behind."""

    code: int
    out: str
    err: str
    seconds: float


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without settings of OpenTelemetry's or ours, and with `variables`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "TASKMETER_"))}
    return inherited | {"PYTHONPATH": str(HERE), "NO_PROXY": "127.0.0.1"} | variables


def run(program: str, cwd: Path, *, command: tuple[str, ...] = (sys.executable,), **variables: str) -> Run:
    """Runs `program` with the working directory `cwd`, where `from app import work` finds some work to do."""
    path = cwd / "program.py"
    path.write_text(program)
    began = time.monotonic()
    done = subprocess.run(
        [*command, str(path)],
        check=False,
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Run(done.returncode, done.stdout.strip(), done.stderr.strip(), time.monotonic() - began)


def spooled(directory: Path) -> list[SpanRecord]:
    """Every span of the spool, none if there is no file of spans."""
    return list(SpoolReading(directory)) if any(directory.glob("traces-*")) else []
