"""Frozen settings, and the only reader of `os.environ`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from taskmeter.errors import ConfigurationError

DEFAULT_SPOOL = Path(".taskmeter")
DEFAULT_PRICES = Path("taskmeter.toml")


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
    context: bool = True
    """Measure what the input of calls is made of, and which of them are repeated."""
    prices: Path | Mapping[str, object] | None = None
    """The user's price file, or its content; `None` for the shipped prices alone."""
    waste: WasteRules = field(default_factory=WasteRules)
    """What counts as waste where only a threshold can tell."""


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


def environment() -> Environment:
    """The variables that decide whether anything is recorded and where it goes."""
    return Environment(
        sdk_disabled=_sdk_disabled(),
        span_attribute_limit=_env("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT") or _env("OTEL_ATTRIBUTE_COUNT_LIMIT"),
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
