"""Reads a spool back: every `traces-*.jsonl` file of a directory, ours or an OpenTelemetry Collector's, and what was
compacted of them to `spans-*.parquet`."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taskmeter.errors import SpoolError
from taskmeter.spool.files import LINES, PARQUET
from taskmeter.spool.lines import MOST_BYTES, is_file, lines_of
from taskmeter.spool.losses import recorded_losses

_HEX = re.compile("[0-9a-fA-F]+")
_INT64_LIMIT = 1 << 63
MALFORMED = (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError)
"""What comes of reading something that is not OTLP/JSON."""
_HOW_TO_FILL = "`taskmeter.configure()` in the program that runs the tasks fills it; `taskmeter demo` makes a sample"


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """One finished span as it was written."""

    trace_id: str
    """32 hex digits."""
    span_id: str
    """16 hex digits."""
    parent_span_id: str | None
    name: str
    kind: int
    """OTLP's number: 1 internal, 2 server, 3 client, 4 producer, 5 consumer."""
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any]
    """Plain values: str, bool, int, float, bytes, None, lists and dicts of these."""
    status_code: int
    """OTLP's number: 0 unset, 1 ok, 2 error."""
    scope: str
    """Name of the instrumentation scope; empty when there is none."""
    service: str
    """`service.name` of the resource; empty when there is none."""


class SpoolReading:
    """Streams the spans of `directory`, each (trace id, span id) once. Iterate, then look at the counts.

    Lines that cannot be parsed (a writer died, a disk filled up, a write is under way) are skipped and counted.
    Raises `SpoolError` when there is no directory, no file, or no span in any file.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.spans = 0
        self.skipped_lines = 0
        self.long_lines = 0
        """Lines that are longer than any reader takes."""
        self.skipped_spans = 0
        """Spans without usable ids or times, in lines that are otherwise fine."""
        self.duplicates = 0
        self.traces: frozenset[str] | None = None
        """Ids of the only traces to read; `None` for all."""

    def __iter__(self) -> Iterator[SpanRecord]:
        self.spans = self.skipped_lines = self.long_lines = self.skipped_spans = self.duplicates = 0
        seen: set[tuple[str, str]] = set()
        for span in self._all():
            key = (span.trace_id, span.span_id)
            if key in seen:
                self.duplicates += 1
                continue
            seen.add(key)
            self.spans += 1
            yield span
        self.require_spans()

    def require_spans(self) -> None:
        """Raises `SpoolError` when none was read."""
        if not self.spans:
            message = f"The spool {str(self.directory)!r} holds no spans{self._but()}. {_HOW_TO_FILL}."
            raise SpoolError(message)

    def problems(self) -> list[str]:
        """One sentence for each thing that was skipped, or is missing; empty when there is nothing of it."""
        counted = {
            ("unreadable line", "(torn or not OTLP/JSON)"): self.skipped_lines,
            ("line", f"of more than {MOST_BYTES // 1024**2} MiB"): self.long_lines,
            ("span", "without usable ids or times"): self.skipped_spans,
        }
        skipped = [
            f"{count} {noun}{' was' if count == 1 else 's were'} skipped {why}"
            for (noun, why), count in counted.items()
            if count
        ]
        return [*skipped, *self._lost()]

    def _lost(self) -> Iterator[str]:
        """What the processes that wrote it know to be missing."""
        lost = recorded_losses(self.directory)
        if lost:
            count = sum(lost.values())
            reasons = ", ".join(f"{reason} {spans:,}" for reason, spans in lost.items())
            yield (
                f"{count:,} span{' is' if count == 1 else 's are'} known to be lost ({reasons}): costs may be missing, "
                "see `taskmeter doctor`"
            )

    def _but(self) -> str:
        problems = self.problems()
        return f" ({'; '.join(problems)})" if problems else ""

    def files(self) -> list[Path]:
        """The files to read. Raises `SpoolError` when there is no directory, or no file in it."""
        if not self.directory.is_dir():
            message = f"There is no spool directory {str(self.directory)!r}. {_HOW_TO_FILL}."
            raise SpoolError(message)
        # Lines first: what is compacted and deleted in between is then seen in its new file.
        found = (path for pattern in (LINES, PARQUET) for path in self.directory.glob(pattern))
        files = sorted(filter(is_file, found))
        if not files:
            message = f"The spool {str(self.directory)!r} holds no {LINES} or {PARQUET} file. {_HOW_TO_FILL}."
            raise SpoolError(message)
        return files

    def _all(self) -> Iterator[SpanRecord]:
        """The spans of every file. One that is compacted before its turn is gone by then, and a new one there."""
        done: set[Path] = set()
        while waiting := [path for path in self.files() if path not in done]:
            for path in waiting:
                done.add(path)
                try:
                    yield from self._read(path)
                except FileNotFoundError:
                    break

    def _read(self, path: Path) -> Iterator[SpanRecord]:
        if path.suffix == ".parquet":
            from taskmeter.spool.parquet import documents

            for document in documents(path, self.traces):
                yield from self._records(document)
            return
        try:
            for line in lines_of(path):
                if line is None:
                    self.long_lines += 1
                else:
                    yield from self._parse(line)
        except FileNotFoundError:
            raise
        except OSError as error:
            message = f"Cannot read the spool file {str(path)!r}: {error.strerror or error}."
            raise SpoolError(message) from error

    def _parse(self, line: bytes) -> list[SpanRecord]:
        try:
            return self._records(json.loads(line))
        except MALFORMED:
            self.skipped_lines += 1
            return []

    def _records(self, document: dict[str, Any]) -> list[SpanRecord]:
        parsed: list[SpanRecord] = []
        skipped = 0
        for span, scope, service in _spans(document):
            try:
                if self.traces is None or span["traceId"].lower() in self.traces:
                    parsed.append(record(span, scope, service))
            except MALFORMED:
                skipped += 1
        self.skipped_spans += skipped
        return parsed


def records_of(line: bytes) -> list[SpanRecord]:
    """The spans of a line that `encode_line` wrote."""
    return [record(*span) for span in _spans(json.loads(line))]


def _spans(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Each span of a `TracesData`, with its scope's name and its service's."""
    for resource_spans in document.get("resourceSpans", ()):
        service = plain_attributes(resource_spans.get("resource", {}).get("attributes", ())).get("service.name", "")
        for scope_spans in resource_spans.get("scopeSpans", ()):
            scope = scope_spans.get("scope", {}).get("name", "")
            for span in scope_spans.get("spans", ()):
                yield span, readable(scope), readable(service)


def record(span: Mapping[str, Any], scope: str, service: str) -> SpanRecord:
    """What a span of OTLP/JSON says. Raises where it is malformed."""
    return SpanRecord(
        trace_id=_hex(span["traceId"], 32),
        span_id=_hex(span["spanId"], 16),
        parent_span_id=_hex(span["parentSpanId"], 16) if span.get("parentSpanId") else None,
        name=readable(span.get("name", "")),
        kind=_whole(span.get("kind", 0)),
        start_ns=_whole(span.get("startTimeUnixNano", 0)),
        end_ns=_whole(span.get("endTimeUnixNano", 0)),
        attributes=plain_attributes(span.get("attributes", ())),
        status_code=_whole(span.get("status", {}).get("code", 0)),
        scope=scope,
        service=service,
    )


def readable(value: object) -> str:
    """Text that every file, terminal and database takes: half of a surrogate pair is no character."""
    text = str(value)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _whole(value: Any) -> int:
    number = int(value)
    if not 0 <= number < _INT64_LIMIT:
        message = f"no time, kind or status: {number}"
        raise ValueError(message)
    return number


def _hex(text: str, digits: int) -> str:
    if len(text) != digits or not _HEX.fullmatch(text) or not text.strip("0"):
        message = f"not an id of {digits} hex digits: {text!r}"
        raise ValueError(message)
    return text.lower()


def plain_attributes(pairs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Attributes of OTLP/JSON as plain values. Raises where they are malformed; one whose value alone makes no sense is
    `None`, as the others may."""
    return {readable(pair["key"]): _sensible(pair.get("value") or {}) for pair in pairs if "key" in pair}


def _sensible(value: dict[str, Any]) -> Any:
    try:
        return _value(value)
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None


def _int64(content: Any) -> int:
    number = int(content)
    if not -_INT64_LIMIT <= number < _INT64_LIMIT:
        message = "not a 64-bit integer"
        raise ValueError(message)
    return number


def _value(value: dict[str, Any]) -> Any:
    for kind, content in value.items():
        if kind == "intValue":
            return _int64(content)
        if kind == "doubleValue":
            return float(content)
        if kind == "bytesValue":
            return b64decode(content)
        if kind == "arrayValue":
            return [_value(item) for item in content.get("values", ())]
        if kind == "kvlistValue":
            return plain_attributes(content.get("values", ()))
        return readable(content) if isinstance(content, str) else content
    return None
