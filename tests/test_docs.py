"""The documentation keeps up with the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from taskmeter import _semconv

ROOT = Path(__file__).parent.parent


def test_every_name_on_the_wire_is_documented() -> None:
    """docs/attributes.md lists each span attribute and metric of `_semconv`."""
    page = (ROOT / "docs" / "attributes.md").read_text()
    # "`a.b.c`, `.d`" in a table stands for a.b.c and a.b.d
    for first, more in re.findall(r"`([a-z_.]+)`((?:, `\.[a-z_]+`)+)", page):
        page += "".join(f"`{first.rpartition('.')[0]}{short}`" for short in re.findall(r"\.[a-z_]+", more))
    not_on_the_wire = {"SCHEMA_URL", "INSTRUMENTATION_NAME", "ANTHROPIC_SCOPE_PREFIX"}
    names = {value for name, value in vars(_semconv).items() if name.isupper() and name not in not_on_the_wire}
    assert len(names) > 60
    assert sorted(name for name in names if f"`{name}" not in page) == []


def test_every_link_between_documents_leads_somewhere() -> None:
    """Relative links in README, docs and examples name files that exist, and headings that are there."""
    broken: list[str] = []
    for document in [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", document.read_text()):
            path, _, heading = target.partition("#")
            file = (document.parent / path).resolve() if path else document
            if not file.exists() or (heading and heading not in _anchors(file)):
                broken.append(f"{document.name}: {target}")
    assert broken == []


def test_oldest_versions_are_those_that_are_allowed_and_tested() -> None:
    """docs/compatibility.md starts where pyproject.toml and the matrix do, and names every version that is pinned."""
    page, matrix = (ROOT / "docs" / "compatibility.md").read_text(), (ROOT / "noxfile.py").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    allowed = dict(
        re.findall(
            r"([a-z-]+)>=([\d.]+)", " ".join([*project["dependencies"], *extras["openai"], *extras["anthropic"]])
        )
    )
    rows = re.findall(r"^\| (\d\S+) \| (\d\S+) \|", page, re.MULTILINE)
    assert rows[0] == (f"{allowed['openai']}.0", f"{allowed['anthropic']}.0")
    pinned = re.findall(r'"openai==(\S+)", "anthropic==(\S+)"', matrix)
    assert pinned == [rows[0], rows[2], rows[4]]
    core = {
        name: oldest
        for names, oldest in re.findall(r"^\| ([a-z, -]+) \| ([\d.]+) \|", page, re.MULTILINE)
        for name in names.split(", ")
    }
    assert {**core, "openai": allowed["openai"], "anthropic": allowed["anthropic"]} == allowed


def _anchors(file: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
