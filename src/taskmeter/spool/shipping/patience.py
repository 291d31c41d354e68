"""Sends again what an endpoint did not take, with growing waits, for as long as was said."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Protocol

from taskmeter.errors import MissingDependencyError
from taskmeter.spool.shipping.answers import Accepted, Again, Answer, Failed, Misdirected
from taskmeter.spool.shipping.spans import StoredSpan

FAILURES: Final = 4
"""How often an endpoint may fail on the same spans (500) before they are suspected."""
_FIRST_WAIT_SECONDS: Final = 1.0
_LONGEST_WAIT_SECONDS: Final = 60.0
_LONGEST_OBEYED_SECONDS: Final = 3_600.0
"""An endpoint that asks for more is asked again after this."""


class Sender(Protocol):
    """An endpoint, over HTTP or gRPC."""

    def send(self, spans: Sequence[StoredSpan], timeout_seconds: float) -> Answer:
        """One request, in bounded time, that raises nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Clock:
    """Time, for tests to set."""

    monotonic: Callable[[], float] = time.monotonic
    time_ns: Callable[[], int] = time.time_ns


class Stop(Protocol):
    """A `threading.Event`: somebody wants the shipper to end."""

    def is_set(self) -> bool:
        """Whether it is to end."""
        ...

    def wait(self, timeout: float) -> bool:
        """Sleeps until then, or for so many seconds."""
        ...


class Patience:
    """Sends to one endpoint. `seconds` is how long it may go without accepting anything; `None` for ever."""

    def __init__(
        self,
        sender: Sender,
        timeout_seconds: float,
        seconds: float | None,
        *,
        stop: Stop,
        clock: Clock,
        say: Callable[[str], object],
    ) -> None:
        try:
            self._tenacity: Any = import_module("tenacity")
        except ImportError as error:
            raise MissingDependencyError("tenacity", "otlp", "`taskmeter ship`") from error
        self._backoff = self._tenacity.wait_exponential_jitter(_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS)
        self._sender = sender
        self._timeout_seconds = timeout_seconds
        self._seconds = seconds
        self._stop = stop
        self._clock = clock
        self._say = say
        self._well_until = clock.monotonic()
        self._end_by: float | None = None
        self._trouble = ""

    def end_within(self, seconds: float) -> None:
        """From now on everything is tried once, and nothing after that time."""
        self._end_by = self._clock.monotonic() + seconds

    def send(self, spans: Sequence[StoredSpan], failures: int = FAILURES) -> Answer:
        """The last answer: one that is final, or any when patience was at its end. `Failed` is final after
        `failures`."""
        waits: dict[int, float] = {}

        def wait(state: Any) -> float:
            return waits.setdefault(state.attempt_number, self._wait(state))

        def stop(state: Any) -> bool:
            answer: Answer = state.outcome.result()
            if isinstance(answer, Failed) and state.attempt_number >= failures:
                return True
            return self._exhausted(wait(state))

        def tell(state: Any) -> None:
            self._tell(state.outcome.result(), wait(state))

        def last_answer(state: Any) -> Any:
            return state.outcome.result()

        retrying = self._tenacity.Retrying(
            retry=self._tenacity.retry_if_result(self._is_worth_another),
            wait=wait,
            stop=stop,
            sleep=self._stop.wait,
            before_sleep=tell,
            retry_error_callback=last_answer,
        )
        answer: Answer = retrying(self._once, spans)
        if isinstance(answer, Accepted):
            self._well_until = self._clock.monotonic()
            if self._trouble:
                self._trouble = ""
                self._say("it accepts spans again")
        return answer

    def _once(self, spans: Sequence[StoredSpan]) -> Answer:
        timeout = self._timeout_seconds
        if self._end_by is not None:
            timeout = min(timeout, self._end_by - self._clock.monotonic())
        return self._sender.send(spans, timeout) if timeout > 0 else Again("there was no time left")

    def _is_worth_another(self, answer: Answer) -> bool:
        endless = self._seconds is None
        return isinstance(answer, Again | Failed) or (endless and isinstance(answer, Misdirected))

    def _wait(self, state: Any) -> float:
        answer: Answer = state.outcome.result()
        asked = answer.after_seconds if isinstance(answer, Again) else None
        return max(float(self._backoff(state)), min(asked or 0.0, _LONGEST_OBEYED_SECONDS))

    def _exhausted(self, wait_seconds: float) -> bool:
        if self._stop.is_set() or self._end_by is not None:
            return True
        return self._seconds is not None and self._clock.monotonic() + wait_seconds > self._well_until + self._seconds

    def _tell(self, answer: Any, wait_seconds: float) -> None:
        if answer.reason != self._trouble:
            self._trouble = answer.reason
            self._say(f"{answer.reason}; trying again in {wait_seconds:.0f} s")
