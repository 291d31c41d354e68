"""What a call has brought, and what it is known to have cost so far."""

from __future__ import annotations

from dataclasses import dataclass

from taskmeter.capture.reading import Reading
from taskmeter.records import Priced, Usage
from taskmeter.telemetry.attributes import Attributes


@dataclass(slots=True, eq=False)
class Result:
    """Of one call; filled in while it runs."""

    requested_model: str
    reading: Reading | None = None
    """What the answer says; `None` until it was read."""
    priced: Priced | None = None
    """`None` while nothing is known to be billed."""
    wasted: bool = False
    """Whether the application does not get it, or not all of it."""
    content: Attributes | None = None
    """What was asked and answered, where the application wants that recorded."""
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
