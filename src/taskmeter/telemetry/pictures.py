"""Spans of other libraries: which of them are calls that nobody else told of, and what those cost.

The attributes of a span cannot change once it has ended. What it cost is kept here for its exporter, see
`CostExporter`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from taskmeter import _semconv as names
from taskmeter._guard import guarded
from taskmeter.account import Entry, Scope
from taskmeter.records import NO_USAGE, Priced
from taskmeter.telemetry import collected, foreign, known
from taskmeter.telemetry.attributes import Attributes, cost_attributes, identity_attributes, usage_attributes
from taskmeter.telemetry.booking import book
from taskmeter.telemetry.known import KnownCall, OpenSpan, SpanKey

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from taskmeter.telemetry.foreign import ForeignCall

MOST_KEPT: Final = 16_384
"""Spans of calls by other libraries that may wait for their exporter."""

_OF_A_CHARGE: Final = (names.CHARGE_CATEGORY, names.CHARGE_ITEM)
_nothing: Final[Attributes] = {}
_additions: dict[SpanKey, Attributes] = {}


def additions(span: ReadableSpan) -> Attributes:
    """The attributes that `span`, which has ended, is to be exported with beside its own."""
    return _nothing if span.context is None else _additions.get(known.key_of(span.context), _nothing)


def span_ended(span: ReadableSpan) -> None:
    """Books the call that `span` pictures, if it is one of another library and nobody else told of it. Once."""
    if span.context is None:
        return
    opened = known.ended(span.context)
    if names.SPAN_KIND in (span.attributes or {}):
        return
    seen = foreign.read(span)
    if seen is not None:
        # Not inside of a garbage collection, as the ledger has a lock.
        collected.run(partial(_settle_guarded, seen, known.key_of(span.context), opened))


def _settle_guarded(seen: ForeignCall, key: SpanKey, opened: OpenSpan | None) -> None:
    with guarded("telemetry.foreign_call"):
        if key not in _additions:  # else a second processor saw it first
            _keep(key, _settle(seen, key, opened))


def _settle(seen: ForeignCall, key: SpanKey, opened: OpenSpan | None) -> Attributes:
    call = known.recognise(seen, key, opened)
    if call is None:
        return _book(seen, opened)
    leaf = call.leaf
    if leaf is None or leaf.pictured:
        return {}
    # A call of ours that was not to have a span of its own: this is its picture.
    leaf.pictured = True
    cost = {name: value for name, value in leaf.attributes.items() if name not in _OF_A_CHARGE}
    return {**cost, **_stated(seen), names.SPAN_KIND: "call"}


def _book(seen: ForeignCall, opened: OpenSpan | None) -> Attributes:
    scope = opened.scope if opened is not None else None
    priced = seen.price()
    known.add(_known(seen, priced, scope), opened.parent if opened is not None else None)
    entry = Entry(
        charges=priced.charges if priced is not None else (),
        usage=seen.usage or NO_USAGE,
        calls=1,
        attempts=1,
        unpriced_calls=int(priced is not None and priced.status == "unpriced"),
        waste="failed_call" if seen.failed else None,
    )
    book(scope, entry)
    attributes: Attributes = {
        names.SPAN_KIND: "call",
        **_stated(seen),
        **identity_attributes(scope.task if scope is not None else None),
    }
    if priced is not None:
        attributes |= cost_attributes(priced)
        if seen.failed and priced.charges:
            attributes[names.WASTE_CLASS] = "failed_call"
    return attributes


def _known(seen: ForeignCall, priced: Priced | None, scope: Scope | None) -> KnownCall:
    return KnownCall(
        source=seen.source,
        task_id=scope.task.id if scope is not None and scope.task is not None else None,
        request_model=seen.request_model,
        start_ns=seen.start_ns,
        model=seen.model,
        end_ns=seen.end_ns,
        response_id=seen.response_id,
        counts=seen.counts,
        came_to_nothing=priced is None,
    )


def _stated(seen: ForeignCall) -> Attributes:
    """What the span says of the call, in the convention's names."""
    attributes: Attributes = {
        names.OPERATION: seen.operation,
        names.PROVIDER: seen.provider,
        names.REQUEST_MODEL: seen.request_model,
        names.RESPONSE_MODEL: seen.model,
    }
    if seen.usage is not None:
        attributes |= usage_attributes(seen.usage)
    return {name: value for name, value in attributes.items() if value != ""}


def _keep(key: SpanKey, attributes: Attributes) -> None:
    _additions[key] = attributes
    if len(_additions) > MOST_KEPT:
        _additions.pop(next(iter(tuple(_additions))), None)
