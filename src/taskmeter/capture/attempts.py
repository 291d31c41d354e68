"""The failed attempts of one call, as spans. A call that needed one attempt only has none: its own span says all."""

from __future__ import annotations

import time
from dataclasses import replace

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from taskmeter import _semconv as names
from taskmeter.capture.reading import field
from taskmeter.records import Attempt
from taskmeter.telemetry import spans
from taskmeter.telemetry.attributes import Attributes

_UNANSWERED = frozenset(
    {"APIConnectionError", "RequestError", "ConnectionError", "TimeoutError", "SSLError", "EndOfStream"}
)
"""Classes of errors, of the SDKs, their HTTP clients and Python, that say that no answer came."""
_UNSENT = frozenset(
    {"ConnectError", "ConnectTimeout", "PoolTimeout", "WriteError", "WriteTimeout", "ProxyError", "LocalProtocolError"}
    | {"UnsupportedProtocol", "InvalidURL", "TooManyRedirects", "ConnectionRefusedError", "gaierror"}
)
"""Those among them that come before the whole request is out: nothing to bill."""


class Attempts:
    """Counts retries and what they took, and pictures each failed attempt when its wait is over."""

    __slots__ = ("_failed", "_identity", "_over", "_start_ns", "exposed", "lost_ns", "retries")

    def __init__(self, start_ns: int, identity: Attributes) -> None:
        self._identity = identity
        self._start_ns = start_ns
        self._failed: Attempt | None = None
        self._over = False
        self.retries = 0
        """Attempts that were repeated."""
        self.exposed = 0
        """Attempts that were sent and never answered: they may be billed."""
        self.lost_ns = 0
        """Time that attempts took which were to be repeated, with the waits after them."""

    def failed(self, response: object, error: BaseException | None) -> None:
        """The running attempt failed, with `response` or `error`, and will be repeated."""
        self._failed = self._attempt(response, error)

    def waited(self, context: Context, *, repeated: bool) -> bool:
        """The wait is over: the next attempt starts now, or was called off. `context` has the span of the call.
        Returns whether there was a wait."""
        if self._failed is None:
            return False
        now = time.time_ns()
        wait_seconds = max(now - self._failed.end_ns, 0) / 1e9
        self._emit(replace(self._failed, wait_seconds=wait_seconds), context)
        self._failed = None
        self._over = not repeated
        self.retries += repeated
        self.lost_ns += max(now - self._start_ns, 0)
        self._start_ns = now
        return True

    def gave_up(self, error: BaseException, context: Context, *, answered: bool) -> None:
        """The call failed with `error`. Pictures its last attempt if there were others before. Again: no effect."""
        if self._over:
            return
        self._over = True
        attempt = self._attempt(error, error)
        if answered:
            attempt = replace(attempt, possibly_billed=False)  # what it was billed is known, or said to be not
        if self.retries:
            self._emit(attempt, context)
        else:
            self.exposed += attempt.possibly_billed

    def _attempt(self, answer: object, error: BaseException | None) -> Attempt:
        status, error_type = _status_and_type(answer, error)
        exposed = status is None and error is not None and possibly_billed(error)
        return Attempt(self.retries + 1, self._start_ns, time.time_ns(), status, error_type, possibly_billed=exposed)

    def _emit(self, attempt: Attempt, context: Context) -> None:
        self.exposed += attempt.possibly_billed
        attributes: Attributes = {names.SPAN_KIND: "attempt", **self._identity}
        if attempt.status_code is not None:
            attributes[names.HTTP_STATUS] = attempt.status_code
        if attempt.number > 1:
            attributes[names.RESEND_COUNT] = attempt.number - 1
        if attempt.wait_seconds is not None:
            attributes[names.ATTEMPT_WAIT] = attempt.wait_seconds
        if attempt.possibly_billed:
            attributes[names.POSSIBLY_BILLED] = True
        span = spans.start(
            f"attempt {attempt.number}",
            attributes,
            kind=SpanKind.CLIENT,
            context=context,
            start_ns=attempt.start_ns,
        )
        spans.end(span, error_type=attempt.error_type, end_ns=attempt.end_ns)


def possibly_billed(error: BaseException) -> bool:
    """Whether an attempt that ended with `error` was sent, as far as one can tell, and never answered.

    Errors are told by their classes' names along the chain of causes: neither HTTP client is imported by us. Somebody
    who stops the program's work (`CancelledError`, `KeyboardInterrupt`) does so while it waits for the answer.
    """
    unanswered = not isinstance(error, Exception)
    cause: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if cause is None:
            break
        classes = {kind.__name__ for kind in type(cause).__mro__}
        if classes & _UNSENT or isinstance(field(cause, "status_code"), int):
            return False
        unanswered = unanswered or bool(classes & _UNANSWERED)
        cause = cause.__cause__
    return unanswered


_LONGEST_CHAIN = 20
"""Of causes. They can go in a circle."""


def _status_and_type(answer: object, error: BaseException | None) -> tuple[int | None, str]:
    """The HTTP status of a failed attempt, and its `error.type`: that status, else the class of the error."""
    status = field(answer, "status_code")
    if isinstance(status, int):
        return status, str(status)
    return None, type(error).__name__ if error is not None else "_OTHER"
