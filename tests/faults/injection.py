"""Raising at any line of ours that a guard protects: found by reading the source, hit by tracing the program."""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import taskmeter

SOURCE = Path(taskmeter.__file__).parent
Line = tuple[str, int]


class InjectedError(Exception):
    """Raised where the test wants us to fail."""


@dataclass(frozen=True)
class Site:
    """One `with guarded("place")` and the lines of its body."""

    place: str
    lines: tuple[Line, ...]
    """Where its statements begin."""
    extent: tuple[Line, ...]

    @property
    def name(self) -> str:
        file, number = self.lines[0]
        return f"{self.place} {Path(file).relative_to(SOURCE)}:{number}"


@cache
def sites() -> tuple[Site, ...]:
    """Every guard of the package."""
    return tuple(site for file in sorted(SOURCE.rglob("*.py")) for site in _sites(file))


def _sites(file: Path) -> Iterator[Site]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                call = item.context_expr
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "guarded":
                    parts = (part for stmt in node.body for part in ast.walk(stmt) if isinstance(part, ast.stmt))
                    # `try:` does nothing that could fail, and CPython leaves it out of the block around it.
                    lines = {part.lineno for part in parts if not isinstance(part, ast.Try)}
                    whole = range(node.body[0].lineno, (node.body[-1].end_lineno or 0) + 1)
                    yield Site(
                        _place(call.args[0]),
                        tuple((str(file), number) for number in sorted(lines)),
                        tuple((str(file), number) for number in whole),
                    )


def _place(argument: ast.expr) -> str:
    if isinstance(argument, ast.Constant):
        return str(argument.value)
    assert isinstance(argument, ast.JoinedStr), "a place is a literal, so that there is a bounded number of them"
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in argument.values)


@cache
def _files(*, deep: bool) -> frozenset[str]:
    """Where hooks and guards are; `deep`, also what they call."""
    if deep:
        return frozenset(str(file) for file in SOURCE.rglob("*.py") if "demo" not in file.parts)
    return frozenset(file for site in sites() for file, _ in site.lines)


@cache
def _extent() -> frozenset[Line]:
    """All the lines of the bodies of guards."""
    return frozenset(line for site in sites() for line in site.extent)


def _in_guard(frame: FrameType | None) -> bool:
    while frame is not None:
        if (frame.f_code.co_filename, frame.f_lineno) in _extent():
            return True
        frame = frame.f_back
    return False


@contextmanager
def _traced(
    on_line: Callable[[FrameType], None], on_call: Callable[[FrameType], object], *, deep: bool
) -> Iterator[None]:
    files = _files(deep=deep)

    def local(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            on_line(frame)
        return local

    def tracer(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        on_call(frame)
        return local

    before = sys.gettrace()
    threading.settrace(tracer)
    sys.settrace(tracer)
    try:
        yield
    finally:
        sys.settrace(before)
        threading.settrace(before)  # type: ignore[arg-type]


@dataclass
class Recording:
    """What ran."""

    lines: set[Line]
    """Protected by a guard."""
    calls: set[tuple[CodeType, int]]
    """Functions, with the `self` that they were called on, if any."""


@contextmanager
def recorded(*, deep: bool = False) -> Iterator[Recording]:
    """What runs inside; `deep`, also what is protected because its caller is."""
    wanted = {line for site in sites() for line in site.lines}
    recording = Recording(set(), set())

    def on_line(frame: FrameType) -> None:
        line = (frame.f_code.co_filename, frame.f_lineno)
        if line in wanted or (deep and line not in recording.lines and _in_guard(frame.f_back)):
            recording.lines.add(line)

    def on_call(frame: FrameType) -> None:
        recording.calls.add((frame.f_code, id(frame.f_locals.get("self"))))

    with _traced(on_line, on_call, deep=deep):
        yield recording


@contextmanager
def injected(target: Line, fault: BaseException) -> Iterator[list[Line]]:
    """Raises `fault` the first time that `target` runs in a guard; yields a list that then holds it."""
    fired: list[Line] = []

    def on_line(frame: FrameType) -> None:
        line = (frame.f_code.co_filename, frame.f_lineno)
        if line == target and not fired and _in_guard(frame):
            fired.append(line)
            raise fault

    with _traced(on_line, id, deep=target[0] not in _files(deep=False)):
        yield fired
