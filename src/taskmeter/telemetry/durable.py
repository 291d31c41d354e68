"""Spans that must reach the local spool even where tracing is sampled out or off."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, TraceFlags

from taskmeter import _semconv as names
from taskmeter._version import __version__
from taskmeter.telemetry.attributes import Attributes

_SCOPE = InstrumentationScope(names.INSTRUMENTATION_NAME, __version__, names.SCHEMA_URL)
_ids = RandomIdGenerator()


class _Spool:
    queue: SpanProcessor | None = None
    resource: Resource | None = None


def use(queue: SpanProcessor | None, resource: Resource | None = None) -> None:
    """From now on the spool is behind `queue`; `None` where there is none."""
    _Spool.queue, _Spool.resource = queue, resource


def keep(name: str, attributes: Attributes, at_ns: int, links: Sequence[Link] = ()) -> bool:
    """Hands a span to the spool's queue, past every sampler. Returns whether there is a spool."""
    queue = _Spool.queue
    if queue is None:
        return False
    queue.on_end(instant(name, attributes, at_ns, links, _Spool.resource))
    return True


def instant(
    name: str, attributes: Attributes, at_ns: int, links: Sequence[Link] = (), resource: Resource | None = None
) -> ReadableSpan:
    """A finished span without duration, in a trace of its own, that no tracer made."""
    return ReadableSpan(
        name,
        context=SpanContext(
            _ids.generate_trace_id(), _ids.generate_span_id(), is_remote=False, trace_flags=TraceFlags(1)
        ),
        resource=resource,
        attributes=attributes,
        links=links,
        start_time=at_ns,
        end_time=at_ns,
        instrumentation_scope=_SCOPE,
    )
