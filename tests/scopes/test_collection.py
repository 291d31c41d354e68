"""What the garbage collector ends, it ends without harm."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import faulthandler, gc
from taskmeter import charge, track_step, track_task
faulthandler.dump_traceback_later(30, exit=True)

@track_step
def body():
    try:
        charge("1")
        yield 1
    finally:
        charge("2")

class Cycle: pass

gc.set_threshold(1)  # a collection at nearly every allocation, also of those under the ledger's lock
with track_task("t") as task:
    for _ in range(500):
        cycle = Cycle()
        cycle.me, cycle.steps = cycle, body()
        next(cycle.steps)
        del cycle
        charge("4")
    gc.collect()
    charge("0")
print(task.cost.total)
"""


def test_a_collected_generator_does_not_lock_up_its_thread() -> None:
    """Generators in reference cycles, collected while their thread books, are booked all the same."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.stdout == "3500\n"
