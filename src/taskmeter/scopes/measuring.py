"""Finding out from what a decorated tool returns what the run cost, or how much it used."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, get_args

from taskmeter._bounds import shown
from taskmeter._guard import guarded
from taskmeter.account.money import Money, money
from taskmeter.errors import UsageError
from taskmeter.pricing import ToolPrice
from taskmeter.records import ZERO, Category
from taskmeter.scopes.arguments import text
from taskmeter.scopes.runs import ToolUse, current_run

Measure = Callable[[Any], Money]
"""Gets what the tool returned."""


@dataclass(frozen=True, slots=True)
class ToolTerms:
    """What one run of a tool is said to cost."""

    price: ToolPrice | None = None
    measured: str = ""
    """The argument that is a `measure`."""
    measure: Measure | None = None


def tool_terms(
    cost: Money | Measure | None,
    cost_per_second: Money | None,
    unit: str | None,
    per: Money | None,
    quantity: Measure | None,
    category: Category | None,
) -> ToolTerms:
    """What `track_tool` was told. Raises `UsageError` where that makes no sense."""
    if cost is not None and cost_per_second is not None:
        msg = f"cost={shown(cost)} and cost_per_second={shown(cost_per_second)}: a run has one price; pass one of them"
        raise UsageError(msg)
    fixed, timed = cost is not None and not callable(cost), cost_per_second is not None
    for argument, value, fits, fix in (
        ("unit", unit, fixed, "it says what cost= is for; pass a fixed cost as well"),
        ("per", per, fixed, "it says what cost= is for; pass a fixed cost as well"),
        ("category", category, cost is not None or timed, "it says what kind of cost it is; pass cost= as well"),
        ("quantity", quantity, not timed and not callable(cost), "it is for a fixed price; leave it out"),
        ("quantity", quantity, callable(quantity), "pass a callable that gets the result, or say run.used(...)"),
    ):
        if value is not None and not fits:
            msg = f"{argument}={shown(value)}: {fix}"
            raise UsageError(msg)
    if category is not None and category not in get_args(Category):
        msg = f"category={shown(category)} is not one of {', '.join(get_args(Category))}"
        raise UsageError(msg)
    kind = category or "tools"
    if cost_per_second is not None:
        return ToolTerms(ToolPrice(money(cost_per_second, "cost_per_second"), "second", Decimal(1), kind))
    if callable(cost):
        return ToolTerms(ToolPrice(ZERO, "run", Decimal(1), kind), "cost", cost)
    price = None
    if cost is not None:
        each = Decimal(1) if per is None else money(per, "per")
        if not each:
            msg = f"per={shown(per)}: a cost is for some units; leave it out for one, or pass a positive number"
            raise UsageError(msg)
        price = ToolPrice(money(cost, "cost"), "run" if unit is None else text(unit, "unit"), each, kind)
    return ToolTerms(price, "quantity" if quantity is not None else "", quantity)


def measuring(func: Callable[..., Any], opener: object, terms: ToolTerms) -> Callable[..., Any]:
    """`func`, the same kind of function, whose result is measured for the run that `opener` opened around it.

    Raises `UsageError` for an async generator, which returns nothing.
    """
    kind: Any = type(func)
    body = func if inspect.isroutine(func) or kind is functools.partial else kind.__call__
    if inspect.isasyncgenfunction(body):
        msg = f"{terms.measured}= gets what the tool returns, and {shown(func)}, an async generator, returns nothing"
        raise UsageError(msg)

    def measured(result: Any) -> Any:
        _measure(result, opener, terms)
        return result

    def call(*args: Any, **kwargs: Any) -> Any:
        return measured(func(*args, **kwargs))

    async def call_async(*args: Any, **kwargs: Any) -> Any:
        return measured(await func(*args, **kwargs))

    def generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        return measured((yield from func(*args, **kwargs)))

    if inspect.isgeneratorfunction(body):
        return functools.wraps(func)(generate)
    return functools.wraps(func)(call_async if inspect.iscoroutinefunction(body) else call)


def _measure(result: Any, opener: object, terms: ToolTerms) -> None:
    run = current_run()
    while run is not None and not (run.opener is opener and isinstance(run, ToolUse)):
        run = run.parent
    if run is None or terms.measure is None:
        return
    with guarded("scopes.measure"):
        try:
            amount = money(terms.measure(result), terms.measured)
        except UsageError as error:
            raise ValueError(str(error)) from None  # it is too late to tell the caller: the run is unpriced
        run.measure(amount)
