"""What the calls of a group of tasks spent besides answers: input by source, what was sent again, reasoning; and what
caches saved."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from taskmeter.records import SOURCES, ZERO, ContextShare
from taskmeter.reports.engine.spending import CARRIED
from taskmeter.reports.waste_section import share_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taskmeter.reports.engine.spending import Spending


@dataclass(frozen=True, slots=True, kw_only=True)
class InputShare:
    """A part of the input of the measured calls."""

    source: str
    tokens: int
    share: float | None
    """Of the input tokens of the measured calls, 0 to 1."""
    cost: Decimal | None
    """What it was billed at; `None` where that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextSection:
    """Input by source, reasoning and caches."""

    sources: tuple[InputShare, ...]
    """They add up to the input of the measured calls."""
    documents: tuple[InputShare, ...]
    """What of `documents` came from where, by falling tokens."""
    carried: InputShare | None
    """What of all sources an earlier call of the same task had sent already."""
    calls: int
    """Calls whose input was measured."""
    unmeasured_calls: int
    """Calls with input that is in none of these figures."""
    reasoning_tokens: int
    reasoning_share: float | None
    """Of all output tokens, 0 to 1."""
    reasoning_cost: Decimal
    """Of the calls whose price of it is known."""
    cache_read_tokens: int
    cache_read_share: float | None
    """Of all input tokens, 0 to 1."""
    cache_saved: Decimal
    """Net of what writing to caches cost more; less than 0 where that was not worth it."""


def context_section(spent: Spending) -> ContextSection:
    """Makes the section."""
    sources = {source: _of_source(source, spent.parts) for source in SOURCES}
    billed = sum(share.tokens for share in sources.values())
    labels = sorted(
        ((name.partition("/")[2], share) for name, share in spent.parts.items() if name.startswith("documents/")),
        key=lambda each: (-each[1].tokens, each[0]),
    )
    carried = spent.parts.get(CARRIED)
    return ContextSection(
        sources=tuple(_shown(source, share, billed) for source, share in sources.items() if share.tokens),
        documents=tuple(_shown(label, share, billed) for label, share in labels),
        carried=None if carried is None else _shown(CARRIED, carried, billed),
        calls=spent.measured_calls,
        unmeasured_calls=spent.unmeasured_calls,
        reasoning_tokens=spent.reasoning_tokens,
        reasoning_share=share_of(Decimal(spent.reasoning_tokens), Decimal(spent.output_tokens)),
        reasoning_cost=spent.reasoning_cost,
        cache_read_tokens=spent.cache_read_tokens,
        cache_read_share=share_of(Decimal(spent.cache_read_tokens), Decimal(spent.input_tokens)),
        cache_saved=spent.cache_saved,
    )


def _of_source(source: str, sums: Mapping[str, ContextShare]) -> ContextShare:
    found = ContextShare(0, ZERO)
    for name, share in sums.items():
        if name == source or name.startswith(f"{source}/"):
            found += share
    return found


def _shown(source: str, share: ContextShare, billed: int) -> InputShare:
    part = share_of(Decimal(share.tokens), Decimal(billed))
    return InputShare(source=source, tokens=share.tokens, share=part, cost=share.cost)
