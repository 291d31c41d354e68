"""How long `taskmeter report` and `breakdown` take, from Parquet, as processes: importing and printing included."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.harness import QUICK, Plan, Result, measure
from bench.spans import write_spans

_SIZES = (1_000, 1_000_000, 10_000_000)
_COMMANDS = ("report", "breakdown")
_DIVIDED = 1_000_000
"""Spans up to which `breakdown` is measured too."""
_RUNS = Plan(pairs=3, block_seconds=0)


def run(plan: Plan) -> Iterator[Result]:
    """By number of spans, with the most memory that it or one before it took."""
    for size in _SIZES[:2] if plan is QUICK else _SIZES:
        with tempfile.TemporaryDirectory() as directory:
            spans = write_spans(Path(directory), size)
            both = size <= _DIVIDED and (plan is not QUICK or size == _SIZES[0])
            for command in _COMMANDS if both else _COMMANDS[:1]:
                result = measure("", partial(_run, command, directory), _RUNS)
                megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
                yield replace(result, name=f"{command}: {spans:,} spans, {megabytes:,.0f} MB")


def _run(command: str, spool: str) -> None:
    subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-m", "taskmeter", command, "--spool", spool, "--format", "json"],
        check=True,
        capture_output=True,
    )
