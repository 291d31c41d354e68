"""What to know when reading what-if figures, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from taskmeter.reports.recorded_calls import LEFT, Cell
from taskmeter.reports.scenarios import Book, ExactCache, PromptCache, Route, Scenario, SemanticCache, Trim
from taskmeter.reports.success import Success
from taskmeter.reports.whatif_result import Reach


class Effect(Protocol):
    """What a change does by itself."""

    @property
    def calls(self) -> Sequence[int]:
        """Calls that it is about."""
        ...

    @property
    def without_price(self) -> Sequence[int]:
        """Calls that stay as they are for want of a price."""
        ...


def notes(
    scenarios: Sequence[Scenario],
    alone: Sequence[Effect],
    recorded: Sequence[Cell],
    book: Book,
    success: Success | None,
) -> Iterator[str]:
    """What each change assumes, and what it does not reach; `alone` is what each does by itself."""
    for scenario, run in zip(scenarios, alone, strict=True):
        if without := run.without_price[0]:
            yield f"{scenario.text} leaves {_calls(without)} as before: no such price is published for the model."
        if run.calls[0]:
            yield from _assumptions(scenario, recorded)
        else:
            yield f"{scenario.text} is about no call here."
    for model, doubt in book.doubts.items():
        yield f"The price of {model} is an estimate: {doubt}."
    if success is not None:
        yield (
            f"--success {success.text} holds for the workflows that a change is about; what a failure costs besides "
            "calls is not in these figures."
        )


def _assumptions(scenario: Scenario, recorded: Sequence[Cell]) -> Iterator[str]:
    match scenario:
        case Route():
            yield (
                f"{scenario.text}: cached tokens stay cached; answers may be {scenario.length_spread:.0%} longer or "
                f"shorter, and another provider's tokeniser may make {scenario.token_spread:.0%} more or fewer tokens."
            )
        case PromptCache():
            measured, calls = sum(cell.measured for cell in recorded), sum(cell.calls for cell in recorded)
            yield (
                f"{scenario.text}: within a task, from {measured} of {calls} calls whose input was measured; what "
                "tasks share, such as a system prompt, would save more."
            )
        case ExactCache():
            known = sum(cell.fingerprinted for cell in recorded)
            yield (
                f"{scenario.text}: {known} calls have a fingerprint; at least what is asked again within an hour, "
                "likely within a day, at most all that was asked before."
            )
        case SemanticCache():
            yield f"{scenario.text}: a rate that you state; what looking up answers costs is not in it."
        case Trim():
            measured, calls = sum(cell.measured for cell in recorded), sum(cell.calls for cell in recorded)
            yield (
                f"{scenario.text}: of {measured} of {calls} calls whose input was measured, which is by length: a "
                "quarter more or less."
            )
        case _:
            return


def reach_notes(reach: Reach) -> Iterator[str]:
    """What the figures are about, and what not."""
    share = "" if reach.repriced_share is None else f": {reach.repriced_share:.1%} of the spend"
    yield f"{reach.repriced_calls} of {_calls(reach.calls)} could be repriced{share}."
    for reason, count in reach.left.items():
        yield f"Left as they are: {_calls(count)}, each of which {LEFT[reason]}."


def _calls(count: int) -> str:
    return "1 call" if count == 1 else f"{count} calls"
