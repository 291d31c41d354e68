"""What a call has brought, and what it is known to have cost so far."""

from __future__ import annotations

from dataclasses import dataclass

from taskmeter.capture.reading import Reading
from taskmeter.records import Priced, Usage, WasteClass


@dataclass(slots=True, eq=False)
class Result:
    """Of one call; filled in while it runs."""

    requested_model: str
    reading: Reading | None = None
    """What the answer says; `None` until it was read."""
    priced: Priced | None = None
    """`None` while nothing is known to be billed."""
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
