"""The command line: parse, report, print. `taskmeter report`, `show TASK`, `outcome TASK`, `doctor`, `demo`."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from taskmeter import _config, pricing
from taskmeter._version import __version__
from taskmeter.errors import ConfigurationError, MissingDependencyError, TaskmeterError, UsageError
from taskmeter.records import OutcomeStatus
from taskmeter.reports import render
from taskmeter.reports.outcomes import Matching
from taskmeter.reports.relations import Relations, relate
from taskmeter.reports.task_tree import TaskTree, find_tasks, task_tree
from taskmeter.reports.text import line
from taskmeter.reports.unit_cost import UnitCostReport, unit_cost
from taskmeter.spool.read import SpoolReading

if TYPE_CHECKING:
    import click

OutputFormat: TypeAlias = Literal["table", "json", "csv"]

_MISUSE, _NO_DATA = 2, 1


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits: 0 done, 1 the data or a package is missing or the
    doctor found something to be done, 2 misuse."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")  # a name, or the lines of the tree, where the output is not UTF-8
    try:
        _require_packages(sys.argv[1:] if arguments is None else arguments)
        command_line().main(arguments, prog_name="taskmeter")
    except TaskmeterError as error:
        print(f"taskmeter: {error}", file=sys.stderr)
        sys.exit(_MISUSE if isinstance(error, UsageError | ConfigurationError) else _NO_DATA)


def _require_packages(arguments: Sequence[str]) -> None:
    """Raises `MissingDependencyError` with all that the command needs and is not there."""
    extras = {"click": "report", "rich": "report"}
    is_demo = arguments[:1] == ["demo"]
    if is_demo:
        extras |= {"openai": "openai", "anthropic": "anthropic"}
    missing = {package: extra for package, extra in extras.items() if find_spec(package) is None}
    if missing:
        purpose = "`taskmeter demo`" if is_demo else "The taskmeter command"
        brought = ",".join(dict.fromkeys(missing.values()))
        one = next(iter(missing))
        named = one if len(missing) == 1 else f"each of {', '.join(missing)}"
        raise MissingDependencyError(named, brought, purpose)


def command_line() -> click.Group:
    """The commands, for `main` and for whoever documents them."""
    import click

    class Directory(click.Path):
        def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
            if value == "":
                self.fail("'' is no directory. Name one, or leave the option out for the default", param, ctx)
            return super().convert(value, param, ctx)

    directory = Directory(file_okay=False, path_type=Path)
    spool = click.option(
        "--spool",
        type=directory,
        default=_config.spool_from_environment,
        show_default="TASKMETER_SPOOL, else .taskmeter",
        help="Directory with the record of the tasks.",
    )
    demo_spool = click.option(
        "--spool", type=directory, show_default="a new temporary directory", help="Directory to record the tasks in."
    )
    output = click.option(
        "--format",
        "output",
        type=click.Choice(["table", "json", "csv"]),
        default="table",
        show_default=True,
        help="json and csv carry every digit of every amount.",
    )

    @click.group(context_settings={"help_option_names": ["-h", "--help"]})
    @click.version_option(__version__)
    def taskmeter() -> None:
        """What each completed LLM-agent task cost, and where the money went."""

    taskmeter.command("report")(spool(output(report)))
    taskmeter.command("show")(click.argument("task")(spool(output(show))))
    taskmeter.command("outcome")(click.argument("task")(_outcome_options(spool(outcome))))
    taskmeter.command("demo")(demo_spool(demo))
    as_json = click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
    taskmeter.command("doctor")(spool(as_json(doctor)))
    return taskmeter


def _outcome_options(command: Callable[..., None]) -> Callable[..., None]:
    import click

    for option in (
        click.option("--at", metavar="TIME", help="When it became known: ISO 8601 with a time zone. By default now."),
        click.option("--quality", metavar="NUMBER", help="A score, on a scale of your own; more is better."),
        click.option("--human-minutes", metavar="NUMBER", help="Minutes that people spent since the last outcome."),
        click.option("--value", metavar="USD", help="What the result is worth."),
        click.option("--reason", help="Why."),
        click.option("--name", help="Of several tasks with that key, only those of this name."),
        click.option("--status", type=click.Choice(get_args(OutcomeStatus)), required=True, help="What came of it."),
    ):
        command = option(command)
    return command


def report(spool: Path, output: OutputFormat) -> None:
    """What tasks cost, by name: in all, per success, median and 95th percentile, and how much was wasted."""
    _print(unit_cost(_read(spool)), output)


def show(task: str, spool: Path, output: OutputFormat) -> None:
    """Where the money of one TASK went: its steps, calls, failed attempts, tools and nested tasks.

    TASK is its id, the beginning of its id (4 characters or more), or its business key.
    """
    _print(task_tree(_read(spool), task), output)


def outcome(
    task: str,
    spool: Path,
    status: OutcomeStatus,
    at: str | None,
    **said: Any,
) -> None:
    """Record what came of TASK: its business key, its id, or the beginning of its id (4 characters or more).

    Nothing is overwritten: reports count the last outcome of a task, and keep all.
    """
    from taskmeter.scopes.outcomes import outcome_record, outcome_said, write_outcome

    name = said.pop("name")
    pricing.use(_config.prices_from_environment())  # for the rate of human minutes
    word = outcome_said(status, **said)
    relations = _read(spool)
    found = find_tasks(relations, task)
    by_id = bool(found) and found[0].key != task
    if by_id and len(found) > 1:
        raise UsageError(f"{task!r} is how the ids of {len(found)} tasks begin; give more of it")
    record = outcome_record(
        word,
        key=None if by_id else task,
        task_id=found[0].id if by_id else None,
        name=name,
        at=None if at is None else _time(at),
    )
    write_outcome(record, spool)
    meant = Matching((), relations.tasks).task_of(record.task_id, record.key, record.name, record.at_ns)
    if meant is None:
        print(f"taskmeter: no task of {spool} is meant by {task!r}: kept as unmatched", file=sys.stderr)
    else:
        print(f"{line(meant.name)} {meant.id}: {status}, was {meant.outcome}")


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--at {text!r} is no time; write it as in 2026-11-22T09:30:00+00:00") from error


def demo(spool: Path | None) -> None:
    """Run sample agents against a local stub of the providers, and report what they cost. Needs no key."""
    import click

    from taskmeter.demo import SHOWCASE_KEY, run

    directory = spool or Path(tempfile.mkdtemp(prefix="taskmeter-demo-"))
    click.echo("Running sample agents against a local stub of OpenAI and Anthropic ...", err=True)
    run(directory)
    relations = _read(directory)
    click.echo(f"\n$ taskmeter report --spool {directory}\n")
    _print(unit_cost(relations), "table")
    click.echo(f"\n$ taskmeter show {SHOWCASE_KEY} --spool {directory}\n")
    _print(task_tree(relations, SHOWCASE_KEY), "table")
    click.echo(f"\nThe record stays in {directory}, for these two commands and others of your own.", err=True)


def doctor(spool: Path, *, as_json: bool) -> None:
    """Check versions, hooks, other instrumentations, exporters and the spool; say what to fix.

    Exits with 1 if something needs action. For a program that is running: print(taskmeter.diagnose()) in it.
    """
    import click

    from taskmeter.diagnosis import examine

    diagnosis = examine(spool)
    click.echo(json.dumps(diagnosis.as_dict(), indent=2) if as_json else str(diagnosis))
    if not diagnosis.healthy:
        sys.exit(_NO_DATA)


def _read(spool: Path) -> Relations:
    reading = SpoolReading(spool)
    relations = relate(reading)
    for problem in reading.problems():
        print(f"taskmeter: {spool}: {problem}", file=sys.stderr)
    return relations


def _print(result: UnitCostReport | TaskTree, output: OutputFormat) -> None:
    import click
    from rich.console import Console

    if output == "json":
        click.echo(render.as_json(result), nl=False)
    elif output == "csv":
        click.echo(render.as_csv(result), nl=False)
        for note in result.notes:
            click.echo(f"taskmeter: {note}", err=True)
    else:
        console = Console(highlight=False, markup=False, emoji=False)
        least = render.least_width(result)  # a table squeezed into fewer columns would cut its numbers
        console.width = max(console.width, least) if console.is_terminal else least
        console.print(render.as_table(result))
