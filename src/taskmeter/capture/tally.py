"""Sums over the many items that one span stands for."""

from __future__ import annotations

from taskmeter import _semconv as names
from taskmeter.capture.priced import RANK
from taskmeter.capture.reading import Reading
from taskmeter.records import Charge, CostStatus, Part, Priced, Usage, add
from taskmeter.telemetry.attributes import Attributes, cost_attributes, usage_attributes


class Tally:
    """Adds up items without keeping them."""

    def __init__(self) -> None:
        self.items = 0
        self._unpriced = 0
        self._charges: dict[str, Charge] = {}
        self._terms: set[tuple[tuple[str, str], ...]] = set()
        self._worst: CostStatus = "exact"
        self._origin = ""
        self._reason = ""
        self._models: set[str] = set()
        self._tokens: dict[Part, int] = {}
        self._fees: dict[str, int] = {}

    def add(self, item: Reading, priced: Priced) -> None:
        """Counts one item."""
        self.items += 1
        self._origin = self._origin or priced.origin
        self._reason = self._reason or priced.reason
        if item.model is not None and len(self._models) <= 1:
            self._models.add(item.model)
        if item.usage is not None:
            for part, count in item.usage.tokens.items():
                self._tokens[part] = self._tokens.get(part, 0) + count
            for fee, count in item.usage.fees.items():
                self._fees[fee] = self._fees.get(fee, 0) + count
        if priced.status == "unpriced":
            self._unpriced += 1
            return
        if RANK[priced.status] > RANK[self._worst]:
            self._worst = priced.status
        if priced.charges and len(self._terms) <= 1:
            self._terms.add(priced.terms)
        for charge in priced.charges:
            known = self._charges.get(charge.part)
            self._charges[charge.part] = charge if known is None else _both(known, charge)

    @property
    def usage(self) -> Usage:
        """The counts of all items."""
        return Usage(self._tokens, self._fees)

    @property
    def model(self) -> str:
        """The model that answered, if it was the same for all."""
        return next(iter(self._models)) if len(self._models) == 1 else ""

    def attributes(self) -> Attributes:
        """Usage and cost. Without any amount where no item could be priced."""
        attributes: Attributes = {names.BATCH_ITEMS: self.items, **usage_attributes(self.usage)}
        if self._unpriced:
            attributes[names.BATCH_UNPRICED_ITEMS] = self._unpriced
        return attributes | cost_attributes(self._priced())

    def _priced(self) -> Priced:
        if self._unpriced == self.items:
            return Priced("unpriced", reason=self._reason)
        charges, terms = tuple(self._charges.values()), next(iter(self._terms)) if len(self._terms) == 1 else ()
        if self._unpriced:
            reason = f"{self._unpriced} of {self.items} items have no price: {self._reason}"
            return Priced("partial", charges, self._origin, reason, terms=terms)
        return Priced(self._worst, charges, self._origin, self._reason, terms=terms)


def _both(left: Charge, right: Charge) -> Charge:
    """One charge for the same part of several items."""
    return left._replace(
        quantity=add(left.quantity, right.quantity),
        list_amount=add(left.list_amount, right.list_amount),
        amount=add(left.amount, right.amount),
        contracted=add(left.contracted_amount, right.contracted_amount),
    )
