"""`taskmeter whatif` against what each call would have cost, worked out call by call from published prices."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taskmeter import _semconv as names
from taskmeter.records import Part
from taskmeter.reports.scenario_texts import model_prices
from tests.reports.priced import Call, record_task, try_changes
from tests.reports.spans import SECOND, Recorder

ENDS = ("low", "likely", "high")
PRICES = {
    "gpt-5": (1.25, 0.125, 1.25, 10.0),
    "gpt-5-nano": (0.05, 0.005, 0.05, 0.4),
    "claude-sonnet-5": (2.0, 0.2, 2.5, 10.0),
    "claude-haiku-4-5": (1.0, 0.1, 1.25, 5.0),
    "small": (0.5, 0.25, 0.5, 2.0),
}
"""USD per million: input, read from a cache, written to one for 5 minutes, output."""
SEARCH = 0.01
DOCUMENTS, HISTORY = 0.4, 0.2
"""What they are, of the bill for the input of every call."""


@dataclass(frozen=True)
class Truth:
    """One call as it was, or a share of it as it would be."""

    step: str
    model: str
    plain: float
    read: float
    written: float
    output: float
    again: float = 0.0
    """The share of `plain` that could have come from a cache."""
    is_cached: bool = False
    """Whether the model has such calls in that task."""
    is_kept: bool = True
    """Whether to note when the same was asked before: a call to classify, the first of its task."""
    seconds_since: float | None = None
    searches: int = 0
    calls: float = 1.0
    factor: float = 1.0

    @property
    def cost(self) -> float:
        """In USD."""
        tokens = np.dot(PRICES[self.model], [self.plain, self.read, self.written, self.output]) / 1e6
        return self.calls * (self.factor * float(tokens) + self.searches * SEARCH)

    def given(self, factor: float) -> "Truth":
        """With so many times the input."""
        return replace(self, plain=self.plain * factor, read=self.read * factor, written=self.written * factor)


def record(recorder: Recorder, seed: int) -> list[Truth]:
    """Forty tasks of four calls: two by gpt-5 to classify, one of them with a search, and two by Claude to draft."""
    random = np.random.default_rng(seed)
    found: list[Truth] = []
    asked: dict[int, int] = {}
    for number in range(40):
        recorder.now += int(random.choice([0, 1_800, 40_000, 200_000])) * SECOND
        question = int(random.integers(8))
        since = (recorder.now - asked[question]) / SECOND if question in asked else None
        asked[question] = recorder.now
        task: list[Truth] = []
        calls: list[Call] = []
        for place in range(4):
            plain, read, output = (int(random.integers(*ends)) for ends in ((2_000, 9_000), (0, 900), (1, 700)))
            written = int(random.integers(0, 500)) if place > 1 else 0
            carried = int(random.choice([900, 3_000])) if place % 2 else 4_000  # nothing is cached before a first call
            step, model = ("classify", "gpt-5") if place < 2 else ("draft", "claude-sonnet-5")
            again = min(1, max(0, carried - read - written) / plain) if carried >= 1_024 and place % 2 else 0
            truth = Truth(step, model, plain, read, written, output, again, searches=int(place == 1))
            task.append(replace(truth, seconds_since=since if place == 0 else None))
            calls.append(recorded(truth, carried, question if place == 0 else None))
        pairs = [task[:2], task[2:]]
        found += [replace(each, is_cached=any(other.again for other in pair)) for pair in pairs for each in pair]
        record_task(recorder, "ticket", f"t{number}", calls)
    return found


def recorded(call: Truth, carried: int, question: int | None) -> Call:
    """With all that is measured of it."""
    parts: dict[Part, int] = {"input": int(call.plain), "cache_read": int(call.read), "output": int(call.output)}
    parts["cache_write_5m"] = int(call.written)
    bill = np.dot(PRICES[call.model][:3], [call.plain, call.read, call.written]) / 1e6
    shares = {"documents/kb": [9, repr(float(bill * DOCUMENTS))], "history": [9, repr(float(bill * HISTORY))]}
    more: dict[str, Any] = {"CONTEXT_CARRIED_TOKENS": carried, names.CONTEXT_SHARES: json.dumps(shares)}
    more |= {names.CONTEXT_TOKENS.format(source=source): 9 for source in ("documents", "history")}
    if question is not None:
        more["FINGERPRINT"] = f"{question:016}"
    provider = "openai" if call.model.startswith("gpt") else "anthropic"
    fees = {"web_search": call.searches} if call.searches else {}
    return Call({part: n for part, n in parts.items() if n}, call.model, provider, (), call.step, more, fees)


# --- the same changes, call by call


def at(end: str, low: float, likely: float, high: float) -> float:
    return {"low": low, "likely": likely, "high": high}[end]


def without_repeats(calls: Sequence[Truth], end: str) -> Iterator[Truth]:
    """At best whatever was asked before, likely within a day, at worst within an hour."""
    most = at(end, 1e9, 86_400, 3_600)
    return (call for call in calls if call.seconds_since is None or call.seconds_since > most)


def semantic(calls: Sequence[Truth], end: str) -> Iterator[Truth]:
    """20 % to 40 % are not made."""
    return (replace(call, calls=call.calls * (1 - at(end, 0.4, 0.3, 0.2))) for call in calls)


def trimmed(calls: Sequence[Truth], end: str) -> Iterator[Truth]:
    """60 % less of the documents and all of the history, a quarter more or less than their shares say."""
    off = at(end, 1.25, 1.0, 0.75) * (0.6 * DOCUMENTS + 1.0 * HISTORY)
    return (call.given(1 - off) for call in calls)


def routed(calls: Sequence[Truth], end: str) -> Iterator[Truth]:
    """70 % of what is classified goes to gpt-5-nano, all that is drafted to the stated model of the same provider."""
    longer = at(end, 0.8, 1.0, 1.2)
    for call in calls:
        model, share = ("gpt-5-nano", 0.7) if call.step == "classify" else ("small", 1.0)
        yield replace(call, calls=call.calls * (1 - share))
        yield replace(call, calls=call.calls * share, model=model, output=call.output * longer)


def abroad(calls: Sequence[Truth], end: str) -> Iterator[Truth]:
    """All that is classified goes to Anthropic: of each token 0.8 to 1.2, and answers as much longer again."""
    spread = at(end, 0.8, 1.0, 1.2)
    for call in calls:
        moved = replace(call.given(spread), model="claude-haiku-4-5", output=call.output * spread * spread)
        yield moved if call.step == "classify" else call


def cached(calls: Sequence[Truth], end: str) -> Iterator[Truth]:
    """What was sent before is read in 50 % to 95 % of cases; all else in such tasks is written."""
    for call in calls:
        read = call.plain * call.again * at(end, 0.95, 0.725, 0.5)
        moved = replace(call, plain=0, read=call.read + read, written=call.written + call.plain - read)
        yield moved if call.is_cached else call


def batched(calls: Sequence[Truth], end: str) -> Iterator[Truth]:
    """Half of what is classified can wait, at half of all prices; nobody publishes one for the stated model."""
    for call in calls:
        waits = 0.5 if call.step == "classify" else 0.0
        yield replace(call, calls=call.calls * (1 - waits))
        yield replace(call, calls=call.calls * waits, factor=call.factor * 0.5)


def dearer(calls: Sequence[Truth], end: str) -> Iterator[Truth]:
    """OpenAI asks five times as much for tokens; a search costs what it did."""
    return (replace(call, factor=call.factor * (5 if call.model.startswith("gpt") else 1)) for call in calls)


CHANGES: dict[str, tuple[dict[str, Any], Any]] = {
    "exact": ({"response_cache": "exact"}, without_repeats),
    "semantic": ({"response_cache": "20%-40%"}, semantic),
    "context": ({"context": ["documents=-60%", "history=-100%"]}, trimmed),
    "route": ({"route": ["classify:gpt-5=gpt-5-nano@70%", "draft:*=small"]}, routed),
    "abroad": ({"route": ["classify=claude-haiku-4-5"]}, abroad),
    "cache": ({"cache": "50%-95%"}, cached),
    "batch": ({"batch": ["classify@50%"]}, batched),
    "price": ({"price": ["openai/*=x5"]}, dearer),
}
COMBINED = [
    ("route", "cache", "batch"),
    ("exact", "context", "route", "cache", "batch", "price"),
    ("semantic", "context", "abroad", "cache", "price"),
]


@pytest.fixture(scope="module")
def recorded_calls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Truth]]:
    """A spool, and what is in it."""
    directory = tmp_path_factory.mktemp("spool")
    return directory, record(Recorder(directory), seed=10)


@pytest.mark.parametrize("which", [*((name,) for name in CHANGES), *COMBINED], ids="+".join)
def test_every_answer_is_the_sum_over_calls(recorded_calls: tuple[Path, list[Truth]], which: tuple[str, ...]) -> None:
    """Of each change, and of several in their order, at every end: nothing is saved twice."""
    directory, calls = recorded_calls
    options: dict[str, Any] = {}
    expected: list[float] = []
    for end in ENDS:
        now = list(calls)
        for name in which:
            changes, change = CHANGES[name]
            options |= changes
            now = list(change(now, end))
        expected.append(sum(call.cost for call in now))
    stated = model_prices(["small=0.50/2.00/0.25"]) if "route" in which else None
    result = try_changes(directory, stated=stated, **options)
    assert float(result.total.total or 0) == pytest.approx(sum(call.cost for call in calls), rel=1e-12)
    assert result.reach.repriced_share == 1.0
    assert [float(each) for each in result.total.new_total or ()] == pytest.approx(sorted(expected), rel=1e-9)
