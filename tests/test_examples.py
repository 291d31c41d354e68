"""The programs in examples/ run as they are, with the stub provider in the place of the internet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from taskmeter.demo.stub import StubProvider

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs_and_says_what_it_cost(example: Path, tmp_path: Path) -> None:
    """Each ends well, and prints or exports a cost."""
    with StubProvider() as stub:
        providers = {
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": f"{stub.url}/v1",
            "ANTHROPIC_API_KEY": "none",
            "ANTHROPIC_BASE_URL": stub.url,
        }
        done = subprocess.run(
            [sys.executable, "-W", "error", str(example)],
            cwd=tmp_path,
            env={**os.environ, **providers},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert stub.requests
    assert "T-1: $0.0" in done.stdout or '"gen_ai.usage.cost.amount": 0.0' in done.stdout
