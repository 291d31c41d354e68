"""docs/testing.md shows what pytest prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
PAGE = Path(__file__).parent.parent.parent / "docs" / "testing.md"


def test_the_document_shows_the_real_output(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block under `pytest` is the output for the file above it; times differ from run to run."""
    page = PAGE.read_text()
    program = re.search(r"```python\n(# test_agent\.py\n.*?)```", page, re.DOTALL)
    shown = re.search(r"```\n\$ pytest -q test_agent\.py\n(.*?)```", page, re.DOTALL)
    assert program is not None
    assert shown is not None
    monkeypatch.delenv("CI", raising=False)  # with which pytest cuts no line of its summary
    pytester.path.joinpath("test_agent.py").write_text(program[1])
    printed = pytester.runpytest_subprocess("-q", "test_agent.py").stdout.str()
    assert untimed(printed) == untimed(shown[1])


def untimed(text: str) -> list[str]:
    """Lines without times, and without the room that their column takes."""
    text = re.sub(r"(?:<1|\d[\d.,]*) m?s\b|in \d+\.\d+s", "", text)
    return [re.sub("[ ─]+", " ", line).rstrip() for line in text.strip().splitlines()]
