"""What a text becomes before it is printed: no terminal and no spreadsheet obeys it."""

from __future__ import annotations

import pytest

from taskmeter.reports.text import cell, line, plain

DANGEROUS = (
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\",
    "\x9b31mred",
    "\x1bc",
    "a\rb",
    "a\x08b",
    "\u202egpj.exe",
    "a\u200bb\u2060c\ufeff",
    "\u2066x\u2069",
    "\U000e0041",
    "\ud800",
    "a\u2028b",
    "\x00",
    "\x7f",
)


@pytest.mark.parametrize("text", DANGEROUS, ids=ascii)
def test_a_terminal_only_prints_a_text(text: str) -> None:
    """Escape sequences, controls, what reverses or hides text, and what cannot be encoded are gone."""
    for shown in (line(text), plain(text), cell(text)):
        assert shown.isprintable()
        shown.encode()


# OWASP's list of what begins a formula, its full-width forms, and what spreadsheets skip before one.
FORMULAS = (
    "=1+1",
    "+1+1",
    "-1+1",
    "-5",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    " =1+1",
    "\u00a0=1+1",
    "\u200b=1+1",
    "\uff1d1+1",
    "\uff0b1",
    "\uff0d1",
    "\uff20SUM",
    "|calc",
    "%0a",
)


@pytest.mark.parametrize("text", FORMULAS, ids=ascii)
def test_a_cell_is_no_formula(text: str) -> None:
    """It begins with an apostrophe."""
    assert cell(text).startswith("'")


@pytest.mark.parametrize(
    ("text", "cell_text"),
    [
        ("a;=1+1", "a;'=1+1"),
        ("a; +1", "a; '+1"),
        ("a;b=1", "a;b=1"),
        ("a=1", "a=1"),
        ("2-1", "2-1"),
        ('"=1+1"', '"=1+1"'),
        ("resolve ticket", "resolve ticket"),
    ],
)
def test_a_cell_that_is_split_is_no_formula_either(text: str, cell_text: str) -> None:
    """Where a semicolon separates cells, what comes after it begins one."""
    assert cell(text) == cell_text
