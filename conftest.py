"""Examples in README, docs and docstrings are tests: `make examples`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.document import PythonDocStringDocument
from sybil.parsers import markdown, rest

from taskmeter import _guard


@pytest.fixture(scope="module")
def example_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A document's examples run in an empty directory, so that a spool they write is theirs, and our faults show."""
    before = Path.cwd(), _guard.strict
    scratch = tmp_path_factory.mktemp("examples")
    os.chdir(scratch)
    _guard.strict = True
    yield scratch
    os.chdir(before[0])
    _guard.strict = before[1]


MARKDOWN = Sybil(
    parsers=[markdown.PythonCodeBlockParser(), markdown.SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    fixtures=["example_directory"],
)
DOCSTRINGS = Sybil(
    parsers=[rest.DocTestParser()],
    patterns=["src/**/*.py"],
    document_types={".py": PythonDocStringDocument},
    fixtures=["example_directory"],
)

pytest_collect_file = (MARKDOWN + DOCSTRINGS).pytest()
