"""Random programs of tasks, steps, calls, tools, failures, threads and asyncio tasks: every account says the same."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
from anthropic import BadRequestError as AnthropicRefusal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from openai import BadRequestError as OpenAIRefusal

from taskmeter import charge, current_task, track_step, track_task, track_tool
from taskmeter.records import WASTE_CLASSES
from taskmeter.reports.relations import relate
from taskmeter.spool.read import SpoolReading
from taskmeter.spool.write import SpoolExporter
from tests.attribution.lanes import AsyncioTask, Here, Loop, Thread
from tests.attribution.model import ZERO, Model, Node
from tests.attribution.wire import PRICES, Clients
from tests.capture.harness import Meter, attributes

CENT = Decimal(1) / 64
NAMES = st.sampled_from(["resolve", "research", "draft"])
LANE = st.integers(0, 9)
UNITS = st.integers(1, 4)


class StopError(Exception):
    """What makes a scope fail."""


class World:
    """What all programs share, as it takes long to make."""

    def __init__(self) -> None:
        self.meter = Meter()
        self.meter.instrument()
        self.clients = Clients(self.meter)
        self.loop = Loop()

    def counted(self, metric: str) -> Counter[Any]:
        """The sums of a counter so far."""
        return Counter(
            {
                (point.attributes.get("taskmeter.task.name"), point.attributes.get("taskmeter.waste.class"), number): (
                    Decimal(point.value)
                )
                for number, point in enumerate(self.meter.metric(metric))
            }
        )

    def close(self) -> None:
        self.meter.close()
        self.loop.close()


@track_task("generated")
def generated() -> Iterator[None]:
    """Charges what it is sent."""
    amount = yield
    while amount:
        charge(amount)
        amount = yield


class Lane:
    """Somewhere to work, and what is open there."""

    def __init__(self, place: Any, base: Node | None) -> None:
        self.place = place
        self.base = base
        self.stack: list[tuple[Any, Node]] = []

    @property
    def node(self) -> Node | None:
        return self.stack[-1][1] if self.stack else self.base


@dataclass(frozen=True, eq=False)
class Streamed:
    """A stream that is still to be read."""

    stream: Any
    asynchronous: bool
    node: Node | None
    sdk: str
    units: int
    waste: str | None


def question(sdk: str, what: object) -> object:
    """What a call asks: both of Anthropic's clients ask the same, with its own span or with ours."""
    return "anthropic" if sdk == "native" else sdk, what


class Programs(RuleBasedStateMachine):
    """One program."""

    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.world.meter.exporter.clear()
        self.before = {metric: self.world.counted(metric) for metric in ("taskmeter.cost", "taskmeter.late_cost")}
        self.model = Model()
        self.lanes = [Lane(Here(), None)]
        self.streams: list[Streamed] = []
        self.generators: list[tuple[Any, Node]] = []

    def lane(self, number: int) -> Lane:
        return self.lanes[number % len(self.lanes)]

    def do(self, lane: Lane, work: Any) -> Any:
        """Does it there, and sees that the right task is current before and after."""

        def checked() -> Any:
            expected = (
                next((n.handle for n in lane.node.upwards() if n.kind == "task" and not n.closed), None)
                if (lane.node)
                else None
            )
            assert current_task() is expected
            return work()

        return lane.place.do(checked)

    # --- lanes

    @initialize(kinds=st.lists(st.sampled_from(["thread", "asyncio"]), max_size=3))
    def start(self, kinds: list[str]) -> None:
        for number, kind in enumerate(kinds):
            self.open_task(number, "resolve")
            self.start_lane(number, kind)

    @precondition(lambda self: len(self.lanes) < 6 and any(lane.node for lane in self.lanes))
    @rule(number=LANE, kind=st.sampled_from(["thread", "asyncio"]))
    def start_lane(self, number: int, kind: str) -> None:
        inside = [lane for lane in self.lanes if lane.node is not None]
        lane = inside[number % len(inside)]
        place = self.do(lane, Thread if kind == "thread" else lambda: AsyncioTask(self.world.loop))
        self.lanes.append(Lane(place, lane.node))

    # --- scopes

    @rule(number=LANE, name=NAMES)
    def open_task(self, number: int, name: str) -> None:
        self._open(self.lane(number), "task", name, track_task(name, key="K"))

    @rule(number=LANE)
    def open_step(self, number: int) -> None:
        self._open(self.lane(number), "step", "part", track_step("part"))

    def _open(self, lane: Lane, kind: str, name: str, opener: Any) -> None:
        handle = self.do(lane, opener.__enter__)
        lane.stack.append((opener, self.model.opened(kind, name, lane.node, handle)))

    @rule(number=LANE, how=st.sampled_from(["returns", "returns", "raises", "fails", "abandons", "discards"]))
    def close_scope(self, number: int, how: str) -> None:
        lane = self.lane(number)
        if lane.stack:
            self._close(lane, how)

    def _close(self, lane: Lane, how: str) -> None:
        opener, node = lane.stack[-1]
        error = StopError() if how == "raises" else None
        say = {"task": {"fails": "fail", "abandons": "abandon"}, "step": {"discards": "discard"}}[node.kind].get(how)
        if say is not None:
            getattr(node.handle, say)()
            if node.kind == "step":
                self._discarded(node)
        self.do(lane, lambda: opener.__exit__(None if error is None else StopError, error, None))
        lane.stack.pop()
        said = {"fail": "failed_task", "abandon": "abandoned_task"}.get(say or "")
        failed = "failed_task" if node.kind == "task" and error is not None else None
        self.model.close(node, condemn=said or failed, rejected=error is not None)

    def _discarded(self, node: Node) -> None:
        self.model.condemn(node, "discarded_step")
        node.rejected = True

    @rule(number=LANE)
    def discard_step(self, number: int) -> None:
        node = self.lane(number).node
        if node is not None and node.kind == "step":
            node.handle.discard()
            self._discarded(node)

    @rule(number=LANE)
    def retry(self, number: int) -> None:
        node = self.lane(number).node
        if node is not None and not node.closed:
            node.handle.retry("not valid")
            self.model.retry(node)

    # --- what costs

    @rule(number=LANE, units=st.integers(0, 99))
    def charge(self, number: int, units: int) -> None:
        lane = self.lane(number)
        self.do(lane, lambda: charge(units * CENT, item="index"))
        self.model.book(lane.node, units * CENT)

    @rule(number=LANE, units=st.integers(0, 99), fails=st.booleans())
    def use_tool(self, number: int, units: int, fails: bool) -> None:
        lane = self.lane(number)

        def use() -> None:
            with track_tool("lookup", cost=units * CENT):
                if fails:
                    raise StopError

        with pytest.raises(StopError) if fails else nullcontext():
            self.do(lane, use)
        self.model.book(lane.node, units * CENT, tools=1)

    @rule(number=LANE, sdk=st.sampled_from(sorted(PRICES)), units=UNITS)
    def call(self, number: int, sdk: str, units: int) -> None:
        lane = self.lane(number)
        waste = self.model.asks(lane.node, question(sdk, units))
        self._call(lane, sdk, str(units))
        self.model.book(lane.node, units * PRICES[sdk], waste=waste, calls=1)
        self.model.answered(lane.node, question(sdk, units))

    @rule(number=LANE, sdk=st.sampled_from(sorted(PRICES)))
    def refused_call(self, number: int, sdk: str) -> None:
        lane = self.lane(number)
        with pytest.raises((OpenAIRefusal, AnthropicRefusal)):
            self._call(lane, sdk, "refused")
        self.model.book(lane.node, calls=1)

    @rule(number=LANE, sdk=st.sampled_from(sorted(PRICES)))
    def unpriced_call(self, number: int, sdk: str) -> None:
        lane = self.lane(number)
        waste = self.model.asks(lane.node, question(sdk, "unpriced"))
        self._call(lane, sdk, "1", model="no-such-model")
        self.model.book(lane.node, waste=waste, calls=1, unpriced=1)
        self.model.answered(lane.node, question(sdk, "unpriced"))

    def _call(self, lane: Lane, sdk: str, text: str, **options: Any) -> Any:
        asynchronous = lane.place.asynchronous
        return self.do(lane, lambda: self.world.clients.call(sdk, text, asynchronous=asynchronous, **options))

    # --- what is begun here and ends there

    @rule(number=LANE, sdk=st.sampled_from(sorted(PRICES)), units=UNITS)
    def open_stream(self, number: int, sdk: str, units: int) -> None:
        lane = self.lane(number)
        extra: Any = {"stream_options": {"include_usage": True}} if sdk == "openai" else {}
        waste = self.model.asks(lane.node, question(sdk, units))
        stream = self._call(lane, sdk, str(units), stream=True, **extra)
        self.streams.append(Streamed(stream, lane.place.asynchronous, lane.node, sdk, units, waste))

    @precondition(lambda self: self.streams)
    @rule(number=LANE, which=LANE)
    def read_stream(self, number: int, which: int) -> None:
        streamed = self.streams[which % len(self.streams)]
        lane = self.lane(number)
        if lane.place.asynchronous is streamed.asynchronous:
            self.streams.remove(streamed)
            self.do(lane, lambda: _read(streamed.stream, asynchronous=streamed.asynchronous))
            self._was_read(streamed)

    def _was_read(self, streamed: Streamed) -> None:
        node, units, sdk = streamed.node, streamed.units, streamed.sdk
        self.model.book(node, units * PRICES[sdk], waste=streamed.waste, calls=1)
        self.model.answered(node, question(sdk, units))

    @rule(number=LANE)
    def start_generator(self, number: int) -> None:
        lane = self.lane(number)
        generator = generated()
        self.do(lane, lambda: next(generator))
        handle = generator.gi_frame.f_locals["run"].handle
        self.generators.append((generator, self.model.opened("task", "generated", lane.node, handle)))

    @precondition(lambda self: self.generators)
    @rule(number=LANE, which=LANE, units=st.integers(0, 9))
    def step_generator(self, number: int, which: int, units: int) -> None:
        generator, node = self.generators[which % len(self.generators)]
        if units:
            self.do(self.lane(number), lambda: generator.send(units * CENT))
            self.model.book(node, units * CENT)
        else:
            self.generators.remove((generator, node))
            self._end_generator(self.lane(number), generator, node)

    def _end_generator(self, lane: Lane, generator: Any, node: Node) -> None:
        self.do(lane, generator.close)
        self.model.close(node, condemn="abandoned_task")

    # --- the end

    def teardown(self) -> None:
        for streamed in self.streams[::2]:
            self._read_at_the_end(streamed)
        for lane in reversed(self.lanes):
            while lane.stack:
                self._close(lane, "returns")
        for generator, node in self.generators:
            self._end_generator(self.lanes[0], generator, node)
        for streamed in self.streams[1::2]:
            self._read_at_the_end(streamed)
        for number in range(len(self.lanes)):
            self.work_after_the_end(number)
            self.lanes[number].place.end()
        self.check()

    def work_after_the_end(self, number: int) -> None:
        """In the background, when all that it was started in has ended."""
        self.charge(number, number)
        self.call(number, "openai", 1)
        if number % 2:
            self.open_task(number, "resolve")
            self.charge(number, 1)
            self.close_scope(number, "fails" if number % 4 == 1 else "returns")

    def _read_at_the_end(self, streamed: Streamed) -> None:
        if streamed.asynchronous:
            self.world.loop.run(_read(streamed.stream, asynchronous=True))
        else:
            list(streamed.stream)
        self._was_read(streamed)

    def check(self) -> None:
        """Ledger, spans, metrics and report, each with what the program did."""
        self.check_ledgers()
        leaves = [
            attributes(span)
            for span in self.world.meter.exporter.get_finished_spans()
            if attributes(span).get(KIND) in LEAVES
        ]
        self.check_spans(leaves)
        self.check_metrics()
        self.check_report()

    def check_ledgers(self) -> None:
        for node in self.model.nodes:
            cost = node.handle.cost
            assert (cost.total, cost.waste) == (self.model.total(node), self.model.waste(node))
            assert sum(cost.waste.values()) == cost.wasted <= cost.total
            assert node.handle.reasks == self.model.reasks(node)
            assert node.handle.calls == node.handle.attempts == self.model.count(node, "calls")
            assert node.handle.tool_runs == self.model.count(node, "tools")
            assert node.handle.unpriced_calls == self.model.count(node, "unpriced")
            if node.kind == "task":
                assert cost.self == self.model.own(node)

    def check_spans(self, leaves: list[dict[str, Any]]) -> None:
        for node in self.model.nodes:
            if node.kind == "task":
                of_task = [leaf for leaf in leaves if leaf.get("taskmeter.task.id") == node.handle.id]
                assert _sum(of_task) == self.model.own(node)
        assert _sum(leaves) == self.model.everything()
        assert _sum([leaf for leaf in leaves if leaf.get("taskmeter.cost.is_late")]) == self.model.everything(late=True)
        tasks = {
            attributes(span)["taskmeter.task.id"]: attributes(span)
            for span in self.world.meter.exporter.get_finished_spans()
            if attributes(span).get(KIND) == "task"
        }
        assert len(tasks) == sum(node.kind == "task" for node in self.model.nodes)
        for node in self.model.nodes:
            if node.kind == "task":
                span = tasks[node.handle.id]
                assert span.get("taskmeter.task.parent.id") == _id(node.parent.task if node.parent else None)
                names = {"total": "cost.exact", "own": "cost.self.exact", "wasted": "cost.wasted.exact"}
                names |= {waste: f"waste.{waste}.exact" for waste in WASTE_CLASSES}
                for said, name in names.items():
                    text = span.get(f"taskmeter.{name}")
                    assert (None if text is None else Decimal(text)) == node.said.get(said)

    def check_metrics(self) -> None:
        spent: Counter[Any] = Counter()
        for (name, wasted, number), value in self.world.counted("taskmeter.cost").items():
            spent[name, wasted] += value - self.before["taskmeter.cost"].get((name, wasted, number), 0)
        assert +spent == +self.model.spent
        late: Counter[Any] = Counter()
        for (name, wasted, number), value in self.world.counted("taskmeter.late_cost").items():
            late[name] += value - self.before["taskmeter.late_cost"].get((name, wasted, number), 0)
        assert +late == +self.model.late

    def check_report(self) -> None:
        finished = self.world.meter.exporter.get_finished_spans()
        if not finished:
            return
        with tempfile.TemporaryDirectory() as directory:
            exporter = SpoolExporter(Path(directory))
            exporter.export(finished)
            exporter.shutdown()
            tasks = relate(SpoolReading(Path(directory))).tasks
        for node in self.model.nodes:
            if node.kind == "task":
                assert (tasks[node.handle.id].cost or ZERO) == self.model.total(node)
                assert tasks[node.handle.id].own == self.model.own(node)
                assert tasks[node.handle.id].late == sum(b.amount for b in self.model.inside(node) if b.late)


KIND = "taskmeter.span.kind"
LEAVES = {"call", "tool", "charge"}


def _sum(leaves: list[dict[str, Any]]) -> Decimal:
    return sum((Decimal(leaf.get("taskmeter.cost.exact", "0")) for leaf in leaves), ZERO)


def _id(node: Node | None) -> str | None:
    return None if node is None else node.handle.id


def _read(stream: Any, *, asynchronous: bool) -> Any:
    async def read() -> None:
        async for _ in stream:
            pass

    return read() if asynchronous else list(stream)


@pytest.fixture
def world() -> Iterator[None]:
    Programs.world = World()
    yield
    Programs.world.close()


few = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_every_account_says_the_same(world: None) -> None:
    """Ledgers, spans, metrics and the report agree with what 40 programs did, to the last digit."""
    run_state_machine_as_test(Programs, settings=few)


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
def test_every_account_says_the_same_of_2000_programs(world: None) -> None:
    """The same for many, of up to 50 parts."""
    run_state_machine_as_test(Programs, settings=settings(few, max_examples=2000, stateful_step_count=50))
