"""Batches: submitted now, answered later, booked when their results are read, once per item in this process.

A request that concerns batches is no call. Answers that name a batch link its ids (batch, input file, output file) to
the task that submitted it. Results are one JSON object per line: they are counted as the application reads them,
whether that is parsed, as bytes, as lines or all at once, and what it gets is what it would get without us.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any, Final
from weakref import finalize

from opentelemetry import context as otel
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from taskmeter import _semconv as names
from taskmeter._guard import guarded
from taskmeter.account import Entry
from taskmeter.capture import origins
from taskmeter.capture.bounded import Key, Remembered
from taskmeter.capture.call import Ending
from taskmeter.capture.clock import now_ns
from taskmeter.capture.current import without_call
from taskmeter.capture.priced import price_reading
from taskmeter.capture.provider import Client, Options, Provider, is_post
from taskmeter.capture.reading import Reading
from taskmeter.capture.tally import Tally
from taskmeter.capture.terms import terms_of
from taskmeter.records import NO_USAGE, Priced
from taskmeter.telemetry import collected, providers, spans
from taskmeter.telemetry.attributes import Attributes, identity_attributes, late_attributes
from taskmeter.telemetry.booking import book

OPERATION: Final = "batch"
LONGEST_LINE: Final = 32 * 1024 * 1024
"""Bytes. Of a longer line nothing is kept: its item is unpriced."""

_OPENINGS: Final = (b"", b"{")
_ERRAND = otel.create_key("taskmeter-batch-errand")
_lines_booked: Remembered[int] = Remembered(65_536)
"""How many lines of each result were booked. A result that is read again brings the same lines."""


@dataclass(frozen=True, slots=True)
class _Errand:
    """A request that concerns batches."""

    provider: Provider
    client: Client
    submits: bool
    """Whether it makes something: only then may the open task be the submitter."""
    results: str | None
    """The id of the file or batch whose results it downloads."""

    def key(self, name: str) -> Key:
        return (f"{self.client.base_url.host}:{self.client.base_url.port}", name)


def errand(provider: Provider, client: Client, options: Options) -> Context | None:
    """The context for a request that concerns batches; `None` for any other."""
    results = provider.batch_results(options)
    if results is None and not provider.concerns_batches(options):
        return None
    return otel.set_value(_ERRAND, _Errand(provider, client, is_post(options), results), without_call())


def answered(response: Any) -> BatchRead | None:
    """Takes note of a response. Returns the reader of its body if that brings results and is still to be read."""
    errand = otel.get_value(_ERRAND)
    if not isinstance(errand, _Errand) or response is None or not response.is_success:
        return None
    if errand.results is not None:
        read = BatchRead(errand, errand.results)
        if not response.is_closed:
            return read
        read.observe(response.content)
        read.end("read")
    elif response.is_closed:
        _link(errand, _json(response))
    return None


def _json(response: Any) -> object:
    try:
        return response.json()
    except ValueError:
        return None


def _link(errand: _Errand, body: object) -> None:
    """Remembers who submitted the batches that `body` names, by every name it gives them."""
    for ids in errand.provider.batch_ids(body):
        keys = [errand.key(name) for name in ids]
        here = origins.here() if errand.submits else None
        origin = here if here is not None and here.scope is not None else origins.submitter(keys)
        if origin is not None:
            origins.remember(keys, origin)


class BatchRead:
    """One reading of a batch's results: one call span with the sums, one entry in the ledger per item."""

    streams = True

    def __init__(self, errand: _Errand, results: str) -> None:
        self._provider = errand.provider
        self._provider_name = errand.provider.name(errand.client)
        self._key = errand.key(results)
        self._origin = origins.submitter([self._key]) or origins.reader()
        self._context = self._origin.context
        self._server = {
            names.SERVER_ADDRESS: errand.client.base_url.host,
            names.SERVER_PORT: errand.client.base_url.port,
        }
        self._start_ns = time.time_ns()
        self._at_ns = now_ns()
        self._terms = terms_of(errand.client, {}, (), self._provider_name)
        self._start = time.perf_counter()
        self._tally = Tally()
        self._line = 0
        self._unfinished: list[bytes] = []
        self._unfinished_size = 0
        self._foreign = False
        """Whether this is some other file."""
        self._ended = Lock()
        self._finalizer: finalize[..., object] | None = None
        self.reading = False
        """Whether the next bytes are being read at this moment."""

    def hold(self, response: object) -> None:
        """The body of `response` is still to be read."""
        self._finalizer = finalize(response, collected.run, partial(self.end, "dropped"))

    def hides(self, event: object) -> bool:
        """Nothing is hidden."""
        return False

    def closed(self, *, consumed: bool) -> None:
        """The body was closed. By the reading itself, that is not its end."""
        if not self.reading:
            self.end("closed")

    def observe(self, chunk: bytes) -> None:
        """Reads some bytes, in order, before the application gets them."""
        if self._foreign or self._ended.locked():
            return
        if not self._line and not self._unfinished and chunk.lstrip()[:1] not in _OPENINGS:
            self._foreign = True
            return
        start = 0
        while (newline := chunk.find(b"\n", start)) >= 0:
            self._keep(chunk[start:newline])
            self._complete_line()
            start = newline + 1
        if start < len(chunk):
            self._keep(chunk[start:] if start else chunk)

    def _keep(self, piece: bytes) -> None:
        self._unfinished_size += len(piece)
        if self._unfinished_size > LONGEST_LINE:
            self._unfinished.clear()
            self._foreign = self._foreign or self._line == 0
        else:
            self._unfinished.append(piece)

    def _complete_line(self) -> None:
        line = b"".join(self._unfinished).strip()
        overlong = self._unfinished_size > LONGEST_LINE
        self._unfinished.clear()
        self._unfinished_size = 0
        if (not line and not overlong) or self._foreign:
            return
        number = self._line
        self._line += 1
        if number == 0 and b'"custom_id"' not in line:
            self._foreign = True
            return
        if number < (_lines_booked.get(self._key) or 0):
            return
        item = self._provider.batch_item(_decoded(line))
        if item is None:
            self._foreign = number == 0
            if self._foreign:
                return
            item = Reading(doubt="not an item that could be read")
        before = _lines_booked.update(self._key, lambda booked: max(booked or 0, number + 1))
        if number >= (before or 0):  # else another reader was faster
            self._book(item)

    def _book(self, item: Reading) -> None:
        failed = item.usage is not None and not item.usage.tokens and not item.usage.fees
        priced = (
            Priced("exact")
            if failed
            else price_reading(item, provider=self._provider_name, at_ns=self._at_ns, terms=self._terms)
        )
        self._tally.add(item, priced)
        unpriced = priced.status == "unpriced"
        usage = item.usage or NO_USAGE
        entry = Entry(priced.charges, usage, calls=1, attempts=1, unpriced_calls=int(unpriced))
        book(self._origin.scope, entry)

    def end(self, how: Ending, error: BaseException | None = None) -> None:
        """Ends the reading. Whoever comes second does nothing. Never raises."""
        with guarded("capture.batch"):
            if how == "read" and not self._ended.locked():
                self._complete_line()  # the last may lack its newline
        if not self._ended.acquire(blocking=False):
            return
        with guarded("capture.batch"):
            if self._finalizer is not None:
                self._finalizer.detach()
            if self._tally.items:
                self._emit(None if error is None else type(error).__name__)
        self._context = Context()

    def _emit(self, error_type: str | None) -> None:
        task = self._origin.scope.task if self._origin.scope is not None else None
        shared: Attributes = {names.OPERATION: OPERATION, names.PROVIDER: self._provider_name}
        if self._tally.model:
            shared |= {names.REQUEST_MODEL: self._tally.model, names.RESPONSE_MODEL: self._tally.model}
        attributes: Attributes = {
            names.SPAN_KIND: "call",
            **shared,
            **self._tally.attributes(),
            **{name: value for name, value in self._server.items() if value is not None},
            **identity_attributes(task),
            **late_attributes(self._origin.scope),
        }
        name = f"{OPERATION} {self._tally.model}".rstrip()
        span = spans.start(name, attributes, kind=SpanKind.CLIENT, context=self._context, start_ns=self._start_ns)
        spans.end(span, error_type=error_type)
        if error_type is not None:
            shared[names.ERROR_TYPE] = error_type
        seconds = time.perf_counter() - self._start
        providers.instruments().call_ended(shared, self._tally.usage, seconds, None)


def _decoded(line: bytes) -> object:
    try:
        return json.loads(line)
    except ValueError:
        return None
