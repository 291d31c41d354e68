"""What arrives when the program ends, the endpoint fails, or the disk does."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.export.programs import run, spooled
from tests.export.receiver import Receiver


@pytest.mark.parametrize("own_provider", [False, True])
def test_a_program_that_just_ends_loses_nothing(tmp_path: Path, own_provider: bool) -> None:
    """No `flush()`: 5,000 spans are all in the spool, also with a provider that nobody shuts down."""
    program = """
import taskmeter
configured = taskmeter.configure()
for number in range(5_000):
    with taskmeter.track_task("quick"):
        pass
"""
    if own_provider:
        program = (
            "from opentelemetry import trace\nfrom opentelemetry.sdk.trace import TracerProvider\n"
            "trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))\n" + program
        )
    done = run(program, tmp_path)
    assert (done.code, done.err) == (0, "")
    assert len(spooled(tmp_path / ".taskmeter")) == 5_000


def test_the_end_of_a_program_sends_what_is_left(tmp_path: Path) -> None:
    """Spans and metrics, without `flush()`, with the exit code of the program, and without a new thread, which
    Python 3.12 and later do not start any more at that time."""
    program = """
import atexit, sys, threading, taskmeter
taskmeter.configure(spool=False)
def forbid():
    def start(thread):
        raise RuntimeError("can't create new thread at interpreter shutdown")
    threading.Thread.start = start
atexit.register(forbid)
with taskmeter.track_task("quick"):
    taskmeter.charge("0.25")
sys.exit(3)
"""
    with Receiver() as receiver:
        done = run(program, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    assert (done.code, done.err) == (3, "")
    assert len(receiver.spans) == 2
    assert receiver.sum("taskmeter.cost") == 0.25


def test_a_program_that_is_killed_loses_only_its_last_moment(tmp_path: Path) -> None:
    """What ended some time before is in the spool, whatever the end."""
    program = """
import os, signal, time, taskmeter
taskmeter.configure()
for number in range(1_000):
    with taskmeter.track_task("quick"):
        pass
time.sleep(1)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = run(program, tmp_path)
    assert (done.code, done.err) == (-9, "")
    assert len(spooled(tmp_path / ".taskmeter")) == 1_000


def test_a_forked_process_delivers_its_own(tmp_path: Path) -> None:
    """Each process writes and sends what it did, once, and ends at once."""
    program = """
import os, sys, taskmeter
setup = taskmeter.configure()
with taskmeter.track_task("before"):
    pass
setup.flush()
child = os.fork()
with taskmeter.track_task("child" if not child else "parent"):
    pass
if child:
    os.waitpid(child, 0)
"""
    with Receiver() as receiver:
        done = run(program, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    assert (done.code, done.err) == (0, "")
    names = ["invoke_workflow before", "invoke_workflow child", "invoke_workflow parent"]
    assert sorted(span.name for span in receiver.spans) == names
    assert sorted(span.name for span in spooled(tmp_path / ".taskmeter")) == names


@pytest.mark.parametrize("silent", [False, True])
def test_an_endpoint_that_is_down_holds_nobody_up(tmp_path: Path, silent: bool) -> None:
    """Nobody listens, or somebody who never answers: the program ends in seconds, and the spool has it all."""
    program = """
import time
import taskmeter
taskmeter.configure()
for number in range(1_500):
    with taskmeter.track_task("quick") as task:
        taskmeter.charge("0.25")
print(task.cost.total, time.monotonic())
"""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if silent:
            listener.listen()
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        done = run(program, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    total, worked_until = done.out.split()
    assert (done.code, total) == (0, "0.25")
    assert time.monotonic() - float(worked_until) < 12  # one clock for all processes
    assert len(spooled(tmp_path / ".taskmeter")) == 3_000


@pytest.mark.parametrize("other_signal", ["TRACES", "METRICS"])
def test_flush_tells_the_truth(tmp_path: Path, other_signal: str) -> None:
    """False when the endpoint refused anything since the last flush, before this one or in it; else true."""
    program = """
import time, taskmeter
setup = taskmeter.configure(spool=False)
for wait_seconds in (0, 0, 0.5, 0):
    with taskmeter.track_task("quick"):
        pass
    time.sleep(wait_seconds)
    print(setup.flush())
"""
    if other_signal == "TRACES":  # metrics are sent again with the next, so that only the last answer counts
        program = program.replace("0.5", "0")
    with Receiver(statuses=[400, 200, 400]) as receiver:
        variables = {f"OTEL_{other_signal}_EXPORTER": "none", "OTEL_BSP_SCHEDULE_DELAY": "100"}
        done = run(program, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, **variables)
    assert (done.code, done.out.split()) == (0, ["False", "True", "False", "True"])


def test_flush_knows_of_spans_that_the_queue_had_no_room_for(tmp_path: Path) -> None:
    """The SDK's own flush would say yes."""
    program = """
import taskmeter
setup = taskmeter.configure()
for number in range(300):
    with taskmeter.track_task("quick"):
        pass
print(setup.flush())
"""
    with Receiver(delay_seconds=0.2) as receiver:
        variables = {"OTEL_BSP_MAX_QUEUE_SIZE": "20", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "20"}
        done = run(program, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, **variables)
    assert (done.code, done.out) == (0, "False")
    assert len(receiver.spans) < 300
    assert len(spooled(tmp_path / ".taskmeter")) == 300


def test_flush_knows_that_the_spool_cannot_be_written(tmp_path: Path) -> None:
    """A file is in the way of the directory: the program goes on, and its exit code is its own."""
    (tmp_path / "file").write_text("")
    program = """
import taskmeter
setup = taskmeter.configure(spool="file/spool")
with taskmeter.track_task("quick") as task:
    taskmeter.charge("0.25")
print(task.cost.total, setup.flush())
"""
    done = run(program, tmp_path)
    assert (done.code, done.out) == (0, "0.25 False")
    assert "taskmeter cannot write its spool in file/spool" in done.err


def test_flush_returns_in_time(tmp_path: Path) -> None:
    """An endpoint that takes its time does not make `flush()` wait longer than it was told."""
    program = """
import time, taskmeter
setup = taskmeter.configure()
with taskmeter.track_task("quick"):
    pass
began = time.monotonic()
print(setup.flush(0.5), time.monotonic() - began < 1.5)
"""
    with Receiver(delay_seconds=3) as receiver:
        done = run(program, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    assert (done.code, done.out) == (0, "False True")
    assert len(spooled(tmp_path / ".taskmeter")) == 1
