"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from taskmeter import _config


class Directory(click.Path):
    """A directory, which has a name."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuses an empty name, which `Path` takes for the working directory."""
        if value == "":
            self.fail("'' is no directory. Name one, or leave the option out for the default", param, ctx)
        return super().convert(value, param, ctx)


spool_option = click.option(
    "--spool",
    type=Directory(),
    default=_config.spool_from_environment,
    show_default="TASKMETER_SPOOL, else .taskmeter",
    help="Directory with the record of the tasks.",
)
format_option = click.option(
    "--format",
    "output",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="json and csv carry every digit of every amount.",
)
