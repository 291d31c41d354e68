"""One call while it runs: from the request hook to its end, which comes exactly once, however it comes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal, cast
from weakref import finalize

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind

from taskmeter import _semconv as names
from taskmeter._guard import guarded
from taskmeter.account import Entry
from taskmeter.capture import open_calls, waiting
from taskmeter.capture.attempts import Attempts
from taskmeter.capture.clock import now_ns
from taskmeter.capture.estimating import estimate
from taskmeter.capture.priced import price_reading
from taskmeter.capture.provider import Client, Options, Provider, request_body, request_path
from taskmeter.capture.reading import Reading
from taskmeter.capture.stated import HEADER
from taskmeter.capture.terms import terms_of
from taskmeter.records import NO_USAGE, Priced, Usage
from taskmeter.telemetry import collected, known, leaves, providers, spans, suppression
from taskmeter.telemetry.attributes import (
    Attributes,
    cost_attributes,
    identity_attributes,
    late_attributes,
    usage_attributes,
)
from taskmeter.telemetry.baggage import without_task
from taskmeter.telemetry.booking import book
from taskmeter.telemetry.context import current_scope, with_stamp

_BYTES = frozenset({"speech"})
"""Operations whose answer is bytes for the application to keep, which nobody parses."""
_UNPRICED = Priced("unpriced", reason="taskmeter failed to price it")
_NOT_RETRIEVED = "its answer was not retrieved in this process"
_STREAMED = otel.create_key("taskmeter-streamed-call")

Ending = Literal["returned", "read", "closed", "dropped", "failed"]
"""How a call ended: its method returned all of it, its body was read to the end, closed early, garbage collected
unread, or something was raised."""


def current_call() -> Call | None:
    """The call whose request the current context is in."""
    call = otel.get_value(known.CALL)
    return call if isinstance(call, Call) else None


def without_call(streamed: Call | None = None) -> Context:
    """The current context, for a request that is no call; `streamed` is the one whose answer it brings as a stream."""
    return without_task(otel.set_value(_STREAMED, streamed, otel.set_value(known.CALL, None)))


def streamed_call() -> Call | None:
    """The call, made before, whose answer the request of the current context brings as a stream."""
    call = otel.get_value(_STREAMED)
    return call if isinstance(call, Call) else None


class Call:
    """A call, the span that pictures it, and what it is known to have cost so far."""

    def __init__(
        self,
        provider: Provider,
        client: Client,
        options: Options,
        operation: str,
        *,
        streams: bool,
        asked: bool,
        tentative: bool = False,
    ) -> None:
        self._provider = provider
        self._operation = operation
        self.asked = asked
        """Whether we asked for a usage that the application did not ask for, and must not see."""
        self._provider_name = provider.name(client)
        self._request: Mapping[str, object] = request_body(options)
        self._scope = current_scope()
        self._identity = identity_attributes(self._scope.task if self._scope is not None else None)
        self._process = os.getpid()
        self._start_ns = time.time_ns()
        self._at_ns = now_ns()
        self._terms = terms_of(client, self._request, provider.served_as_asked, self._provider_name)
        self._stated_cost: str | None = None
        """What a gateway says in a header that the answer cost."""
        self._start = time.perf_counter()
        self._first_chunk_seconds: float | None = None
        self._reading: Reading | None = None
        self._priced: Priced | None = None
        self._on_span: Priced | None = None
        self._wasted = False
        self._tentative_path = request_path(options) if tentative else None
        """The path, of what is a call only if its answer turns out to state tokens."""
        self._unfinished: Reading | None = None
        """What is known of an answer that the provider is still making."""
        self._waiting_for: str | None = None
        self._reader = provider.stream_reader(operation, asked=asked) if streams else None
        self._ended = threading.Lock()  # taken by whoever ends the call, and never released
        self._finalizer: finalize[..., object] | None = None
        self._model = str(self._request.get("model", ""))
        self._client = {names.SERVER_ADDRESS: client.base_url.host, names.SERVER_PORT: client.base_url.port}
        self._shared: Attributes = {
            names.OPERATION: operation,
            names.PROVIDER: self._provider_name,
            names.REQUEST_MODEL: self._model,
        }
        self._outer_span = trace.get_current_span()
        self._silent = suppression.silent_calls()
        """Whether somebody asked for no span and no metric of it. It is booked all the same."""
        self.known = known.KnownCall(
            names.INSTRUMENTATION_NAME,
            self._scope.task.id if self._scope is not None and self._scope.task is not None else None,
            self._model,
            self._start_ns,
        )
        """By which another library's span of it is recognised."""
        self._skippable = bool(getattr(client, "middleware", None))
        """Whether the application can answer in the provider's place, so that nothing is sent or billed."""
        self._answers = self._repeats = 0
        self._native = provider.opens_span(client, options)
        """Whether the span is the SDK's own: never a second one for the same call."""
        self._span: Span = trace.INVALID_SPAN
        self.context = without_task(otel.set_value(known.CALL, self))
        """What the request runs in."""
        if self._native:
            self.context = with_stamp(names.ANTHROPIC_SCOPE_PREFIX, self.context)
        elif not tentative:
            self._start_span()
        if not tentative:
            self._make_known()
        self._attempts = Attempts(self._start_ns, self._identity)
        self.pending = False
        """Whether the body is still to be read when the method returns."""
        self.reading = False
        """Whether the SDK is reading the next event of the stream at this moment."""
        self.missed = False
        """Whether a fault of ours kept an event of the stream from being read."""
        open_calls.opened(self)

    def _start_span(self) -> None:
        self._silent = self._silent or suppression.silent_calls()
        attributes: Attributes = {names.SPAN_KIND: "call", **self._shared, **self._identity}
        attributes |= {name: value for name, value in self._client.items() if value is not None}
        if self._reader is not None:
            attributes[names.REQUEST_STREAM] = True
        name = f"{self._operation} {self._model}".rstrip()
        self._span = spans.start(name, attributes, kind=SpanKind.CLIENT, start_ns=self._start_ns)
        if self._span is not trace.INVALID_SPAN:
            self.context = trace.set_span_in_context(self._span, self.context)

    # --- while the request runs

    def attempt_failed(self, response: object, error: BaseException | None) -> None:
        """An attempt failed and will be repeated after a wait."""
        if self._tentative_path is not None:
            return
        self._attempts.failed(response, error)
        self._answers = 0

    def attempt_waited(self, *, repeated: bool) -> None:
        """That wait is over, or was cut short: then the attempt is not `repeated`."""
        if self._tentative_path is not None or not self._attempts.waited(self.context, repeated=repeated):
            return
        if self._native and self._span.is_recording():
            self._span.set_attributes(self._attempt_attributes())  # now: the SDK ends its span before the call ends
        if repeated and not self._silent:
            providers.instruments().retried(self._shared)

    def failing(self, error: BaseException) -> None:
        """The request fails with `error`, and the SDK's own span, if it opened one, is still open."""
        if self._native and self._span.is_recording() and not self.pending:
            self._give_up(error)
            self._span.set_attributes(self._end_attributes())
            self._on_span = self._priced

    def _give_up(self, error: BaseException) -> None:
        self._attempts.gave_up(error, self.context, answered=self._answers > 0)
        if self._priced is None and self._attempts.exposed:
            self._priced = Priced("unpriced", reason="no answer came: may have been billed")

    def traced(self) -> None:
        """Inside the request, where the SDK's own span is current if it opened one; if not, we open ours."""
        if not self._native or self._span is not trace.INVALID_SPAN:
            return
        current = trace.get_current_span()
        unseen = suppression.silent_calls() and not known.is_open(current)  # such a span may never be exported
        if current is self._outer_span or not current.is_recording() or unseen:
            self._native = False
            self._start_span()
        else:
            self._span = current
            self.context = otel.get_current()
            current.set_attributes({names.SPAN_KIND: "call", **self._identity})

    def answered(self, response: object) -> None:
        """A response has come. More than one for an attempt if the application's middleware asks again."""
        if self._terms.gateway and not self.streams:  # a stream's header is sent before anything is known
            self._stated_cost = cast("Any", response).headers.get(HEADER)
        self.traced()  # for a version of the SDK without the method that is hooked for it
        self._answers += 1
        self._repeats += self._answers > 1

    def hold(self, response: object) -> None:
        """The body of `response` is still to be read: the call ends with that, at the latest when it is dropped."""
        self.pending = True
        if self._finalizer is not None:
            self._finalizer.detach()  # of an attempt before this one
        self._finalizer = finalize(response, collected.run, partial(self.end, "dropped"))
        self._finalizer.atexit = False  # `interrupt` does that, while the span can still be exported

    def closed(self, *, consumed: bool) -> None:
        """The body was closed; `consumed` if somebody started to read it. By the SDK itself, that is not its end."""
        if self.streams and not self.reading:
            by_application = consumed and self._first_chunk_seconds is None
            self.end("read" if by_application else "closed")
        elif not self.streams and not consumed:
            self.end("closed")
        elif not self.streams and self._operation in _BYTES:
            self.end("read")

    # --- what the response says

    @property
    def streams(self) -> bool:
        """Whether the response is a stream of events."""
        return self._reader is not None

    def hides(self, event: object) -> bool:
        """Whether an event is one that only our request for usage brought."""
        return self._reader is not None and self._reader.hides(event)

    def observe(self, event: object) -> None:
        """Reads an event of the stream before the application gets it."""
        if self._reader is None:
            return
        if self._first_chunk_seconds is None:
            self._first_chunk_seconds = time.perf_counter() - self._start
        self._reader.read(event)
        if self._waiting_for is None and self._reader.making is not None:
            self._wait(Reading(response_id=self._reader.making, in_progress=True))
        if self._native and self._reader.complete and self._priced is None:
            # Now, as the SDK ends its own span before the stream is exhausted.
            self._settle(self._reader.reading(self._request))

    def answer(self, body: object, *, wasted: bool = False) -> None:
        """Reads a whole response, parsed or as decoded JSON; `wasted` if the application will not get it."""
        if self._ended.locked():
            return
        if self._priced is not None:
            self._set_aside()
        self._wasted = wasted
        reading = self._provider.read(body, self._operation, self._request)
        if self._waiting_for is not None and reading.response_id != self._waiting_for:
            return  # something about the answer, such as its items or its content
        self._unfinished = reading if reading.in_progress else None
        if self._unfinished is None:
            if reading.usage is None and not reading.free and reading.error_type is None:
                reading = estimate(reading, body, self._request, self._operation)
            self._settle(reading)

    def _set_aside(self) -> None:
        """The application's middleware asked again: what the answer before cost is waste, and no part of the last's."""
        priced, self._priced = self._priced, None
        usage, self._reading = self._usage, None
        if priced is None:
            return
        unpriced = priced.status == "unpriced"
        book(self._scope, Entry(priced.charges, usage or NO_USAGE, unpriced_calls=int(unpriced), wasted=True))
        self._emit_leaf(priced, wasted=True)

    def _settle(self, reading: Reading) -> None:
        """Prices what was read, and puts that on the span while it is open."""
        if self._tentative_path is not None:
            if reading.usage is None or not reading.usage.tokens:
                return
            if reading.response_id is not None and reading.response_id in self._tentative_path:
                return  # the usage of something made before, which this request only changed
            self._tentative_path = None
            self._start_span()
            self._make_known()
        self._reading = reading
        self._priced = _UNPRICED  # stays if the next line fails
        self._priced = self._price(reading)
        if self._native and self._span.is_recording():  # ours is written once, at its end
            self._span.set_attributes(self._result_attributes())
            self._on_span = self._priced

    def _price(self, reading: Reading) -> Priced:
        return price_reading(
            reading,
            provider=self._provider_name,
            model=self._model,
            at_ns=self._at_ns,
            terms=self._terms,
            header=self._stated_cost,
        )

    def _result_attributes(self) -> Attributes:
        attributes = late_attributes(self._scope)
        if self._priced is not None:
            attributes |= cost_attributes(self._priced)
            if self._wasted:
                attributes[names.CALL_WASTED] = True
        if self._native:
            # The SDK itself states the rest.
            return attributes
        reading = self._reading or Reading()
        if reading.usage is not None:
            attributes |= usage_attributes(reading.usage)
        if reading.model is not None:
            attributes[names.RESPONSE_MODEL] = reading.model
        if reading.response_id is not None:
            attributes[names.RESPONSE_ID] = reading.response_id
        if reading.finish_reasons:
            attributes[names.FINISH_REASONS] = list(reading.finish_reasons)
        return attributes

    # --- the end

    def end(self, how: Ending, error: BaseException | None = None) -> None:
        """Ends the call: ends its span, books and counts it. Whoever comes second does nothing. Never raises."""
        if self._process != os.getpid() or self._waits() or not self._ended.acquire(blocking=False):
            return  # a forked process has but a copy of what its parent counts
        error_type = None if error is None else type(error).__name__
        with guarded("capture.end"):
            if self._finalizer is not None:
                self._finalizer.detach()
            self._settle_at_end(how)
        if self._waiting_for is not None:
            waiting.remove(self._waiting_for)
        if self._tentative_path is not None:
            self.context, self._request = Context(), {}
            open_calls.over(self)
            return
        if error is None and self._reading is not None:
            error_type = self._reading.error_type
        with guarded("capture.end_attempt"):
            if error is not None and not self.pending:
                self._give_up(error)
        with guarded("capture.end_span"):
            self._wasted = error_type is not None or (how in ("closed", "dropped") and not self._whole)
            self._end_span(error_type)
        with guarded("capture.known"):
            self._tell()
        with guarded("capture.book"):
            self._book()
        with guarded("capture.count"):
            self._count(error_type)
        self.context, self._request = Context(), {}  # lets go of the prompt, and of itself: no cycle to collect
        open_calls.over(self)

    def interrupt(self) -> None:
        """Ends the call because the program ends, and with it the SDK's own span, which nobody else will."""
        if self._process != os.getpid():
            return
        if self._waiting_for is not None:
            self.abandon()
        elif self.pending:
            self.end("dropped")
        else:
            self.end("failed", SystemExit())
        if self._native:
            with guarded("capture.interrupt"):
                self._span.end()

    # --- an answer that is still being made

    def _waits(self) -> bool:
        """Whether the provider goes on making the answer: the call then ends when that is retrieved."""
        with guarded("capture.wait"):
            if self._ended.locked():
                return False
            if self._reader is not None and self._reader.complete:
                self._unfinished = None
            if self._unfinished is None or self._unfinished.response_id is None:
                return False
            self._request = {}  # lets go of the prompt
            self._wait(self._unfinished)
            return True
        return False

    def _wait(self, unfinished: Reading) -> None:
        self._unfinished = unfinished
        if unfinished.response_id is not None:
            self._waiting_for = unfinished.response_id
            waiting.add(unfinished.response_id, self)

    def retrieving(self, *, streams: bool) -> None:
        """A request asks for the answer, as a stream of events or whole."""
        self._reader = self._provider.stream_reader(self._operation, asked=False) if streams else None
        self._first_chunk_seconds = None

    def abandon(self) -> None:
        """Ends a call whose answer nobody retrieved here; it may be retrieved elsewhere."""
        unfinished, self._unfinished, self._reader = self._unfinished or Reading(), None, None
        with guarded("capture.abandon"):
            if not self._ended.locked():
                self._settle(unfinished._replace(in_progress=False, doubt=_NOT_RETRIEVED))
        self.end("returned")

    @property
    def _whole(self) -> bool:
        """Whether a stream that was not read to its end had brought all of the answer."""
        finished = self._reading is not None and bool(self._reading.finish_reasons)
        return finished or (self._reader is not None and self._reader.complete)

    def _settle_at_end(self, how: Ending) -> None:
        if self._priced is not None or (how == "failed" and not self.pending):
            return
        if how == "returned" and not self._answers and self._skippable:
            self._priced = Priced("exact", reason="answered by the application's middleware")
        elif self.missed and self._reader is not None and not self._reader.complete:
            self._settle(Reading(doubt="taskmeter failed to read its stream"))
        elif self._reader is not None and self.pending and (how != "read" or self._first_chunk_seconds is not None):
            self._settle(self._reader.reading(self._request))
        elif self._operation in _BYTES:
            self._settle(self._provider.read(None, self._operation, self._request))  # by the request alone
        else:
            self._settle(Reading(doubt="its body was not read through the SDK" if self.pending else ""))

    def _end_span(self, error_type: str | None) -> None:
        attributes = self._end_attributes()
        if not self._native:
            spans.end(self._span, attributes, error_type=error_type)
            if self._silent and self._priced is not None:
                self._hold_leaf(self._priced)
        elif self._span.is_recording():
            self._span.set_attributes(attributes)
        elif self._on_span is not None:
            self._priced = self._on_span  # what is on the wire is what is booked
        elif self._priced is not None:
            self._emit_leaf(self._priced, wasted=self._wasted)

    def _end_attributes(self) -> Attributes:
        attributes = self._result_attributes() | self._attempt_attributes()
        if self._attempts.exposed and self._reading is None:
            attributes[names.POSSIBLY_BILLED] = True
        if self._first_chunk_seconds is not None:
            attributes[names.TIME_TO_FIRST_CHUNK] = round(self._first_chunk_seconds, 6)
        return attributes

    def _attempt_attributes(self) -> Attributes:
        attributes: Attributes = {}
        if self._attempts.retries:
            attributes[names.RESEND_COUNT] = self._attempts.retries
        if self._attempts.lost_ns:
            attributes[names.RETRY_SECONDS] = self._attempts.lost_ns / 1e9
        if self._attempts.exposed:
            attributes[names.EXPOSED_ATTEMPTS] = self._attempts.exposed
        return attributes

    def _emit_leaf(self, priced: Priced, *, wasted: bool) -> None:
        """Gives money a leaf span of its own: the SDK ended its span before anything could be put on it."""
        if priced.amount is not None:
            attributes = self._leaf_attributes(priced)
            leaves.emit_leaf(self._answering_model, attributes, self._scope, context=self.context, wasted=wasted)

    def _hold_leaf(self, priced: Priced) -> None:
        """For the span of whoever asked for silence, as it pictures the call instead; else for the end of the task."""
        if priced.amount is not None:
            attributes = self._leaf_attributes(priced)
            self.known.leaf = leaves.hold(self._answering_model, attributes, self._scope, wasted=self._wasted)

    def _leaf_attributes(self, priced: Priced) -> Attributes:
        return {
            names.CHARGE_CATEGORY: "model",
            names.CHARGE_ITEM: self._answering_model,
            **cost_attributes(priced),
        }

    def _book(self) -> None:
        priced = self._priced
        entry = Entry(
            charges=priced.charges if priced is not None else (),
            usage=self._usage or NO_USAGE,
            calls=1,
            attempts=1 + self._attempts.retries + self._repeats,
            exposed_attempts=self._attempts.exposed,
            retry_ns=self._attempts.lost_ns,
            unpriced_calls=1 if priced is not None and priced.status == "unpriced" else 0,
            wasted=self._wasted,
        )
        book(self._scope, entry)

    def _make_known(self) -> None:
        with guarded("capture.known"):
            known.add(self.known, known.key_of(self._outer_span.get_span_context()))

    def _tell(self) -> None:
        """Makes known what came of it."""
        seen, reading = self.known, self._reading or Reading()
        seen.model, seen.response_id = reading.model or "", reading.response_id
        if reading.usage is not None and not reading.doubt:
            seen.counts = (reading.usage.input_tokens, reading.usage.output_tokens)
        seen.came_to_nothing = self._priced is None
        seen.end_ns = time.time_ns()

    def _count(self, error_type: str | None) -> None:
        if self._silent:
            return
        attributes = {**self._shared, names.RESPONSE_MODEL: self._answering_model}
        if error_type is not None:
            attributes[names.ERROR_TYPE] = error_type
        seconds = time.perf_counter() - self._start
        providers.instruments().call_ended(attributes, self._usage, seconds, self._first_chunk_seconds)

    @property
    def _usage(self) -> Usage | None:
        return self._reading.usage if self._reading is not None else None

    @property
    def _answering_model(self) -> str:
        return (self._reading.model if self._reading is not None else None) or self._model
