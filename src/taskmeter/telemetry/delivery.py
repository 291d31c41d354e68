"""Flushing and ending exporters in bounded time, knowing whether they took what they were given."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData

from taskmeter._guard import guarded


def within(seconds: float, *actions: Callable[[], object]) -> bool:
    """Runs `actions` side by side and returns whether all were done in time, none saying `False`.

    Those that are late are left behind in threads that do not keep the program alive: the timeouts that
    OpenTelemetry's own flush and shutdown take do not bind its exporters.
    """
    done: list[bool] = []

    def run(action: Callable[[], object]) -> None:
        with guarded("telemetry.deliver"):
            done.append(action() is not False)

    threads = [
        threading.Thread(target=run, args=(action,), name="taskmeter-deliver", daemon=True) for action in actions
    ]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return len(done) == len(actions) and all(done)


class Ender:
    """Runs `end` when told to, and does not keep the program alive when that takes long.

    By a thread that waits from the start, in a forked process too: from Python 3.12 on none can be started while the
    program ends.
    """

    def __init__(self, end: Callable[[], object]) -> None:
        self._end = end
        self._start()
        if hasattr(os, "register_at_fork"):
            forked = weakref.WeakMethod(self._start)
            os.register_at_fork(after_in_child=lambda: None if (call := forked()) is None else call())

    def begin(self) -> None:
        """Lets the thread run `end`."""
        self._told.set()

    def join(self, seconds: float) -> None:
        """Waits until that is done, or no longer."""
        self._thread.join(seconds)

    def _start(self) -> None:
        self._told = threading.Event()
        self._thread = threading.Thread(target=self._run, name="taskmeter-end", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._told.wait()
        with guarded("telemetry.end_exporters"):
            self._end()


class MetricReceipts(MetricExporter):
    """Knows whether the last export, which has the totals of all before it, was taken."""

    def __init__(self, exporter: MetricExporter) -> None:
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)  # noqa: SLF001 - as readers do
        self.accepted = True
        self._exporter: Any = exporter

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Called by the metric reader."""
        result: MetricExportResult = self._exporter.export(metrics_data, timeout_millis, **kwargs)
        self.accepted = result is MetricExportResult.SUCCESS
        return result

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Called by the metric reader."""
        self._exporter.shutdown(timeout_millis, **kwargs)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Called by the metric reader."""
        return bool(self._exporter.force_flush(timeout_millis))
