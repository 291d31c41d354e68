"""The whole demonstration, as `taskmeter demo` runs it: a process of its own, from the agents to the spool."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

import taskmeter
from taskmeter.demo import SHOWCASE_KEY, run
from taskmeter.errors import MissingDependencyError

RUN = """
import sys
from pathlib import Path
from taskmeter import _guard
_guard.strict = True
from taskmeter.demo import run
assert "openai" not in sys.modules and "anthropic" not in sys.modules
run(Path(sys.argv[1]))
assert not _guard.faults, _guard.faults
"""


@dataclass(frozen=True, slots=True)
class Span:
    id: str
    parent_id: str
    name: str
    attributes: dict[str, str]

    @property
    def kind(self) -> str | None:
        return self.attributes.get("taskmeter.span.kind")

    @property
    def cost(self) -> Decimal:
        return Decimal(self.attributes.get("taskmeter.cost.exact", "0"))


def run_demo(spool: Path) -> list[Span]:
    """The spans that one run leaves in the spool."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    subprocess.run([sys.executable, "-c", RUN, str(spool)], check=True, timeout=60, env=environment)
    return [
        Span(
            span["spanId"],
            span.get("parentSpanId", ""),
            span["name"],
            {item["key"]: str(next(iter(item["value"].values()))) for item in span["attributes"]},
        )
        for file in spool.glob("*.jsonl")
        for line in file.read_text().splitlines()
        for resource in json.loads(line).get("resourceSpans", [])
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> list[Span]:
    """One run."""
    return run_demo(tmp_path_factory.mktemp("demo"))


def outcomes(spans: list[Span]) -> Counter[tuple[str, str]]:
    """How many tasks of each name came to what."""
    return Counter(
        (span.attributes["gen_ai.workflow.name"], span.attributes["taskmeter.task.outcome"])
        for span in spans
        if span.kind == "task"
    )


def test_the_demonstration_leaves_its_tasks_in_the_spool(spans: list[Span]) -> None:
    """Every task of every agent, with the outcome the scenario has for it."""
    assert outcomes(spans) == {
        ("resolve_ticket", "succeeded"): 5,
        ("resolve_ticket", "failed"): 1,
        ("research", "succeeded"): 3,
        ("summarise_source", "succeeded"): 7,
        ("classify", "succeeded"): 44,
        ("classify", "failed"): 2,
        ("classify", "abandoned"): 2,
    }
    assert Counter(span.kind for span in spans) == {
        "task": 64,
        "call": 82,
        "step": 26,
        "tool": 17,
        "attempt": 4,
        "charge": 4,
        "outcome": 1,
    }


def test_every_dollar_of_the_demonstration_adds_up(spans: list[Span]) -> None:
    """For each task, its total is the sum of the leaf spans below it, to the last digit."""
    children: dict[str, list[Span]] = {}
    for span in spans:
        children.setdefault(span.parent_id, []).append(span)

    def leaves(span: Span) -> Decimal:
        own = span.cost if span.kind in ("call", "tool", "charge") else Decimal(0)
        return own + sum((leaves(child) for child in children.get(span.id, [])), Decimal(0))

    tasks = [span for span in spans if span.kind == "task"]
    assert {task.id: task.cost for task in tasks} == {task.id: leaves(task) for task in tasks}
    assert [task.attributes["taskmeter.task.key"] for task in tasks if task.cost == 0] == ["M-019"]


def test_a_resolved_ticket_costs_cents(spans: list[Span]) -> None:
    """The figures are of the size that a reader expects."""
    tickets = [span for span in spans if span.attributes.get("gen_ai.workflow.name") == "resolve_ticket"]
    assert all(Decimal("0.001") < ticket.cost < Decimal("0.10") for ticket in tickets)


def test_the_showcase_has_tools_a_retry_and_a_discarded_draft(spans: list[Span]) -> None:
    """What `taskmeter show` is shown with."""
    (task,) = [
        span for span in spans if span.kind == "task" and span.attributes.get("taskmeter.task.key") == SHOWCASE_KEY
    ]
    assert task.attributes["taskmeter.retries"] == "1"
    assert task.attributes["taskmeter.tool_runs"] == "3"
    assert task.attributes["taskmeter.calls"] == "5"
    assert Decimal(task.attributes["taskmeter.cost.wasted.exact"]) > 0
    mine = [span for span in spans if span.attributes.get("taskmeter.task.key") == SHOWCASE_KEY]
    drafts = [span.attributes["taskmeter.step.discarded"] for span in mine if span.name == "step draft"]
    assert sorted(drafts) == ["False", "True"]


def test_the_money_is_the_same_every_run(spans: list[Span], tmp_path: Path) -> None:
    """Also of the broken stream, whose output is estimated."""

    def costs(run: list[Span]) -> Counter[tuple[str | None, str | None, Decimal]]:
        return Counter((span.kind, span.attributes.get("taskmeter.task.key"), span.cost) for span in run)

    assert costs(run_demo(tmp_path)) == costs(spans)


@pytest.mark.parametrize("package", ["openai", "anthropic"])
def test_the_demonstration_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str) -> None:
    """The message is the command."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf"pip install 'taskmeter\[{package}\]'"):
        run(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_is_not_done_in_time_is_told_and_everything_is_shut_down(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report that follows is then of less than everything."""

    class Stuck:
        shut_down = False

        def flush(self) -> bool:
            return False

        def shutdown(self) -> None:
            self.shut_down = True

    stuck = Stuck()
    monkeypatch.setattr(taskmeter, "configure", lambda *, spool: stuck)
    run(tmp_path)
    assert capsys.readouterr().err == "taskmeter demo: not everything could be exported in time\n"
    assert stuck.shut_down
