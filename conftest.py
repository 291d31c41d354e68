"""Examples in README, docs and docstrings are tests: `make examples`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.document import PythonDocStringDocument
from sybil.integration.pytest import SybilItem
from sybil.parsers import markdown, rest

from taskmeter import _guard
from taskmeter.demo.stub import StubProvider


@pytest.fixture(scope="module")
def example_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A document's examples run in an empty directory, so that a spool they write is theirs, and our faults show.

    The real clients that they make find the stub provider, not the internet.
    """
    scratch = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch, StubProvider() as stub:
        patch.chdir(scratch)
        patch.setattr(_guard, "strict", True)
        for name, value in {
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": f"{stub.url}/v1",
            "ANTHROPIC_API_KEY": "none",
            "ANTHROPIC_BASE_URL": stub.url,
        }.items():
            patch.setenv(name, value)
        yield scratch


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Examples leave their clients to the garbage collector, as programs do."""
    for item in items:
        if isinstance(item, SybilItem):
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"))
