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
from types import FrameType
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
                    lines = {part.lineno for stmt in node.body for part in ast.walk(stmt) if isinstance(part, ast.stmt)}
                    yield Site(_place(call.args[0]), tuple((str(file), number) for number in sorted(lines)))


def _place(argument: ast.expr) -> str:
    if isinstance(argument, ast.Constant):
        return str(argument.value)
    assert isinstance(argument, ast.JoinedStr), "a place is a literal, so that there is a bounded number of them"
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in argument.values)


def functions_with_guards() -> set[str]:
    return {file for site in sites() for file, _ in site.lines}


@contextmanager
def _traced(on_line: Callable[[Line], None]) -> Iterator[None]:
    files = functions_with_guards()

    def local(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            on_line((frame.f_code.co_filename, frame.f_lineno))
        return local

    def tracer(frame: FrameType, event: str, _: Any) -> Any:
        return local if frame.f_code.co_filename in files else None

    before = sys.gettrace()
    threading.settrace(tracer)
    sys.settrace(tracer)
    try:
        yield
    finally:
        sys.settrace(before)
        threading.settrace(before)  # type: ignore[arg-type]


@contextmanager
def recorded(wanted: set[Line]) -> Iterator[set[Line]]:
    """The lines among `wanted` that run inside."""
    hit: set[Line] = set()

    def on_line(line: Line) -> None:
        if line in wanted:
            hit.add(line)

    with _traced(on_line):
        yield hit


@contextmanager
def injected(target: Line, fault: BaseException) -> Iterator[list[Line]]:
    """Raises `fault` the first time that `target` runs; yields a list that then holds it."""
    fired: list[Line] = []

    def on_line(line: Line) -> None:
        if line == target and not fired:
            fired.append(line)
            raise fault

    with _traced(on_line):
        yield fired
