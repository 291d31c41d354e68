"""One call while it runs: from the request hook to its end, which comes exactly once, however it comes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal, cast
from weakref import finalize

from opentelemetry import context as otel
from opentelemetry.context import Context

from taskmeter import _semconv as names
from taskmeter._guard import guarded
from taskmeter.capture import open_calls, waiting
from taskmeter.capture.clock import now_ns
from taskmeter.capture.context import measured, shared_out
from taskmeter.capture.estimating import estimate
from taskmeter.capture.picture import Picture
from taskmeter.capture.priced import price_reading
from taskmeter.capture.provider import Client, Options, Provider, request_body, request_path
from taskmeter.capture.reading import Reading
from taskmeter.capture.repeats import Asked
from taskmeter.capture.result import Result
from taskmeter.capture.stated import HEADER
from taskmeter.capture.terms import terms_of
from taskmeter.records import Priced, WasteClass
from taskmeter.telemetry import collected, known, providers
from taskmeter.telemetry.attributes import Attributes
from taskmeter.telemetry.baggage import without_task
from taskmeter.telemetry.booking import book
from taskmeter.telemetry.context import current_scope

_BYTES = frozenset({"speech"})
"""Operations whose answer is bytes for the application to keep, which nobody parses."""
_UNPRICED = Priced("unpriced", reason="taskmeter failed to price it")
_NOT_RETRIEVED = "its answer was not retrieved in this process"

Ending = Literal["returned", "read", "closed", "dropped", "failed"]
"""How a call ended: its method returned all of it, its body was read to the end, closed early, garbage collected
unread, or something was raised."""


class Call:
    """One call: what happens to it, and that it ends once."""

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
        self._process = os.getpid()
        self._at_ns = now_ns()
        self._start = time.perf_counter()
        self._terms = terms_of(client, self._request, provider.served_as_asked, self._provider_name)
        self._stated_cost: str | None = None
        """What a gateway says in a header that the answer cost."""
        self._model = str(self._request.get("model", ""))
        self.prompt = measured(provider.read_prompt, self._request, operation, self._scope, self._provider_name)
        """What was asked, without its text; `None` where that is not measured."""
        self._result = Result(self._model)
        self._asked = Asked(self._scope, self.prompt, operation, self._request)
        self._tentative_path = request_path(options) if tentative else None
        """The path, of what is a call only if its answer turns out to state tokens."""
        self._unfinished: Reading | None = None
        """What is known of an answer that the provider is still making."""
        self._waiting_for: str | None = None
        self._reader = provider.stream_reader(operation, asked=asked) if streams else None
        self._ended = threading.Lock()  # taken by whoever ends the call, and never released
        self._finalizer: finalize[..., object] | None = None
        self._skippable = bool(getattr(client, "middleware", None))
        """Whether the application can answer in the provider's place, so that nothing is sent or billed."""
        self._answers = self._repeats = 0
        self.pending = False
        """Whether the body is still to be read when the method returns."""
        self.reading = False
        """Whether the SDK is reading the next event of the stream at this moment."""
        self.missed = False
        """Whether a fault of ours kept an event of the stream from being read."""
        self._shared: Attributes = {
            names.OPERATION: operation,
            names.PROVIDER: self._provider_name,
            names.REQUEST_MODEL: self._model,
        }
        context = without_task(otel.set_value(known.CALL, self))
        native = provider.opens_span(client, options)
        self._picture = Picture(self._shared, client, self._scope, context, streams=streams, native=native)
        if self.prompt is not None:
            self._picture.fingerprint = self.prompt.fingerprint.hex()
        self._attempts = self._picture.attempts
        self.known = self._picture.known
        if not tentative:
            self._picture.begin()
        open_calls.opened(self)

    @property
    def context(self) -> Context:
        """What the request runs in."""
        return self._picture.context

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
        self._picture.retried()
        if repeated and not self._picture.silent:
            providers.instruments().retried(self._shared)

    def failing(self, error: BaseException) -> None:
        """The request fails with `error`, and the SDK's own span, if it opened one, is still open."""
        if self._picture.annotates and not self.pending:
            self._give_up(error)
            self._picture.failed(self._result)

    def _give_up(self, error: BaseException) -> None:
        self._attempts.gave_up(error, self.context, answered=self._answers > 0)
        if self._result.priced is None and self._attempts.exposed:
            self._result.priced = Priced("unpriced", reason="no answer came: may have been billed")

    def traced(self) -> None:
        """Inside the request, where the SDK's own span is current if it opened one."""
        self._picture.traced()

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
            by_application = consumed and self._result.first_chunk_seconds is None
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
        if self._result.first_chunk_seconds is None:
            self._result.first_chunk_seconds = time.perf_counter() - self._start
        self._reader.read(event)
        if self._waiting_for is None and self._reader.making is not None:
            self._wait(Reading(response_id=self._reader.making, in_progress=True))
        if self._picture.native and self._reader.complete and self._result.priced is None:
            # Now, as the SDK ends its own span before the stream is exhausted.
            self._settle(self._reader.reading(self._request))

    def answer(self, body: object, *, lost: bool = False) -> None:
        """Reads a whole response, parsed or as decoded JSON; `lost` if the application will not get it."""
        if self._ended.locked():
            return
        if self._result.priced is not None:
            self._set_aside()
        self._result.waste = "failed_call" if lost else None
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
        result, self._result = self._result, replace(self._result, reading=None, priced=None, context=None)
        if result.priced is not None:
            book(self._scope, replace(result.entry(), waste="retry"))
            self._picture.emit_leaf(result, self._model, waste="retry")

    def _settle(self, reading: Reading) -> None:
        """Prices what was read, and puts that on the span while it is open."""
        if self._tentative_path is not None:
            if reading.usage is None or not reading.usage.tokens:
                return
            if reading.response_id is not None and reading.response_id in self._tentative_path:
                return  # the usage of something made before, which this request only changed
            self._tentative_path = None
            self._picture.begin()
        self._result.reading = reading
        self._result.priced = _UNPRICED  # stays if the next line fails
        self._result.priced = self._price(reading)
        self._result.context = shared_out(self.prompt, reading.usage, self._result.priced)
        self._result.waste = self._result.waste or self._asked.waste(reading)
        self._picture.settled(self._result)

    def _price(self, reading: Reading) -> Priced:
        return price_reading(
            reading,
            provider=self._provider_name,
            model=self._model,
            at_ns=self._at_ns,
            terms=self._terms,
            header=self._stated_cost,
        )

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
            self._let_go()
            return
        if error is None and self._result.reading is not None:
            error_type = self._result.reading.error_type
        with guarded("capture.end_attempt"):
            if error is not None and not self.pending:
                self._give_up(error)
        with guarded("capture.end_span"):
            self._result.waste = self._waste(how, failed=error_type is not None)
            self._picture.end(self._result, error_type)
        with guarded("capture.known"):
            self._picture.tell(self._result)
        with guarded("capture.book"):
            self._book()
        with guarded("capture.count"):
            self._count(error_type)
        self._let_go()

    def _let_go(self) -> None:
        """Of the prompt, and of itself: no cycle to collect."""
        self._picture.context, self._request = Context(), {}
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
        if self._picture.native:
            with guarded("capture.interrupt"):
                self._picture.end_native()

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
        self._result.first_chunk_seconds = None

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
        finished = self._result.reading is not None and bool(self._result.reading.finish_reasons)
        return finished or (self._reader is not None and self._reader.complete)

    def _settle_at_end(self, how: Ending) -> None:
        if self._result.priced is not None or (how == "failed" and not self.pending):
            return
        begun = how != "read" or self._result.first_chunk_seconds is not None
        if how == "returned" and not self._answers and self._skippable:
            self._result.priced = Priced("exact", reason="answered by the application's middleware")
        elif self.missed and self._reader is not None and not self._reader.complete:
            self._settle(Reading(doubt="taskmeter failed to read its stream"))
        elif self._reader is not None and self.pending and begun:
            self._settle(self._reader.reading(self._request))
        elif self._operation in _BYTES:
            self._settle(self._provider.read(None, self._operation, self._request))  # by the request alone
        else:
            self._settle(Reading(doubt="its body was not read through the SDK" if self.pending else ""))

    def _waste(self, how: Ending, *, failed: bool) -> WasteClass | None:
        """Why the answer is waste at once, if it is."""
        if failed:
            return "failed_call"
        if how in ("closed", "dropped") and not self._whole:
            return "aborted_stream"
        return self._asked.waste(self._result.reading)

    def _book(self) -> None:
        entry = replace(
            self._result.entry(),
            calls=1,
            attempts=1 + self._attempts.retries + self._repeats,
            exposed_attempts=self._attempts.exposed,
            retry_ns=self._attempts.lost_ns,
        )
        book(self._scope, entry)
        self._asked.ended(got=entry.waste not in ("failed_call", "aborted_stream"))

    def _count(self, error_type: str | None) -> None:
        if self._picture.silent:
            return
        attributes = {**self._shared, names.RESPONSE_MODEL: self._result.model}
        if error_type is not None:
            attributes[names.ERROR_TYPE] = error_type
        seconds = time.perf_counter() - self._start
        providers.instruments().call_ended(attributes, self._result.usage, seconds, self._result.first_chunk_seconds)
