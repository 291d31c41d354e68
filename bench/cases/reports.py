"""How long `taskmeter report` takes, from Parquet, as a process of its own: importing and printing included."""

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
_RUNS = Plan(pairs=3, block_seconds=0)


def run(plan: Plan) -> Iterator[Result]:
    """By number of spans, with the most memory that it or a smaller one took."""
    for size in _SIZES[:2] if plan is QUICK else _SIZES:
        with tempfile.TemporaryDirectory() as directory:
            spans = write_spans(Path(directory), size)
            result = measure("", partial(_report, directory), _RUNS)
        megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        yield replace(result, name=f"report: {spans:,} spans, {megabytes:,.0f} MB")


def _report(spool: str) -> None:
    subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-m", "taskmeter", "report", "--spool", spool, "--format", "json"],
        check=True,
        capture_output=True,
    )
