"""What to know when reading what-if figures, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from taskmeter.reports.price_terms import Book
from taskmeter.reports.recorded_calls import LEFT, Cell
from taskmeter.reports.scenarios import ExactCache, PromptCache, Route, Scenario, SemanticCache, Trim
from taskmeter.reports.success import Success
from taskmeter.reports.text import money
from taskmeter.reports.whatif_result import Left, Reach


class Effect(NamedTuple):
    """What came of a change."""

    scenario: Scenario
    calls: int
    """That it is about, by itself."""
    stays: Mapping[str, Decimal]
    """Why calls are not as it says, in its turn -> how many."""


def notes(effects: Iterable[Effect], recorded: Sequence[Cell], book: Book, success: Iterable[Success]) -> Iterator[str]:
    """What each change assumes, and what it does not reach."""
    for scenario, calls, stays in effects:
        for why, count in stays.items():
            yield f"{scenario.text} leaves {_calls(round(count))} {why}."
        if calls:
            yield from _assumptions(scenario, recorded)
        else:
            yield f"{scenario.text} is about no call here."
    for model, doubt in book.doubts.items():
        yield f"The price of {model} is an estimate: {doubt}."
    for each in success:
        yield (
            f"--success {each.text} holds for the workflows that a change is about; what a failure costs besides "
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
                "quarter more or less. Calls keep the price of their range of lengths."
            )
        case _:
            return


def reach_notes(reach: Reach, currency: str) -> Iterator[str]:
    """What the figures are about, and what not."""
    yield f"{reach.repriced_calls} of {_calls(reach.calls)} could be repriced{_of_spend(reach.repriced_share)}."
    if reach.repriced_in_part:
        yield (
            f"{_calls(reach.repriced_in_part).capitalize()} of these cost more than that: some of it has no price, and "
            "is in no figure."
        )
    if reach.fees:
        yield (
            f"{money(reach.fees, currency)} of what was repriced is fees, as for searches: they stay with each call "
            "that is made, whoever answers."
        )
    for left in reach.left:
        which = "which" if left.calls == 1 else "each of which"
        yield f"Left as recorded: {_calls(left.calls)}{_at(left, currency)}, {which} {LEFT[left.reason]}."
    if reach.other is not None and reach.other > 0:
        yield (
            f"{money(reach.other, currency)} is for no recorded call{_of_spend(reach.other_share)}: tools, charges, "
            "people's time, calls whose spans are lost. It stays as it is."
        )


def _at(left: Left, currency: str) -> str:
    return "" if left.cost is None else f" for {money(left.cost, currency)}{_of_spend(left.share)}"


def _of_spend(share: float | None) -> str:
    return "" if share is None else f", {share:.1%} of the spend"


def _calls(count: int) -> str:
    return "1 call" if count == 1 else f"{count} calls"
