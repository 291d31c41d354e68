"""What an application makes up is bounded: how long it is, and how much of it metrics and memory hold."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmeter import charge, diagnose, record_outcome, track_step, track_task, track_tool
from taskmeter._bounds import bounded, dumps, shown
from taskmeter.demo.stub import openai_chat
from taskmeter.errors import UsageError
from taskmeter.spool.encode import encode_line
from tests.capture.harness import Kit, Meter, attributes, run_metered

LONG = "x" * 1_000
CUT = "x" * 247 + "…2d10c0d3"[:0] + "…"


@given(st.text(max_size=600))
def test_a_bounded_text(text: str) -> None:
    """At most 256 characters, all of which can be written as UTF-8 on one line; what fits and is harmless stays."""
    found = bounded(text)
    assert len(found) <= 256
    assert found.encode().decode() == found
    assert len(found.splitlines()) <= 1
    assert "\x1b" not in found
    if len(text) <= 256 and text.isprintable():
        assert found == text
    assert bounded(found) == found


def test_long_texts_that_differ_stay_different() -> None:
    """By a digest of all of it, at the end."""
    assert bounded(LONG) == "x" * 247 + "…" + bounded(LONG)[-8:]
    assert len({bounded(LONG + str(number)) for number in range(100)}) == 100


def test_everything_that_the_application_names(meter: Meter) -> None:
    """Is cut, wherever it goes: names, keys, customers, labels, reasons, items, tools, models."""
    with track_task(LONG, key=LONG, customer=LONG, labels={LONG: LONG}) as task:
        with track_step(LONG) as step:
            step.discard(LONG)
        with track_tool(LONG, call_id=LONG):
            pass
        charge("1", item=LONG, unit=LONG)
        run_metered(
            lambda kit: kit.openai().chat.completions.create(model=LONG, messages=[]), (openai_chat(LONG),), meter
        )
        task.fail(LONG)
    record_outcome(key=LONG, name=LONG, status="failed", reason=LONG)
    spans = meter.exporter.get_finished_spans()
    texts = [str(value) for span in spans for value in (*attributes(span), *attributes(span).values(), span.name)]
    assert max(map(len, texts)) <= 256 + len("taskmeter.label.")
    assert task.key == bounded(LONG)
    assert {attributes(span)["taskmeter.task.key"] for span in spans if "taskmeter.task.key" in attributes(span)} == {
        bounded(LONG)
    }


def test_what_comes_back_from_a_provider(meter: Meter) -> None:
    """Is cut, too: the id, the model, the reasons."""
    body = openai_chat(LONG) | {"id": LONG, "service_tier": LONG}
    body["choices"] = [{**body["choices"][0], "finish_reason": LONG}] * 300
    run_metered(lambda kit: kit.openai().chat.completions.create(model="gpt-5", messages=[]), (body,), meter)
    (span,) = meter.model_spans()
    found = attributes(span)
    assert len(found["gen_ai.response.id"]) == len(found["gen_ai.response.model"]) == 256
    assert len(found["gen_ai.response.finish_reasons"]) == 128
    assert max(len(str(value)) for name, value in found.items() if name != "gen_ai.response.finish_reasons") <= 256


@pytest.mark.parametrize("key", ["a\x1b[31mb", "a\nb", "a\ud800b", "a\x00b", "a\u2028b"])
def test_a_key_that_cannot_be_written(key: str, meter: Meter) -> None:
    """Loses what cannot be, and no batch is lost for it."""
    with track_task("resolve", key=key) as task:
        pass
    assert task.key is not None
    assert task.key.startswith("a�")
    (span,) = meter.spans("task")
    assert attributes(span)["taskmeter.task.key"] == task.key
    encode_line([span]).decode("ascii")


def test_a_lone_surrogate_of_another_library(meter: Meter) -> None:
    """Is replaced in the spool: strict readers of JSON refuse a whole line for one. Pairs and backslashes stay."""
    tracer = meter.tracer_provider.get_tracer("other")
    tracer.start_span("x", attributes={"a": "\ud800", "b": "\U0001f600", "c": "\\ud800"}).end()
    line = encode_line(meter.exporter.get_finished_spans())
    assert b'"stringValue":"\\ufffd"' in line
    assert b'"stringValue":"\\ud83d\\ude00"' in line
    assert b'"stringValue":"\\\\ud800"' in line


@given(st.recursive(st.text(st.characters(exclude_categories=())) | st.integers(), st.lists))
def test_any_text_becomes_json_that_strict_parsers_take(value: Any) -> None:
    """No lone surrogate is left, escaped or not."""
    import json

    json.dumps(json.loads(dumps(value)), ensure_ascii=False).encode("utf-8")


def series(meter: Meter, metric: str, name: str) -> set[str]:
    return {point.attributes[name] for point in meter.metric(metric)}


def test_names_beyond_256_are_one(meter: Meter) -> None:
    """In metrics; spans and sums stay whole, and the doctor says so."""
    for number in range(400):
        with track_task(f"task {number}"), track_tool(f"tool {number}"):
            charge("1", category="model", item=f"model {number}")
    tasks = series(meter, "taskmeter.tasks", "taskmeter.task.name")
    assert (len(tasks), "(other)" in tasks, "task 255" in tasks, "task 256" in tasks) == (257, True, True, False)
    assert len(series(meter, "gen_ai.execute_tool.duration", "gen_ai.tool.name")) == 257
    assert len(series(meter, "taskmeter.cost", "gen_ai.response.model")) == 257
    assert sum(point.value for point in meter.metric("taskmeter.tasks")) == 400
    assert sum(point.value for point in meter.metric("taskmeter.cost")) == 400
    assert len({attributes(span)["taskmeter.task.name"] for span in meter.spans("task")}) == 400
    assert "task names in metrics beyond the first 256: " in str(diagnose())


def test_combinations_of_names_are_bounded(meter: Meter) -> None:
    """2,000 of them: 100 tasks with 100 models each are not 10,000 series."""
    for task in range(100):
        with track_task(f"task {task}"):
            for model in range(100):
                charge("1", category="model", item=f"model {model}")
    points = meter.metric("taskmeter.cost")
    assert len(points) <= 2_001
    assert sum(point.value for point in points) == 10_000


def many_names(count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        name = f"{number} of a million"
        with track_task(name, key=name, customer=name, labels={name: name}), track_step(name), track_tool(name):
            pass


def grown(count: int) -> float:
    """MiB held after `count` more tasks, each of another name, than after those before."""
    many_names(9_000)  # what is remembered of tasks is full then
    gc.collect()
    tracemalloc.start()
    many_names(count, 9_000)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / 1024**2


def test_memory_with_many_names() -> None:
    """5,000 distinct names, keys, customers and labels more hold no memory."""
    assert grown(5_000) < 1


@pytest.mark.fuzz
@pytest.mark.timeout(7_200)
def test_memory_with_a_million_names() -> None:
    """Nor does a million."""
    assert grown(1_000_000) < 2


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize("value", ["x" * 10_000, ["x"] * 10_000, Unprintable(), b"\x00" * 5_000])
def test_an_error_shows_the_beginning_of_a_value(value: Any) -> None:
    """At most 120 characters of it, and is raised even if it cannot be printed."""
    assert len(shown(value)) <= 120
    with pytest.raises(UsageError) as raised:
        charge(value)
    assert len(str(raised.value)) < 250


def test_a_key_never_becomes_a_path(meter: Meter, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a task is called, no file is."""
    monkeypatch.chdir(tmp_path)
    for key in ("../../etc/passwd", "/etc/passwd", "..", "a/../../b", "C:\\x", "traces-1.jsonl"):
        with track_task(key, key=key, customer=key):
            pass
    assert list(tmp_path.rglob("*")) == []
    assert Kit  # clients are not what names files either
