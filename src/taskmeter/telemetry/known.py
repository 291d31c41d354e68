"""The calls that the account knows of, so that no other span of the same call is booked as one more.

Others may picture a call too: around ours, inside it, or beside it, as tracers do that live on callbacks; when it ends,
before or after. Nothing here takes a lock, as a span can end inside of a garbage collection: every step is one
operation on a dict or a list, and all of them are bounded.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Final

from opentelemetry import context as otel
from opentelemetry.context import Context
from opentelemetry.trace import Span as AnySpan
from opentelemetry.trace import SpanContext

from taskmeter.account import Scope
from taskmeter.telemetry.foreign import ForeignCall
from taskmeter.telemetry.leaves import Leaf

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Span

CALL: Final = otel.create_key("taskmeter-call")
"""In a context: what has the `known` call whose request the context is in."""
RECENT: Final = 4096
"""Calls that are remembered, to recognise spans of them that end later."""
MOST_OPEN: Final = 8192
"""Spans whose place in their trace is remembered while they are open."""
_INSIDE: Final = 16
_DEEPEST: Final = 64
_TOLERANCE_NS: Final = 250_000_000
"""By how much others' clocks and callbacks may lag."""

_VERSION: Final = re.compile(r"(?:[-@:](?:v?\d+|latest))*")

SpanKey = tuple[int, int]


@dataclass(slots=True, eq=False)
class KnownCall:
    """A call that is booked, or will be when it ends."""

    source: str
    """Who told: our hooks, or the instrumentation scope of a span."""
    task_id: str | None
    request_model: str
    start_ns: int
    model: str = ""
    """The model that answered."""
    end_ns: int = 0
    """0 while it is under way."""
    response_id: str | None = None
    counts: tuple[int, int] | None = None
    """Input and output tokens as the provider stated them; else `None`."""
    came_to_nothing: bool = False
    """Whether it ended without anything that may be billed."""
    leaf: Leaf | None = None
    """Its money, where no span of ours pictures it."""
    trace_id: int = 0
    """Of the span it was made in; 0 without any."""
    seen_by: dict[str, SpanKey] = field(default_factory=dict[str, SpanKey])
    """By instrumentation scope, the span that was recognised as another picture of it."""


@dataclass(slots=True, eq=False)
class OpenSpan:
    """Where an open span is."""

    parent: SpanKey | None
    scope: Scope | None
    around: KnownCall | None
    """The call in whose request it started."""
    inside: deque[KnownCall] = field(default_factory=lambda: deque[KnownCall](maxlen=_INSIDE))
    """The calls made inside it, the last few."""


_open: dict[SpanKey, OpenSpan] = {}
_recent: list[KnownCall | None] = [None] * RECENT
_next = count()


def key_of(context: SpanContext) -> SpanKey:
    """What tells a span from all others."""
    return context.trace_id, context.span_id


def started(span: Span, scope: Scope | None, context: Context | None) -> Scope | None:
    """A span starts in `context`. Returns the scope that it belongs to: `scope`, else that of its parent."""
    parent = key_of(span.parent) if span.parent is not None else None
    above = _open.get(parent) if parent is not None else None
    if scope is None and above is not None:
        scope = above.scope
    around = getattr(otel.get_value(CALL, context), "known", None)
    opened = OpenSpan(parent, scope, around if isinstance(around, KnownCall) else None)
    _open[key_of(span.get_span_context())] = opened
    if len(_open) > MOST_OPEN:
        _open.pop(next(iter(tuple(_open))), None)  # the oldest; a copy, as another thread may add one meanwhile
    return scope


def ended(context: SpanContext) -> OpenSpan | None:
    """A span has ended. Returns where it was, if that is remembered."""
    return _open.pop(key_of(context), None)


def is_open(span: AnySpan) -> bool:
    """Whether a `TaskSpanProcessor` was told that `span` starts, and not yet that it ends."""
    return key_of(span.get_span_context()) in _open


def add(call: KnownCall, parent: SpanKey | None) -> None:
    """From now on `call` is known, made in the span `parent`."""
    call.trace_id = parent[0] if parent is not None else 0
    _recent[next(_next) % RECENT] = call
    for _ in range(_DEEPEST):
        above = _open.get(parent) if parent is not None else None
        if above is None:
            break
        above.inside.append(call)
        parent = above.parent


def recognise(seen: ForeignCall, key: SpanKey, opened: OpenSpan | None) -> KnownCall | None:
    """The known call that the span `key` is another picture of; `None` for one that nobody else told of."""
    if opened is not None:
        for call in (opened.around, *reversed(opened.inside.copy())):
            if call is not None and _agree(call, seen):
                _claim(call, seen, key)
                return call
    scope = opened.scope if opened is not None else None
    task_id = scope.task.id if scope is not None and scope.task is not None else None
    for known in tuple(_recent):
        if known is None or known.source == seen.source:
            continue
        if _same_id(known, seen) or (_beside(known, seen, task_id, key[0]) and _claim(known, seen, key)):
            return known
    return None


def _claim(call: KnownCall, seen: ForeignCall, key: SpanKey) -> bool:
    """Whether no other span of the same library was recognised as this call: of two calls that look alike, one must not
    stand for both. A span without a usage may be one of two for its call, as Logfire's for a stream."""
    return seen.usage is None or call.seen_by.setdefault(seen.source, key) == key


def _same_id(call: KnownCall, seen: ForeignCall) -> bool:
    return call.response_id is not None and call.response_id == seen.response_id


def _agree(call: KnownCall, seen: ForeignCall) -> bool:
    """Whether a span around or inside of `call` is one of it: not that of a fallback after it had failed, nor that of a
    model whose tools make calls of their own."""
    if call.came_to_nothing and seen.usage is not None:
        return False
    if call.counts is None or seen.counts is None or call.counts == seen.counts:
        return True
    return _same_model(call, seen) and not _other_id(call, seen)


def _beside(call: KnownCall, seen: ForeignCall, task_id: str | None, trace_id: int) -> bool:
    """Whether a span elsewhere in the trace, or in none, is one of `call`: by time, model and counts."""
    if _other_id(call, seen):
        return False
    if task_id != call.task_id and trace_id != call.trace_id:
        return False
    if call.came_to_nothing and seen.usage is not None:
        return False
    end_ns = call.end_ns or call.start_ns  # one under way must have begun while the span was open
    if call.start_ns > seen.end_ns + _TOLERANCE_NS or end_ns < seen.start_ns - _TOLERANCE_NS:
        return False
    if call.counts is not None and seen.counts is not None and call.counts != seen.counts:
        return False
    return _same_model(call, seen)


def _other_id(call: KnownCall, seen: ForeignCall) -> bool:
    return call.response_id is not None and seen.response_id is not None and call.response_id != seen.response_id


def _same_model(call: KnownCall, seen: ForeignCall) -> bool:
    ours, theirs = (call.model, call.request_model), (seen.model, seen.request_model)
    return any(_alike(one, other) for one in ours for other in theirs)


def _alike(left: str, right: str) -> bool:
    """Whether two names can be of one model: behind a gateway's prefix, with or without a date or version."""
    short, long = sorted((left.rpartition("/")[2].lower(), right.rpartition("/")[2].lower()), key=len)
    return bool(short) and long.startswith(short) and bool(_VERSION.fullmatch(long, len(short)))
