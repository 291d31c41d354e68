"""`python -m bench [--quick] [case ...]`: runs the cases, prints a table, writes JSON to bench/results/."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from pkgutil import iter_modules

from bench import cases
from bench.harness import FULL, QUICK, Comparison, Plan, Result
from taskmeter import __version__

_RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses the command line, runs the cases that it names, or all."""
    known = sorted(module.name for module in iter_modules(cases.__path__))
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run: short blocks, few pairs, wide intervals")
    parser.add_argument("cases", nargs="*", metavar="case", help=f"which to run, default all: {', '.join(known)}")
    chosen = parser.parse_args(arguments)
    if unknown := sorted(set(chosen.cases) - set(known)):
        parser.error(f"no case named {', '.join(unknown)}; there are: {', '.join(known)}")
    plan = QUICK if chosen.quick else FULL
    results: list[Result] = []
    print(_HEADER)
    for name in chosen.cases or known:
        for result in _run(name, plan):
            results.append(result)
            print(_line(result), flush=True)
    print(f"written to {_write(results, plan)}")


def _run(name: str, plan: Plan) -> Iterable[Result]:
    results: Iterable[Result] = importlib.import_module(f"bench.cases.{name}").run(plan)
    return results


_HEADER = f"{'':<44} {'baseline':>10} {'candidate':>10} {'added [95%]':>30} {'ratio [95%]':>24}"


def _line(result: Result) -> str:
    if isinstance(result, Comparison):
        added, ratio = result.added_ns, result.ratio
        return (
            f"{result.name:<44} {_duration(result.baseline_ns):>10} {_duration(result.candidate_ns):>10} "
            f"{f'{_duration(added.median)} [{_duration(added.low)}, {_duration(added.high)}]':>30} "
            f"{f'{ratio.median:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]':>24}"
        )
    time = result.time_ns
    span = f"[{_duration(time.low)}, {_duration(time.high)}]"
    return f"{result.name:<44} {'':>10} {_duration(time.median):>10} {span:>30}"


def _duration(nanoseconds: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if abs(nanoseconds) >= size:
            return f"{nanoseconds / size:.3g}{unit}"
    return f"{nanoseconds:.3g}ns"


def _write(results: Sequence[Result], plan: Plan) -> Path:
    """One file per run, with what is needed to judge it later."""
    now = datetime.now(UTC)
    document = {
        "taken": now.isoformat(timespec="seconds"),
        "taskmeter": __version__,
        "python": sys.version,
        "machine": {"platform": platform.platform(), "cpus": os.cpu_count()},
        "plan": asdict(plan),
        "results": [{"kind": type(result).__name__.lower(), **asdict(result)} for result in results],
    }
    _RESULTS.mkdir(exist_ok=True)
    path = _RESULTS / f"{now:%Y%m%dT%H%M%S}.json"
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
