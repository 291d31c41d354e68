"""What the calls of a group of tasks spent besides answers: input by source, what was sent again, reasoning; and what
caches saved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from taskmeter.records import SOURCES, ZERO, ContextShare, total
from taskmeter.reports.rows import Leaf
from taskmeter.reports.waste_section import share_of

if TYPE_CHECKING:
    from taskmeter.reports.breakdown import Group

_CARRIED = "carried"


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


def context_section(group: Group) -> ContextSection:
    """Makes the section."""
    calls = [leaf for leaf in _leaves(group) if leaf.tokens is not None or leaf.context is not None]
    sums: dict[str, ContextShare] = {}
    for leaf in calls:
        for name, share in (leaf.context or {}).items():
            before = sums.get(name)
            sums[name] = share if before is None else before + share
    sources = {source: _of_source(source, sums) for source in SOURCES}
    billed = sum(share.tokens for share in sources.values())
    labels = sorted(
        ((name.partition("/")[2], share) for name, share in sums.items() if name.startswith("documents/")),
        key=lambda each: (-each[1].tokens, each[0]),
    )
    tokens = [leaf.tokens for leaf in calls if leaf.tokens is not None]
    thought, made = sum(each.reasoning for each in tokens), sum(each.output for each in tokens)
    cached, given = sum(each.cached for each in tokens), sum(each.input for each in tokens)
    carried = sums.get(_CARRIED)
    return ContextSection(
        sources=tuple(_shown(source, share, billed) for source, share in sources.items() if share.tokens),
        documents=tuple(_shown(label, share, billed) for label, share in labels),
        carried=None if carried is None else _shown(_CARRIED, carried, billed),
        calls=sum(leaf.context is not None for leaf in calls),
        unmeasured_calls=sum(_is_unmeasured(leaf) for leaf in calls),
        reasoning_tokens=thought,
        reasoning_share=share_of(Decimal(thought), Decimal(made)),
        reasoning_cost=total(leaf.reasoning for leaf in calls if leaf.reasoning is not None),
        cache_read_tokens=cached,
        cache_read_share=share_of(Decimal(cached), Decimal(given)),
        cache_saved=total(leaf.cache_saved for leaf in calls if leaf.cache_saved is not None),
    )


def _is_unmeasured(leaf: Leaf) -> bool:
    return leaf.context is None and leaf.tokens is not None and leaf.tokens.input > 0


def _leaves(group: Group) -> Iterable[Leaf]:
    """All that the group is about: what is in its tasks, at any depth, and what is in none."""
    yield from group.leaves
    ids = {task.id for task in group.tasks}
    relations = group.relations
    inside = {
        task.id: task.id in ids or any(around.id in ids for around in relations.ancestors(task))
        for task in relations.tasks.values()
    }
    yield from (leaf for leaf in relations.leaves if leaf.task_id is not None and inside.get(leaf.task_id))


def _of_source(source: str, sums: dict[str, ContextShare]) -> ContextShare:
    found = ContextShare(0, ZERO)
    for name, share in sums.items():
        if name == source or name.startswith(f"{source}/"):
            found += share
    return found


def _shown(source: str, share: ContextShare, billed: int) -> InputShare:
    part = share_of(Decimal(share.tokens), Decimal(billed))
    return InputShare(source=source, tokens=share.tokens, share=part, cost=share.cost)
