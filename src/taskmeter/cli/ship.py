"""`taskmeter ship`."""

from __future__ import annotations

import json
import re
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from taskmeter import _config
from taskmeter.cli import NO_DATA
from taskmeter.cli.options import spool_option
from taskmeter.errors import SpoolError, UsageError
from taskmeter.spool.shipping.delivery import Summary
from taskmeter.spool.shipping.endpoint import Asked, Endpoint, endpoint_of
from taskmeter.spool.shipping.session import shipping
from taskmeter.spool.shipping.shipper import Shipper, Terms

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Duration(click.ParamType[float]):
    """`90`, `90s`, `15m`, `12h` or `7d`, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Refuses what is no length of time."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", str(value))
        if match is None:
            self.fail(f"{value!r} is no length of time; write it as in 90s, 15m, 12h or 7d", param, ctx)
        return float(match[1]) * _UNITS[match[2] or "s"]


_file: Final = click.Path(dir_okay=False, path_type=Path)
_FROM: Final = "OTEL_EXPORTER_OTLP_*"


@click.command
@spool_option
@click.option("--endpoint", "url", metavar="URL", show_default=_FROM, help="Where to; /v1/traces is added for HTTP.")
@click.option("--protocol", type=click.Choice(["http", "grpc"]), show_default=f"{_FROM}, else http")
@click.option("--header", "headers", metavar="NAME=VALUE", multiple=True, help="Sent along; may be given repeatedly.")
@click.option("--certificate", type=_file, help="PEM file of the authority to trust; by default the system's.")
@click.option("--client-certificate", type=_file, help="PEM file, for mutual TLS.")
@click.option("--client-key", type=_file, help="PEM file, for mutual TLS.")
@click.option("--insecure", is_flag=True, help="No TLS to a gRPC endpoint named without http:// or https://.")
@click.option("--compression", type=click.Choice(["gzip", "none"]), show_default=f"{_FROM}, else gzip")
@click.option("--timeout", "timeout_seconds", type=Duration(), show_default=f"{_FROM}, else 10s", help="Per request.")
@click.option("--batch-size", type=click.IntRange(1), default=512, show_default=True, help="Spans in a request.")
@click.option("--max-age", type=Duration(), help="Set older spans aside instead of sending them.")
@click.option("--retry-for", type=Duration(), show_default="60s", help="Give up after so long without an acceptance.")
@click.option("--follow", is_flag=True, help="Go on with what comes, until SIGTERM or SIGINT; never give up.")
@click.option("--dead-letters", is_flag=True, help="Send what this endpoint had refused, instead of the spool.")
@click.option("--unsure", is_flag=True, help="With --dead-letters: also where the endpoint has some of the spans.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def ship(
    spool: Path,
    *,
    batch_size: int,
    max_age: float | None,
    retry_for: float | None,
    follow: bool,
    dead_letters: bool,
    unsure: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Send the spool to an OTLP endpoint: what it has not got yet, each span once.

    What is delivered is written down in the spool, per endpoint: run it again at any time. Exits with 1 if something
    is left or was refused.
    """
    _check(follow=follow, dead_letters=dead_letters, unsure=unsure, retry_for=retry_for, max_age=max_age)
    endpoint = endpoint_of(Asked(**asked), _config.shipping_from_environment())
    if follow:
        spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    elif not spool.is_dir():
        raise SpoolError(f"There is no spool directory {str(spool)!r}.")
    terms = Terms(
        batch_size=batch_size,
        timeout_seconds=endpoint.timeout_seconds,
        retry_seconds=None if follow else 60.0 if retry_for is None else retry_for,
        max_age_seconds=max_age,
    )
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    bar = _bar(console, hidden=follow or dead_letters)
    task = bar.add_task(f"to {endpoint.name}", total=None)
    with (
        _stopping() as stop,
        shipping(
            spool,
            endpoint,
            terms,
            stop=stop,
            say=lambda sentence: console.print(f"taskmeter: {endpoint.name}: {sentence}", soft_wrap=True),
            advanced=lambda size: bar.advance(task, size),
        ) as shipper,
        bar,
    ):
        bar.update(task, total=shipper.feed.remaining_bytes())
        summary = _shipped(shipper, follow=follow, dead_letters=dead_letters, unsure=unsure)
    click.echo(json.dumps({"endpoint": endpoint.name, **asdict(summary)}) if as_json else _line(endpoint, summary))
    if not summary.complete:
        sys.exit(NO_DATA)


def _check(*, follow: bool, dead_letters: bool, unsure: bool, retry_for: float | None, max_age: float | None) -> None:
    """Options that would do nothing together."""
    if unsure and not dead_letters:
        raise UsageError("--unsure is about dead letters; add --dead-letters, or leave it out")
    if follow and dead_letters:
        raise UsageError("--follow and --dead-letters exclude each other; dead letters are sent once")
    if follow and retry_for is not None:
        raise UsageError("--follow never gives up; leave --retry-for out")
    if dead_letters and max_age is not None:
        raise UsageError("dead letters are sent whatever their age; leave --max-age out")


def _shipped(shipper: Shipper, *, follow: bool, dead_letters: bool, unsure: bool) -> Summary:
    if dead_letters:
        return shipper.replay(unsure=unsure)
    return shipper.follow() if follow else shipper.run()


def _bar(console: Console, *, hidden: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=hidden or not console.is_terminal,
    )


@contextmanager
def _stopping() -> Generator[threading.Event]:
    """An event that the first SIGTERM or SIGINT sets; the second one ends the process as ever."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(*_: object) -> None:
        restore()
        stop.set()

    for number in before:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        restore()


def _line(endpoint: Endpoint, summary: Summary) -> str:
    counted = {
        "sent": summary.sent,
        "already delivered": summary.already_delivered,
        "dead letters": summary.dead_letters,
        "too old": summary.too_old,
        "skipped lines": summary.skipped_lines,
    }
    line = f"{endpoint.name}: {', '.join(f'{count:,} {what}' for what, count in counted.items())}"
    return f"{line}; {summary.left:,} left: {summary.reason}" if summary.left else line
