"""Leaf spans for money that no other span carries.

What is spent where somebody asked for silence gets none there. If it belongs to a task that is itself pictured, its
leaf comes when that task ends, so that the leaves of a trace add up to the total of its tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span

from taskmeter import _semconv as names
from taskmeter.account import Scope
from taskmeter.records import Charge, WasteClass
from taskmeter.telemetry import spans, suppression
from taskmeter.telemetry.attributes import Attributes, charge_attributes, identity_attributes, late_attributes

MOST_HELD: Final = 1024
"""Leaves that a task holds back until its end. What comes after is pictured at once."""


@dataclass(slots=True, eq=False)
class Leaf:
    """Money that is not pictured yet."""

    item: str
    attributes: Attributes
    """How much, what for, of which task."""
    pictured: bool = False


def emit_charge(charge: Charge, scope: Scope | None) -> None:
    """A leaf for a charge of the application's own."""
    emit_leaf(charge.item, charge_attributes(charge), scope)


def emit_leaf(
    item: str,
    attributes: Attributes,
    scope: Scope | None,
    *,
    context: Context | None = None,
    waste: WasteClass | None = None,
) -> None:
    """A leaf for what `attributes` say: in `context`, or where that asks for silence, when the task ends."""
    leaf = _leaf(item, attributes, scope, waste=waste)
    if suppression.silent(context):
        _hold(leaf, scope)
    else:
        _emit(leaf, context)


def hold(item: str, attributes: Attributes, scope: Scope | None, *, waste: WasteClass | None = None) -> Leaf:
    """A leaf for when the task ends, unless by then another span pictures it."""
    leaf = _leaf(item, attributes, scope, waste=waste)
    _hold(leaf, scope)
    return leaf


def picture(scope: Scope, span: Span) -> None:
    """Emits the leaves that `scope`, a task about to end, holds: below its `span`, if that is not silenced as well."""
    held, scope.held = scope.held, []
    if not held:
        return
    if span is trace.INVALID_SPAN and suppression.silent():
        for leaf in held:
            _hold(leaf, scope.parent)
        return
    context = trace.set_span_in_context(span, Context())
    for leaf in held:
        _emit(leaf, context)


def _leaf(item: str, attributes: Attributes, scope: Scope | None, *, waste: WasteClass | None) -> Leaf:
    identity = identity_attributes(scope.task if scope is not None else None)
    attributes = {names.SPAN_KIND: "charge", **attributes, **identity, **late_attributes(scope)}
    if waste is not None:
        attributes[names.WASTE_CLASS] = waste
    return Leaf(item, attributes)


def _hold(leaf: Leaf, scope: Scope | None) -> None:
    if scope is None:
        return
    scope = scope.owner
    if scope.closed or len(scope.held) >= MOST_HELD:
        _emit(leaf, Context())
    else:
        scope.held.append(leaf)


def _emit(leaf: Leaf, context: Context | None) -> None:
    if not leaf.pictured:
        leaf.pictured = True
        spans.end(spans.start(f"charge {leaf.item}", leaf.attributes, context=context))
