"""Hooks go on and come off without a trace, for all clients or for one, before or after the SDK is imported."""

from __future__ import annotations

import gc
import importlib
import inspect
import os
import subprocess
import sys
import textwrap
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
import wrapt
from openai._base_client import SyncAPIClient

import taskmeter
from taskmeter import track_task
from taskmeter.capture import hook_status
from taskmeter.demo.stub import Error, StubProvider, succeed
from taskmeter.errors import UsageError
from tests.capture import programs as p
from tests.capture.harness import CLAUDE, MESSAGES, Kit, Meter
from tests.capture.sdks import OLD, accepts, http_of, needs

SDKS = ("openai", "anthropic")
CLASSES = [
    *((f"{package}._base_client", f"{kind}APIClient") for package in SDKS for kind in ("Sync", "Async")),
    *((f"{package}._base_client", "BaseClient") for package in SDKS),
    *((f"{package}._streaming", owner) for package in SDKS for owner in ("Stream", "AsyncStream")),
    *((http, "Response") for http in sorted({http_of(openai).__name__, http_of(anthropic).__name__})),
]  # fmt: skip


def functions() -> dict[tuple[str, str, str], object]:
    """Every attribute of every class that may be hooked, as its `__dict__` has it."""
    found = {}
    for module, owner in CLASSES:
        for name, value in vars(getattr(importlib.import_module(module), owner)).items():
            found[module, owner, name] = value
    return found


def test_uninstrument_restores_the_identical_functions() -> None:
    """Not equal ones, not wrappers that do nothing: the very objects, also after repeated `instrument`."""
    before = functions()
    meter = Meter()
    meter.instrument()
    meter.instrument()
    hooked = {key for key, value in functions().items() if before.get(key) is not value}
    taskmeter.uninstrument()
    after = functions()
    meter.close()
    assert {key[2] for key in hooked} - {"_retry_request"} == {
        "request", "_request", "_process_response", "_process_response_data", "_sleep_for_retry", "__stream__", "close",
        "aclose", "iter_bytes", "aiter_bytes",
    } - ({"_request"} if OLD and not any(key[2] == "_request" for key in before) else set())  # fmt: skip
    assert len(hooked) == 28 or OLD
    assert before.keys() == after.keys()
    assert all(after[key] is value for key, value in before.items())


def test_nothing_is_observed_after_uninstrument(meter: Meter) -> None:
    """And `instrument` puts the hooks on again."""
    with StubProvider() as stub, track_task("test") as task:
        p.chat(Kit(stub.url))
        taskmeter.uninstrument()
        p.chat(Kit(stub.url))
        meter.instrument()
        p.chat(Kit(stub.url))
    assert task.calls == 2
    assert len(meter.model_spans()) == 2


def test_stream_open_at_uninstrument_is_still_booked(meter: Meter) -> None:
    """A call under way is not lost."""
    with StubProvider() as stub, track_task("test") as task:
        stream = Kit(stub.url).openai().chat.completions.create(**p.CHAT, stream=True)
        taskmeter.uninstrument()
        assert len(list(stream)) > 0
    assert task.calls == 1


def test_instrument_one_client_and_its_clones() -> None:
    """No other client is observed, neither of the same SDK nor of the other."""
    meter = Meter()
    with StubProvider() as stub, track_task("test") as task:
        kit = Kit(stub.url)
        mine, other, claude = kit.openai(), kit.openai(), kit.anthropic()
        meter.instrument(mine)
        try:
            mine.chat.completions.create(**p.CHAT)
            mine.with_options(timeout=3).responses.create(**p.RESPONSE)
            other.chat.completions.create(**p.CHAT)
            claude.messages.create(**p.MESSAGE)
            assert task.calls == 2
            meter.instrument(claude)
            claude.messages.create(**p.MESSAGE)
            other.chat.completions.create(**p.CHAT)
            assert task.calls == 3
        finally:
            meter.close()
        kit.close()


@pytest.mark.parametrize(
    "value", [object(), openai, openai.OpenAI, "client", 0], ids=lambda value: type(value).__name__
)
def test_instrument_refuses_what_is_no_client(value: Any) -> None:
    """The message shows what it was given and what to give; nothing is hooked."""
    before = functions()
    with pytest.raises(taskmeter.TaskmeterError, match="pass an OpenAI or Anthropic client, or nothing for all"):
        taskmeter.instrument(value)
    assert all(functions()[key] is function for key, function in before.items())


def run(code: str, **environment: str) -> str:
    """Runs `code` in a fresh interpreter where warnings are errors; returns what it printed."""
    script = "from tests.capture.harness import *\n" if "Meter" in code else ""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": ".", **environment},
    )
    assert done.returncode == 0, done.stderr
    assert "taskmeter failed" not in done.stderr
    return done.stdout.strip()


def test_instrument_before_the_sdks_are_imported() -> None:
    """Importing taskmeter imports neither SDK; both are hooked when they come."""
    code = """
        import sys
        import taskmeter
        taskmeter.instrument()
        print(sorted({"openai", "anthropic"} & set(sys.modules)))
        from taskmeter.demo.stub import StubProvider
        import openai, anthropic
        with StubProvider() as stub, taskmeter.track_task("test") as task:
            openai.OpenAI(base_url=f"{stub.url}/v1", api_key="x").responses.create(model="gpt-5-mini", input="a")
            anthropic.Anthropic(base_url=stub.url, api_key="x").messages.create(
                model="claude-sonnet-5", max_tokens=9, messages=[{"role": "user", "content": "a"}])
        print(task.calls, task.unpriced_calls)
    """
    assert run(code) == "[]\n2 0"


GLOBAL = """
    from opentelemetry import trace
    import taskmeter
    meter = Meter()
    trace.set_tracer_provider(meter.tracer_provider)
    taskmeter.instrument()
    from taskmeter.demo.stub import StubProvider, Error, Script
    client = None
    with StubProvider() as stub, track_task("test") as task:
        client = anthropic.Anthropic(base_url=stub.url, api_key="x")
        client.messages.create(model=CLAUDE, max_tokens=9, messages=MESSAGES)
    [span] = meter.model_spans()
    print(span.instrumentation_scope.name.partition(".")[0], attributes(span)["taskmeter.cost.status"])
    print(task.cost.total == meter.leaf_sum())
"""


@pytest.mark.parametrize(("switch", "scope"), [("", "com"), ("true", "com"), ("false", "taskmeter")])
def test_anthropic_switched_by_environment(switch: str, scope: str) -> None:
    """With the global provider: the SDK's span by default, ours where the environment turned its tracing off."""
    needs(accepts(anthropic.Anthropic, "open_telemetry"), "spans of the SDK's own")
    assert run(GLOBAL, ANTHROPIC_OPEN_TELEMETRY=switch) == f"{scope} exact\nTrue"


@pytest.mark.parametrize("status", [200, 400])
def test_anthropic_without_a_global_provider_has_our_span(meter: Meter, status: int) -> None:
    """The SDK traces by default, but to nowhere: the span is ours then, for calls that fail too."""
    with StubProvider(succeed if status == 200 else lambda _: Error(400)) as stub, track_task("test") as task:
        client = Kit(stub.url).anthropic(open_telemetry=None)
        with pytest.raises(anthropic.BadRequestError) if status == 400 else nullcontext():
            client.messages.create(model=CLAUDE, max_tokens=9, messages=MESSAGES)
        client.close()
    [span] = meter.model_spans()
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "taskmeter"
    assert span.status.status_code.name == ("UNSET" if status == 200 else "ERROR")
    assert task.cost.total == meter.leaf_sum()
    assert (task.cost.total > Decimal(0)) is (status == 200)


@pytest.mark.parametrize("argument", ["tracer_provider", "meter_provider"])
def test_what_is_no_provider_is_refused(argument: str) -> None:
    """The message shows the value and the fix; no hook goes on."""
    with pytest.raises(UsageError, match=rf"{argument}=5 has no get_.*pass an OpenTelemetry provider"):
        taskmeter.instrument(**{argument: 5})  # type: ignore[arg-type]


def counts() -> tuple[int, int, int]:
    """Wrappers, objects that the collector knows, and entries in wrapt's registry of imports."""
    gc.collect()
    found = gc.get_objects()
    wrappers = sum(type(each).__name__ in ("_Replacement", "_Installed") for each in found)
    return wrappers, len(found), sum(map(len, wrapt.importer._post_import_hooks.values()))


def test_hundred_times_leave_no_growth() -> None:
    """With the global providers and with given ones: no wrapper, no meter, no import hook stays."""
    meter = Meter()

    def once() -> None:
        taskmeter.instrument()
        taskmeter.uninstrument()
        meter.instrument()
        taskmeter.uninstrument()

    once()
    before, originals = counts(), functions()
    for _ in range(100):
        once()
    after = counts()
    meter.close()
    assert (after[0], after[2]) == (before[0], before[2]) == (0, before[2])
    assert after[1] - before[1] < 100
    assert all(functions()[key] is value for key, value in originals.items())


def test_threads_that_hook_unhook_and_import() -> None:
    """Whatever the order, nobody fails or hangs, and the last word counts."""
    code = """
        import importlib, sys, threading
        import pydantic.v1  # old SDKs cannot themselves be imported in several threads
        import taskmeter
        barrier = threading.Barrier(9)
        faults = []
        def run(action):
            barrier.wait()
            try:
                action()
            except BaseException as error:
                faults.append(error)
        def flip():
            for _ in range(30):
                taskmeter.instrument()
                taskmeter.uninstrument()
        imports = [lambda name=name: importlib.import_module(name) for name in ("openai", "anthropic", "httpx2") * 2]
        actions = [flip, flip, taskmeter.instrument, *imports]
        threads = [threading.Thread(target=run, args=(action,)) for action in actions]
        for thread in threads: thread.start()
        for thread in threads: thread.join(50)
        taskmeter.instrument()
        from taskmeter.capture import hook_status
        print(faults, any(thread.is_alive() for thread in threads))
        print({status.state for status in hook_status() if not status.optional and status.module != "httpx"})
        taskmeter.uninstrument()
        from openai._base_client import SyncAPIClient
        import inspect, types
        print(type(vars(SyncAPIClient)["request"]) is types.FunctionType)
        from taskmeter import _guard
        print(dict(_guard.faults))
    """
    assert run(code).splitlines() == ["[] False", "{'in'}", "True", "{}"]


def test_module_that_another_thread_is_importing_is_waited_for(tmp_path: Path) -> None:
    """Half a module has no class to hook yet."""
    (tmp_path / "slow_sdk.py").write_text("import time\ntime.sleep(0.5)\nclass Client:\n    def get(self): return 1\n")
    code = """
        import sys, threading, time
        from taskmeter._guard import Breaker
        from taskmeter.capture.hooks import Hook, Hooks
        hooks = Hooks([Hook("slow_sdk", "Client", "get", lambda wrapped, *rest: wrapped() + 1, Breaker("slow"))])
        thread = threading.Thread(target=__import__, args=("slow_sdk",))
        thread.start()
        while "slow_sdk" not in sys.modules: time.sleep(0.001)
        hooks.on()
        print(sys.modules["slow_sdk"].Client().get(), [status.state for status in hooks.status()])
    """
    assert run(code, PYTHONPATH=f".{os.pathsep}{tmp_path}") == "2 ['in']"


def test_wrapper_on_top_of_ours_stays_and_ours_idles() -> None:
    """What somebody has put on a hooked function cannot be taken out from beneath; it works on, without us."""
    meter = Meter()
    seen: list[str] = []

    def theirs(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        seen.append("theirs")
        return wrapped(*args, **kwargs)

    original = vars(SyncAPIClient)["request"]
    meter.instrument()
    ours = vars(SyncAPIClient)["request"]
    SyncAPIClient.request = wrapt.FunctionWrapper(ours, theirs)  # type: ignore[method-assign]
    try:
        states = {status.function: status.state for status in hook_status()}
        assert states["openai._base_client.SyncAPIClient.request"] == "covered"
        with StubProvider() as stub, track_task("test") as task:
            p.chat(Kit(stub.url))
            taskmeter.uninstrument()
            p.chat(Kit(stub.url))
            assert (task.calls, len(seen)) == (1, 2)
            meter.instrument()
            p.chat(Kit(stub.url))
            assert (task.calls, len(seen)) == (2, 3)
        SyncAPIClient.request = ours
        meter.close()
        assert vars(SyncAPIClient)["request"] is original
    finally:
        SyncAPIClient.request = original  # type: ignore[method-assign]


def test_function_that_somebody_put_back_is_hooked_again(meter: Meter) -> None:
    """Another's clean-up that restores the SDK's own function beneath us does not cost the next `instrument`."""
    original = inspect.unwrap(vars(SyncAPIClient)["request"])
    SyncAPIClient.request = original  # type: ignore[method-assign]
    assert "failed" in {status.state for status in hook_status()}
    meter.instrument()
    with StubProvider() as stub, track_task("test") as task:
        kit = Kit(stub.url)
        p.chat(kit)
        kit.close()
    assert task.calls == 1
    assert {
        status.state for status in hook_status() if status.module.startswith("openai._") and not status.optional
    } == {"in"}
