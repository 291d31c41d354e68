"""Processes of one program: what they spend for a task is in the report's total of it, once."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from taskmeter.reports.relations import Relations, relate
from tests.export.programs import run, spooled

FORKED = """
import atexit, multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
import openai, taskmeter
from taskmeter import _guard, carry, charge, current_task, track_step, track_task
from taskmeter.demo.stub import StubProvider, openai_chat

_guard.strict = True

def configure():
    taskmeter.configure(spool="spool")

def work(url):
    configure()
    assert current_task() is None
    with openai.OpenAI(base_url=f"{url}/v1", api_key="stub") as client, track_step("there"):
        client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "1"}])
    with track_task("nested"):
        charge("0.25")
    return os.getpid()

def stopped(url):
    configure()
    charge("0.125")
    sys.exit(3)

if __name__ == "__main__":
    configure()
    fork = multiprocessing.get_context("fork")
    with track_task("whole", key="K") as whole:
        charge("1")
        with StubProvider(lambda _: openai_chat("gpt-5-mini")) as stub, track_step("here"):
            with ProcessPoolExecutor(2, mp_context=fork) as pool:
                pids = list(pool.map(work, [stub.url] * 4))
        process = fork.Process(target=stopped, args=("",))
        process.start()
        process.join()
        if os.fork() == 0:
            sys.exit(0)  # leaves the task in a copy of this process
        os.wait()
        atexit.register(carry(charge), "0.5")
    assert os.getpid() not in pids
    print(whole.cost.total)
"""

STARTED = """
import atexit, multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import taskmeter
from taskmeter import _guard, carry, charge, current_task, track_step, track_task

_guard.strict = True

def work(amount):
    taskmeter.configure(spool="spool")
    assert current_task() is None
    charge(amount)
    with track_task("nested"):
        charge("0.25")

if __name__ == "__main__":
    taskmeter.configure(spool="spool")
    with track_task("whole", key="K") as whole:
        charge("1")
        for method in ("spawn", "forkserver"):
            context = multiprocessing.get_context(method)
            with track_step("here"), ProcessPoolExecutor(1, mp_context=context) as pool:
                pool.submit(carry(work), "0.5").result()
    print(whole.cost.total)
"""

CALL = Decimal("0.000078")


def relations(directory: Path, program: str) -> Relations:
    done = run(program, directory)
    assert (done.code, done.out, done.err) == (0, "1", "")
    return relate(spooled(directory / "spool"))


def test_forked_processes(tmp_path: Path) -> None:
    """Know the task by themselves. A copy of an open task that ends with its process is not counted."""
    found = relations(tmp_path, FORKED)
    [whole] = [task for task in found.tasks.values() if task.name == "whole"]
    nested = [task for task in found.tasks.values() if task.name == "nested"]
    assert [(task.parent_id, task.cost, task.in_remote) for task in nested] == [(whole.id, Decimal("0.25"), True)] * 4
    # 1 here, 4 calls and 4 nested tasks in the pool, one charge in a process, one at the end of the program.
    assert whole.cost == Decimal(1) + 4 * CALL + 4 * Decimal("0.25") + Decimal("0.125") + Decimal("0.5")
    assert (whole.late, whole.remote) == (Decimal("0.625") + 4 * CALL, Decimal("1.125") + 4 * CALL)
    assert (whole.key, whole.calls, whole.outcome) == ("K", 4, "succeeded")
    steps = {row.name: row.cost for row in found.rows.values() if row.name in ("here", "there")}  # type: ignore[union-attr]
    assert steps == {"here": 4 * CALL + 1, "there": CALL}
    assert {span.trace_id for span in spooled(tmp_path / "spool")} == {whole.ref.trace_id}


def test_processes_that_start_anew(tmp_path: Path) -> None:
    """Get it by `carry`, in the pickle of the function, with the trace it belongs to."""
    found = relations(tmp_path, STARTED)
    [whole] = [task for task in found.tasks.values() if task.name == "whole"]
    assert (whole.cost, whole.own, whole.late, whole.remote) == (2.5, 2, 1, 1.5)
    steps = [row.cost for row in found.rows.values() if row.name == "here"]  # type: ignore[union-attr]
    assert steps == [Decimal("0.75")] * 2
    assert {span.trace_id for span in spooled(tmp_path / "spool")} == {whole.ref.trace_id}
