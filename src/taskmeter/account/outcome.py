"""What an ending says about a task when the application says nothing."""

from __future__ import annotations

from taskmeter.records import Outcome

SUCCEEDED = Outcome("succeeded")


def outcome_of(error: BaseException | None) -> Outcome:
    """The default outcome of a scope that ended with `error`, or without one.

    An `Exception` fails it. Anything else (`CancelledError`, `GeneratorExit`, `KeyboardInterrupt`) is somebody
    stopping the work: abandoned. The reason is the type only; a message may hold a prompt or a secret.
    """
    if error is None:
        return SUCCEEDED
    return Outcome("failed" if isinstance(error, Exception) else "abandoned", reason=type(error).__name__)
