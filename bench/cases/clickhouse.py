"""How long `taskmeter report` takes from a Collector's table in ClickHouse, whose engine runs on the same cores."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.harness import QUICK, Plan, Result, measure
from bench.spans import write_spans

_SIZES = (1_000, 1_000_000, 10_000_000)
_RUNS = Plan(pairs=3, block_seconds=0)
_TABLES = {"exporter's own table": (), "with clickhouse.sql": ("--typed",)}


def run(plan: Plan) -> Iterator[Result]:
    """By number of spans, without the columns of `deploy/clickhouse.sql` and with them, and the most memory that the
    report took, ClickHouse's own not in it."""
    for size in _SIZES[:1] if plan is QUICK else _SIZES:
        with tempfile.TemporaryDirectory() as directory:
            spans = write_spans(Path(directory), size)
            for table, options in _TABLES.items():
                megabytes: list[float] = []
                with _serving(directory, *options) as url:
                    result = measure("", partial(_report, url, megabytes), _RUNS)
                yield replace(result, name=f"{spans:,} spans, {table}: {max(megabytes):,.0f} MB")


@contextmanager
def _serving(*arguments: str) -> Iterator[str]:
    command = [sys.executable, "-m", "tools.clickhouse", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - ours
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.communicate()


def _report(url: str, megabytes: list[float]) -> None:
    command = [sys.executable, "-m", "taskmeter", "report", "--source", url, "--format", "json"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as report:  # noqa: S603 - ours
        _, status, used = os.wait4(report.pid, 0)
        report.returncode = os.waitstatus_to_exitcode(status)
    if report.returncode:
        raise subprocess.CalledProcessError(report.returncode, command)
    megabytes.append(used.ru_maxrss / 1024)
