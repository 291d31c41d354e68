"""What a scripted answer contains, in words that both providers share."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from taskmeter.errors import UsageError


@dataclass(frozen=True, slots=True)
class Billed:
    """What an answer says it used, in tokens. Each provider's own way to count is made from this."""

    input: int = 120
    """All input: `cache_read` and both `cache_write`s included."""
    output: int = 24
    """All output, `reasoning` included."""
    cache_read: int = 0
    cache_write: int = 0
    """Written with the provider's shortest time to live (Anthropic: 5 minutes)."""
    cache_write_1h: int = 0
    """Written for an hour. Anthropic only."""
    reasoning: int = 0
    web_searches: int = 0
    """Searches the provider itself ran: a count, not tokens. OpenAI Responses and Anthropic only."""

    def __post_init__(self) -> None:
        for item in fields(self):
            if getattr(self, item.name) < 0:
                raise UsageError(f"Billed.{item.name} is {getattr(self, item.name)}; a count is 0 or more")
        if self.uncached < 0:
            raise UsageError(f"Billed.input is {self.input}, less than the cached tokens it includes; raise it: {self}")
        if self.reasoning > self.output:
            raise UsageError(f"Billed.output is {self.output}, less than the reasoning it includes; raise it: {self}")

    @property
    def uncached(self) -> int:
        """Input tokens neither read from nor written to a cache."""
        return self.input - self.cache_read - self.cache_write - self.cache_write_1h


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks the application to run a tool."""

    name: str
    arguments: Mapping[str, Any]

    @property
    def arguments_json(self) -> str:
        """The arguments as OpenAI sends them."""
        return json.dumps(self.arguments)


def new_id(prefix: str) -> str:
    """An identifier no other answer has."""
    return f"{prefix}{uuid.uuid4().hex}"


def fragments(text: str, size: int = 16) -> list[str]:
    """`text` in pieces of `size` characters, the way a stream brings it; none for no text."""
    return [text[start : start + size] for start in range(0, len(text), size)]
