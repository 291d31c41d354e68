"""An endpoint without a network, time that does not pass by itself, and spools of small spans."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from taskmeter.spool.shipping.answers import Accepted, Again, Answer
from taskmeter.spool.shipping.dead_letters import dead_letters_of
from taskmeter.spool.shipping.delivery import Summary
from taskmeter.spool.shipping.patience import Clock
from taskmeter.spool.shipping.shipper import Shipper, Terms
from taskmeter.spool.shipping.spans import StoredSpan

NAME = "http://collector:4318/v1/traces"
NOW_NS = 1_764_280_000_000_000_000


class KilledError(BaseException):
    """Stands for SIGKILL: nothing of the shipper runs after it."""


@dataclass(frozen=True, slots=True)
class Breaks:
    """The endpoint has taken the spans, and the connection breaks before it has said so."""


@dataclass(frozen=True, slots=True)
class Kills:
    """The endpoint has taken the spans, and the shipper is killed before it has written that down."""


Step = Answer | Breaks | Kills


@dataclass(slots=True)
class Backend:
    """Answers by `script`, then by `rule`, which accepts all. A sender."""

    script: deque[Step] = field(default_factory=deque[Step])
    rule: Callable[[Sequence[StoredSpan]], Answer] = lambda _: Accepted()
    accepted: Counter[str] = field(default_factory=Counter[str])
    """How often each span was taken, by its id."""
    unheard: set[str] = field(default_factory=set[str])
    """Spans that were taken without the shipper being told."""
    requests: list[list[str]] = field(default_factory=list[list[str]])

    def send(self, spans: Sequence[StoredSpan], timeout_seconds: float) -> Answer:
        ids = [span.span_id for span in spans]
        self.requests.append(ids)
        step = self.script.popleft() if self.script else self.rule(spans)
        if isinstance(step, Accepted):
            self.accepted.update(ids[step.rejected :])
        if isinstance(step, Breaks | Kills):
            self.accepted.update(ids)
            self.unheard.update(ids)
            if isinstance(step, Kills):
                raise KilledError
            return Again("connection reset by peer")
        return step


@dataclass(slots=True)
class Time:
    """A clock, and the event that a shipper waits on; `at` runs things when their time has come."""

    seconds: float = 0.0
    stopped: bool = False
    at: list[tuple[float, Callable[[], object]]] = field(default_factory=list[tuple[float, Callable[[], object]]])
    waits: list[float] = field(default_factory=list[float])

    def clock(self) -> Clock:
        return Clock(lambda: self.seconds, lambda: NOW_NS + int(self.seconds * 1e9))

    def is_set(self) -> bool:
        return self.stopped

    def wait(self, timeout: float) -> bool:
        self.waits.append(timeout)
        self.seconds += timeout
        due = [action for seconds, action in self.at if seconds <= self.seconds]
        self.at = [(seconds, action) for seconds, action in self.at if seconds > self.seconds]
        for action in due:
            action()
        return self.stopped


def span(number: int, **fields: Any) -> dict[str, Any]:
    """OTLP/JSON, with a span id that says which it is."""
    time = str(NOW_NS - 600_000_000_000)
    ids = {"traceId": f"{number // 3 + 1:032x}", "spanId": f"{number:016x}"}
    return {**ids, "name": "s", "kind": 1, "startTimeUnixNano": time, "endTimeUnixNano": time, **fields}


def line(*spans: dict[str, Any], service: str = "agent") -> str:
    """One line of a spool."""
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    scopes = [{"scope": {"name": "taskmeter"}, "spans": list(spans)}]
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": scopes}]}) + "\n"


def fill(directory: Path, *lines_of_files: Iterable[int]) -> int:
    """A file for each iterable of spans per line. Returns how many spans, which are numbered from 1."""
    directory.mkdir(exist_ok=True)
    number = 0
    for index, lines in enumerate(lines_of_files):
        with (directory / f"traces-20261127T12{index:04d}.000000Z-{index}.jsonl").open("w") as file:
            for count in lines:
                file.write(line(*(span(n) for n in range(number + 1, number + count + 1))))
                number += count
    return number


def ids(*numbers: int) -> list[str]:
    """Span ids."""
    return [f"{number:016x}" for number in numbers]


def shipper(
    directory: Path, backend: Any, time: Time | None = None, said: list[str] | None = None, **terms: Any
) -> Shipper:
    """One, as a new process has it."""
    time = time or Time()
    return Shipper(
        directory,
        NAME,
        backend,
        Terms(**terms),
        stop=time,
        clock=time.clock(),
        say=([] if said is None else said).append,
    )


def ship(directory: Path, backend: Any, time: Time | None = None, **terms: Any) -> Summary:
    """One run."""
    return shipper(directory, backend, time, **terms).run()


def dead(directory: Path) -> Counter[str]:
    """How often each span is among the dead letters that are certain."""
    letters = [letter for letter in dead_letters_of(directory, NAME) if letter.certain]
    return Counter(stored.span_id for letter in letters for stored in letter.spans)
