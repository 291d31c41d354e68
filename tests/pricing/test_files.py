"""The shipped rules and the documented examples are price files like a user's."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

UseToml = Callable[[str], None]
DATA = resources.files("taskmeter.pricing").joinpath("data")
DOCUMENT = (Path(__file__).parents[2] / "docs" / "pricing.md").read_text(encoding="utf-8")
RULES: list[dict[str, Any]] = [
    rule
    for file in DATA.iterdir()
    for table, rules in tomllib.loads(file.read_text(encoding="utf-8")).items()
    if table != "alias"
    for rule in rules
]


def test_rules_have_sources() -> None:
    """Each shipped rule has an id of its own, a source, and the day it was checked."""
    assert len({rule["id"] for rule in RULES}) == len(RULES) > 50
    assert [rule["id"] for rule in RULES if not (rule.get("source") and rule.get("checked"))] == []


def test_shipped_files_hold_no_contract() -> None:
    """What is shipped are list prices and names, never a discount."""
    tables = {table for file in DATA.iterdir() for table in tomllib.loads(file.read_text(encoding="utf-8"))}
    assert tables == {"alias", "list"}


def test_every_field_is_documented() -> None:
    """The reference has every field that a shipped rule uses."""
    assert [field for rule in RULES for field in rule if f"`{field}`" not in DOCUMENT] == []


@pytest.mark.parametrize("example", re.findall(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL))
def test_documented_files_are_valid(use_toml: UseToml, example: str) -> None:
    """The examples of price files in the documentation are accepted."""
    use_toml(example)
