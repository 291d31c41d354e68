"""Processes that end in every way and disks that fail: nothing that ended is lost, or it is counted exactly."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from taskmeter.spool.losses import recorded_losses
from tests.export.programs import run, spooled
from tests.export.receiver import Receiver

WORK = """
import os, shutil, signal, sys, threading, time
import taskmeter
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests under nohup ignores it
def work(count, name="quick"):
    for number in range(count):
        with taskmeter.track_task(name):
            pass
"""
ENDS = {
    "os._exit": ("os._exit(3)", 3),
    "os._exit in a thread": ("threading.Thread(target=os._exit, args=[3]).start(); time.sleep(60)", 3),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", -signal.SIGTERM),
    "SIGHUP": ("os.kill(os.getpid(), signal.SIGHUP); time.sleep(60)", -signal.SIGHUP),
    "exec": ("os.execlp(sys.executable, sys.executable, '-c', 'raise SystemExit(4)')", 4),
    "a fork that ends like that": (
        "child = os.fork()\nif not child: os._exit(5)\nsys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))",
        5,
    ),
    "exit": ("sys.exit(6)", 6),
    "an error": ("raise ValueError", 1),
}


@pytest.mark.parametrize("end", ENDS)
def test_whatever_ends_the_process_the_spool_is_complete(tmp_path: Path, end: str) -> None:
    """All that had ended, the moment before too; the process ends as it would have, and says what it would have."""
    last_words, code = ENDS[end]
    done = run(f"{WORK}\ntaskmeter.configure()\nwork(2_000)\n{last_words}", tmp_path)
    assert (done.code, "taskmeter" in done.err.lower().replace("/taskmeter", "")) == (code, False)
    assert len(spooled(tmp_path / ".taskmeter")) == 2_000


def test_a_kill_costs_the_last_window_at_most(tmp_path: Path) -> None:
    """What was ended a second before is there."""
    done = run(
        f"{WORK}\ntaskmeter.configure()\nwork(1_000)\ntime.sleep(1)\nwork(5)\nos.kill(os.getpid(), signal.SIGKILL)",
        tmp_path,
    )
    assert done.code == -signal.SIGKILL
    assert 1_000 <= len(spooled(tmp_path / ".taskmeter")) <= 1_005


def test_a_signal_handler_of_the_programs_own_is_left_alone(tmp_path: Path) -> None:
    """One that is there before us, one that comes after us, a signal that is ignored, and a thread that may not set
    any; `shutdown()` puts back what was there."""
    program = """
def own(*_):
    print("own")
signal.signal(signal.SIGTERM, own)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
exit_before = os._exit
setup = taskmeter.configure()
print(signal.getsignal(signal.SIGTERM) is own, signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)
print(os._exit is exit_before, os._exit.__name__)
os.kill(os.getpid(), signal.SIGTERM)
work(3)
setup.shutdown()
print(os._exit is exit_before)
"""
    done = run(WORK + program, tmp_path)
    assert (done.code, done.err) == (0, "")
    assert done.out.split() == ["True", "True", "False", "_exit", "own", "True"]
    later = """
setup = taskmeter.configure()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
work(3)
os.kill(os.getpid(), signal.SIGTERM)
"""
    assert run(WORK + later, tmp_path).code == 7
    thread = """
thread = threading.Thread(target=taskmeter.configure)
thread.start()
thread.join()
work(3)
print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
"""
    done = run(WORK + thread, tmp_path)
    assert (done.code, done.out, done.err) == (0, "True", "")
    assert len(spooled(tmp_path / ".taskmeter")) == 9


def test_functions_of_os_go_to_other_processes(tmp_path: Path) -> None:
    """By their name, as ever: a pool may be told to run `os._exit`."""
    program = """
import pickle
taskmeter.configure()
if __name__ == "__main__":
    from multiprocessing import get_context
    print(pickle.loads(pickle.dumps(os._exit)) is os._exit, pickle.loads(pickle.dumps(os.execv)) is os.execv)
    child = get_context("spawn").Process(target=os._exit, args=[3])
    child.start()
    child.join()
    print(child.exitcode)
"""
    done = run(WORK + program, tmp_path)
    assert (done.code, done.out.split(), done.err) == (0, ["True", "True", "3"], "")


def test_a_disk_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """`shutdown` gives it `exit_seconds` to write and as much to close; what was not written is counted."""
    program = """
setup = taskmeter.configure(spool=taskmeter.Spool("spool", fsync="always"), exit_seconds=0.3)
os.fsync = lambda file: time.sleep(3_600)
work(3)
setup.shutdown()
print(*taskmeter.diagnose().losses)
"""
    done = run(WORK + program, tmp_path)
    assert (done.code, done.out) == (0, "Loss(destination='spool', reason='exit', spans=3)")


def test_eight_processes_in_one_directory(tmp_path: Path) -> None:
    """Forked as a web server forks its workers, with threads, small files, and an end of each kind: each span once."""
    program = """
taskmeter.configure(spool=taskmeter.Spool("spool", file_bytes=20_000))
work(10, "parent")
children = []
for number in range(8):
    child = os.fork()
    if not child:
        threads = [threading.Thread(target=work, args=[50, f"child {number}"]) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        if number % 4 == 0: os._exit(0)
        if number % 4 == 1: os.kill(os.getpid(), signal.SIGTERM)
        if number % 4 == 2: raise SystemExit
        break
    children.append(child)
else:
    for child in children: os.waitpid(child, 0)
    work(10, "parent")
"""
    done = run(WORK + program, tmp_path)
    assert (done.code, done.err) == (0, "")
    spans = spooled(tmp_path / "spool")
    names = [f"invoke_workflow child {number}" for number in range(8)]
    assert {name: sum(span.name == name for span in spans) for name in names} == dict.fromkeys(names, 200)
    assert len(spans) == 1_620


def test_a_disk_that_was_full_for_a_while_costs_nothing(tmp_path: Path) -> None:
    """What could not be written is kept and written later; a batch that was cut short is there once."""
    program = """
import resource
setup = taskmeter.configure()
work(10)
print(setup.flush())
resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))
work(600)
print(setup.flush())
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
work(1)
print(setup.flush())
print(taskmeter.diagnose().losses)
"""
    done = run(WORK + program, tmp_path)
    assert (done.code, done.out.split("\n")) == (0, ["True", "False", "True", "()"])
    assert done.err.count("taskmeter") == 2  # one line, which names the directory too
    assert len(spooled(tmp_path / ".taskmeter")) == 611


def test_a_disk_that_stays_full_costs_what_is_counted(tmp_path: Path) -> None:
    """The program goes on and ends as ever; the loss is in the log, in the diagnosis, in the metric, and beside the
    spans, as soon as there is room for it."""
    program = """
import resource
setup = taskmeter.configure(delivery="spool")
work(10)
setup.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))
work(70)
began = time.monotonic()
setup.shutdown()
print(time.monotonic() - began < 30, *taskmeter.diagnose().losses)
sys.exit(3)
"""
    done = run(WORK + program, tmp_path)
    assert (done.code, done.out) == (3, "True Loss(destination='spool', reason='exit', spans=70)")
    assert done.err.count("taskmeter lost 70 spans on the way to its spool: the process ended") == 1
    assert recorded_losses(tmp_path / ".taskmeter") == {"exit": 70}
    assert len(spooled(tmp_path / ".taskmeter")) == 10


def test_losses_are_a_metric(tmp_path: Path) -> None:
    """By destination and reason."""
    (tmp_path / "file").write_text("")
    program = """
from taskmeter.telemetry import losses
setup = taskmeter.configure(spool="file/spool")
work(1)
losses.count("spool", "queue_full", 7)
print(setup.flush())
"""
    with Receiver() as receiver:
        done = run(WORK + program, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    assert (done.code, done.out) == (0, "False")
    attributes = {"taskmeter.export.destination": "spool", "taskmeter.export.reason": "queue_full"}
    assert receiver.sum("taskmeter.export.dropped", attributes) == 7


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs users")
def test_no_permission_costs_what_is_counted(tmp_path: Path) -> None:
    """As a user who may not write there, nor look: root gives up its rights first."""
    (tmp_path / "spool").mkdir(mode=0o500)
    program = """
setup = taskmeter.configure(spool="spool")
if os.getuid() == 0:
    os.setuid(65534)
work(20)
print(setup.flush(), taskmeter.diagnose().spool.writable)
setup.shutdown()
print(sum(loss.spans for loss in taskmeter.diagnose().losses))
"""
    done = run(WORK + program, tmp_path)
    assert (done.code, done.out.split()) == (0, ["False", "False", "20"])
    assert "Permission denied" in done.err


def test_a_directory_that_is_removed_costs_what_was_in_it(tmp_path: Path) -> None:
    """Counted exactly; what ends later is written to a new one."""
    program = """
setup = taskmeter.configure()
work(10)
print(setup.flush())
shutil.rmtree(".taskmeter")
work(5)
print(setup.flush(), *taskmeter.diagnose().losses)
"""
    done = run(WORK + program, tmp_path)
    assert (done.code, done.out.split("\n")) == (
        0,
        ["True", "True Loss(destination='spool', reason='removed', spans=10)"],
    )
    assert recorded_losses(tmp_path / ".taskmeter") == {"removed": 10}
    assert len(spooled(tmp_path / ".taskmeter")) == 5


@pytest.mark.parametrize("delivery", ["direct", "both"])
def test_the_end_waits_for_a_backend_that_hangs_as_long_as_it_is_told(tmp_path: Path, delivery: str) -> None:
    """And no longer, whatever waits; what was not sent is counted."""
    program = f"""
taskmeter.configure(delivery="{delivery}", exit_seconds=0.5)
work(1_500)
print(time.monotonic())
"""
    with Receiver(delay_seconds=3_600) as receiver:
        done = run(WORK + program, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        ended = time.monotonic()
    assert done.code == 0
    assert ended - float(done.out) < 8  # the machine's own noise included; the default of the exporter is 30
    assert "taskmeter lost 1500 spans on the way to the OTLP endpoint: the process ended" in done.err
    assert len(spooled(tmp_path / ".taskmeter")) == (1_500 if delivery == "both" else 0)


def test_a_forked_process_waits_no_longer_either(tmp_path: Path) -> None:
    """Its own threads end what the parent's would have: a web server's worker that leaves is not held up."""
    program = """
taskmeter.configure(exit_seconds=0.5)
work(1)
child = os.fork()
if not child:
    work(1)
    sys.exit(3)
began = time.monotonic()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), time.monotonic() - began)
"""
    with Receiver(delay_seconds=3_600) as receiver:
        done = run(WORK + program, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    code, seconds = done.out.split()
    assert (done.code, code) == (0, "3")
    assert float(seconds) < 8  # the exporter's own patience is 10
    assert len(spooled(tmp_path / ".taskmeter")) == 2
