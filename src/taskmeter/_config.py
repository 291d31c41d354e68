"""Frozen settings, and the only reader of `os.environ`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_SPOOL = Path(".taskmeter")


@dataclass(frozen=True, slots=True)
class Settings:
    """What `configure()` was asked for, with every default filled in."""

    service_name: str | None = None
    spool: Path | None = DEFAULT_SPOOL
    """Directory of the local record; `None` for no spool."""
    stream_usage: bool = True
    """Ask OpenAI and Azure for the usage of a chat stream, and hide the extra chunk that brings it."""


@dataclass(frozen=True, slots=True)
class OtlpEnvironment:
    """What the standard `OTEL_*` variables say about export."""

    traces: bool
    """Whether they name an endpoint for traces."""
    metrics: bool
    """Whether they name an endpoint for metrics."""
    protocol: str


def spool_from_environment() -> Path:
    """The spool directory: `TASKMETER_SPOOL`, else `.taskmeter` in the working directory."""
    return Path(os.environ.get("TASKMETER_SPOOL") or DEFAULT_SPOOL)


def otlp_from_environment() -> OtlpEnvironment:
    """Reads `OTEL_EXPORTER_OTLP_*`, `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER` and `OTEL_SDK_DISABLED`."""

    def names_endpoint(signal: str) -> bool:
        if _env("OTEL_SDK_DISABLED").lower() == "true" or _env(f"OTEL_{signal}_EXPORTER").lower() == "none":
            return False
        return bool(_env("OTEL_EXPORTER_OTLP_ENDPOINT") or _env(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"))

    return OtlpEnvironment(
        traces=names_endpoint("TRACES"),
        metrics=names_endpoint("METRICS"),
        protocol=_env("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf",
    )


def _env(name: str) -> str:
    return os.environ.get(name, "").strip()
