"""What the input of a call was made of."""

from __future__ import annotations

from typing import NamedTuple

from taskmeter.records import Source


class Segment(NamedTuple):
    """A piece of a prompt. Its size is only a weight: what it is billed for is a share of the call's own count."""

    source: Source
    weight: int
    """UTF-8 bytes, or an estimate of how many it is worth."""
    carried: bool = False
    """Whether an earlier call of the same task sent it already."""
