"""Steps whose result was thrown away, and which of them were tried again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from taskmeter.records import WasteClass
from taskmeter.reports.rows import AnyRow, Ref, Step
from taskmeter.reports.waste import filled

Around: TypeAlias = Callable[[Ref], WasteClass | None]
"""Why a row is waste because of a step around it, if it is."""


def reasked(rows: Mapping[Ref, AnyRow], parents: Mapping[Ref, Ref]) -> frozenset[Ref]:
    """The steps that were rejected, discarded or ended by an exception, and then opened again in the same place."""
    alike: dict[tuple[Ref, str], list[Step]] = defaultdict(list)
    for ref, row in rows.items():
        if isinstance(row, Step) and ref in parents:
            alike[parents[ref], row.name].append(row)
    found: set[Ref] = set()
    for steps in alike.values():
        steps.sort(key=lambda step: step.start_ns)
        for number, step in enumerate(steps[:-1]):
            alone = step.end_ns <= steps[number + 1].start_ns and all(
                other.end_ns <= step.start_ns for other in steps[:number]
            )
            if alone and (step.discarded or step.error is not None):
                found.add(step.ref)
    return frozenset(found)


def around(rows: Mapping[Ref, AnyRow], parents: Mapping[Ref, Ref], again: frozenset[Ref]) -> Around:
    """Why a row is waste because of the innermost rejected step around it, within its task; `again` are those that
    were tried again."""

    def found(ref: Ref) -> WasteClass | None:
        above = parents.get(ref)
        while above is not None and isinstance(row := rows[above], Step):
            if above in again:
                return "reask"
            if row.discarded:
                return "discarded_step"
            above = parents.get(above)
        return None

    return found


def as_reasks(rows: Mapping[Ref, AnyRow], again: frozenset[Ref]) -> dict[Ref, Step]:
    """Those steps `again` tried again, as waste of that class: their spans had ended before it was known."""
    found: dict[Ref, Step] = {}
    for ref in again:
        if isinstance(step := rows[ref], Step) and step.cost is not None:
            kept = {name: amount for name, amount in step.waste.items() if name != "discarded_step"}
            found[ref] = replace(step, waste=filled(kept, step.cost, "reask"))
    return found
