"""Who has a file of the spool: its writer, or the one who compacts it. The kernel lets go when a process dies.

Advisory locks of whole files, which hold across containers that share a directory, where process ids say nothing. A
system without them (Windows) does not let anyone delete a file that is open, which is as good.
"""

from __future__ import annotations

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]


def take(descriptor: int) -> bool:
    """Takes the open file until it is closed. False when somebody else has it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True
