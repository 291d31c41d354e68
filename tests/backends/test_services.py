"""Two processes, one task: an HTTP service behind an instrumented client, and a Celery worker behind a real broker."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

from taskmeter.demo.stub import StubProvider, openai_chat
from taskmeter.reports.relations import Relations, relate
from taskmeter.reports.rows import Leaf
from taskmeter.spool.read import SpanRecord
from tests.backends.backend import free_port, serving
from tests.export.programs import environment, run, spooled

pytestmark = pytest.mark.backends

CALL: Final = Decimal("0.000078")

SERVICE: Final = """
import os, sys
import openai, taskmeter, uvicorn
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from taskmeter import _guard, track_task

_guard.strict = True
settings = {"trust_remote_tasks": True} if sys.argv[2] == "trusting" else {}
taskmeter.configure(service_name=sys.argv[2], spool="spool", **settings)
client = openai.AsyncOpenAI(base_url=os.environ["STUB"] + "/v1", api_key="stub")

async def answer(request):
    await client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "1"}])
    with track_task("nested"):
        taskmeter.charge("0.25")
    return PlainTextResponse("done")

app = OpenTelemetryMiddleware(Starlette(routes=[Route("/", answer)]))
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
"""

CLIENT: Final = """
import os, sys
import httpx, openai, taskmeter
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor, HTTPXClientInstrumentor
from taskmeter import _guard, track_step, track_task

_guard.strict = True
taskmeter.configure(service_name="client", spool="spool")
HTTPXClientInstrumentor().instrument()
HTTPX2ClientInstrumentor().instrument()  # the SDK's own client as well
with (
    openai.OpenAI(base_url=os.environ["STUB"] + "/v1", api_key="stub") as client,
    httpx.Client(trust_env=False) as http,
    track_task("resolve", key="T-1", customer="acme") as task,
):
    client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "1"}])
    with track_step("ask"):
        for service in os.environ["SERVICES"].split():
            http.get(service).raise_for_status()
http.__class__(trust_env=False).get(os.environ["SERVICES"].split()[0])  # after the task: not its business any more
print(task.cost.total)
"""

TASKS: Final = """
import os
import openai, taskmeter
from celery import Celery
from celery.signals import worker_process_init
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from taskmeter import _guard, charge, track_task

_guard.strict = True
app = Celery("tasks", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.broker_connection_retry_on_startup = True

@worker_process_init.connect(weak=False)
def start(**_):
    taskmeter.configure(service_name="worker", spool="spool", trust_remote_tasks=True)
    CeleryInstrumentor().instrument()

@app.task
def work():
    with openai.OpenAI(base_url=os.environ["STUB"] + "/v1", api_key="stub") as client:
        client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "1"}])
    with track_task("nested"):
        charge("0.25")
"""

PRODUCER: Final = """
import taskmeter
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from taskmeter import track_task
from tasks import work

taskmeter.configure(service_name="producer", spool="spool")
CeleryInstrumentor().instrument()
with track_task("resolve", key="T-1") as task:
    taskmeter.charge("1")
    for result in [work.delay(), work.delay()]:
        result.get(timeout=30)
work.delay().get(timeout=30)
print(task.cost.total)
"""


def waited_for(directory: Path, enough: Callable[[list[SpanRecord]], bool]) -> list[SpanRecord]:
    """The spans of all processes, as soon as there are enough: services write theirs a moment later."""
    deadline = time.monotonic() + 10
    while not enough(spans := spooled(directory)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return spans


def by_service(spans: list[SpanRecord], service: str, name: str) -> list[SpanRecord]:
    return [span for span in spans if (span.service, span.name) == (service, name)]


def leaves_of(found: Relations, task_id: str | None) -> list[Decimal | None]:
    return sorted(row.cost for row in found.rows.values() if isinstance(row, Leaf) and row.task_id == task_id)


@pytest.fixture
def stub() -> Iterator[StubProvider]:
    with StubProvider(lambda _: openai_chat("gpt-5-mini")) as running:
        yield running


def test_an_http_service_that_trusts_and_one_that_does_not(
    tmp_path: Path, stub: StubProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One task id and one trace in client and service, the report's total is the sum of both; the other service counts
    what it spends under no task of the client's. Nothing of the task is in what the provider gets."""
    monkeypatch.setenv("STUB", stub.url)
    (tmp_path / "service.py").write_text(SERVICE)
    with ExitStack() as running:
        urls = []
        for kind in ("trusting", "wary"):
            port = free_port()
            command = [sys.executable, str(tmp_path / "service.py"), str(port), kind]
            running.enter_context(serving(command, port, tmp_path))
            urls.append(f"http://127.0.0.1:{port}/")
        done = run(CLIENT, tmp_path, SERVICES=" ".join(urls), STUB=stub.url)
        assert (done.code, done.out, done.err) == (0, "0.00007800", "")
        nested = "invoke_workflow nested"
        spans = waited_for(
            tmp_path / "spool",
            lambda got: len(by_service(got, "trusting", nested)) == 2 and len(by_service(got, "wary", nested)) == 1,
        )
    assert [request.headers.get("baggage") for request in stub.requests] == [None] * 4
    assert "traceparent" in stub.requests[0].headers
    found = relate(spans)
    [task] = [task for task in found.tasks.values() if task.name == "resolve"]
    assert (task.cost, task.own, task.remote, task.calls) == (
        2 * CALL + Decimal("0.25"),
        2 * CALL,
        CALL + Decimal("0.25"),
        2,
    )
    assert leaves_of(found, task.id) == [CALL, CALL]
    call, later = by_service(spans, "trusting", "chat gpt-5-mini")
    assert (call.trace_id, call.attributes["taskmeter.task.key"]) == (task.ref.trace_id, "T-1")
    assert "taskmeter.customer" not in call.attributes
    parents = {span.service: span.attributes.get("taskmeter.task.parent.id") for span in spans if span.name == nested}
    assert "taskmeter.task.id" not in later.attributes
    assert sorted(t.parent_id or "" for t in found.tasks.values() if t.name == "nested") == ["", "", task.id]
    assert parents["wary"] is None
    [wary] = by_service(spans, "wary", "chat gpt-5-mini")
    assert "taskmeter.task.id" not in wary.attributes


@contextmanager
def celery_worker(directory: Path, variables: dict[str, str]) -> Iterator[None]:
    """A worker with one process, until the block is left."""
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool=prefork", "--concurrency=1"]
    options = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING"]
    log = directory / "worker.log"
    with log.open("w") as output:
        worker = subprocess.Popen(
            [*command, *options],
            env=environment(**variables),
            cwd=directory,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(30)


def test_a_celery_worker_behind_redis(tmp_path: Path) -> None:
    """The same through a queue: headers carry the task to the worker's process, and nothing of it stays there."""
    port = free_port()
    (tmp_path / "tasks.py").write_text(TASKS)
    broker = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(tmp_path)]
    with StubProvider(lambda _: openai_chat("gpt-5-mini")) as stub, serving(broker, port, tmp_path):
        variables = {
            "STUB": stub.url,
            "BROKER": f"redis://127.0.0.1:{port}/0",
            "PYTHONPATH": os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", ""))),
        }
        with celery_worker(tmp_path, variables):
            done = run(PRODUCER, tmp_path, **variables)
            assert (done.code, done.out, done.err) == (0, "1", ""), (tmp_path / "worker.log").read_text()
            nested = "invoke_workflow nested"
            spans = waited_for(tmp_path / "spool", lambda got: len(by_service(got, "worker", nested)) == 3)
    found = relate(spans)
    [task] = [task for task in found.tasks.values() if task.name == "resolve"]
    remote = 2 * (CALL + Decimal("0.25"))
    assert (task.cost, task.remote, task.calls) == (1 + remote, remote, 2)
    calls = by_service(spans, "worker", "chat gpt-5-mini")
    assert [span.attributes.get("taskmeter.task.id") for span in calls] == [task.id, task.id, None]
    assert [span.attributes.get("taskmeter.task.remote") for span in calls] == [True, True, None]
    assert [span.trace_id == task.ref.trace_id for span in calls] == [True, True, False]
