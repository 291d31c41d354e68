"""What `diagnose()` finds, as frozen records."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from taskmeter.capture import HookStatus
from taskmeter.spool.shipping.backlog import Backlog

Level = Literal["action", "note"]
"""`action`: something to be done, or costs are missing or wrong. `note`: good to know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be, or that is good to know."""

    level: Level
    says: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Somebody else who instruments these clients."""

    name: str
    active: bool
    """Whether it has wrapped functions of the SDKs here; else it is only installed."""
    functions: tuple[str, ...] = ()
    """Which functions it has wrapped."""


@dataclass(frozen=True, slots=True)
class Exporter:
    """One place that spans or metrics go to."""

    name: str
    """Its class."""
    to: str | None
    """Endpoint or directory, without credentials."""


@dataclass(frozen=True, slots=True)
class Provider:
    """The provider of a signal that taskmeter writes to."""

    signal: Literal["traces", "metrics"]
    name: str | None
    """Its class; `None` where the application has set none, so that nothing is exported."""
    configured: bool
    """Whether `taskmeter.configure()` was called."""
    exporters: tuple[Exporter, ...] = ()
    stamps: bool | None = None
    """Traces: whether a `TaskSpanProcessor` is there; `None` where that cannot be seen."""
    sampler: str | None = None
    attribute_limit: int | None = None
    """Traces: how many attributes a span holds; `None` for no limit."""


@dataclass(frozen=True, slots=True)
class Spool:
    """The local record."""

    directory: str
    in_use: bool
    """Whether this process writes it."""
    writable: bool
    files: int
    size_bytes: int
    backlogs: tuple[Backlog, ...] = ()
    """What of it each endpoint lacks; nothing where this process writes it, which is not to read it all."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A place in taskmeter that failed, and went on without harm to the program."""

    place: str
    count: int
    first: str
    """The class of the first one and the line it came from; no message."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Spans that a process could not deliver: this one, or for `taskmeter doctor` those that wrote the spool."""

    destination: str
    """`spool` or `otlp`."""
    reason: str
    spans: int


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """How taskmeter stands in this process. `print` it."""

    versions: dict[str, str | None]
    """By distribution; `None` for what is not installed. `price data` has the day of its newest price."""
    hooks: tuple[HookStatus, ...]
    turned_off: tuple[str, ...]
    """Hooks that are off after repeated faults of taskmeter's own."""
    neighbours: tuple[Neighbour, ...]
    providers: tuple[Provider, ...]
    spool: Spool | None
    faults: tuple[Fault, ...]
    """Since the process started."""
    losses: tuple[Loss, ...]
    """Since the process started, or for `taskmeter doctor` what is recorded beside the spans."""
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing needs action."""
        return all(finding.level != "action" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """The same for `json.dumps`."""
        return {**asdict(self), "healthy": self.healthy}

    def __str__(self) -> str:
        from taskmeter.diagnosis.text import as_text

        return as_text(self)
