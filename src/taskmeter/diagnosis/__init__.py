"""`diagnose()`: how taskmeter stands in this process, and what to do where it does not stand well.

What it looks at it does not change: it imports no SDK, opens no connection and writes nothing. Only `examine()`, for
the command line in a process of its own, imports the SDKs and puts the hooks on first.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from taskmeter import _bounds, _config, _guard
from taskmeter.capture import HookStatus, hook_status, instrument
from taskmeter.diagnosis.hooks import after_imports, breaker_findings, hook_findings, import_sdks, not_hooked
from taskmeter.diagnosis.neighbours import neighbours
from taskmeter.diagnosis.records import Diagnosis, Exporter, Fault, Finding, Loss, Neighbour, Provider, Spool
from taskmeter.diagnosis.surroundings import (
    backlog_findings,
    environment_findings,
    spool_at,
    spool_findings,
    version_findings,
    versions,
)
from taskmeter.diagnosis.telemetry import telemetry_findings, tracer_and_meter_provider
from taskmeter.setup import current_setup
from taskmeter.spool.losses import FILES, recorded_losses
from taskmeter.telemetry import losses

__all__ = [
    "Diagnosis",
    "Exporter",
    "Fault",
    "Finding",
    "HookStatus",
    "Loss",
    "Neighbour",
    "Provider",
    "Spool",
    "diagnose",
    "examine",
]

_WAYS: Final = {
    "spool": ("the spool", "see that its directory can be written and has room; the log says what the disk said"),
    "otlp": (
        "the OTLP endpoint",
        "see that it is up and takes them; with a spool, `taskmeter ship` sends what it has not taken",
    ),
}


def diagnose() -> Diagnosis:
    """Versions, hooks, neighbours, providers, spool and own faults, with what to do about each problem.

    Call it in the running program, after `configure()` or `instrument()`: hooks and faults live in the process.
    """
    hooks = hook_status()
    setup = current_setup()
    directory = setup.settings.spool if setup is not None else None
    spool = spool_at(directory, in_use=True) if directory is not None else None
    lost = tuple(Loss(*loss, spans) for loss, spans in sorted(losses.counted().items()))
    return _diagnosis(hooks, [*not_hooked(hooks)], spool, lost, running=True)


def examine(spool: Path) -> Diagnosis:
    """What would happen to a program in this environment, with its spool in the directory `spool`.

    Imports the SDKs and puts the hooks on, here and now: for a process of its own, as `taskmeter doctor` is.
    """
    findings = list(import_sdks())
    instrument()
    hooks = [after_imports(hook) for hook in hook_status()]
    lost = tuple(Loss("spool", *loss) for loss in recorded_losses(spool).items())
    return _diagnosis(hooks, findings, spool_at(spool, in_use=False), lost, running=False)


def _diagnosis(
    hooks: list[HookStatus], findings: list[Finding], spool: Spool | None, lost: tuple[Loss, ...], *, running: bool
) -> Diagnosis:
    found = versions()
    traces, metrics = tracer_and_meter_provider()
    turned_off = tuple(_guard.turned_off())
    faults = tuple(
        Fault(place, count, _guard.first_faults.get(place, "")) for place, count in sorted(_guard.faults.items())
    )
    return Diagnosis(
        versions=found,
        hooks=tuple(hooks),
        turned_off=turned_off,
        neighbours=neighbours(),
        providers=(traces, metrics),
        spool=spool,
        faults=faults,
        losses=lost,
        findings=(
            *findings,
            *version_findings(found),
            *hook_findings(hooks, found),
            *breaker_findings(turned_off),
            *telemetry_findings(traces, metrics, running=running),
            *environment_findings(_config.environment()),
            *(spool_findings(spool) if spool is not None else ()),
            *(backlog_findings(spool.backlogs, time.time_ns()) if spool is not None else ()),
            *_bound_findings(),
            *_fault_findings(faults),
            *_loss_findings(lost, running=running),
        ),
    )


def _bound_findings() -> Iterator[Finding]:
    for what, count in sorted(_bounds.counts.items()):
        yield Finding(
            "note",
            f"{what}: {count}. Texts are recorded to {_bounds.LONGEST} characters, and metrics tell so many apart; "
            f"the others are {_bounds.OTHER_ITEM} there",
            "names are kinds of work and few; what tells one task from another is its key=, or a label",
        )


def _fault_findings(faults: tuple[Fault, ...]) -> Iterator[Finding]:
    for fault in faults:
        yield Finding(
            "action",
            f"taskmeter failed {fault.count} times in {fault.place} ({fault.first}); the program was not affected, but "
            "costs may be missing",
            "report it with the lines in the log (logger `taskmeter`): no message of a fault is in them",
        )


def _loss_findings(lost: tuple[Loss, ...], *, running: bool) -> Iterator[Finding]:
    for loss in lost:
        where, fix = _WAYS[loss.destination]
        if not running:
            fix += f"; delete {FILES} in it when that is done"
        yield Finding(
            "action",
            f"{loss.spans} spans were lost on the way to {where} ({loss.reason}): "
            f"{losses.REASONS.get(loss.reason, '')}",
            fix,
        )
