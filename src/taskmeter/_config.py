"""Frozen settings, and the only reader of `os.environ`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from taskmeter._bounds import shown
from taskmeter.errors import UsageError

DEFAULT_SPOOL = Path(".taskmeter")
DEFAULT_PRICES = Path("taskmeter.toml")
_NO_CONTENT = ("", "false", "0", "no_content")


LEAST_CONTENT = 256
"""Bytes in which some content can be recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentCapture:
    """That prompts and answers are to be recorded, which they never are by default, and in what form.

    Raises `UsageError` for what makes no sense.
    """

    redact: Callable[[str], str]
    """Gets every text before it is recorded, whole, and returns what may be; `str` for all of it. Where it fails,
    nothing of that call is recorded. It runs in the thread of the call, so it should be quick."""
    max_bytes: int = 16_384
    """Of UTF-8, for each attribute. What is longer is cut, after it was redacted."""

    def __post_init__(self) -> None:
        if not callable(self.redact):
            msg = f"redact={shown(self.redact)} must be a callable that gets a text and returns what may be recorded"
            raise UsageError(msg)
        if type(self.max_bytes) is not int or self.max_bytes < LEAST_CONTENT:
            msg = f"max_bytes={shown(self.max_bytes)} must be a whole number of bytes, at least {LEAST_CONTENT}"
            raise UsageError(msg)


@dataclass(frozen=True, slots=True)
class Settings:
    """What `configure()` was asked for, with every default filled in."""

    service_name: str | None = None
    spool: Path | None = DEFAULT_SPOOL
    """Directory of the local record; `None` for no spool."""
    stream_usage: bool = True
    """Ask OpenAI and Azure for the usage of a chat stream, and hide the extra chunk that brings it."""
    tokenizer: str | None = None
    """tiktoken encoding for estimates of requests; `None` for UTF-8 bytes / 4."""
    trust_remote_tasks: bool = False
    """Believe what inbound baggage says about the task of the caller."""
    prices: Path | Mapping[str, object] | None = None
    """The user's price file, or its content; `None` for the shipped prices alone."""
    content: ContentCapture | None = None
    """How prompts and answers are recorded; `None` for not at all."""


@dataclass(frozen=True, slots=True)
class OtlpEnvironment:
    """What the standard `OTEL_*` variables say about export."""

    traces: str | None
    """The protocol for traces; `None` where no endpoint is named for them."""
    metrics: str | None
    """The protocol for metrics; `None` where no endpoint is named for them."""


def spool_from_environment() -> Path:
    """The spool directory: `TASKMETER_SPOOL`, else `.taskmeter` in the working directory."""
    return Path(os.environ.get("TASKMETER_SPOOL") or DEFAULT_SPOOL)


def prices_from_environment() -> Path | None:
    """The user's price file: what `TASKMETER_CONFIG` names, else `taskmeter.toml` in the working directory, if any."""
    if named := _env("TASKMETER_CONFIG"):
        return Path(named)
    return DEFAULT_PRICES if DEFAULT_PRICES.is_file() else None


def otlp_from_environment() -> OtlpEnvironment:
    """Reads `OTEL_EXPORTER_OTLP_*`, `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER` and `OTEL_SDK_DISABLED`."""
    return OtlpEnvironment(traces=_otlp_protocol("TRACES"), metrics=_otlp_protocol("METRICS"))


@dataclass(frozen=True, slots=True)
class SignalEnvironment:
    """What the environment says about traces or metrics, as it stands there."""

    exporters: str
    """Names, comma-separated; `otlp` where it says nothing."""
    endpoint: str
    """Empty where none is named. May hold a password."""
    protocol: str


@dataclass(frozen=True, slots=True)
class Environment:
    """What `taskmeter doctor` looks at."""

    sdk_disabled: bool
    span_attribute_limit: str
    """`OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, else `OTEL_ATTRIBUTE_COUNT_LIMIT`, else empty."""
    signals: dict[str, SignalEnvironment]
    """By `TRACES` and `METRICS`."""
    captures_content: bool
    """Whether OpenTelemetry's own switch asks for prompts and answers. It turns nothing of ours on."""


def environment() -> Environment:
    """The variables that decide whether anything is recorded and where it goes."""
    return Environment(
        sdk_disabled=_sdk_disabled(),
        span_attribute_limit=_env("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT") or _env("OTEL_ATTRIBUTE_COUNT_LIMIT"),
        captures_content=_env("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT").lower() not in _NO_CONTENT,
        signals={
            signal: SignalEnvironment(
                exporters=_exporters(signal),
                endpoint=_otlp_env("ENDPOINT", signal),
                protocol=_otlp_env("PROTOCOL", signal) or "http/protobuf",
            )
            for signal in ("TRACES", "METRICS")
        },
    )


def _sdk_disabled() -> bool:
    return _env("OTEL_SDK_DISABLED").lower() == "true"


def _exporters(signal: str) -> str:
    return _env(f"OTEL_{signal}_EXPORTER").lower() or "otlp"


def _otlp_protocol(signal: str) -> str | None:
    if _sdk_disabled() or "otlp" not in [name.strip() for name in _exporters(signal).split(",")]:
        return None
    if not _otlp_env("ENDPOINT", signal):
        return None
    return _otlp_env("PROTOCOL", signal) or "http/protobuf"


def _otlp_env(setting: str, signal: str) -> str:
    return _env(f"OTEL_EXPORTER_OTLP_{signal}_{setting}") or _env(f"OTEL_EXPORTER_OTLP_{setting}")


def _env(name: str) -> str:
    return os.environ.get(name, "").strip()
