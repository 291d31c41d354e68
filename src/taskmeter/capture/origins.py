"""Who submitted what is answered later: the scope that was open, and where in its trace."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext

from taskmeter.account import Scope
from taskmeter.capture.bounded import Key, Remembered
from taskmeter.telemetry.context import current_scope

LIMIT: Final = 4096
"""Ids whose submitter is remembered. What was forgotten belongs to the task that is open when it is read."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a call is booked and pictured."""

    scope: Scope | None
    span: SpanContext | None
    """The span to picture it under; `None` for the one that is current."""

    @property
    def context(self) -> Context:
        """The context that its span belongs in."""
        if self.span is None:
            return otel.get_current()
        return trace.set_span_in_context(NonRecordingSpan(self.span), Context())


_origins: Remembered[Origin] = Remembered(LIMIT)


def remember(keys: Iterable[Key], origin: Origin) -> None:
    """From now on, what `keys` name was submitted by `origin`."""
    for key in keys:
        _origins.update(key, lambda _before: origin)


def submitter(keys: Iterable[Key]) -> Origin | None:
    """Who submitted what goes by any of `keys`, as far as this process knows."""
    return next((origin for key in keys if (origin := _origins.get(key))), None)


def here() -> Origin:
    """The open scope, to be remembered."""
    return Origin(current_scope(), trace.get_current_span().get_span_context())


def reader() -> Origin:
    """The open scope, for what nobody is known to have submitted."""
    return Origin(current_scope(), None)
