"""The command line: parse, report, print. One module per command; they need the extra `report`, this one does not."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from taskmeter.errors import ConfigurationError, MissingDependencyError, TaskmeterError, UsageError
from taskmeter.reports.text import lines

NO_DATA, MISUSE = 1, 2
"""Exit codes: the data or a package is missing, or the doctor found something to be done; misuse. 0 is done."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits: 0, `NO_DATA` or `MISUSE`."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")  # a name, or the lines of the tree, where the output is not UTF-8
    try:
        _require_packages(sys.argv[1:] if arguments is None else arguments)
        from taskmeter.cli.commands import taskmeter

        taskmeter.main(arguments, prog_name="taskmeter")
    except TaskmeterError as error:
        say(str(error))
        sys.exit(MISUSE if isinstance(error, UsageError | ConfigurationError) else NO_DATA)


def say(message: str) -> None:
    """Prints `message` on standard error. It may quote whoever wrote the spool: a terminal only prints it."""
    print(f"taskmeter: {lines(message)}", file=sys.stderr)


def _require_packages(arguments: Sequence[str]) -> None:
    """Raises `MissingDependencyError` with all that the command needs and is not there."""
    extras = dict.fromkeys(("click", "duckdb", "numpy", "rich"), "report")
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
