"""What arrives when backends and processes fail: OpenTelemetry's stock exporter, and taskmeter's spool.

`make faults` runs every scene for both, in full length; `--quick` runs short ones for taskmeter alone. Each scene is a
program in a process of its own that ends spans, a backend that misbehaves while it runs, and an end. Afterwards the
backend is well, and `taskmeter ship` sends what is in the spool. Exits with 1 where taskmeter has lost a span, but for
those that ended within the last window before a `SIGKILL`.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.backends.backend import free_port
from tests.backends.test_rotel import collector
from tests.export.programs import environment
from tests.export.receiver import Receiver, Span

WINDOW_SECONDS: Final = 0.2
SLACK_SECONDS: Final = 0.8
"""A thread that is due after the window may have to wait for a processor: on a busy machine, for so long."""
_ENDED: Final = struct.Struct("d")

STOCK: Final = """
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
"""
OURS: Final = """
import taskmeter
taskmeter.configure(delivery="both")
"""
OURS_BY_SPOOL: Final = OURS.replace("both", "spool")
WORK: Final = """
import os, struct, sys, time
from opentelemetry import trace
tracer, log = trace.get_tracer("work"), os.open("ended", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
count, pause = int(sys.argv[1]), float(sys.argv[2])
for number in range(count):
    tracer.start_span(str(number)).end()
    os.write(log, struct.pack("d", time.monotonic()))
    if pause:
        time.sleep(pause)
"""


@dataclass(frozen=True)
class Scene:
    """What happens to a program that ends `spans`, `pause_seconds` apart."""

    name: str
    spans: int
    pause_seconds: float = 0.0
    end: str = ""
    """The program's last words, in Python."""
    kill: signal.Signals | None = None
    """Sent in the middle of it."""
    answers: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """How the backend behaves while the program runs: arguments of `Receiver`."""
    down_seconds: tuple[float, float] | None = None
    """From when to when, after the start, nobody listens."""
    by_rotel: bool = False
    """Whether a real collector stands between the program and the backend."""


@dataclass(frozen=True)
class Result:
    """What became of the spans of one program."""

    ended: int
    delivered: int
    twice: int
    """Of these, under the same id."""
    oldest_lost_seconds: float
    """How long before the end of the program the first of the others had ended."""
    exit_seconds: float
    """From the end of the last span to the end of the process."""

    @property
    def lost(self) -> int:
        """Ended, and never delivered."""
        return self.ended - self.delivered


class Backend:
    """One address, where somebody listens, nobody, or somebody else."""

    def __init__(self) -> None:
        self.port = free_port()
        self._now: Receiver | None = None
        self._before: list[Receiver] = []

    def up(self, **answers: Any) -> None:
        """From now on it answers like that."""
        self.down()
        self._now = Receiver(wanted_port=self.port, **answers)
        self._now.__enter__()

    def down(self) -> None:
        """Connections are refused."""
        if self._now is not None:
            self._now.__exit__(None, None, None)
            self._before.append(self._now)
            self._now = None

    def spans(self) -> list[Span]:
        """All that was taken so far."""
        receivers = [*self._before, *([self._now] if self._now is not None else [])]
        return [span for receiver in receivers for span in list(receiver.spans)]


def storm(status: int) -> dict[str, Any]:
    """Answers nothing else, and asks for patience."""
    return {"statuses": itertools.repeat(status), "headers": {"retry-after": "15", "location": "/elsewhere"}}


def scenes(*, quick: bool) -> list[Scene]:
    """All of them; `quick`, in seconds instead of minutes."""
    burst, paced, pause = (5_000, 100, 0.01) if quick else (50_000, 1_600, 0.025)
    return [
        Scene(f"burst of {burst:,}", burst),
        Scene(f"burst of {burst:,} by way of rotel", burst, by_rotel=True),
        Scene("backend down for 3/4 of the run", paced, pause, down_seconds=(0.1, 0.85) if quick else (5, 35)),
        Scene("429 with Retry-After", paced, pause, answers=storm(429)),
        Scene("503 with Retry-After", paced, pause, answers=storm(503)),
        Scene("500", paced, pause, answers=storm(500)),
        Scene("302 to elsewhere", paced, pause, answers=storm(302)),
        Scene("hangs", paced, pause, answers={"delay_seconds": 3_600}),
        Scene("partial success, 10 of each refused", paced, pause, answers={"refused_spans": 10}),
        Scene("os._exit", 1_000, 0.001, end="os._exit(0)"),
        Scene("SIGTERM", 100_000, 0.001, kill=signal.SIGTERM),
        Scene("SIGKILL", 100_000, 0.001, kill=signal.SIGKILL),
    ]


def played(scene: Scene, library: str) -> Result:
    """The program and its end; then, where there is a spool, `taskmeter ship` to a backend that is well again."""
    backend = Backend()
    backend.up(**scene.answers)
    url = f"http://127.0.0.1:{backend.port}"
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        directory = Path(name)
        if scene.by_rotel:
            url = stack.enter_context(collector(url, directory))
        exit_seconds, dead = run(scene, library, directory, url, backend)
        ended = [at for (at,) in _ENDED.iter_unpack((directory / "ended").read_bytes())]
        settle(backend, len(ended), 3 if scene.by_rotel else 0.5)
        if (directory / ".taskmeter").is_dir():
            backend.up()
            ship(directory / ".taskmeter", url)
            settle(backend, len(ended), 10 if scene.by_rotel else 0.5)
        backend.down()
    came = Counter(int(span.name) for span in backend.spans())
    lost = [at for number, at in enumerate(ended) if number not in came]
    delivered = len(ended) - len(lost)
    twice = sum(times - 1 for number, times in came.items() if number < len(ended))
    return Result(len(ended), delivered, twice, dead - min(lost) if lost else 0.0, exit_seconds)


def run(scene: Scene, library: str, directory: Path, url: str, backend: Backend) -> tuple[float, float]:
    """Runs the program. Returns how long its end took after its last span, and when that was, or it was killed."""
    program = directory / "program.py"
    program.write_text(library + WORK + scene.end)
    process = subprocess.Popen(
        [sys.executable, str(program), str(scene.spans), str(scene.pause_seconds)],
        cwd=directory,
        env=environment(OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_METRICS_EXPORTER="none"),
        stderr=subprocess.DEVNULL,
    )
    ended = directory / "ended"
    wait(lambda: ended.exists() and ended.stat().st_size > 0, 60)
    if scene.down_seconds is not None:
        began = time.monotonic()
        for until, change in zip(scene.down_seconds, (backend.down, backend.up), strict=True):
            time.sleep(max(0.0, began + until - time.monotonic()))
            change()
    if scene.kill is not None:
        time.sleep(1.5)
        process.send_signal(scene.kill)
    process.wait(180)
    now = time.monotonic()
    size = ended.stat().st_size // _ENDED.size * _ENDED.size
    (last,) = _ENDED.unpack(ended.read_bytes()[size - _ENDED.size : size])
    return now - last, last


def ship(spool: Path, endpoint: str) -> None:
    """Delivers what `endpoint` has not accepted."""
    subprocess.run(
        [sys.executable, "-m", "taskmeter", "ship", "--spool", str(spool), "--endpoint", endpoint],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        timeout=300,
    )


def settle(backend: Backend, expected: int, seconds: float) -> None:
    """Until all has come that was sent, or nothing more comes for a while."""
    before = -1
    while before < (now := len(backend.spans())) < expected:
        before = now
        wait(lambda: len(backend.spans()) >= expected, seconds)


def wait(until: Callable[[], bool], seconds: float) -> None:
    """Goes on after `seconds` in any case."""
    deadline = time.monotonic() + seconds
    while not until() and time.monotonic() < deadline:
        time.sleep(0.02)


def complaint(scene: Scene, result: Result) -> str:
    """What is wrong with a result of ours; empty if nothing is."""
    if scene.kill is signal.SIGKILL:
        late = result.oldest_lost_seconds > WINDOW_SECONDS + SLACK_SECONDS
        return f"lost a span that had ended {result.oldest_lost_seconds:.2f} s before the end" if late else ""
    return f"lost {result.lost}" if result.lost else ""


def line(scene: Scene, name: str, result: Result) -> str:
    """A row of the table."""
    numbers = [f"{number:,}" for number in (result.ended, result.delivered, result.lost, result.twice)]
    return f"| {' | '.join([scene.name, name, *numbers, f'{result.exit_seconds:.1f} s'])} |"


def main() -> int:
    """Prints the table as Markdown, and what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short scenes, and not for the stock exporter")
    parser.add_argument("scenes", nargs="*", help="only scenes whose name contains one of these words")
    asked = parser.parse_args()
    chosen = [s for s in scenes(quick=asked.quick) if not asked.scenes or any(word in s.name for word in asked.scenes)]
    libraries = {"taskmeter, both": OURS}
    if not asked.quick:
        libraries = {"stock exporter": STOCK, **libraries, "taskmeter, spool": OURS_BY_SPOOL}
    complaints: list[str] = []
    print("| scene | exporter | ended | delivered | lost | twice | exit took |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for scene in chosen:
        # Those that sleep most of the time can do so side by side.
        with ThreadPoolExecutor(len(libraries) if scene.pause_seconds else 1) as pool:
            results = list(pool.map(partial(played, scene), libraries.values()))
        for name, result in zip(libraries, results, strict=True):
            print(line(scene, name, result), flush=True)
            if libraries[name] is not STOCK and (wrong := complaint(scene, result)):
                complaints.append(f"{scene.name}, {name}: {wrong}")
    for each in complaints:
        print(f"FAILED {each}", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
