"""`recorded_tasks()`: what the tasks that run in a block cost, without any set-up and without a trace."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, overload

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from taskmeter._version import __version__
from taskmeter.account import Entry, Ledger, Scope, TaskIdentity
from taskmeter.account.money import Money, money
from taskmeter.capture import hold, release
from taskmeter.records import Outcome, subtract, total
from taskmeter.scopes import Task
from taskmeter.telemetry import providers, watching
from taskmeter.testing.spent import Limit, Spent, Unpriced, checked_unpriced, counted, dollars
from taskmeter.testing.trees import tree_or_hint, tree_text

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

_MOST_TREES = 3
"""Trees in one message."""


class RecordedTask(Task):
    """A task that has ended: all that its handle has, and the tree of its spans."""

    __slots__ = ("_recorder",)

    def __init__(self, identity: TaskIdentity, scope: Scope, recorder: Recorder) -> None:
        super().__init__(identity, scope)
        self._recorder = recorder

    @property
    def outcome(self) -> Outcome:
        """What it came to."""
        return super().outcome or Outcome("pending")  # it has ended, so there is one

    def is_inside(self, tasks: Container[str]) -> bool:
        """Whether it is nested in one of the tasks with these ids, however deep."""
        scope = self._scope.parent
        while scope is not None:
            if scope.task is not None and scope.task.id in tasks:
                return True
            scope = scope.parent
        return False

    def tree(self) -> str:
        """Where the money went, as `taskmeter show` prints it. Needs the extra `report`."""
        return tree_text(self._recorder.spans, self.id)

    def assert_cost_below(self, usd: Money, *, unpriced: Unpriced = "fail") -> None:
        """Raises `AssertionError`, with the figure and the tree, unless it cost less than `usd`.

        So does a task with calls at no known price, which may cost anything; `unpriced="allow"` counts what is known.
        """
        limit = Limit(money(usd, "usd"), checked_unpriced(unpriced), inclusive=False)
        if broken := limit.broken_by(str(self), Spent.by(self)):
            raise AssertionError(f"{broken}\n\n{self.tree_or_hint()}")

    def tree_or_hint(self) -> str:
        """The tree, or without rich how to get one."""
        return tree_or_hint(self._recorder.spans, self.id)

    def __str__(self) -> str:
        return f"task {self.name!r}" + (f" {self.key}" if self.key else "")


class Spending:
    """What was booked while it watched. Of itself it looks at nothing else."""

    def __init__(self) -> None:
        self._ledger = Ledger()
        self._process = os.getpid()

    @property
    def spent(self) -> Spent:
        """All of it, in tasks and outside of any."""
        return Spent.on(self._ledger)

    def booked(self, entry: Entry) -> None:
        """Called for all that is spent."""
        if self._process == os.getpid():  # a forked process has but a copy, whose lock a thread of its parent may hold
            self._ledger.book(entry)

    def ended(self, scope: Scope) -> None:
        """Called when a task ends."""

    def started(self, span: Span, start_by: Callable[[Tracer], Span]) -> Span:
        """Called for each span of ours."""
        return span

    def saw(self, span: Span) -> None:
        """Called for spans of others."""


class Recorder(Spending):
    """The same, and what was pictured and ended."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[RecordedTask] = []
        self._spans: dict[int, ReadableSpan] = {}
        self._tracer: Tracer | None = None

    @property
    def spans(self) -> list[ReadableSpan]:
        """Those that record anything, ended or not."""
        return list(self._spans.values())

    def ended(self, scope: Scope) -> None:
        """Called when a task ends."""
        if scope.task is not None:
            self.tasks.append(RecordedTask(scope.task, scope, self))

    def started(self, span: Span, start_by: Callable[[Tracer], Span]) -> Span:
        """Called for each span of ours. Where the application has no `TracerProvider`, one of our own records them."""
        if not span.is_recording() and isinstance(
            providers.in_use()[0], trace.ProxyTracerProvider | trace.NoOpTracerProvider
        ):
            span = start_by(self._own_tracer())
        self.saw(span)
        return span

    def saw(self, span: Span) -> None:
        """Called for spans of others."""
        if isinstance(span, ReadableSpan):
            self._spans[id(span)] = span

    def _own_tracer(self) -> Tracer:
        if self._tracer is None:
            provider = TracerProvider(ALWAYS_ON, Resource.get_empty(), shutdown_on_exit=False)
            self._tracer = provider.get_tracer("taskmeter.testing", __version__)
        return self._tracer


class RecordedTasks(Sequence[RecordedTask]):
    """The tasks that ended in the block so far, nested ones too, in the order in which they ended."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    @property
    def spent(self) -> Spent:
        """All that was spent so far: in these tasks, in tasks that are still open, and outside of any."""
        return self._recorder.spent

    @property
    def outermost(self) -> list[RecordedTask]:
        """Those that are not inside another of them. Their costs add up without counting any twice."""
        tasks = list(self)
        ids = {task.id for task in tasks}
        return [task for task in tasks if not task.is_inside(ids)]

    def named(self, name: str) -> list[RecordedTask]:
        """Those of that name."""
        return [task for task in self if task.name == name]

    def only(self, name: str | None = None) -> RecordedTask:
        """The one task, or the one of that name. Raises `AssertionError` when there is none or are several."""
        found = list(self) if name is None else self.named(name)
        if len(found) == 1:
            return found[0]
        what = "one task" if name is None else f"one task {name!r}"
        raise AssertionError(f"{what} was to end here, but {len(found)} did. {self.described()}")

    def described(self) -> str:
        """Which tasks ended, in a sentence."""
        if not self:
            return "No task ended here."
        return f"Tasks that ended here: {', '.join(map(str, self))}."

    def trees(self) -> str:
        """The trees of the outermost tasks that cost most, and what was spent outside of them; for messages."""
        costly = sorted(self.outermost, key=lambda task: task.cost.total, reverse=True)
        parts = [task.tree_or_hint() for task in costly[:_MOST_TREES]]
        if len(costly) > _MOST_TREES:
            parts.append(f"... and {len(costly) - _MOST_TREES:,} more tasks that cost no more than these")
        spent = self.spent
        calls = spent.calls - sum(task.calls for task in costly)
        amount = subtract(spent.usd, total(task.cost.total for task in costly))
        if calls > 0 or amount > 0:  # a task that was open before may have cost more than was spent here
            parts.append(f"outside of the tasks that ended here: {dollars(amount)}, {counted(calls, 'call')}")
        return "\n\n".join(parts)

    def __len__(self) -> int:
        return len(self._recorder.tasks)

    @overload
    def __getitem__(self, index: int) -> RecordedTask: ...
    @overload
    def __getitem__(self, index: slice) -> list[RecordedTask]: ...
    def __getitem__(self, index: int | slice) -> RecordedTask | list[RecordedTask]:
        return self._recorder.tasks[index]

    def __iter__(self) -> Iterator[RecordedTask]:
        return iter(list(self._recorder.tasks))

    def __repr__(self) -> str:
        return f"<RecordedTasks {list(self)!r}>"


@contextmanager
def recorded_tasks() -> Generator[RecordedTasks]:
    """Records every task of the process that ends in the block, in whatever thread or coroutine, with all its spans.

    Needs no set-up and leaves none behind: the OpenAI and Anthropic SDKs are hooked for its duration unless
    `instrument()` or `configure()` has done so, an application's `TracerProvider` is neither replaced nor added to, and
    where there is none the spans are kept here. Blocks may nest and overlap; each records all. The figures of a task
    stay up to date after the block, if more is booked to it.
    """
    recorder = Recorder()
    with _hooked(), _watching(recorder):
        yield RecordedTasks(recorder)


@contextmanager
def recorded_spending() -> Generator[Spending]:
    """Only what is spent, and only by what is hooked already. For the pytest plugin."""
    spending = Spending()
    with _watching(spending):
        yield spending


@contextmanager
def _hooked() -> Generator[None]:
    held = hold()
    try:
        yield
    finally:
        if held:
            release()


@contextmanager
def _watching(watcher: watching.Watcher) -> Generator[None]:
    watching.add(watcher)
    try:
        yield
    finally:
        watching.remove(watcher)
