"""`configure()` in programs of its own, with real clients, exporting to a receiver in this process."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from taskmeter.spool.read import SpanRecord
from taskmeter.spool.receipts import Receipts
from tests.export.programs import run, spooled
from tests.export.receiver import Receiver, Span

PROGRAM = """
import taskmeter
from app import work
setup = taskmeter.configure()
print(work().cost.total, setup.flush())
"""
TOTAL = Decimal("0.0027495")
KINDS = {"call": 2, "tool": 1, "charge": 1, "task": 1}


def kinds(spans: list[Span] | list[SpanRecord]) -> Counter[object]:
    """How many spans there are of each kind."""
    return Counter(span.attributes.get("taskmeter.span.kind") for span in spans)


def service_names(receiver: Receiver) -> set[object]:
    """Of all that was received."""
    return {item.resource["service.name"] for item in (*receiver.spans, *receiver.points)}


def test_without_otel_variables_everything_is_in_the_spool_and_nothing_on_the_network(tmp_path: Path) -> None:
    """The default directory is below the working directory; the exporter's package is not even imported."""
    program = PROGRAM + "import sys\nprint('opentelemetry.exporter.otlp' in sys.modules)\n"
    done = run(program, tmp_path)
    assert (done.code, done.out, done.err) == (0, "0.00274950 True\nFalse", "")
    assert kinds(spooled(tmp_path / ".taskmeter")) == KINDS


def test_an_endpoint_gets_spans_and_metrics_with_the_types_that_backends_sum(tmp_path: Path) -> None:
    """Doubles and integers on the wire, one resource for both signals, everything in the spool as well."""
    with Receiver() as receiver:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_SERVICE_NAME": "helpdesk"}
        done = run(PROGRAM, tmp_path, **variables)
    assert (done.code, done.out, done.err) == (0, "0.00274950 True", "")
    assert {path for path, _ in receiver.requests} == {"/v1/traces", "/v1/metrics"}
    assert kinds(receiver.spans) == KINDS
    assert service_names(receiver) == {"helpdesk"}
    assert sorted(span.span_id for span in receiver.spans) == sorted(
        span.span_id for span in spooled(tmp_path / ".taskmeter")
    )

    (task,) = [span for span in receiver.spans if span.kind == "task"]
    assert {type(task.attributes[name]) for name in ("taskmeter.cost.total", "taskmeter.cost.wasted")} == {float}
    assert {type(task.attributes[name]) for name in ("taskmeter.calls", "taskmeter.usage.input_tokens")} == {int}
    calls = {span.attributes["gen_ai.response.model"]: span for span in receiver.spans if span.kind == "call"}
    costs = {model: span.attributes["gen_ai.usage.cost.amount"] for model, span in calls.items()}
    assert costs == {"gpt-5-mini": 0.0000535, "claude-sonnet-5": 0.000296}
    assert {type(cost) for cost in costs.values()} == {float}
    assert {type(span.attributes["gen_ai.usage.input_tokens"]) for span in calls.values()} == {int}
    assert {span.parent_id for span in receiver.spans if span is not task} == {task.span_id}
    leaves = [Decimal(span.attributes["taskmeter.cost.exact"]) for span in receiver.spans if span is not task]
    assert sum(leaves) == Decimal(task.attributes["taskmeter.cost.exact"]) == TOTAL


def test_metrics_carry_the_same_money_as_the_ledger(tmp_path: Path) -> None:
    """With their units, and no less when no trace is sampled: then the spool holds nothing."""
    with Receiver() as receiver:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_TRACES_SAMPLER": "always_off"}
        done = run(PROGRAM.replace("work()", "work(3)"), tmp_path, **variables)
    assert (done.code, done.out, done.err) == (0, "0.00274950 True", "")
    assert receiver.spans == []
    assert spooled(tmp_path / ".taskmeter") == []
    assert receiver.sum("taskmeter.cost") == pytest.approx(float(3 * TOTAL), rel=1e-12)
    assert receiver.sum("taskmeter.task.cost") == pytest.approx(float(3 * TOTAL), rel=1e-12)
    assert receiver.sum("taskmeter.cost", {"taskmeter.cost.category": "tools"}) == pytest.approx(0.006, rel=1e-12)
    assert receiver.sum("taskmeter.cost", {"gen_ai.response.model": "gpt-5-mini"}) == pytest.approx(
        0.0001605, rel=1e-12
    )
    assert receiver.sum("taskmeter.tasks", {"taskmeter.task.outcome": "succeeded"}) == 3
    assert receiver.sum("gen_ai.client.token.usage", {"gen_ai.token.type": "input"}) == 150
    assert {point.metric: point.unit for point in receiver.points} == {
        "taskmeter.cost": "{USD}",
        "taskmeter.task.cost": "{USD}",
        "taskmeter.tasks": "{task}",
        "gen_ai.client.token.usage": "{token}",
        "gen_ai.client.operation.duration": "s",
        "gen_ai.execute_tool.duration": "s",
        "gen_ai.invoke_workflow.duration": "s",
    }


def test_standard_variables_decide_what_is_sent_where(tmp_path: Path) -> None:
    """An endpoint for traces only, compressed; the argument's service name wins over the variable's."""
    program = PROGRAM.replace("configure()", "configure(service_name='mine', spool=False)")
    with Receiver() as receiver:
        variables = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{receiver.url}/v1/traces",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_SERVICE_NAME": "theirs",
        }
        done = run(program, tmp_path, **variables)
    assert (done.code, done.out, done.err) == (0, "0.00274950 True", "")
    assert set(receiver.requests) == {("/v1/traces", "gzip")}
    assert kinds(receiver.spans) == KINDS
    assert service_names(receiver) == {"mine"}
    assert not (tmp_path / ".taskmeter").exists()


def test_traces_can_be_kept_from_an_endpoint(tmp_path: Path) -> None:
    """`OTEL_TRACES_EXPORTER=none`: metrics go out, spans to the spool that TASKMETER_SPOOL names."""
    with Receiver() as receiver:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_TRACES_EXPORTER": "none"}
        done = run(PROGRAM, tmp_path, TASKMETER_SPOOL="elsewhere/spool", **variables)
    assert (done.code, done.out, done.err) == (0, "0.00274950 True", "")
    assert receiver.spans == []
    assert receiver.sum("taskmeter.tasks") == 1
    assert kinds(spooled(tmp_path / "elsewhere" / "spool")) == KINDS


def test_a_disabled_sdk_leaves_the_ledger(tmp_path: Path) -> None:
    """`OTEL_SDK_DISABLED=true`: nothing is written or sent, and the cost is right all the same."""
    with Receiver() as receiver:
        done = run(PROGRAM, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_SDK_DISABLED="true")
    assert (done.code, done.out, done.err) == (0, "0.00274950 True", "")
    assert receiver.requests == []
    assert spooled(tmp_path / ".taskmeter") == []


def test_a_provider_of_the_applications_own_is_kept(tmp_path: Path) -> None:
    """The same object with its resource; spool and task processor once; its exporting is its own business."""
    program = """
import json
from concurrent.futures import ThreadPoolExecutor
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import taskmeter
from app import work

taskmeter.instrument()
memory = InMemorySpanExporter()
own = TracerProvider(resource=Resource.create({"service.name": "own"}))
own.add_span_processor(SimpleSpanProcessor(memory))
trace.set_tracer_provider(own)
with ThreadPoolExecutor(8) as pool:
    setups = set(pool.map(lambda _: taskmeter.configure(), range(8)))
(setup,) = setups
processors = [type(p).__name__ for p in own._active_span_processor._span_processors]
with taskmeter.track_task("outer"), trace.get_tracer("app").start_as_current_span("theirs"):
    work()
setup.shutdown()
with trace.get_tracer("app").start_as_current_span("later"):
    pass
print(json.dumps([trace.get_tracer_provider() is own, processors, [s.name for s in memory.get_finished_spans()]]))
"""
    # A protocol that we do not serve does not matter where we send nothing.
    with Receiver() as receiver:
        variables = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.url, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
        done = run(program, tmp_path, **variables)
    assert (done.code, done.err) == (0, "")
    kept, processors, seen = json.loads(done.out)
    assert kept
    assert sorted(processors) == ["SimpleSpanProcessor", "SpanQueue", "TaskSpanProcessor"]
    assert receiver.requests == []
    spans = spooled(tmp_path / ".taskmeter")
    assert sorted(seen) == sorted([*(span.name for span in spans), "later"])
    assert {span.service for span in spans} == {"own"}
    (theirs,) = [span for span in spans if span.name == "theirs"]
    assert theirs.attributes["taskmeter.task.name"] == "outer"
    assert kinds(spans) == {**KINDS, "task": 2, None: 1}


def test_a_program_that_instrumented_before_is_counted_once(tmp_path: Path) -> None:
    """With a client named first, and a provider that only we were given: `configure()` has the last word."""
    program = """
from opentelemetry.sdk.trace import TracerProvider
import openai, taskmeter
from app import work
taskmeter.instrument(openai.OpenAI(api_key="stub"), tracer_provider=TracerProvider(shutdown_on_exit=False))
setup = taskmeter.configure(spool="s")
task = work()
print(task.calls, task.cost.total, setup.flush())
"""
    done = run(program, tmp_path)
    assert (done.code, done.out, done.err) == (0, "2 0.00274950 True", "")
    assert kinds(spooled(tmp_path / "s")) == KINDS


@pytest.mark.parametrize(
    ("arguments", "variables", "error"),
    [
        (
            "",
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            (
                "ConfigurationError: OTEL_EXPORTER_OTLP_PROTOCOL='grpc' is not served; set it (or "
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL) to 'http/protobuf', and the endpoint to the "
                "HTTP port, usually 4318; or leave it to `taskmeter ship`, which serves grpc: delivery='spool', and "
                "OTEL_METRICS_EXPORTER=none"
            ),
        ),
        (
            "",
            {"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/json"},
            (
                "ConfigurationError: OTEL_EXPORTER_OTLP_PROTOCOL='http/json' is not served; set it (or "
                "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL) to 'http/protobuf', and the endpoint to the "
                "HTTP port, usually 4318; or leave it to `taskmeter ship`, which serves grpc: delivery='spool', and "
                "OTEL_METRICS_EXPORTER=none"
            ),
        ),
        *(
            (
                "",
                {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint},
                (
                    f"ConfigurationError: the OTLP endpoint '{shown}/v1/traces' is no URL; write "
                    "OTEL_EXPORTER_OTLP_ENDPOINT as in http://localhost:4318"
                ),
            )
            for endpoint, shown in (("localhost:4318", "localhost:4318"), ("http://me:pw@host:port", "host:port"))
        ),
        (
            "",
            {"BLOCKED": "opentelemetry.exporter"},
            (
                "MissingDependencyError: Exporting to OTEL_EXPORTER_OTLP_ENDPOINT needs "
                "opentelemetry-exporter-otlp-proto-http, which is not installed. Install it with: "
                "pip install 'taskmeter[otlp]'"
            ),
        ),
        ("spool=''", {}, "ConfigurationError: spool='' names no directory; pass a path, or False for no spool"),
        (
            "service_name=' '",
            {},
            "ConfigurationError: service_name=' ' names nothing; pass a name, or leave it out for OTEL_SERVICE_NAME",
        ),
        (
            "delivery='post'",
            {},
            "ConfigurationError: delivery='post' is not one of direct, spool, both",
        ),
        (
            "delivery='direct'",
            {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
            (
                "ConfigurationError: delivery='direct' needs an endpoint for traces, and the environment names none; "
                "set OTEL_EXPORTER_OTLP_ENDPOINT, and neither OTEL_SDK_DISABLED nor OTEL_TRACES_EXPORTER=none"
            ),
        ),
        (
            "delivery='direct', spool='s'",
            {},
            (
                "ConfigurationError: delivery='direct' keeps no spool, and spool='s' asks for one; say "
                "delivery='both', or leave spool out"
            ),
        ),
        (
            "delivery='spool', spool=False",
            {},
            (
                "ConfigurationError: delivery='spool' needs a spool, and spool=False says there is none; leave spool "
                "out, or say delivery='direct'"
            ),
        ),
        ("exit_seconds=0", {}, "ConfigurationError: exit_seconds=0 must be a number above 0"),
        (
            "spool=taskmeter.Spool(fsync='often')",
            {},
            "ConfigurationError: Spool(fsync='often') is not one of never, interval, always",
        ),
        (
            "spool=taskmeter.Spool(keep_days='7')",
            {},
            "ConfigurationError: Spool(keep_days)='7' must be a number above 0",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_and_changes_nothing(
    tmp_path: Path, arguments: str, variables: dict[str, str], error: str
) -> None:
    """The message shows the value and the fix; no provider is set and no hook is on."""
    program = f"""
import os, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(os.environ.get("BLOCKED", "nothing")):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
from opentelemetry import metrics, trace
import taskmeter
try:
    taskmeter.configure({arguments})
except taskmeter.TaskmeterError as error:
    print(f"{{type(error).__name__}}: {{error}}")
from taskmeter.capture import _installed
print(type(trace.get_tracer_provider()).__name__, type(metrics.get_meter_provider()).__name__, _installed.active)
"""
    done = run(program, tmp_path, **{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", **variables})
    assert (done.out, done.err) == (f"{error}\nProxyTracerProvider _ProxyMeterProvider False", "")


@pytest.mark.parametrize(
    ("delivery", "sent", "written", "receipts"), [("direct", 5, 0, 0), ("spool", 0, 5, 0), ("both", 5, 5, 5)]
)
def test_delivery_says_which_way_spans_go(
    tmp_path: Path, delivery: str, sent: int, written: int, receipts: int
) -> None:
    """Metrics go to the endpoint in any case; receipts say what it has, so that it is not shipped again."""
    with Receiver() as receiver:
        program = PROGRAM.replace("configure()", f"configure(delivery={delivery!r})")
        done = run(program, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        known = Receipts(tmp_path / ".taskmeter", f"{receiver.url}/v1/traces")
        known.refresh()
    assert (done.code, done.out, done.err) == (0, "0.00274950 True", "")
    assert (len(receiver.spans), len(spooled(tmp_path / ".taskmeter")), len(known)) == (sent, written, receipts)
    assert receiver.sum("taskmeter.tasks") == 1


def test_a_provider_of_the_applications_own_is_not_sent_from(tmp_path: Path) -> None:
    """Its exporting is its own business, and to ask for ours is a mistake."""
    program = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
import taskmeter
trace.set_tracer_provider(TracerProvider())
taskmeter.configure(delivery="both")
"""
    done = run(program, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert done.code == 1
    assert "delivery='both' would send the spans of a TracerProvider of your own" in done.err


def test_a_second_configure_must_ask_for_the_same(tmp_path: Path) -> None:
    """The same settings give the same setup; others, or any after the shutdown, are refused."""
    program = """
import taskmeter
setup = taskmeter.configure(spool="one")
print(taskmeter.configure(spool="one") is setup)
def refused(**arguments):
    try:
        taskmeter.configure(**arguments)
    except taskmeter.TaskmeterError as error:
        print(error)
refused(spool="two")
setup.shutdown()
setup.shutdown()
print(setup.flush())
refused(spool="one")
"""
    done = run(program, tmp_path)
    assert done.err == ""
    same, other, flushed, later = done.out.splitlines()
    assert same == "True"
    assert other.endswith("call it once per process")
    assert "spool was PosixPath('one'), is PosixPath('two')" in other
    assert flushed == "False"
    assert later.startswith("configure() was called after shutdown()")


def test_configuring_again_puts_the_hooks_back(tmp_path: Path) -> None:
    """After `uninstrument()` the same `configure()` call observes again, with one spool."""
    program = """
import taskmeter
from app import work
taskmeter.configure()
taskmeter.uninstrument()
taskmeter.configure()
print(work().calls)
"""
    done = run(program, tmp_path)
    assert (done.code, done.out, done.err) == (0, "2", "")


@pytest.mark.parametrize("setting", ["spool=5", "service_name=3", "spool='  '"])
def test_settings_of_the_wrong_type_are_refused(tmp_path: Path, setting: str) -> None:
    """The message shows the value and the fix."""
    done = run(f"import taskmeter\ntaskmeter.configure({setting})", tmp_path)
    assert done.code == 1
    assert f"ConfigurationError: {setting.replace(chr(34), chr(39))} names" in done.err
