"""What a call has brought, and what it is known to have cost so far."""

from __future__ import annotations

from dataclasses import dataclass

from taskmeter.account import Entry, Shares
from taskmeter.capture.reading import Reading
from taskmeter.records import NO_USAGE, ZERO, Priced, Usage, WasteClass


@dataclass(slots=True, eq=False)
class Result:
    """Of one call; filled in while it runs."""

    requested_model: str
    reading: Reading | None = None
    """What the answer says; `None` until it was read."""
    priced: Priced | None = None
    """`None` while nothing is known to be billed."""
    context: Shares | None = None
    """What its input was made of; `None` where that is not measured."""
    waste: WasteClass | None = None
    """Why it is waste at once: the application does not get it, or not all of it, or has got the same before."""
    first_chunk_seconds: float | None = None
    """From the start of the call to the first event of its stream."""

    @property
    def usage(self) -> Usage | None:
        """What the answer says was used."""
        return self.reading.usage if self.reading is not None else None

    @property
    def model(self) -> str:
        """The model that answered, else the one that was asked."""
        return (self.reading.model if self.reading is not None else None) or self.requested_model

    def entry(self) -> Entry:
        """What is booked of it; the call itself is counted by whoever books it."""
        priced = self.priced
        return Entry(
            charges=priced.charges if priced is not None else (),
            usage=self.usage or NO_USAGE,
            unpriced_calls=1 if priced is not None and priced.status == "unpriced" else 0,
            context=self.context,
            cache_saved=(priced.cache_saved if priced is not None else None) or ZERO,
            waste=self.waste,
        )
