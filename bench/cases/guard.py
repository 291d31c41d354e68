"""What it costs to enter and leave `guarded(place)`, which every hook does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

from bench.harness import Plan, Result, compare
from taskmeter._guard import guarded


def run(plan: Plan) -> Iterator[Result]:
    """A guard against no guard, against the cheapest context manager, and against itself."""

    def bare() -> None:
        pass

    def under_nullcontext() -> None:
        with nullcontext():
            pass

    def under_guard() -> None:
        with guarded("bench"):
            pass

    yield compare("guard against a bare call", bare, under_guard, plan)
    yield compare("guard against nullcontext", under_nullcontext, under_guard, plan)
    yield compare("guard against itself (noise floor)", under_guard, under_guard, plan)
