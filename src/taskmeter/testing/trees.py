"""Recorded spans -> the tree of a task, as `taskmeter show` prints it."""

from __future__ import annotations

import io
from collections.abc import Iterable

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from taskmeter.errors import MissingDependencyError
from taskmeter.reports.relations import relate
from taskmeter.reports.render import as_table, least_width
from taskmeter.reports.task_tree import task_tree
from taskmeter.spool.encode import encode_line
from taskmeter.spool.read import records_of
from taskmeter.telemetry.exporter import CostExporter

_NO_SPANS = "(no tree: the spans of this task were dropped by a sampler, or OTEL_SDK_DISABLED is set)"


def tree_text(spans: Iterable[ReadableSpan], task_id: str) -> str:
    """The tree of that task. Raises `MissingDependencyError` without rich."""
    try:
        from rich.console import Console
    except ImportError as error:
        raise MissingDependencyError("rich", "report", "Printing a tree") from error
    exporter = InMemorySpanExporter()
    CostExporter(exporter).export([span for span in spans if span.end_time is not None])
    relations = relate(records_of(encode_line(exporter.get_finished_spans())))
    if task_id not in relations.tasks:
        return _NO_SPANS
    tree = task_tree(relations, task_id)
    out = io.StringIO()
    Console(file=out, width=least_width(tree), highlight=False, markup=False, emoji=False).print(as_table(tree))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def tree_or_hint(spans: Iterable[ReadableSpan], task_id: str) -> str:
    """The same for a message that is printed anyway: without rich, how to get one."""
    try:
        return tree_text(spans, task_id)
    except MissingDependencyError as error:
        return f"({error})"
