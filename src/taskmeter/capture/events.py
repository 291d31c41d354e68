"""A call that is known from events of a session, and not from a request of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass

from opentelemetry.trace import SpanKind

from taskmeter import _semconv as names
from taskmeter.account import Entry
from taskmeter.capture.clock import now_ns
from taskmeter.capture.origins import Origin
from taskmeter.capture.priced import price_reading
from taskmeter.capture.reading import Reading
from taskmeter.capture.terms import session_terms
from taskmeter.records import NO_USAGE, WasteClass
from taskmeter.telemetry import providers, spans
from taskmeter.telemetry.attributes import (
    Attributes,
    cost_attributes,
    identity_attributes,
    late_attributes,
    usage_attributes,
)
from taskmeter.telemetry.booking import book


@dataclass(frozen=True, slots=True)
class Server:
    """Who is at the other end of a session."""

    provider: str
    host: str
    port: int | None


class EventCall:
    """A call under way. Nothing happens inside it, so its span is made when it ends."""

    def __init__(self, server: Server, operation: str, origin: Origin, model: str, name: str | None) -> None:
        self._server = server
        self.operation = operation
        self._origin = origin
        self._context = origin.context
        self._start_ns = time.time_ns()
        self._at_ns = now_ns()
        self._start = time.perf_counter()
        self.model = model
        """The model that was asked for."""
        self.name = name
        """The provider's id for it."""

    def end(self, reading: Reading, *, error_type: str | None = None) -> None:
        """Prices, books, pictures and counts it."""
        terms = session_terms(self._server.host, self._server.provider)
        priced = price_reading(
            reading, provider=self._server.provider, model=self.model, at_ns=self._at_ns, terms=terms
        )
        waste: WasteClass | None = None if error_type is None else "failed_call"
        unpriced = int(priced.status == "unpriced")
        usage = reading.usage or NO_USAGE
        entry = Entry(priced.charges, usage, calls=1, attempts=1, unpriced_calls=unpriced, waste=waste)
        shared: Attributes = {
            names.OPERATION: self.operation,
            names.PROVIDER: self._server.provider,
            names.REQUEST_MODEL: self.model,
        }
        attributes: Attributes = {
            names.SPAN_KIND: "call",
            names.SERVER_ADDRESS: self._server.host,
            **shared,
            **cost_attributes(priced),
            **(usage_attributes(reading.usage) if reading.usage is not None else {}),
            **identity_attributes(self._origin.scope.task if self._origin.scope is not None else None),
            **late_attributes(self._origin.scope),
        }
        if self._server.port is not None:
            attributes[names.SERVER_PORT] = self._server.port
        if self.name is not None:
            attributes[names.RESPONSE_ID] = self.name
        if reading.model is not None:
            attributes[names.RESPONSE_MODEL] = reading.model
        if reading.finish_reasons:
            attributes[names.FINISH_REASONS] = list(reading.finish_reasons)
        if waste is not None and priced.charges:
            attributes[names.WASTE_CLASS] = waste
        title = f"{self.operation} {self.model or reading.model or ''}".rstrip()
        span = spans.start(title, attributes, kind=SpanKind.CLIENT, context=self._context, start_ns=self._start_ns)
        spans.end(span, error_type=error_type)
        book(self._origin.scope, entry)
        shared[names.RESPONSE_MODEL] = reading.model or self.model
        if error_type is not None:
            shared[names.ERROR_TYPE] = error_type
        providers.instruments().call_ended(shared, reading.usage, time.perf_counter() - self._start, None)
