"""What the doctor finds, what it says is to be done, and that looking changes nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
import wrapt
from openai._base_client import SyncAPIClient
from openai.resources.chat.completions import Completions
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

import taskmeter
from taskmeter import TaskSpanProcessor, _guard
from taskmeter.diagnosis import Diagnosis
from taskmeter.telemetry import losses

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def hooks_off(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing has failed yet; whatever a test puts on comes off, and the global providers are in use again."""
    monkeypatch.setattr(_guard, "faults", Counter())
    monkeypatch.setattr(_guard, "first_faults", {})
    monkeypatch.setattr(losses, "_lost", Counter())
    yield
    taskmeter.instrument()
    taskmeter.uninstrument()


def said(diagnosis: Diagnosis, level: str) -> str:
    return "\n".join(f"{found.says} -> {found.fix}" for found in diagnosis.findings if found.level == level)


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "TASKMETER_"))}
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "taskmeter", "doctor", *arguments],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_the_page_shows_the_real_output(tmp_path: Path) -> None:
    """In an environment where all is well; versions are those of the day."""
    page = (ROOT / "docs" / "doctor.md").read_text()
    shown = re.search(r"```\n\$ taskmeter doctor\n(.*?)```", page, re.DOTALL)
    assert shown is not None
    done = command(TASKMETER_SPOOL=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")

    def normal(text: str) -> list[list[str]]:
        text = re.sub(r"(?s)(Versions\n).*?\n\n", r"\1\n", text).replace(str(tmp_path), ".taskmeter")
        return [line.split() for line in text.strip().splitlines()]

    assert normal(done.stdout) == normal(shown[1])


def test_json_and_exit_code(tmp_path: Path) -> None:
    """1 if something needs action; the findings with their fixes are in the JSON."""
    done = command("--json", "--spool", str(tmp_path), OTEL_SDK_DISABLED="true")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["healthy"] is False
    assert found["versions"]["taskmeter"] == taskmeter.__version__
    assert {hook["state"] for hook in found["hooks"] if hook["module"].startswith("anthropic")} == {"in"}
    assert {finding["fix"] for finding in found["findings"]} == {"unset OTEL_SDK_DISABLED"}


def test_looking_changes_nothing() -> None:
    """A running program's diagnosis imports no SDK, hooks nothing and makes no spool."""
    program = """
import sys, taskmeter
found = taskmeter.diagnose()
print(found.healthy, sorted({"openai", "anthropic"} & set(sys.modules)), len(found.hooks) > 50)
print({hook.state for hook in found.hooks if hook.module.startswith("openai")})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["False [] True", "{'out'}"]


class StandIn:
    """For a package that is not installed."""

    @property
    def __class__(self) -> Any:
        raise ImportError

    @__class__.setter
    def __class__(self, value: Any) -> None: ...


def test_what_cannot_be_asked_for_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is passed over, in the SDK's modules too."""
    monkeypatch.setattr("openai._base_client.lazy", StandIn(), raising=False)
    assert taskmeter.diagnose().versions["openai"]


def test_nothing_is_hooked() -> None:
    """That is what a program forgets first."""
    assert "no client is observed: instrument() was not called" in said(taskmeter.diagnose(), "action")
    taskmeter.instrument()
    diagnosis = taskmeter.diagnose()
    assert diagnosis.healthy, said(diagnosis, "action")
    assert "no TracerProvider is set: spans go nowhere" in said(diagnosis, "note")


@pytest.mark.parametrize(
    ("variables", "says", "fix"),
    [
        ({"OTEL_SDK_DISABLED": "True"}, "records nothing", "unset OTEL_SDK_DISABLED"),
        ({"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "63"}, "63 attributes only", "raise OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"),
        ({"OTEL_ATTRIBUTE_COUNT_LIMIT": "32"}, "32 attributes only", "to 128, the default"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL='grpc' is not served for traces",
            "set it to http/protobuf",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://u:pass@x:4317"}, "(http://x:4317) has port 4317", "4318"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "x:4318/v1"}, "for traces (x:4318/v1) is no http", "http://host:4318"),
    ],
)
def test_environment(variables: dict[str, str], says: str, fix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that keep anything from being recorded or sent, without the credentials in them."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    taskmeter.instrument()
    found = said(taskmeter.diagnose(), "action")
    assert says in found
    assert fix in found
    assert "pass" not in found


def test_a_good_environment_is_not_complained_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint as it should be, limits that suffice, and an endpoint that is not used."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://api.example.com")
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "64")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc")
    taskmeter.instrument()
    assert taskmeter.diagnose().healthy


def test_providers_and_exporters() -> None:
    """Which are in use, where they send to, without credentials, and what they lack."""
    provider = TracerProvider(
        sampler=TraceIdRatioBased(0.1), span_limits=SpanLimits(max_span_attributes=40), shutdown_on_exit=False
    )
    exporter = OTLPSpanExporter("https://user:pass@collector:4318/v1/traces?key=secret")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    taskmeter.instrument(tracer_provider=provider, meter_provider=MeterProvider(shutdown_on_exit=False))
    traces, metrics = taskmeter.diagnose().providers
    assert [(each.name, each.to) for each in traces.exporters] == [
        ("OTLPSpanExporter", "https://collector:4318/v1/traces")
    ]
    assert (traces.stamps, traces.attribute_limit, traces.sampler) == (False, 40, "TraceIdRatioBased{0.1}")
    assert (metrics.name, metrics.exporters) == ("opentelemetry.sdk.metrics._internal.MeterProvider", ())
    diagnosis = taskmeter.diagnose()
    assert "has no TaskSpanProcessor" in said(diagnosis, "action")
    assert "a span may hold 40 attributes only" in said(diagnosis, "action")
    assert "spans are sampled (TraceIdRatioBased{0.1})" in said(diagnosis, "note")
    assert "exports to nowhere" in said(diagnosis, "note")
    assert "secret" not in str(diagnosis)
    provider.add_span_processor(TaskSpanProcessor())
    assert "TaskSpanProcessor" not in said(taskmeter.diagnose(), "action")
    provider.shutdown()


CONFIGURED = """
import sys, taskmeter
taskmeter.configure(spool=sys.argv[1])
found = taskmeter.diagnose()
print(found.healthy, found.providers[0].stamps, [(each.name, each.to) for each in found.providers[0].exporters])
print(found.spool.directory == sys.argv[1], found.spool.in_use, found.spool.writable)
"""


@pytest.mark.parametrize("writable", [True, False])
def test_the_spool(tmp_path: Path, *, writable: bool) -> None:
    """What `configure()` put in place is seen, and a directory that cannot be written is said."""
    (tmp_path / "file").touch()
    spool = tmp_path / ("spool" if writable else "file/spool")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", CONFIGURED, str(spool)],
        env=clean,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == [
        f"{writable} True [('spool', {str(spool)!r})]",
        f"True True {writable}",
    ]


def test_own_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each place with its count and the first fault's class and line; no message, which may hold a prompt."""
    monkeypatch.setattr(_guard, "strict", False)
    monkeypatch.setattr("taskmeter._guard.log.disabled", True)
    taskmeter.instrument()
    for _ in range(3):
        with _guard.guarded("capture.begin"):
            raise ValueError("my prompt")
    diagnosis = taskmeter.diagnose()
    [fault] = diagnosis.faults
    assert (fault.place, fault.count) == ("capture.begin", 3)
    assert re.fullmatch(r"ValueError at .*test_diagnose:\d+", fault.first)
    assert "taskmeter failed 3 times in capture.begin (ValueError at" in said(diagnosis, "action")
    assert "my prompt" not in str(diagnosis)


def test_hook_that_was_turned_off() -> None:
    """It says which, and how to try again."""
    taskmeter.instrument()
    breaker = next(each for each in _guard._breakers if each.hook == "openai streams")
    for _ in range(_guard.LIMIT):
        breaker.failed("capture.event")
    diagnosis = taskmeter.diagnose()
    assert diagnosis.turned_off == ("openai streams",)
    assert "the hook on openai streams is off" in said(diagnosis, "action")
    assert "uninstrument() and instrument() try it once more" in said(diagnosis, "action")
    assert "off after repeated faults: openai._streaming.Stream.__stream__" in str(diagnosis)


def test_function_that_the_sdk_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is lost with it, and that the rest works."""
    monkeypatch.delattr(SyncAPIClient, "_sleep_for_retry")
    taskmeter.instrument()
    found = said(taskmeter.diagnose(), "action")
    taskmeter.uninstrument()
    assert "has no openai._base_client.SyncAPIClient._sleep_for_retry: retries are not seen; the other hooks" in found
    assert "update taskmeter" in found


def theirs(module: str) -> Any:
    """A wrapper as an instrumentation of this name defines it."""

    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    return FunctionType(wrapper.__code__, {"__name__": module})


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("openinference.instrumentation.openai._request", "OpenInference"),
        ("opentelemetry.instrumentation.openai.shared", "OpenLLMetry"),
        ("opentelemetry.instrumentation.openai_v2.patch", "OpenTelemetry"),
        ("logfire._internal.integrations.llm_providers", "Logfire"),
        ("homegrown.tracing", "homegrown.tracing"),
    ],
)
def test_others_who_instrument(module: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Known by what they have put on the SDKs' functions, above or beneath ours."""
    monkeypatch.setitem(sys.modules, module, ModuleType(module))
    wrapper = theirs(module)
    monkeypatch.setattr(Completions, "create", wrapt.FunctionWrapper(vars(Completions)["create"], wrapper))
    assert [each.name for each in taskmeter.diagnose().neighbours if each.active] == [name]
    taskmeter.instrument()
    assert "has wrapped" not in said(taskmeter.diagnose(), "note")
    original = vars(SyncAPIClient)["request"]
    monkeypatch.setattr(SyncAPIClient, "request", wrapt.FunctionWrapper(original, wrapper))
    diagnosis = taskmeter.diagnose()
    [neighbour] = [each for each in diagnosis.neighbours if each.active]
    assert len(neighbour.functions) == 2
    assert f"{name} has wrapped openai._base_client.SyncAPIClient.request after taskmeter" in said(diagnosis, "note")
    assert diagnosis.healthy
    monkeypatch.undo()


def test_nobody_else_is_seen_where_nobody_is() -> None:
    """The SDKs' own decorators, and our hooks, are no neighbours."""
    taskmeter.instrument()
    assert [each for each in taskmeter.diagnose().neighbours if each.active] == []


def test_lost_spans() -> None:
    """How many, on which way, why, and what to do."""
    taskmeter.instrument()
    losses.count("spool", "exit", 7)
    losses.count("otlp", "rejected", 2, "HTTP 400")
    losses.count("otlp", "rejected", 3)
    diagnosis = taskmeter.diagnose()
    assert diagnosis.as_dict()["losses"] == (
        {"destination": "otlp", "reason": "rejected", "spans": 5},
        {"destination": "spool", "reason": "exit", "spans": 7},
    )
    found = said(diagnosis, "action")
    assert "7 spans were lost on the way to the spool (exit): the process ended before" in found
    assert "5 spans were lost on the way to the OTLP endpoint (rejected): the endpoint refused them" in found
