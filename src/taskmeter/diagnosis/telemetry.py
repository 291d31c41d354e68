"""Where spans and metrics go. What OpenTelemetry's SDK keeps private is looked at, never touched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from taskmeter.diagnosis.records import Exporter, Finding, Provider
from taskmeter.setup import current_setup
from taskmeter.spool.write import SpoolExporter
from taskmeter.telemetry import providers
from taskmeter.telemetry.processor import TaskSpanProcessor

LEAST_ATTRIBUTES: Final = 64
"""The roll-up and identity of a task with a few labels."""

_INNER: Final = (
    "_active_span_processor",
    "_span_processors",
    "_metric_readers",
    "processor",
    "_processor",
    "span_exporter",
    "_batch_processor",
    "_exporter",
    "_target",
    "wrapped_exporter",
)
"""What providers, processors, readers and exporters call what they hand on to."""
_DEEPEST: Final = 8


def tracer_and_meter_provider() -> tuple[Provider, Provider]:
    """Those that taskmeter writes to now."""
    tracers, meters = (_behind(provider) for provider in providers.in_use())
    configured = current_setup() is not None
    limit = getattr(getattr(tracers, "_span_limits", None), "max_span_attributes", None)
    sampler = getattr(tracers, "sampler", None)
    parts = list(_parts(tracers))
    return (
        Provider(
            signal="traces",
            name=_name(tracers),
            configured=configured,
            exporters=_exporters(tracers),
            stamps=any(isinstance(part, TaskSpanProcessor) for part in parts) if _is_sdk(tracers) else None,
            sampler=sampler.get_description() if sampler is not None else None,
            attribute_limit=limit,
        ),
        Provider(signal="metrics", name=_name(meters), configured=configured, exporters=_exporters(meters)),
    )


def telemetry_findings(traces: Provider, metrics: Provider, *, running: bool) -> Iterator[Finding]:
    """What is wrong with them, `running` in the program that they serve."""
    if traces.name is None and running:
        yield Finding(
            "note",
            "no TracerProvider is set: spans go nowhere; task.cost and task.usage are right all the same",
            "call taskmeter.configure() for the local spool and OTLP, or set a provider of your own",
        )
    if traces.name is not None and traces.stamps is False:
        yield Finding(
            "action",
            f"the TracerProvider ({traces.name}) has no TaskSpanProcessor: other libraries' spans inside a task do not "
            "say which task they belong to",
            "provider.add_span_processor(taskmeter.TaskSpanProcessor()), or call taskmeter.configure()",
        )
    if traces.name is not None and traces.stamps is not None and not traces.exporters:
        yield Finding("note", f"the TracerProvider ({traces.name}) exports to nowhere", "add a span processor to it")
    if traces.attribute_limit is not None and traces.attribute_limit < LEAST_ATTRIBUTES:
        yield too_few_attributes(str(traces.attribute_limit))
    if traces.sampler is not None and not traces.sampler.startswith(("AlwaysOn", "ParentBased{root:AlwaysOn")):
        yield Finding(
            "note",
            f"spans are sampled ({traces.sampler}): task.cost, budgets and metrics are right all the same, but reports "
            "from the spool and sums over traces lack what was not sampled",
        )
    if metrics.name is not None and not metrics.exporters:
        yield Finding("note", f"the MeterProvider ({metrics.name}) exports to nowhere", "give it a metric reader")


def too_few_attributes(limit: str) -> Finding:
    """Spans that lose attributes."""
    return Finding(
        "action",
        f"a span may hold {limit} attributes only: task spans need up to {LEAST_ATTRIBUTES}, and lose the first ones",
        "raise OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT (or OTEL_ATTRIBUTE_COUNT_LIMIT, or the provider's SpanLimits) to "
        f"{2 * LEAST_ATTRIBUTES}, the default",
    )


def without_credentials(url: str) -> str:
    """Scheme, host, port and path of an endpoint."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return "(not a URL)"
    if not parts.scheme or not parts.hostname:
        return url.rpartition("@")[2].partition("?")[0]
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def _behind(provider: Any) -> Any:
    """The provider behind another's proxy, such as Logfire's."""
    inner = getattr(provider, "provider", None)
    return inner if isinstance(inner, TracerProvider | MeterProvider) else provider


def _is_sdk(provider: object) -> bool:
    return isinstance(provider, TracerProvider | MeterProvider)


def _name(provider: object) -> str | None:
    """`None` for OpenTelemetry's stand-ins."""
    kind = type(provider)
    no_sdk = kind.__module__.startswith("opentelemetry") and not _is_sdk(provider)
    return None if no_sdk else f"{kind.__module__}.{kind.__qualname__}"


def _parts(whole: Any, depth: int = 0) -> Iterator[Any]:
    """Everything that `whole` hands on to, itself included."""
    yield whole
    if depth < _DEEPEST:
        for name in _INNER:
            inner: Any = getattr(whole, name, None)
            for part in cast("Iterable[Any]", inner) if isinstance(inner, tuple | list | set) else (inner,):
                if part is not None:
                    yield from _parts(part, depth + 1)


def _exporters(provider: object) -> tuple[Exporter, ...]:
    """The innermost ones, each once."""
    found: dict[int, Exporter] = {}
    for part in _parts(provider):
        kind = type(part).__name__
        if "Exporter" in kind and not any(getattr(part, name, None) is not None for name in _INNER):
            found[id(part)] = Exporter("spool" if isinstance(part, SpoolExporter) else kind, _destination(part))
    return tuple(found.values())


def _destination(exporter: object) -> str | None:
    directory, endpoint = getattr(exporter, "_directory", None), getattr(exporter, "_endpoint", None)
    if isinstance(directory, Path):
        return str(directory)
    return without_credentials(endpoint) if isinstance(endpoint, str) else None
