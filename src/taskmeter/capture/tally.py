"""Sums over the many items that one span stands for."""

from __future__ import annotations

from decimal import Decimal

from taskmeter import _semconv as names
from taskmeter.account import stated_charge
from taskmeter.capture.reading import Reading
from taskmeter.records import ZERO, CostStatus, Part, Priced, Usage, add
from taskmeter.telemetry.attributes import Attributes, cost_attributes, usage_attributes

_RANK: dict[CostStatus, int] = {"exact": 0, "estimated": 1, "partial": 2}


class Tally:
    """Adds up items without keeping them."""

    def __init__(self) -> None:
        self.items = 0
        self._unpriced = 0
        self._amount = self._listed = self._contracted = ZERO
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
        if _RANK.get(priced.status, 0) > _RANK[self._worst]:
            self._worst = priced.status
        for charge in priced.charges:
            self._amount = add(self._amount, charge.amount)
            self._listed = add(self._listed, charge.list_amount)
            self._contracted = add(self._contracted, charge.contracted_amount)

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
        estimated = self._worst != "exact"
        lump = stated_charge(self._amount, "model", self.model, Decimal(self.items), "item", estimated=estimated)
        lump = lump._replace(list_amount=self._listed, contracted=self._contracted)
        if self._unpriced:
            reason = f"{self._unpriced} of {self.items} items have no price: {self._reason}"
            return Priced("partial", (lump,), self._origin, reason)
        return Priced(self._worst, (lump,), self._origin, self._reason)
