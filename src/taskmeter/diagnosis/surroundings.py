"""Versions, the environment's variables and the spool's directory."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from taskmeter._config import Environment, SignalEnvironment
from taskmeter.diagnosis.records import Finding, Spool
from taskmeter.diagnosis.telemetry import LEAST_ATTRIBUTES, too_few_attributes, without_credentials
from taskmeter.pricing import newest_price
from taskmeter.spool.files import span_files_in
from taskmeter.spool.safety import risk_of
from taskmeter.spool.shipping.backlog import Backlog, backlogs
from taskmeter.telemetry.content import chosen

_DISTRIBUTIONS: Final = (
    "taskmeter",
    "openai",
    "anthropic",
    "httpx2",
    "httpx",
    "opentelemetry-api",
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp-proto-http",
    "genai-prices",
    "wrapt",
)
OLDEST: Final = {"openai": (1, 66), "anthropic": (0, 50)}
"""Versions of the SDKs that taskmeter is tested with, from these on."""
LATE_NS: Final = 24 * 3_600 * 10**9
"""From this age on a span that an endpoint lacks is worth a word."""
LARGE_SPOOL: Final = 1024**3
"""Bytes, from which on it is worth a word."""
_GRPC_PORT: Final = 4317
_EXPORTER: Final = "opentelemetry.exporter.otlp.proto.http"


def versions() -> dict[str, str | None]:
    """Of Python and of every distribution that matters here."""
    found: dict[str, str | None] = {"python": f"{platform.python_version()} ({platform.python_implementation()})"}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    newest = newest_price(datetime.now(UTC).date())
    found["price data"] = f"newest price from {newest}" if newest is not None else None
    return found


def version_findings(found: dict[str, str | None]) -> Iterator[Finding]:
    """SDKs that are missing or too old."""
    sdks = {name: found[name] for name in OLDEST}
    if not any(sdks.values()):
        yield Finding("note", "neither SDK is installed", "pip install 'taskmeter[openai,anthropic]'")
    for name, installed in sdks.items():
        if installed is not None and _numbers(installed) < OLDEST[name]:
            oldest = ".".join(map(str, OLDEST[name]))
            yield Finding(
                "action",
                f"{name} {installed} is older than {oldest}, the oldest that taskmeter knows: calls may be missed",
                f"pip install '{name}>={oldest}'",
            )


def environment_findings(environment: Environment) -> Iterator[Finding]:
    """Variables that keep spans or metrics from being recorded or sent."""
    if environment.sdk_disabled:
        yield Finding(
            "action",
            "OTEL_SDK_DISABLED=true: OpenTelemetry records nothing, so that neither spool nor backend get anything",
            "unset OTEL_SDK_DISABLED",
        )
    if environment.captures_content and chosen() is None:
        yield Finding(
            "note",
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT is set, which records nothing here: it says nothing of "
            "redaction",
            "where prompts and answers are to be recorded: configure(content=taskmeter.ContentCapture(redact=...))",
        )
    limit = environment.span_attribute_limit
    if limit.isdecimal() and int(limit) < LEAST_ATTRIBUTES:
        yield too_few_attributes(limit)
    for signal, said in environment.signals.items():
        if said.endpoint and "otlp" in said.exporters.split(","):
            yield from _endpoint_findings(signal, said)


def _endpoint_findings(signal: str, said: SignalEnvironment) -> Iterator[Finding]:
    variable, shown = f"the OTLP endpoint for {signal.lower()}", without_credentials(said.endpoint)
    if said.protocol != "http/protobuf":
        yield Finding(
            "action",
            f"OTEL_EXPORTER_OTLP_PROTOCOL={said.protocol!r} is not served for {signal.lower()}: configure() refuses it",
            "set it to http/protobuf, and the endpoint to the HTTP port, usually 4318",
        )
    elif not said.endpoint.startswith(("http://", "https://")):
        yield Finding("action", f"{variable} ({shown}) is no http:// or https:// URL", "write http://host:4318")
    elif _port(said.endpoint) == _GRPC_PORT:
        yield Finding(
            "action",
            f"{variable} ({shown}) has port 4317, where gRPC is usually served, not HTTP",
            "set the port to that of OTLP over HTTP, usually 4318",
        )
    if _missing(_EXPORTER):
        yield Finding("action", f"{variable} is named, but its exporter is missing", "pip install 'taskmeter[otlp]'")


def spool_at(directory: Path, *, in_use: bool) -> Spool:
    """How the directory stands. Creates nothing."""
    sizes = [size for path in span_files_in(directory) if (size := _size(path)) is not None]
    existing = directory.absolute()
    while _is_missing(existing) and existing != existing.parent:
        existing = existing.parent
    writable = os.access(f"{existing}{os.sep}", os.W_OK | os.X_OK)  # no file, as what is in one
    return Spool(
        str(directory),
        in_use=in_use,
        writable=writable,
        files=len(sizes),
        size_bytes=sum(sizes),
        backlogs=() if in_use else tuple(backlogs(directory)),
    )


def spool_findings(spool: Spool) -> Iterator[Finding]:
    """A directory that cannot be written, or is large."""
    if not spool.writable:
        yield Finding(
            "action",
            f"the spool directory {spool.directory} cannot be written: what tasks cost is not recorded there",
            "set TASKMETER_SPOOL (or configure(spool=...)) to a directory that can, or spool=False for none",
        )
    if risk := risk_of(Path(spool.directory)):
        yield Finding(
            "action",
            f"the spool directory {spool.directory} is not safe: {risk}",
            "give it to the user who runs the program, and chmod 700 it; or set TASKMETER_SPOOL to another",
        )
    if spool.size_bytes > LARGE_SPOOL:
        yield Finding(
            "note",
            f"the spool in {spool.directory} holds {spool.size_bytes / 1024**3:.1f} GiB",
            "delete the oldest of its files; each is one process's",
        )


def backlog_findings(backlogs: Iterable[Backlog], now_ns: int) -> Iterator[Finding]:
    """Spans that an endpoint should have by now, or will not take."""
    for backlog in backlogs:
        ship = f"taskmeter ship --endpoint {backlog.endpoint}"
        if backlog.oldest_ns is not None and now_ns - backlog.oldest_ns > LATE_NS:
            days = (now_ns - backlog.oldest_ns) / LATE_NS
            yield Finding("action", f"{backlog.endpoint} lacks spans that are {days:.1f} days old", f"run `{ship}`")
        if backlog.dead_letters:
            yield Finding(
                "action",
                f"{backlog.endpoint} would not take {backlog.dead_letters} spans; they and its reasons are in the "
                "dead-letter-*.jsonl files of the spool",
                f"see to the reasons, then run `{ship} --dead-letters`; or delete the files",
            )


def _is_missing(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:  # there, perhaps, and not to be seen
        return False
    return False


def _size(path: Path) -> int | None:
    """`None` for what is not there, or not to be seen."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def _numbers(version_text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version_text.split(".")[:2] if part.isdecimal())


def _port(endpoint: str) -> int | None:
    try:
        return urlsplit(endpoint).port
    except ValueError:
        return None


def _missing(module: str) -> bool:
    try:
        return find_spec(module) is None
    except ModuleNotFoundError:  # one of its parents
        return True
