"""A diagnosis as plain text, for people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from textwrap import fill

from taskmeter.capture import HookStatus
from taskmeter.diagnosis.records import Diagnosis, Finding, Provider
from taskmeter.spool.shipping.backlog import Backlog

_WIDTH = 100
_STATES = {
    "in": "in",
    "covered": "in, beneath another's wrapper",
    "off": "off after repeated faults",
    "awaited": "waiting for the import",
    "absent": "not installed",
    "missing": "not in this version",
    "failed": "failed",
    "out": "not on",
}


def as_text(diagnosis: Diagnosis) -> str:
    """Sections, then findings with their fixes."""
    parts = [
        _section("Versions", _rows([(name, found or "not installed") for name, found in diagnosis.versions.items()])),
        _section("Hooks", list(_hooks(diagnosis))),
        _section("Others who instrument these clients", list(_neighbours(diagnosis)) or ["  none found"]),
        _section(
            "Where it goes", [line for each in diagnosis.providers for line in _provider(each)] + _spool(diagnosis)
        ),
        _section("Own faults", list(_faults(diagnosis)) or ["  none"]),
        _section("Findings", [line for each in diagnosis.findings for line in _finding(each)] or ["  all is well"]),
    ]
    return "\n\n".join(parts)


def _section(title: str, lines: list[str]) -> str:
    return "\n".join([title, *lines])


def _rows(rows: list[tuple[str, str]]) -> list[str]:
    width = max((len(name) for name, _ in rows), default=0)
    return [f"  {name:<{width}}  {value}" for name, value in rows]


def _hooks(diagnosis: Diagnosis) -> Iterator[str]:
    """One line per part and state; which functions, only where they are not in. Two HTTP clients are known, of which
    one is there, and functions that this version does without are not worth a word."""
    parts: dict[str, dict[str, list[HookStatus]]] = {}
    for hook in diagnosis.hooks:
        if (hook.state == "missing" and hook.optional) or (hook.state == "absent" and hook.module.startswith("httpx")):
            continue
        parts.setdefault(hook.part, {}).setdefault(hook.state, []).append(hook)
    rows: list[tuple[str, str]] = []
    for part, states in parts.items():
        for state, hooks in states.items():
            functions = (
                "" if state in ("in", "absent", "out", "awaited") else f": {', '.join(hook.function for hook in hooks)}"
            )
            rows.append((part, f"{_STATES[state]}{functions}"))
    yield from _rows(rows)


def _neighbours(diagnosis: Diagnosis) -> Iterator[str]:
    rows: list[tuple[str, str]] = []
    for each in diagnosis.neighbours:
        count = len(each.functions)
        first = each.functions[0] if each.functions else ""
        more = f" and {count - 1} more" if count > 1 else ""
        rows.append((each.name, f"wraps {first}{more}" if each.active else "installed, wraps nothing here"))
    yield from _rows(rows)


def _provider(provider: Provider) -> Iterator[str]:
    name = provider.name or "no provider set"
    yield f"  {provider.signal}: {name}{' (configure() was called)' if provider.configured else ''}"
    for exporter in provider.exporters:
        yield f"    to {exporter.name}{f': {exporter.to}' if exporter.to else ''}"
    if provider.sampler is not None:
        yield f"    sampler {provider.sampler.partition(',')[0]}{'...}' if ',' in provider.sampler else ''}"


def _spool(diagnosis: Diagnosis) -> list[str]:
    spool = diagnosis.spool
    if spool is None:
        return []
    files = f"{spool.files} file{'' if spool.files == 1 else 's'}, {spool.size_bytes / 1024**2:.1f} MiB"
    state = "written by this process" if spool.in_use else "writable" if spool.writable else "not writable"
    return [f"  spool: {spool.directory} ({state}; {files})", *map(_backlog, spool.backlogs)]


def _backlog(backlog: Backlog) -> str:
    if backlog.oldest_ns is None:
        lacks = "has all of it"
    else:
        oldest = datetime.fromtimestamp(backlog.oldest_ns / 1e9, UTC)
        at_least = "" if backlog.counted_all else "at least "
        spans = f"{backlog.spans:,} span{'' if backlog.spans == 1 else 's'}"
        lacks = f"lacks {at_least}{spans}, the oldest of {oldest:%Y-%m-%d %H:%M} UTC"
    dead = f"; {backlog.dead_letters:,} dead letters" if backlog.dead_letters else ""
    return f"    {backlog.endpoint} {lacks}{dead}"


def _faults(diagnosis: Diagnosis) -> Iterator[str]:
    yield from _rows(
        [(fault.place, f"{fault.count}, the first: {fault.first or 'unknown'}") for fault in diagnosis.faults]
    )


def _finding(finding: Finding) -> Iterator[str]:
    mark = "!" if finding.level == "action" else "-"
    yield _wrapped(f"  {mark} ", finding.says)
    if finding.fix:
        yield _wrapped("    fix: ", finding.fix)


def _wrapped(start: str, text: str) -> str:
    return fill(
        text, _WIDTH, initial_indent=start, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
