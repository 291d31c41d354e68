"""Spans that did not get where they should: counted exactly, by destination and reason, and said once each."""

from __future__ import annotations

import os
import threading
from collections import Counter
from typing import Final, Literal, NamedTuple

from taskmeter._guard import log

Destination = Literal["spool", "otlp"]
Reason = Literal["queue_full", "rejected", "unencodable", "removed", "retention", "exit"]

REASONS: Final[dict[str, str]] = {
    "queue_full": "more were waiting than the queue holds, because they could not be written or sent fast enough",
    "rejected": "the endpoint refused them",
    "unencodable": "they could not be encoded",
    "removed": "the file that they were in was deleted while it was written",
    "retention": "the spool had twice the size it may have, and its oldest files were deleted before they were shipped",
    "exit": "the process ended before they could be written or sent",
}
"""What each reason means, for people."""


class Loss(NamedTuple):
    """Where to, and why not."""

    destination: Destination
    reason: Reason


_lost: Final[Counter[Loss]] = Counter()
_lock = threading.RLock()  # a signal handler of ours may come in the middle of it


def count(destination: Destination, reason: Reason, spans: int = 1, said: str = "") -> None:
    """So many more are lost. `said` is what the endpoint or the disk had to say, and holds nothing secret."""
    if spans <= 0:
        return
    loss = Loss(destination, reason)
    with _lock:
        first = loss not in _lost
        _lost[loss] += spans
    if first:
        log.warning(
            "taskmeter lost %d span%s on the way to %s: %s%s. More of this kind are only counted: "
            "metric taskmeter.export.dropped, taskmeter.diagnose()",
            spans,
            "" if spans == 1 else "s",
            "its spool" if destination == "spool" else "the OTLP endpoint",
            REASONS[reason],
            f" ({said})" if said else "",
        )


def counted() -> dict[Loss, int]:
    """What this process has lost so far."""
    with _lock:
        return dict(_lost)


def on_the_way_to(destination: Destination) -> dict[str, int]:
    """The same for one destination, by reason."""
    return {loss.reason: spans for loss, spans in counted().items() if loss.destination == destination}


def _forked() -> None:
    """The parent's losses are the parent's."""
    global _lock  # noqa: PLW0603 - it may have been held by a thread that is not here
    _lock = threading.RLock()
    _lost.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
