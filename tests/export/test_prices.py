"""Which price file `configure()` and `instrument()` put in force, in programs of their own."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from tests.export.programs import run, spooled

CONFIGURED = """
import taskmeter
from app import work
taskmeter.configure()
print(work().cost.total)
"""
INSTRUMENTED = """
import taskmeter
from app import work
taskmeter.instrument()
print(work().cost.total)
"""
HALF = '[[contract]]\nid = "half"\nprovider = "openai"\nmultiply = { tokens = "0.5" }\n'
NINTH = '[[contract]]\nprovider = "openai"\nmultiply = { tokens = "0.9" }\n'

# the call to OpenAI costs 0.0000535 at list, all the rest 0.002696
AT_HALF = Decimal("0.00272275")
AT_NINTH = Decimal("0.00274415")


def test_file_in_the_working_directory(tmp_path: Path) -> None:
    """`taskmeter.toml` is found where the program runs, by `instrument()` too."""
    (tmp_path / "taskmeter.toml").write_text(HALF)
    done = run(INSTRUMENTED, tmp_path)
    assert (done.code, Decimal(done.out), done.err) == (0, AT_HALF, "")


def test_environment_names_another(tmp_path: Path) -> None:
    """`TASKMETER_CONFIG` comes before the file in the working directory."""
    (tmp_path / "taskmeter.toml").write_text(HALF)
    (tmp_path / "other.toml").write_text(NINTH)
    done = run(CONFIGURED, tmp_path, TASKMETER_CONFIG="other.toml")
    assert (done.code, Decimal(done.out), done.err) == (0, AT_NINTH, "")


def test_argument_comes_first(tmp_path: Path) -> None:
    """`prices=` comes before the environment. A call's span and its task's have the list price beside the cost, and
    the rule that made the difference."""
    (tmp_path / "other.toml").write_text(NINTH)
    content = '{"contract": [{"id": "half", "provider": "openai", "multiply": {"tokens": "0.5"}}]}'
    program = CONFIGURED.replace("configure()", f"configure(prices={content})")
    done = run(program, tmp_path, TASKMETER_CONFIG="other.toml")
    assert (done.code, Decimal(done.out), done.err) == (0, AT_HALF, "")
    spans = [span.attributes for span in spooled(tmp_path / ".taskmeter")]
    (call,) = [span for span in spans if span.get("gen_ai.provider.name") == "openai"]
    assert call["gen_ai.usage.cost.amount"] == call["taskmeter.cost.contracted_amount"] == 0.00002675
    assert call["taskmeter.cost.list_amount"] == 0.0000535
    assert str(call["taskmeter.price.origin"]).endswith(" openai/gpt-5-mini + half")
    (task,) = [span for span in spans if span.get("taskmeter.span.kind") == "task"]
    assert (task["taskmeter.cost.total"], task["taskmeter.cost.list"]) == (0.00272275, 0.0027495)


def test_bad_file(tmp_path: Path) -> None:
    """A file that makes no sense stops the program where it is set up."""
    (tmp_path / "taskmeter.toml").write_text(HALF.replace("0.5", "most"))
    done = run(CONFIGURED, tmp_path)
    assert done.code == 1
    assert done.err.splitlines()[-1] == (
        "taskmeter.errors.ConfigurationError: taskmeter.toml: [[contract]] half multiply.tokens = 'most' is no number; "
        "write one such as '0.002'"
    )
