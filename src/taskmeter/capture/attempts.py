"""The failed attempts of one call, as spans. A call that needed one attempt only has none: its own span says all."""

from __future__ import annotations

import time

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from taskmeter import _semconv as names
from taskmeter.capture.reading import field
from taskmeter.records import Attempt
from taskmeter.telemetry import spans
from taskmeter.telemetry.attributes import Attributes


class Attempts:
    """Counts retries, and pictures each failed attempt when its wait is over."""

    __slots__ = ("_failed", "_identity", "_start_ns", "retries")

    def __init__(self, start_ns: int, identity: Attributes) -> None:
        self._identity = identity
        self._start_ns = start_ns
        self._failed: tuple[int, int | None, str] | None = None
        self.retries = 0
        """Attempts that will be or were repeated."""

    def failed(self, response: object, error: BaseException | None) -> None:
        """The running attempt failed, with `response` or `error`, and will be repeated."""
        self.retries += 1
        self._failed = (time.time_ns(), *_status_and_type(response, error))

    def waited(self, context: Context) -> None:
        """The wait is over, or was cut short; the next attempt starts now. `context` has the span of the call."""
        if self._failed is None:
            return
        failed_ns, status, error_type = self._failed
        now = time.time_ns()
        wait_seconds = max(now - failed_ns, 0) / 1e9
        self._emit(Attempt(self.retries, self._start_ns, failed_ns, status, error_type, wait_seconds), context)
        self._failed = None
        self._start_ns = now

    def gave_up(self, error: BaseException, context: Context) -> None:
        """The call failed with `error`. Pictures its last attempt if there were others before."""
        if self.retries:
            status, error_type = _status_and_type(error, error)
            attempt = Attempt(self.retries + 1, self._start_ns, time.time_ns(), status, error_type)
            self._emit(attempt, context)

    def _emit(self, attempt: Attempt, context: Context) -> None:
        attributes: Attributes = {names.SPAN_KIND: "attempt", **self._identity}
        if attempt.status_code is not None:
            attributes[names.HTTP_STATUS] = attempt.status_code
        if attempt.number > 1:
            attributes[names.RESEND_COUNT] = attempt.number - 1
        if attempt.wait_seconds is not None:
            attributes[names.ATTEMPT_WAIT] = attempt.wait_seconds
        span = spans.start(
            f"attempt {attempt.number}",
            attributes,
            kind=SpanKind.CLIENT,
            context=context,
            start_ns=attempt.start_ns,
        )
        spans.end(span, error_type=attempt.error_type, end_ns=attempt.end_ns)


def _status_and_type(answer: object, error: BaseException | None) -> tuple[int | None, str]:
    """The HTTP status of a failed attempt, and its `error.type`: that status, else the class of the error."""
    status = field(answer, "status_code")
    if isinstance(status, int):
        return status, str(status)
    return None, type(error).__name__ if error is not None else "_OTHER"
