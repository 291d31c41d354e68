"""Reads a spool back: every `traces-*.jsonl` file of a directory, ours or an OpenTelemetry Collector's."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taskmeter.errors import SpoolError
from taskmeter.spool.lines import MOST_BYTES, is_file, lines_of

_FILES = "traces-*.jsonl"
_HEX = re.compile("[0-9a-fA-F]+")
_INT64 = 1 << 63
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
        """Lines of more than `MOST_BYTES`, which are not read."""
        self.skipped_spans = 0
        """Spans without usable ids or times, in lines that are otherwise fine."""
        self.duplicates = 0

    def __iter__(self) -> Iterator[SpanRecord]:
        self.spans = self.skipped_lines = self.long_lines = self.skipped_spans = self.duplicates = 0
        seen: set[tuple[str, str]] = set()
        for path in self._files():
            for span in self._read(path):
                key = (span.trace_id, span.span_id)
                if key in seen:
                    self.duplicates += 1
                    continue
                seen.add(key)
                self.spans += 1
                yield span
        if not self.spans:
            message = f"The spool {str(self.directory)!r} holds no spans{self._but()}. {_HOW_TO_FILL}."
            raise SpoolError(message)

    def problems(self) -> list[str]:
        """One sentence for each thing that was skipped; empty when all was read."""
        counted = {
            ("unreadable line", "(torn or not OTLP/JSON)"): self.skipped_lines,
            ("line", f"of more than {MOST_BYTES // 1024**2} MiB"): self.long_lines,
            ("span", "without usable ids or times"): self.skipped_spans,
        }
        return [
            f"{count} {noun}{' was' if count == 1 else 's were'} skipped {why}"
            for (noun, why), count in counted.items()
            if count
        ]

    def _but(self) -> str:
        problems = self.problems()
        return f" ({'; '.join(problems)})" if problems else ""

    def _files(self) -> list[Path]:
        if not self.directory.is_dir():
            message = f"There is no spool directory {str(self.directory)!r}. {_HOW_TO_FILL}."
            raise SpoolError(message)
        files = sorted(filter(is_file, self.directory.glob(_FILES)))
        if not files:
            message = f"The spool {str(self.directory)!r} holds no {_FILES} file. {_HOW_TO_FILL}."
            raise SpoolError(message)
        return files

    def _read(self, path: Path) -> Iterator[SpanRecord]:
        try:
            for line in lines_of(path):
                if line is None:
                    self.long_lines += 1
                else:
                    yield from self._parse(line)
        except OSError as error:
            message = f"Cannot read the spool file {str(path)!r}: {error.strerror or error}."
            raise SpoolError(message) from error

    def _parse(self, line: bytes) -> list[SpanRecord]:
        try:
            spans = list(_spans(json.loads(line)))
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            self.skipped_lines += 1
            return []
        parsed: list[SpanRecord] = []
        for span, scope, service in spans:
            try:
                parsed.append(_record(span, scope, service))
            except (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError):
                self.skipped_spans += 1
        return parsed


def records_of(line: bytes) -> list[SpanRecord]:
    """The spans of a line that `encode_line` wrote."""
    return [_record(*span) for span in _spans(json.loads(line))]


def _spans(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Each span of a `TracesData`, with its scope's name and its service's."""
    for resource_spans in document.get("resourceSpans", ()):
        service = _attributes(resource_spans.get("resource", {}).get("attributes", ())).get("service.name", "")
        for scope_spans in resource_spans.get("scopeSpans", ()):
            scope = scope_spans.get("scope", {}).get("name", "")
            for span in scope_spans.get("spans", ()):
                yield span, str(scope), str(service)


def _record(span: dict[str, Any], scope: str, service: str) -> SpanRecord:
    return SpanRecord(
        trace_id=_hex(span["traceId"], 32),
        span_id=_hex(span["spanId"], 16),
        parent_span_id=_hex(span["parentSpanId"], 16) if span.get("parentSpanId") else None,
        name=str(span.get("name", "")),
        kind=_int64(span.get("kind", 0)),
        start_ns=_int64(span.get("startTimeUnixNano", 0)),
        end_ns=_int64(span.get("endTimeUnixNano", 0)),
        attributes=_attributes(span.get("attributes", ())),
        status_code=_int64(span.get("status", {}).get("code", 0)),
        scope=scope,
        service=service,
    )


def _int64(value: Any) -> int:
    number = int(value)
    if not -_INT64 <= number < _INT64:
        message = "not a 64-bit integer"
        raise ValueError(message)
    return number


def _hex(text: str, digits: int) -> str:
    if len(text) != digits or not _HEX.fullmatch(text) or not text.strip("0"):
        message = f"not an id of {digits} hex digits: {text!r}"
        raise ValueError(message)
    return text.lower()


def _attributes(pairs: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {pair["key"]: _readable(pair.get("value") or {}) for pair in pairs if "key" in pair}


def _readable(value: dict[str, Any]) -> Any:
    """`None` for a value that makes no sense: the rest of its span may."""
    try:
        return _value(value)
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None


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
            return _attributes(content.get("values", ()))
        return content
    return None
