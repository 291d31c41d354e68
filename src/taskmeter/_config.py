"""Frozen settings, and the only reader of `os.environ`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, cast

from taskmeter._bounds import shown
from taskmeter.errors import ConfigurationError, UsageError

DEFAULT_SPOOL = Path(".taskmeter")
DEFAULT_PRICES = Path("taskmeter.toml")
EXIT_SECONDS: Final = 2.0

Delivery = Literal["direct", "spool", "both"]
"""How spans leave the process: over OTLP, by way of the spool, or over OTLP with the spool as the record of all."""
Fsync = Literal["never", "interval", "always"]


@dataclass(frozen=True, slots=True)
class Spool:
    """How the local record is kept: `configure(spool=Spool(keep_days=90))`."""

    directory: str | Path | None = None
    """`None` for `TASKMETER_SPOOL`, else `.taskmeter`."""
    fsync: Fsync = "never"
    """What survives a crash of the machine. `never`: what the kernel has written back, by default all but the last
    30 s. `interval`: all but the last second. `always`: all that was written; the disk is waited for at each batch.
    A crash of the process loses nothing that was written, with any of them."""
    window_seconds: float = 0.2
    """How long a finished span waits to be written with others: what a `SIGKILL` can cost."""
    file_bytes: int = 64 * 1024**2
    """A file of this size is closed, and the next one begun."""
    file_seconds: float = 3_600
    """So is one of this age."""
    keep_bytes: int | None = 4 * 1024**3
    """The oldest closed files are deleted when all are larger than this; `None` to keep them all."""
    keep_days: float | None = None
    """Closed files that were not written for so long are deleted; `None` to keep them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WasteRules:
    """What counts as waste where only a threshold can tell. `None` or `False` turns a rule off."""

    duplicates: bool = True
    """Whether a call is waste that asks what was asked, and answered, in the same task before."""
    repeated_tool: int | None = 3
    """So many runs of a tool with the same arguments in a row are well; from the next on they are a loop."""
    growing_turns: int | None = 20
    """From so many calls in a row on, each with more input than the one before, a task is said to grow."""

    def __post_init__(self) -> None:
        """Raises `ConfigurationError` for what makes no sense."""
        if not isinstance(cast(object, self.duplicates), bool):
            msg = f"WasteRules(duplicates={self.duplicates!r}): pass True or False"
            raise ConfigurationError(msg)
        for name in ("repeated_tool", "growing_turns"):
            value: object = getattr(self, name)
            if value is not None and (type(value) is not int or value < _FEWEST):
                msg = (
                    f"WasteRules({name}={value!r}): pass a whole number of {_FEWEST} or more, or None for no such rule"
                )
                raise ConfigurationError(msg)


def checked_rules(rules: object) -> WasteRules:
    """`rules`, by default the default ones. Raises `ConfigurationError` for anything else."""
    if rules is None:
        return WasteRules()
    if not isinstance(rules, WasteRules):
        msg = f"waste={rules!r} are no rules; pass taskmeter.WasteRules(duplicates=..., repeated_tool=...)"
        raise ConfigurationError(msg)
    return rules


_FEWEST = 2
"""One of a thing repeats nothing."""
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
    spool_policy: Spool = Spool()
    """How it is kept."""
    delivery: Delivery | None = None
    """`None` where it was not said: the spool, and OTLP too where the environment names an endpoint."""
    exit_seconds: float = EXIT_SECONDS
    """How long the end of the program waits for an endpoint that does not answer."""
    stream_usage: bool = True
    """Ask OpenAI and Azure for the usage of a chat stream, and hide the extra chunk that brings it."""
    tokenizer: str | None = None
    """tiktoken encoding for estimates of requests; `None` for UTF-8 bytes / 4."""
    trust_remote_tasks: bool = False
    """Believe what inbound baggage says about the task of the caller."""
    context: bool = True
    """Measure what the input of calls is made of, and which of them are repeated."""
    prices: Path | Mapping[str, object] | None = None
    """The user's price file, or its content; `None` for the shipped prices alone."""
    waste: WasteRules = field(default_factory=WasteRules)
    """What counts as waste where only a threshold can tell."""
    budgets: tuple[object, ...] | None = None
    """`Budget`s; `None` leaves those that `instrument` was given."""
    budget_store: object = None
    """A `BudgetStore`; `None` to count them in this process."""
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
class QueueEnvironment:
    """What the standard `OTEL_BSP_*` variables say about the queue before an OTLP endpoint."""

    limit: int
    """Spans that may wait."""
    batch: int
    """Spans that go out at once."""
    delay_seconds: float
    """How long a span waits for others."""


def queue_from_environment() -> QueueEnvironment:
    """Reads `OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` and `OTEL_BSP_SCHEDULE_DELAY`."""
    limit = _positive("OTEL_BSP_MAX_QUEUE_SIZE", 16_384)
    return QueueEnvironment(
        limit=limit,
        batch=min(limit, _positive("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)),
        delay_seconds=_positive("OTEL_BSP_SCHEDULE_DELAY", 5_000) / 1_000,
    )


def brings_own_session(signal: str) -> bool:
    """Whether a credential provider is named for OpenTelemetry's exporter of `signal` (`TRACES`)."""
    prefix = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_"
    return bool(_env(f"{prefix}CREDENTIAL_PROVIDER") or _env(f"{prefix}{signal}_CREDENTIAL_PROVIDER"))


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


@dataclass(frozen=True, slots=True)
class OtlpShipping:
    """What the environment says about sending traces, for `taskmeter ship`; empty where it says nothing."""

    traces_endpoint: str
    """For traces alone, with its path. May hold a password, as all of these."""
    general_endpoint: str
    """For all signals, without the path of one."""
    protocol: str
    headers: str
    certificate: str
    client_certificate: str
    client_key: str
    compression: str
    timeout: str
    """Seconds, as the exporters of OpenTelemetry for Python read it."""
    insecure: str


def shipping_from_environment() -> OtlpShipping:
    """Reads `OTEL_EXPORTER_OTLP_TRACES_*`, and `OTEL_EXPORTER_OTLP_*` where those say nothing."""
    return OtlpShipping(
        traces_endpoint=_env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        general_endpoint=_env("OTEL_EXPORTER_OTLP_ENDPOINT"),
        protocol=_otlp_env("PROTOCOL", "TRACES"),
        headers=_otlp_env("HEADERS", "TRACES"),
        certificate=_otlp_env("CERTIFICATE", "TRACES"),
        client_certificate=_otlp_env("CLIENT_CERTIFICATE", "TRACES"),
        client_key=_otlp_env("CLIENT_KEY", "TRACES"),
        compression=_otlp_env("COMPRESSION", "TRACES"),
        timeout=_otlp_env("TIMEOUT", "TRACES"),
        insecure=_otlp_env("INSECURE", "TRACES"),
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


def _positive(name: str, default: int) -> int:
    """The value of a variable; what is not a positive whole number is as if it were not there."""
    said = _env(name)
    return int(said) if said.isascii() and said.isdecimal() and int(said) > 0 else default


def _env(name: str) -> str:
    return os.environ.get(name, "").strip()
