"""What an endpoint may say to a batch of spans, and what that means for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Accepted:
    """It has them; but for `rejected` of them, of which it does not say which (OTLP's partial success)."""

    rejected: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Again:
    """Not now, or no answer at all: the same spans are to be sent again."""

    reason: str
    after_seconds: float | None = None
    """How long the endpoint asks to be left alone."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It failed on them (500): its own fault or something in them, nobody knows."""

    reason: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """Fewer of them at a time might pass."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """It will never take them as they are: there is something wrong with at least one."""

    reason: str


@dataclass(frozen=True, slots=True)
class Misdirected:
    """They are not the matter: wrong address, credentials or certificate. Nothing will pass until that is put right."""

    reason: str


Answer: TypeAlias = Accepted | Again | Failed | TooLarge | Refused | Misdirected
