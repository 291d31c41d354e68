"""A fault of ours at any line that a guard protects changes nothing for the program; none of the guards is left out."""

from __future__ import annotations

import functools
import gc
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import context as otel
from opentelemetry.sdk.trace import TracerProvider

from taskmeter import _guard, capture, charge, track_step, track_task, track_tool
from taskmeter._guard import Breaker
from taskmeter.capture import agents, finish, sessions
from taskmeter.capture.bounded import Remembered
from taskmeter.capture.hooks import Hook, Hooks
from taskmeter.demo.stub import (
    Error,
    Jsonl,
    Sse,
    StubProvider,
    anthropic_batch,
    anthropic_batch_line,
    anthropic_message,
    openai_batch_line,
    openai_chat,
    openai_chat_stream,
    openai_response,
    openai_speech,
)
from taskmeter.spool.write import SpoolExporter
from taskmeter.telemetry.delivery import Ender, within
from tests.capture import background_programs as b
from tests.capture import media_programs as m
from tests.capture import programs as p
from tests.capture import test_agents as a
from tests.capture import test_sessions as s
from tests.capture import tool_programs as t
from tests.capture.harness import CLAUDE, GPT, Kit, Meter, Program, outcome, run_bare, run_metered
from tests.faults import scenes
from tests.faults.injection import InjectedError, Line, Recording, Site, injected, recorded, sites

CHAT = openai_chat(GPT, '{"done": true}')
MESSAGE = anthropic_message(CLAUDE, '{"done": true}')
RETRY = Error(429, retry_after=0.01)
BATCH = Jsonl([anthropic_batch_line("a", MESSAGE), anthropic_batch_line("b", None)])
LENGTH: Any = {**CHAT, "choices": [{**CHAT["choices"][0], "finish_reason": "length"}]}
DONE = {**openai_response(GPT), "id": b.RESPONSE_ID, "background": True}
QUEUED: Any = {**DONE, "status": "queued", "usage": None}
POLLS = (QUEUED, QUEUED, QUEUED, DONE, DONE)


def left_open(kit: Kit) -> Any:
    """Ended by the end of the program, while its stream is kept."""
    stream = kit.anthropic().messages.create(**p.MESSAGE, stream=True)
    first = next(stream)
    finish()
    return [first, *stream]


def never_retrieved(kit: Kit) -> Any:
    answer = kit.openai().responses.create(**b.BACKGROUND)
    finish()
    return answer


PROGRAMS: list[tuple[Program, tuple[Any, ...]]] = [
    (p.chat, (RETRY, CHAT)),
    (p.chat_async, (RETRY, CHAT)),
    (p.chat_raw, (CHAT,)),
    (p.chat_parse, (LENGTH,)),
    (p.chat_parse_async, (LENGTH,)),
    (p.chat_streaming_response, (CHAT,)),
    (p.chat_stream, (CHAT,)),
    (p.chat_stream_async, (CHAT,)),
    (p.chat_helper, (CHAT,)),
    (p.chat_helper_left, (CHAT,)),
    (p.chat_stream_closed, (CHAT,)),
    (p.chat_stream_closed_async, (CHAT,)),
    (p.chat_stream_unread, (CHAT,)),
    (p.chat_stream, (Sse(openai_chat_stream(CHAT), cut_after=2),)),
    (p.chat, (RETRY, Error(400))),
    (b.polled, POLLS),
    (b.polled_async, POLLS),
    (b.polled_streaming_response, POLLS),
    (b.retrieved_as_stream, (POLLS[0], DONE)),
    (b.retrieved_as_stream_async, (POLLS[0], DONE)),
    (never_retrieved, (QUEUED,)),
    (m.speech_streamed, (openai_speech(),)),
    (m.unknown_path, ({**CHAT, "object": "other"},)),
    (p.message, (RETRY, MESSAGE)),
    (p.message_stream, (MESSAGE,)),
    (p.message_stream_closed, (MESSAGE,)),
    (p.message_stream_closed_async, (MESSAGE,)),
    (p.message, (Error(400),)),
    (p.message_async, (RETRY, MESSAGE)),
    (p.message_async, (Error(400),)),
    (left_open, (MESSAGE,)),
    (p.batch_results, (Jsonl([openai_batch_line("a", CHAT)]),)),
    (p.batch_results_streamed, (Jsonl([openai_batch_line("a", CHAT)]),)),
    (p.message_batch_results, (anthropic_batch("b", "/v1/messages/batches/b/results"), BATCH)),
    (t.openai_runner, t.OPENAI),
    (t.openai_runner_async, t.OPENAI),
    (t.anthropic_runner, t.ANTHROPIC),
    (t.anthropic_runner_async, t.ANTHROPIC),
    (scenes.session_tool, ()),
    (scenes.mcp_tool, ()),
    (scenes.loop, ()),
    (scenes.loop_async, ()),
]
NATIVE = (left_open, t.anthropic_runner, t.anthropic_runner_async)
"""What also runs with the SDK's own spans, beside the programs with messages."""


@dataclass(frozen=True)
class Case:
    """A program, how it runs without us, and how it runs with us."""

    name: str
    bare: Callable[[], Any]
    hooked: Callable[[Meter], Any]


def _calls(number: int, *, public: bool, traced: bool) -> Case:
    program, replies = PROGRAMS[number]

    def hooked(meter: Meter) -> Any:
        run = run_metered(program, replies, meter, public=public, traced=traced and meter.tracer_provider)
        sent = [{key: value for key, value in body.items() if key != "stream_options"} for body in run.bodies]
        return run.seen, sent

    kind = " public" * public + " native" * traced
    return Case(f"{number} {program.__name__}{kind}", lambda: run_bare(program, replies, public=public), hooked)


def _agents(program: Program) -> Case:
    def run(traced: Any = False) -> Any:
        with StubProvider(a.provider) as stub:
            kit = Kit(stub.url, traced=traced)
            a.make(kit)
            return outcome(program, kit)

    return Case(program.__name__, run, lambda _: run())


def _old(program: Program) -> Case:
    return Case(program.__name__, lambda: scenes.old_bare(program), lambda meter: scenes.old_hooked(program, meter))


def _session(program: Any, *answers: Any) -> Case:
    def run() -> Any:
        with s.socket(*answers, greeting=[s.CREATED]) as address:
            return s.run(program, address)

    return Case(program.__name__, run, lambda _: run())


@track_tool("lookup", cost="4", call_id=str)
def _lookup(value: int) -> int:
    return value


@track_step("part")
def _pages() -> Iterator[int]:
    charge("8")
    yield 1


@track_task("inner", key=lambda value: f"T-{value}", customer=lambda value: f"C-{value}")
def _inner(value: int) -> list[int]:
    return [_lookup(value), *_pages()]


def _scopes(meter: Meter) -> Any:
    charge("1000")
    with track_step("outside"):
        charge("1")
    with track_task("work") as task:
        meter.tracer_provider.get_tracer("http").start_span("foreign").end()
        with track_step("draft") as step:
            charge("2")
            step.discard()
        seen = _inner(5)
    try:
        with track_task("fails"):
            raise ZeroDivisionError
    except ZeroDivisionError as error:
        return seen, error.__context__, task.cost.total >= 2
    return None


_numbers = itertools.count()


def _late_import(directory: Path, *, during: bool) -> int:
    """A module that is hooked when it comes, or while another thread has half of it."""
    name = f"late_module_{next(_numbers)}"
    (directory / f"{name}.py").write_text("import time\ntime.sleep(0.02)\nclass Client:\n    def get(self): return 1\n")
    hooks = Hooks([Hook(name, "Client", "get", lambda wrapped, *_: wrapped(), Breaker(name), optional=True)])
    thread = threading.Thread(target=__import__, args=(name,))
    if not during:
        hooks.on()
    thread.start()
    while during and name not in sys.modules:
        time.sleep(0.001)
    if during:
        hooks.on()
    thread.join()
    found = sys.modules[name].Client().get()
    hooks.off()
    return int(found)


def _delivery(directory: Path) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    span = provider.get_tracer("x").start_span("x")
    span.end()
    SpoolExporter(directory / "spool").export([span])  # type: ignore[list-item]
    within(5, lambda: True)
    ender = Ender(lambda: None)
    ender.begin()
    ender.join(5)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Case]]:
    directory = tmp_path_factory.mktemp("modules")
    sys.path.insert(0, str(directory))
    native = [number for number, (run, _) in enumerate(PROGRAMS) if "message" in run.__name__ or run in NATIVE]
    yield [
        *(_calls(number, public=True, traced=False) for number in range(len(PROGRAMS))),
        *(_calls(number, public=True, traced=True) for number in native),
        *(_agents(program) for program in (a.streamed, a.listed, a.streamed_async)),
        *(_session(program, s.realtime("a")) for program in (s.realtime_session, s.realtime_async)),
        _session(s.close_early, s.realtime("a")[:2]),
        *(_old(program) for program in (scenes.old_chat, scenes.old_chat_async)),
        Case("scopes", lambda: ([5, 1], None, True), _scopes),
        Case("more scopes", lambda: scenes.SCOPES, scenes.scopes),
        Case("late import", lambda: 1, lambda _: _late_import(directory, during=False)),
        Case("import meanwhile", lambda: 1, lambda _: _late_import(directory, during=True)),
        Case("delivery", lambda: None, lambda _: _delivery(directory)),
    ]
    sys.path.remove(str(directory))


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults are swallowed, as in production, and what was booked before is forgotten: ids repeat."""
    monkeypatch.setattr(_guard, "strict", False)
    monkeypatch.setattr("taskmeter._guard.log.disabled", True)


def _run(case: Case) -> Any:
    """With us, from `instrument()` to `uninstrument()`."""
    for room, name in ((agents, "_booked"), (agents, "_agents"), (sessions, "_ended")):
        setattr(room, name, Remembered(100))
    meter = Meter()
    meter.instrument()
    try:
        return case.hooked(meter)
    finally:
        meter.close()


@pytest.fixture(scope="module")
def recordings(cases: list[Case]) -> list[Recording]:
    """What each case runs of ours."""
    found = []
    for case in cases:
        with recorded() as recording:
            _run(case)
        found.append(recording)
    return found


@pytest.fixture(scope="module")
def hits(recordings: list[Recording]) -> dict[Line, list[int]]:
    """Which cases run each line."""
    found: dict[Line, list[int]] = {}
    for number, recording in enumerate(recordings):
        for line in recording.lines:
            found.setdefault(line, []).append(number)
    return found


@functools.cache
def _bare(case: Case) -> Any:
    return case.bare()


def _some(numbers: list[int], most: int) -> list[int]:
    """At most so many, spread over the list: kinds of programs stand together."""
    step = max(1, len(numbers) // most)
    return numbers[::step][:most]


@pytest.mark.parametrize("most", [2, pytest.param(6, marks=[pytest.mark.fuzz, pytest.mark.timeout(3600)])])
@pytest.mark.parametrize("site", sites(), ids=lambda site: site.name)
def test_fault(site: Site, most: int, cases: list[Case], hits: dict[Line, list[int]]) -> None:
    """Each line of each guard's body raises once: results, exceptions, events and requests are those without us."""
    lines = [line for line in site.lines if line in hits]
    assert lines, "no program gets here: add one that does"
    before = otel.get_current()
    for line in lines:
        for number in _some(hits[line], most):
            case = cases[number]
            faults = sum(_guard.faults.values())
            with injected(line, InjectedError()) as fired:
                seen = _run(case)
            assert seen == _bare(case), f"{case.name} with a fault at {line}"
            assert (sum(_guard.faults.values()) > faults) is bool(fired)
            assert otel.get_current() == before
    gc.collect()


@pytest.mark.fuzz
@pytest.mark.timeout(7200)
def test_fault_in_what_guards_call(cases: list[Case]) -> None:
    """Each line of ours that runs because a guarded line has called it raises once, in a program that gets there."""
    found: dict[Line, list[int]] = {}
    for number, case in enumerate(cases):
        with recorded(deep=True) as recording:
            _run(case)
        for line in recording.lines:
            found.setdefault(line, []).append(number)
    assert len(found) > 1000
    wrong = []
    for line, numbers in sorted(found.items()):
        case = cases[numbers[len(numbers) // 2]]
        with injected(line, InjectedError()):
            seen = _run(case)
        if seen != _bare(case):
            wrong.append(f"{Path(line[0]).name}:{line[1]} {case.name}")
    assert wrong == []


@pytest.mark.parametrize("program", [p.chat, p.chat_async, p.chat_stream, p.chat_stream_async, p.message])
def test_what_stops_the_program_is_not_swallowed(
    program: Program, cases: list[Case], hits: dict[Line, list[int]]
) -> None:
    """A `KeyboardInterrupt` in the middle of our part arrives, and the context is the caller's again."""
    number = next(number for number, (found, _) in enumerate(PROGRAMS) if found is program)
    before = otel.get_current()
    arrived = 0
    for line in sorted(line for line, numbers in hits.items() if number in numbers and "capture" in line[0]):
        with injected(line, KeyboardInterrupt("stop")) as fired:
            try:
                seen = _run(cases[number])[0]
            except KeyboardInterrupt:
                seen = ("raised", KeyboardInterrupt, "stop")  # outside of the program: at `instrument` itself
        assert not fired or seen == ("raised", KeyboardInterrupt, "stop")
        arrived += bool(fired)
        assert otel.get_current() == before
    assert arrived > 5


def test_every_hook_is_gone_through(recordings: list[Recording]) -> None:
    """The programs above run the wrapper of each hook whose function these SDKs have, or must have."""
    called = set().union(*(recording.calls for recording in recordings))
    meter = Meter()
    meter.instrument()
    lacking = {each.function for each in capture.hook_status() if each.state == "missing" and each.optional}
    meter.close()
    assert not any("tool" in function for function in lacking)
    missing = {
        f"{hook.module}.{hook.owner}.{hook.attribute}"
        for hook in capture._installed._hooks
        if (getattr(hook.wrapper, "__func__", hook.wrapper).__code__, id(getattr(hook.wrapper, "__self__", None)))
        not in called
    }
    assert missing - lacking == set()
