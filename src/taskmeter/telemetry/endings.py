"""The ends of a process that Python's own exit does not see: signals, `os._exit` and `os.exec*`.

What has ended by then waits in a queue of ours, in memory. It is written first, in bounded time, and the process then
ends just as it would have. `SIGKILL` and a crash of the interpreter leave no time for that.
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from taskmeter._guard import guarded

_CALLS: Final = ("_exit", "execv", "execve")
"""Functions of `os`; the others of their kind call these."""
_SIGNALS: Final = ("SIGTERM", "SIGHUP")


class Endings:
    """Calls `save` before the process ends without `atexit`.

    A signal is only caught where nobody else does: where its handler is the system's own, which ends the process, and
    in the main thread. Whoever sets a handler later replaces ours, and ends the process in a way of his own.
    """

    def __init__(self, save: Callable[[], object]) -> None:
        self._save = save
        self._on = False
        self._wrapped: dict[str, tuple[Any, Any]] = {}

    def on(self) -> None:
        """From now on."""
        self._on = True
        for name in _CALLS:
            if (function := getattr(os, name, None)) is not None:
                ours = self._saving(function)
                setattr(os, name, ours)
                self._wrapped[name] = function, ours
        for name in _SIGNALS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                with suppress(ValueError):  # not the main thread
                    signal.signal(number, self._signalled)

    def off(self) -> None:
        """Puts back what is still ours."""
        self._on = False
        for name, (function, ours) in self._wrapped.items():
            if getattr(os, name) is ours:
                setattr(os, name, function)
        for name in _SIGNALS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) == self._signalled:
                with suppress(ValueError):
                    signal.signal(number, signal.SIG_DFL)

    def _saving(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def ending(*args: Any, **kwargs: Any) -> Any:
            try:
                if self._on:
                    with guarded("telemetry.ending"):
                        self._save()
            finally:
                function(*args, **kwargs)

        ending.__module__ = "os"  # where ours is found under its name, as `pickle` demands
        return ending

    def _signalled(self, number: int, _frame: object) -> None:
        with guarded("telemetry.signalled"):
            self._save()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, self._signalled)  # still here: the first process of a container is not ended by it
