"""The picture of a call: its span, ours or the SDK's own, and a leaf for money that no span of it can carry."""

from __future__ import annotations

import time

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind

from taskmeter import _semconv as names
from taskmeter._guard import guarded
from taskmeter.account import Scope, Shares
from taskmeter.capture.attempts import Attempts
from taskmeter.capture.provider import Client
from taskmeter.capture.reading import Reading
from taskmeter.capture.result import Result
from taskmeter.records import Priced, WasteClass
from taskmeter.telemetry import known, leaves, spans, suppression
from taskmeter.telemetry.attributes import (
    Attributes,
    context_attributes,
    cost_attributes,
    identity_attributes,
    late_attributes,
    usage_attributes,
)
from taskmeter.telemetry.context import with_stamp


class Picture:
    """Of one call, which runs in `context`; `shared` is what its span and its metrics both say."""

    __slots__ = (
        "_identity",
        "_on_span",
        "_outer_span",
        "_scope",
        "_server",
        "_shared",
        "_span",
        "_start_ns",
        "_streams",
        "attempts",
        "context",
        "fingerprint",
        "known",
        "native",
        "silent",
    )

    def __init__(
        self, shared: Attributes, client: Client, scope: Scope | None, context: Context, *, streams: bool, native: bool
    ) -> None:
        task = scope.task if scope is not None else None
        self._shared = shared
        self._server = {names.SERVER_ADDRESS: client.base_url.host, names.SERVER_PORT: client.base_url.port}
        self._scope = scope
        self._streams = streams
        self._identity = identity_attributes(task)
        self._start_ns = time.time_ns()
        self._outer_span = trace.get_current_span()
        self._span: Span = trace.INVALID_SPAN
        self._on_span: tuple[Priced | None, Shares | None] | None = None
        self.silent = suppression.silent_calls()
        """Whether somebody asked for no span and no metric of it. It is booked all the same."""
        self.native = native
        """Whether the span is the SDK's own: never a second one for the same call."""
        self.context = with_stamp(names.ANTHROPIC_SCOPE_PREFIX, context) if native else context
        """What the request runs in."""
        self.fingerprint: str | None = None
        """By which the same request is known again; keyed."""
        self.attempts = Attempts(self._start_ns, self._identity)
        self.known = known.KnownCall(
            names.INSTRUMENTATION_NAME,
            task.id if task is not None else None,
            str(shared[names.REQUEST_MODEL]),
            self._start_ns,
        )
        """By which another library's span of it is recognised."""

    def begin(self) -> None:
        """It is a call: opens our span, unless the SDK is to open its own, and makes the call known."""
        if not self.native:
            self._start()
        with guarded("capture.known"):
            known.add(self.known, known.key_of(self._outer_span.get_span_context()))

    def _start(self) -> None:
        self.silent = self.silent or suppression.silent_calls()
        attributes: Attributes = {names.SPAN_KIND: "call", **self._shared, **self._identity}
        attributes |= {name: value for name, value in self._server.items() if value is not None}
        if self._streams:
            attributes[names.REQUEST_STREAM] = True
        title = " ".join((str(self._shared[names.OPERATION]), self.known.request_model)).rstrip()
        self._span = spans.start(title, attributes, kind=SpanKind.CLIENT, start_ns=self._start_ns)
        if self._span is not trace.INVALID_SPAN:
            self.context = trace.set_span_in_context(self._span, self.context)

    def traced(self) -> None:
        """Inside the request, where the SDK's own span is current if it opened one; if not, we open ours."""
        if not self.native or self._span is not trace.INVALID_SPAN:
            return
        current = trace.get_current_span()
        unseen = suppression.silent_calls() and not known.is_open(current)  # such a span may never be exported
        if current is self._outer_span or not current.is_recording() or unseen:
            self.native = False
            self._start()
        else:
            self._span = current
            self.context = otel.get_current()
            current.set_attributes({names.SPAN_KIND: "call", **self._identity})

    # --- the SDK's own span, which ends before the call does: what is known is put on it at once

    @property
    def annotates(self) -> bool:
        """Whether the span is the SDK's own and still open."""
        return self.native and self._span.is_recording()

    def retried(self) -> None:
        """An attempt was waited for."""
        if self.annotates:
            self._span.set_attributes(self._attempt_attributes())

    def settled(self, result: Result) -> None:
        """`result` is priced."""
        if self.annotates:
            self._span.set_attributes(self._result_attributes(result))
            self._on_span = result.priced, result.context

    def failed(self, result: Result) -> None:
        """The call fails while the span that it `annotates` is open."""
        self._span.set_attributes(self._end_attributes(result))
        self._on_span = result.priced, result.context

    def end_native(self) -> None:
        """Ends the SDK's own span, as nobody else will."""
        self._span.end()

    # --- the end

    def end(self, result: Result, error_type: str | None) -> None:
        """Pictures the end of the call. What was on the wire before stays, in `result` as well."""
        attributes = self._end_attributes(result)
        if not self.native:
            spans.end(self._span, attributes, error_type=error_type)
            if self.silent and result.priced is not None:
                self._hold_leaf(result, result.priced)
        elif self._span.is_recording():
            self._span.set_attributes(attributes)
        elif self._on_span is not None:
            result.priced, result.context = self._on_span  # what is on the wire is what is booked
        elif result.priced is not None:
            self.emit_leaf(result, result.model, waste=result.waste)

    def emit_leaf(self, result: Result, model: str, *, waste: WasteClass | None) -> None:
        """Gives money a leaf span of its own: the SDK ended its span before anything could be put on it."""
        priced = result.priced
        if priced is not None and priced.amount is not None:
            attributes = _leaf_attributes(priced, model, result.context)
            leaves.emit_leaf(model, attributes, self._scope, context=self.context, waste=waste)

    def _hold_leaf(self, result: Result, priced: Priced) -> None:
        """For the span of whoever asked for silence, as it pictures the call instead; else for the end of the task."""
        if priced.amount is not None:
            attributes = _leaf_attributes(priced, result.model, result.context)
            self.known.leaf = leaves.hold(result.model, attributes, self._scope, waste=result.waste)

    def tell(self, result: Result) -> None:
        """Makes known what came of it."""
        seen, reading = self.known, result.reading or Reading()
        seen.model, seen.response_id = reading.model or "", reading.response_id
        if reading.usage is not None and not reading.doubt:
            seen.counts = (reading.usage.input_tokens, reading.usage.output_tokens)
        seen.came_to_nothing = result.priced is None
        seen.end_ns = time.time_ns()

    # --- what the span says

    def _end_attributes(self, result: Result) -> Attributes:
        attributes = self._result_attributes(result) | self._attempt_attributes()
        if self.attempts.exposed and result.reading is None:
            attributes[names.POSSIBLY_BILLED] = True
        if result.first_chunk_seconds is not None:
            attributes[names.TIME_TO_FIRST_CHUNK] = round(result.first_chunk_seconds, 6)
        return attributes

    def _result_attributes(self, result: Result) -> Attributes:
        attributes = late_attributes(self._scope)
        if result.priced is not None:
            attributes |= cost_attributes(result.priced)
            if result.waste is not None:
                attributes[names.WASTE_CLASS] = result.waste
        if result.context is not None:
            attributes |= context_attributes(result.context)
        if self.fingerprint is not None:
            attributes[names.FINGERPRINT] = self.fingerprint
        if self.native:
            # The SDK itself states the rest.
            return attributes
        reading = result.reading or Reading()
        if reading.usage is not None:
            attributes |= usage_attributes(reading.usage)
        if reading.model is not None:
            attributes[names.RESPONSE_MODEL] = reading.model
        if reading.response_id is not None:
            attributes[names.RESPONSE_ID] = reading.response_id
        if reading.finish_reasons:
            attributes[names.FINISH_REASONS] = list(reading.finish_reasons)
        return attributes

    def _attempt_attributes(self) -> Attributes:
        attributes: Attributes = {}
        if self.attempts.retries:
            attributes[names.RESEND_COUNT] = self.attempts.retries
        if self.attempts.lost_ns:
            attributes[names.RETRY_SECONDS] = self.attempts.lost_ns / 1e9
        if self.attempts.exposed:
            attributes[names.EXPOSED_ATTEMPTS] = self.attempts.exposed
        return attributes


def _leaf_attributes(priced: Priced, model: str, context: Shares | None) -> Attributes:
    shares = {} if context is None else context_attributes(context)
    return {names.CHARGE_CATEGORY: "model", names.CHARGE_ITEM: model, **cost_attributes(priced), **shares}
