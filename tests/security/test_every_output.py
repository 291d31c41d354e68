"""Every command, in every form, over a spool of which every text is hostile: no terminal, spreadsheet or parser takes
any of it for more than text."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import pytest
from rich.cells import cell_len

from taskmeter import pricing
from taskmeter.cli import main
from taskmeter.cli.commands import taskmeter
from taskmeter.spool.read import readable
from tests.export.receiver import Receiver, Reply
from tests.security.hostile_spool import INSIDE, MORE, SIDE, SIDES, WHOLE, task_id, write_spool

RAW: Final = WHOLE[0]
NAME: Final = readable(RAW)
"""As every reader has it: half of a surrogate pair is no character."""
FORMULA: Final = WHOLE[1]
WHEN: Final = ("--since", "2026-09-01", "--until", "2099-01-01")
BEFORE, AFTER = (f"label:{SIDE}={side}" for side in SIDES)
CASES: Final[Mapping[str, Sequence[Sequence[str]]]] = {
    "report": [
        ("--detail", *WHEN),
        *(("--by", group) for group in ("customer", "model", "step", f"label:{RAW}")),
    ],
    "breakdown": [(), ("--name", NAME, "--name", FORMULA, *WHEN)],
    "value": [
        ("--task-minutes", f"{NAME}=60", "--task-minutes", "30", "--check-minutes", "5", "--hourly", "60"),
        ("--by", f"label:{FORMULA}", "--harm", "2", "--hourly", "60", "--task-minutes", "30", *WHEN),
    ],
    "whatif": [
        ("--suggest", *WHEN),
        (
            *("--route", f"{NAME}:*=+1@70%", "--model-price", "+1=1/2", "--route", "*:*=gpt-5-nano"),
            *("--price", f"{NAME}=x5", "--batch", NAME, "--flex", f"*:{NAME}", "--cache", "10%-20%"),
            *("--response-cache", "exact", "--context", "documents=-60%", "--success", f"{NAME}=-5%"),
            *("--token-spread", "5%", "--length-spread", "5%", "--prices-of", "2026-11-01"),
        ),
    ],
    "forecast": [
        ("--volume", "50/day", "--horizon", "90d", "--growth", "10%/month", "--start", "2026-12-01", *WHEN),
        (
            *("--volume", "9/week", "--mix", f"{SIDES[0]}=70%,{SIDES[1]}=30%", "--by", f"label:{SIDE}"),
            *("--horizon", "2w", "--holdout", "20%"),
        ),
        ("--volume", f"{FORMULA}=50/day", "--volume", f"{NAME}=5/day", "--horizon", "6m"),
    ],
    "compare": [
        (BEFORE, AFTER, "--fail-on", "cost=+1000%", "--fail-on", "success=-90%", "--by-estimate"),
        (BEFORE, AFTER, "--name", FORMULA),
    ],
    "steps": [(), ("--name", NAME, *WHEN)],
    "show": [(task_id(2),), (NAME,)],
}
"""What each report is asked: with every option there is, but for where its spans come from and its form."""
ELSEWHERE: Final = {"outcome", "ship", "compact", "doctor", "demo"}
"""Commands that make no report, each with a test of its own; that of the demo is in test_cli."""
NOT_ASKED: Final = {"--spool", "--source", "--format", "--help"}
REPORTS: Final = [(name, *arguments) for name, cases in CASES.items() for arguments in cases]
MISUSE: Final[Sequence[Sequence[str]]] = [
    (RAW,),
    ("report", "--by", RAW),
    ("report", "--since", RAW),
    ("report", f"--{NAME}"),
    ("report", "--format", RAW),
    ("report", "--source", RAW),
    ("report", "--spool", INSIDE[0]),
    ("report", "--source", f"clickhouse://{NAME}"),
    ("report", "--source", f"{NAME}://x"),
    ("breakdown", "--name", f"{RAW}?"),
    ("value", "--hourly", RAW),
    ("value", "--task-minutes", f"{NAME}={NAME}"),
    ("value", "--task-minutes", f"{RAW}?=3"),
    ("value", "--by", RAW),
    ("whatif",),
    ("whatif", "--route", RAW),
    ("whatif", "--route", f"*:*={NAME}"),
    ("whatif", "--price", RAW),
    ("whatif", "--context", RAW),
    ("whatif", "--prices-of", RAW),
    ("whatif", "--model-price", RAW),
    ("whatif", "--cache", RAW),
    ("whatif", "--response-cache", RAW),
    ("whatif", "--suggest", "--success", RAW),
    ("whatif", "--token-spread", RAW, "--suggest"),
    ("forecast", "--volume", RAW, "--horizon", "9d"),
    ("forecast", "--volume", f"{RAW}?=3/day", "--horizon", "9d"),
    ("forecast", "--volume", "5/day", "--horizon", RAW),
    ("forecast", "--volume", "5/day", "--horizon", "9d", "--mix", f"{RAW}?=100%"),
    ("forecast", "--volume", "5/day", "--horizon", "9d", "--mix", RAW),
    ("forecast", "--volume", "5/day", "--horizon", "9d", "--growth", RAW),
    ("forecast", "--volume", "5/day", "--horizon", "9d", "--start", RAW),
    ("forecast", "--volume", "5/day", "--horizon", "9d", "--holdout", RAW),
    ("forecast", "--volume", "5/day", "--horizon", "9d", "--by", RAW),
    ("compare", RAW, RAW),
    ("compare", f"{NAME}..", f"..{NAME}"),
    ("compare", f"version={RAW}?", f"label:{NAME}={RAW}?"),
    ("compare", BEFORE, AFTER, "--name", f"{RAW}?"),
    ("compare", BEFORE, AFTER, "--fail-on", RAW),
    ("steps", "--name", f"{RAW}?"),
    ("show", f"{RAW}?"),
    ("outcome", f"{RAW}?", "--status", RAW),
    ("outcome", RAW, "--status", "failed", "--value", RAW),
    ("outcome", RAW, "--status", "failed", "--at", RAW),
    ("outcome", "0000", "--status", "failed"),
    ("ship", "--endpoint", RAW),
    ("ship", "--endpoint", "http://127.0.0.1:9", "--header", f"x={RAW}"),
    ("ship", "--retry-for", RAW),
    ("compact", "--older-than", RAW),
]
"""What says something of names that are not there, or are no such thing."""

MOST_PRINTED: Final = 6_000
"""Characters of a table and all below it, for each name there is."""
MOST_SAID: Final = 600
"""Likewise, on standard error."""
_STYLE: Final = re.compile(r"\x1b\[(?:0|[1-2]|(?:[12];)*3[1-6]|1;2)m")
"""The styles that are ours. None of them is in the hostile names."""
_FORMULA: Final = re.compile(r"(?:\s*|.*;\s*)[=+\-@|%]")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")


class Printed(NamedTuple):
    """What a command printed and exited with."""

    code: int
    out: str
    err: str


class Terminal(io.StringIO):
    """A standard output that someone looks at."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def run(arguments: Sequence[str], out: io.StringIO | None = None) -> Printed:
    """In this process, with the spool and the width of the terminal from the environment."""
    out, err = out or io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        main(arguments)
    return Printed(int(end.value.code or 0), out.getvalue(), err.getvalue())


def assert_only_prints(text: str) -> None:
    """Nothing that a terminal obeys, that turns or hides text, or that cannot be encoded."""
    for line in text.split("\n"):
        assert line.isprintable(), ascii(line)
        line.encode()


def assert_table(printed: Printed, texts: Sequence[str], width: int | None = None) -> None:
    """Lines of text within `width`, if any, and not too many of them, however long the names are."""
    out = _STYLE.sub("", printed.out)
    assert_only_prints(out)
    assert width is None or max(map(cell_len, out.splitlines())) <= width
    assert len(out) < MOST_PRINTED * len(texts)


def assert_csv(printed: Printed) -> None:
    """A header and lines of as many cells, none of which a spreadsheet takes for a formula."""
    rows = list(csv.reader(io.StringIO(printed.out)))
    assert {len(row) for row in rows} == {len(rows[0])}
    assert len(rows) > 1
    for text in (text for row in rows for text in row):
        assert_only_prints(text)
        assert _NUMBER.fullmatch(text) or not _FORMULA.match(text), ascii(text)


def assert_json(printed: Printed, texts: Sequence[str]) -> None:
    """ASCII, with names as they were recorded."""
    assert printed.out.isascii()
    assert_only_prints(printed.out)
    found = set(strings(json.loads(printed.out)))
    assert found & set(map(readable, texts))


def strings(value: Any) -> Iterator[str]:
    """All texts in what JSON holds."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from strings(each)


def check(
    command: Sequence[str], texts: Sequence[str], monkeypatch: pytest.MonkeyPatch, *, widths: Sequence[int]
) -> None:
    """Runs a report in all forms. What is said beside it is short, too."""
    for width in widths:
        monkeypatch.setenv("COLUMNS", str(width))
        assert_said(printed := run(command, Terminal()), texts)
        assert_table(printed, texts, width)
    for form in ("json", "csv"):
        assert_said(printed := run([*command, "--format", form]), texts)
        assert_json(printed, texts) if form == "json" else assert_csv(printed)


def assert_said(printed: Printed, texts: Sequence[str] = WHOLE) -> None:
    """Done, and what was said on standard error is text of few lines, however long the names are."""
    assert printed.code == 0, printed.err
    assert_only_prints(printed.err)
    assert len(printed.err) < MOST_SAID * len(texts)


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_spool(tmp_path_factory.mktemp("hostile"), WHOLE)


@pytest.fixture(autouse=True)
def _surroundings(spool: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This spool, and a terminal with colours, whatever the tests run in."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TASKMETER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("TASKMETER_SPOOL", str(spool))
    yield
    pricing.use(None)


def test_every_command_and_option_is_here() -> None:
    """Whatever is added to the command line is asked below, too."""
    assert taskmeter.commands.keys() == CASES.keys() | ELSEWHERE
    for name, cases in CASES.items():
        options = {
            parameter.opts[0] for parameter in taskmeter.commands[name].params if isinstance(parameter, click.Option)
        }
        assert options - NOT_ASKED <= {argument for arguments in cases for argument in arguments}, name


@pytest.mark.parametrize("command", REPORTS, ids=lambda command: ascii(" ".join(command))[1:40])
def test_a_report_is_only_text(command: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal of 80 columns within these, as JSON and as CSV."""
    check(command, WHOLE, monkeypatch, widths=[80])


@pytest.mark.fuzz
@pytest.mark.timeout(600)
@pytest.mark.parametrize("command", REPORTS, ids=lambda command: ascii(" ".join(command))[1:40])
def test_a_report_on_more_names_is_only_text(
    command: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Likewise, on other terminals, and where nobody looks at it."""
    texts = [*WHOLE, *MORE]
    monkeypatch.setenv("TASKMETER_SPOOL", str(write_spool(tmp_path, texts)))
    check(command, texts, monkeypatch, widths=[60, 200])
    assert_table(run(command), texts)


@pytest.mark.parametrize("command", MISUSE, ids=lambda command: ascii(" ".join(command))[1:60])
def test_what_is_said_of_misuse_is_only_text(command: Sequence[str]) -> None:
    """Short, and not more than a sentence or two; nothing is printed."""
    code, out, err = run(command)
    assert (code in (1, 2), out) == (True, "")
    assert_only_prints(err)
    assert len(err) < 1_500


@pytest.fixture
def own_spool(spool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One to write into, whose directory has a hostile name, too."""
    directory = tmp_path / readable(RAW).replace("/", "").replace("\0", "")[:80]
    shutil.copytree(spool, directory)
    monkeypatch.setenv("TASKMETER_SPOOL", str(directory))
    return directory


@pytest.mark.usefixtures("own_spool")
def test_an_outcome_is_only_text() -> None:
    """Of a task that there is, and of one that there is not."""
    said = ("--status", "failed", "--reason", RAW, "--value", "2", "--human-minutes", "1", "--quality", "0.5")
    for task in (FORMULA, RAW):
        printed = run(("outcome", task, *said, "--name", task, "--at", "2026-11-22T09:30:00+00:00"))
        assert_said(printed)
        assert_only_prints(printed.out)
        assert ("failed, was" in printed.out) is (task == FORMULA)
        assert ("kept as unmatched" in printed.err) is (task == RAW)


@pytest.mark.usefixtures("own_spool")
def test_the_doctor_is_only_text() -> None:
    """It names the spool."""
    for form in ((), ("--json",)):
        printed = run(("doctor", *form))
        assert_only_prints(printed.out + printed.err)
        assert ("1 file, " in printed.out) if not form else json.loads(printed.out)["spool"]["files"] == 1


@pytest.mark.usefixtures("own_spool")
def test_what_an_endpoint_says_is_only_text() -> None:
    """When it refuses spans, in its own words."""
    said = RAW.encode("utf-8", "replace")
    with Receiver(
        statuses=[Reply(503, said, {"content-type": "text/plain"}), Reply(400, said, {"content-type": "text/plain"})]
    ) as endpoint:
        for arguments in (("--retry-for", "0s"), ("--json",), ()):
            printed = run(("ship", "--endpoint", endpoint.url, *arguments))
            assert_only_prints(printed.out + printed.err)
            assert len(printed.out + printed.err) < 2_000
    assert len(endpoint.requests) > 2


def test_a_compacted_spool_is_only_text(own_spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What compacting says, and what is read from Parquet."""
    assert_said(printed := run(("compact", "--older-than", "0s")))
    assert_only_prints(printed.out)
    assert list(own_spool.glob("*.parquet"))
    check(("report",), WHOLE, monkeypatch, widths=[80])
    check(("show", NAME), WHOLE, monkeypatch, widths=[80])
