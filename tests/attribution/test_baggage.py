"""The task's identity in W3C baggage: what leaves, to whom, and what is believed of what arrives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, propagate
from opentelemetry import context as otel

import taskmeter
from taskmeter import charge, current_task, track_step, track_task
from taskmeter.demo.stub import openai_chat
from taskmeter.errors import ConfigurationError
from tests.attribution.wire import PRICES, Clients
from tests.capture.harness import GPT, Meter, attributes

ID = "0123456789abcdef0123456789abcdef"


def sent() -> str:
    """The header that an instrumented HTTP client would send now."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers.get("baggage", "")


@contextmanager
def received(header: str, trust: bool | None, meter: Meter) -> Iterator[None]:
    """Inside a request with this header, in a service that trusts its callers, or does not, or was not asked."""
    meter.instrument(**({} if trust is None else {"trust_remote_tasks": trust}))
    before = otel.get_current()
    otel.attach(propagate.extract({"baggage": header}, otel.Context()))
    try:
        yield
    finally:
        otel.attach(before)


def identity(span: Any) -> dict[str, Any]:
    prefix = "taskmeter.task."
    return {name.removeprefix(prefix): value for name, value in attributes(span).items() if name.startswith(prefix)}


def test_what_is_told() -> None:
    """Id, name and key of the innermost task, and no more; what the application put there stays."""
    assert sent() == ""
    otel.attach(baggage.set_baggage("tenant", "acme"))
    with track_task("resolve", key="T 1/ü", customer="acme", labels={"channel": "mail"}) as outer:
        key = "taskmeter.task.key=T+1%2F%C3%BC"
        expected = f"taskmeter.task.id={outer.id},taskmeter.task.name=resolve,{key}"
        assert sent() == f"tenant=acme,{expected}"
        with track_step("draft"), track_task("inner") as inner:
            assert sent() == f"tenant=acme,taskmeter.task.id={inner.id},taskmeter.task.name=inner"
        assert sent() == f"tenant=acme,{expected}"
    assert sent() == "tenant=acme"
    otel.attach(otel.Context())


def test_nothing_is_told_to_a_provider(meter: Meter) -> None:
    """Neither in calls nor in other requests of its client; the application's own entries go where they would."""
    seen: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(sent())
        return httpx2.Response(200, json=openai_chat(GPT) if request.method == "POST" else {"data": []})

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    with openai.OpenAI(api_key="stub", http_client=http) as client, track_task("resolve") as task:
        otel.attach(baggage.set_baggage("tenant", "acme"))
        client.chat.completions.create(model=GPT, messages=[{"role": "user", "content": "1"}])
        client.models.list()
        client.batches.list()
        assert f"taskmeter.task.id={task.id}" in sent()
    assert seen == ["tenant=acme"] * 3
    assert task.calls == 1
    otel.attach(otel.Context())


@pytest.mark.parametrize("trust", [None, False])
def test_what_arrives_is_not_believed(trust: bool | None, meter: Meter, clients: Clients) -> None:
    """By default: a forged header changes nothing at all."""
    with received(f"taskmeter.task.id={ID},taskmeter.task.name=resolve,taskmeter.task.key=T-1", trust, meter):
        clients.call("openai", "1", asynchronous=False)
        charge("1")
        with meter.tracer_provider.get_tracer("http").start_as_current_span("query"):
            pass
        with track_task("own") as own:
            charge("1")
    spans = meter.exporter.get_finished_spans()
    assert [identity(span) for span in spans if identity(span).get("name") != "own"] == [{}] * 3
    assert identity(meter.spans("task")[0]) == {"id": own.id, "name": "own", "outcome": "succeeded"}
    names = {point.attributes.get("taskmeter.task.name") for point in meter.metric("taskmeter.cost")}
    assert names == {None, "own"}


def test_what_arrives_from_a_trusted_caller(meter: Meter, clients: Clients) -> None:
    """Calls, charges, steps and others' spans carry the caller's task; a task opened here is nested in it."""
    with received(f"taskmeter.task.id={ID},taskmeter.task.name=resolve,taskmeter.task.key=T+1", True, meter):
        assert current_task() is None
        clients.call("openai", "1", asynchronous=False)
        with track_step("draft") as step:
            charge("1")
        with meter.tracer_provider.get_tracer("http").start_as_current_span("query"):
            pass
        with track_task("inner") as inner:
            charge("2")
    caller = {"id": ID, "name": "resolve", "key": "T 1", "remote": True}
    *others, charged, task = meter.exporter.get_finished_spans()
    assert [identity(span) for span in others] == [caller] * 4
    assert identity(charged) == {"id": inner.id, "name": "inner"}
    nested = {"id": inner.id, "name": "inner", "parent.id": ID, "remote": True, "outcome": "succeeded"}
    assert identity(task) == nested
    assert (step.cost.total, inner.cost.total) == (Decimal(1), Decimal(2))
    spent = {point.attributes["taskmeter.task.name"]: 0.0 for point in meter.metric("taskmeter.cost")}
    for point in meter.metric("taskmeter.cost"):
        spent[point.attributes["taskmeter.task.name"]] += point.value
    assert spent == {"resolve": float(PRICES["openai"]) + 1, "inner": 2}
    assert [point.attributes["taskmeter.task.name"] for point in meter.metric("taskmeter.tasks")] == ["inner"]
    assert meter.metric("taskmeter.late_cost") == []


def test_a_trusted_caller_is_passed_on(meter: Meter) -> None:
    """To the services behind, until a task of this one is open."""
    header = f"taskmeter.task.id={ID},taskmeter.task.name=resolve"
    with received(header, True, meter):
        assert sent() == header
        with track_task("inner") as inner:
            assert sent() == f"taskmeter.task.id={inner.id},taskmeter.task.name=inner"


def test_a_task_of_its_own_comes_first(meter: Meter) -> None:
    """What is open here is not replaced by what a request inside of it says."""
    meter.instrument(trust_remote_tasks=True)
    with track_task("own") as own:
        before = otel.get_current()
        otel.attach(propagate.extract({"baggage": f"taskmeter.task.id={ID},taskmeter.task.name=x"}, before))
        charge("1")
        otel.attach(before)
    assert own.cost.total == Decimal(1)


@pytest.mark.parametrize(
    "entries",
    [
        "taskmeter.task.id=" + ID,  # no name
        "taskmeter.task.name=resolve",
        "taskmeter.task.id=,taskmeter.task.name=resolve",
        f"taskmeter.task.id={ID}0,taskmeter.task.name=resolve",
        f"taskmeter.task.id={ID.upper()},taskmeter.task.name=resolve",
        "taskmeter.task.id=../../etc/passwd,taskmeter.task.name=resolve",
        f"taskmeter.task.id={ID},taskmeter.task.name=",
        f"taskmeter.task.id={ID},taskmeter.task.name={'n' * 257}",
        f"taskmeter.task.id={ID},taskmeter.task.name=a%0Ab",
        f"taskmeter.task.id={ID},taskmeter.task.name=resolve,taskmeter.task.key={'k' * 257}",
        f"taskmeter.task.id={ID},taskmeter.task.name=resolve,taskmeter.task.key=%00",
        f"taskmeter.task.id={ID},taskmeter.task.name=%1B%5B31m",
        f"taskmeter.task.id={ID},taskmeter.task.name=%E2%80%AEtxt",  # turns the direction of writing
    ],
)
def test_what_makes_no_sense_is_not_believed(entries: str, meter: Meter) -> None:
    """Not even from a trusted caller: no part of it is taken over."""
    with received(entries, True, meter):
        charge("1")
    [span] = meter.spans("charge")
    assert identity(span) == {}


@given(st.dictionaries(st.sampled_from(["id", "name", "key"]), st.text(max_size=300)))
def test_anything_may_arrive(entries: dict[str, str]) -> None:
    """Whatever the baggage says, it is a sound identity or none."""
    context = otel.Context()
    for name, value in entries.items():
        context = baggage.set_baggage(f"taskmeter.task.{name}", value, context)
    previous = otel.get_current()
    taskmeter.instrument(trust_remote_tasks=True)
    otel.attach(context)
    try:
        with track_task("inner") as task:
            assert task.cost.total == 0
    finally:
        otel.attach(previous)
        taskmeter.instrument()
        taskmeter.uninstrument()


@given(st.text(min_size=1, max_size=400), st.none() | st.text(max_size=400))
def test_any_name_and_key_can_travel(name: str, key: str | None) -> None:
    """A header always comes out, and what arrives is the task; a name may have lost something, a key is whole or not
    there."""
    if not name.strip() or (key is not None and not key.strip()):
        return
    with track_task(name, key=key) as task:
        header = sent()
    assert len(header) < 8192
    entries = baggage.get_all(propagate.extract({"baggage": header}, otel.Context()))
    assert entries["taskmeter.task.id"] == task.id
    assert entries.get("taskmeter.task.key") in (None, task.key)
    if name.isprintable() and len(name) <= 256:
        assert entries["taskmeter.task.name"] == name.strip()


@pytest.mark.parametrize("trust", ["false", 1, None, "resolve"])
def test_trust_is_a_plain_yes_or_no(trust: Any) -> None:
    """A text would be a yes, whatever it says."""
    for set_up in (taskmeter.instrument, taskmeter.configure):
        with pytest.raises(ConfigurationError, match=r"trust_remote_tasks=.* is neither True nor False; pass one"):
            set_up(trust_remote_tasks=trust)


def test_the_header_is_json_safe() -> None:
    """It is plain ASCII, as queues put it into other formats."""
    with track_task("näme", key="ключ"):
        header = sent()
    assert header.isascii()
    assert json.loads(json.dumps(header)) == header
