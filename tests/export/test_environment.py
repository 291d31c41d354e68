"""What the standard variables mean."""

from __future__ import annotations

import os

import pytest

from taskmeter._config import OtlpEnvironment, otlp_from_environment

HTTP = "http/protobuf"
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}


@pytest.mark.parametrize(
    ("variables", "traces", "metrics"),
    [
        ({}, None, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, None, None),
        (ENDPOINT, HTTP, HTTP),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost/t"}, HTTP, None),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://localhost/m"}, None, HTTP),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, None, HTTP),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "console, OTLP", "OTEL_METRICS_EXPORTER": "prometheus"}, HTTP, None),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "True"}, None, None),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc", "grpc"),
        (
            ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": HTTP},
            HTTP,
            "grpc",
        ),
    ],
)
def test_which_signals_are_sent_and_how(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], traces: str | None, metrics: str | None
) -> None:
    """An endpoint, unless the signal goes elsewhere or nowhere; the signal's own protocol before the general one."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert otlp_from_environment() == OtlpEnvironment(traces=traces, metrics=metrics)
