"""The package as a user installs it: what it exports, ships and loads."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata, resources

import pytest

import taskmeter

OPTIONAL_OR_HEAVY = ("anthropic", "click", "duckdb", "genai_prices.data", "httpx", "httpx2", "openai", "rich")


def test_importing_taskmeter_loads_no_provider_no_http_client_and_no_price_data() -> None:
    """`import taskmeter` is cheap: what is optional or heavy is loaded only when used."""
    program = f"import sys, taskmeter; print([name for name in {OPTIONAL_OR_HEAVY} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout.strip(), result.stderr) == (0, "[]", "")


def test_public_names_are_sorted_and_unique() -> None:
    """`__all__` is the table of contents, in alphabetical order."""
    assert list(taskmeter.__all__) == sorted(set(taskmeter.__all__))


@pytest.mark.parametrize("name", taskmeter.__all__)
def test_public_name_exists(name: str) -> None:
    """Every exported name can be had."""
    assert getattr(taskmeter, name) is not None


def test_version_is_that_of_the_distribution() -> None:
    """`taskmeter.__version__` is what `pip show taskmeter` says."""
    assert taskmeter.__version__ == metadata.version("taskmeter")


def test_package_ships_its_types() -> None:
    """Type checkers read our annotations (PEP 561)."""
    assert resources.files("taskmeter").joinpath("py.typed").is_file()


def test_distribution_ships_its_license() -> None:
    """The licence text travels with the code."""
    text = metadata.distribution("taskmeter").read_text("licenses/LICENSE")
    assert text is not None
    assert "Apache License" in text


def test_every_extra_is_part_of_all() -> None:
    """`pip install taskmeter[all]` leaves no extra out."""
    lines = [line.partition("; extra == ") for line in metadata.requires("taskmeter") or []]
    of_extras = {requirement for requirement, _, extra in lines if extra and extra.strip("'\"") != "all"}
    of_all = {requirement for requirement, _, extra in lines if extra.strip("'\"") == "all"}
    assert of_extras == of_all != set()
