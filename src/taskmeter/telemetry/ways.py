"""Which ways spans leave the process: what `configure(delivery=..., spool=...)` may ask for, and the queues for it."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path
from typing import Final, cast, get_args

from taskmeter._config import Delivery, Fsync, OtlpEnvironment, Settings, Spool, queue_from_environment
from taskmeter._config import spool_from_environment as default_directory
from taskmeter.errors import ConfigurationError
from taskmeter.spool.receipts import ReceiptWriter
from taskmeter.telemetry.otlp import OtlpTarget
from taskmeter.telemetry.queue import Limits, SpanQueue
from taskmeter.telemetry.spooling import SpoolTarget

SPOOL_QUEUE: Final = 65_536
"""Spans that may wait for the spool: a burst of this size is kept while the disk catches up."""
SPOOL_BATCH: Final = 512
"""Spans in a line at most."""
_OPTIONAL: Final = ("keep_bytes", "keep_days")


def kept(spool: object, delivery: Delivery | None) -> tuple[Path | None, Spool]:
    """The directory, `None` for no spool, and how it is kept. Raises `ConfigurationError` for what makes no sense."""
    policy = spool if isinstance(spool, Spool) else Spool()
    if delivery == "direct":
        if spool not in (None, False):
            msg = (
                f"delivery='direct' keeps no spool, and spool={spool!r} asks for one; say delivery='both', or leave "
                "spool out"
            )
            raise ConfigurationError(msg)
        return None, policy
    if spool is False:
        return None, policy
    directory = policy.directory if isinstance(spool, Spool) else spool
    if directory is None or directory is True:
        return default_directory(), _checked(policy)
    if not isinstance(directory, Path) and not (isinstance(directory, str) and directory.strip()):
        msg = f"spool={spool!r} names no directory; pass a path, or False for no spool"
        raise ConfigurationError(msg)
    return Path(directory), _checked(policy)


def _checked(policy: Spool) -> Spool:
    if policy.fsync not in get_args(Fsync):
        msg = f"Spool(fsync={policy.fsync!r}) is not one of {', '.join(get_args(Fsync))}"
        raise ConfigurationError(msg)
    for each in fields(policy):
        value = getattr(policy, each.name)
        if each.name not in ("directory", "fsync") and not (value is None and each.name in _OPTIONAL):
            checked_number(f"Spool({each.name})", value)
    return policy


def checked_number(name: str, value: object) -> float:
    """A finite number above 0. Raises `ConfigurationError` for anything else."""
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not 0 < number < math.inf:
        msg = f"{name}={value!r} must be a number above 0"
        raise ConfigurationError(msg)
    return number


def checked_delivery(delivery: object) -> Delivery | None:
    """Raises `ConfigurationError` for what is none."""
    if delivery is not None and delivery not in get_args(Delivery):
        msg = f"delivery={delivery!r} is not one of {', '.join(get_args(Delivery))}"
        raise ConfigurationError(msg)
    return cast("Delivery | None", delivery)


def check_ways(settings: Settings, environment: OtlpEnvironment, *, own: bool) -> None:
    """Raises `ConfigurationError` for a delivery that lacks an endpoint, a spool, or a provider of ours."""
    delivery = settings.delivery
    if delivery in ("spool", "both") and settings.spool is None:
        msg = (
            f"delivery={delivery!r} needs a spool, and spool=False says there is none; leave spool out, or say "
            "delivery='direct'"
        )
        raise ConfigurationError(msg)
    if delivery not in ("direct", "both"):
        return
    if not own:
        msg = (
            f"delivery={delivery!r} would send the spans of a TracerProvider of your own, whose exporting is its own "
            "business; leave delivery out, or say delivery='spool', and add an exporter to the provider yourself"
        )
        raise ConfigurationError(msg)
    if environment.traces is None:
        msg = (
            f"delivery={delivery!r} needs an endpoint for traces, and the environment names none; set "
            "OTEL_EXPORTER_OTLP_ENDPOINT, and neither OTEL_SDK_DISABLED nor OTEL_TRACES_EXPORTER=none"
        )
        raise ConfigurationError(msg)


def queues(settings: Settings, target: OtlpTarget | None) -> tuple[SpanQueue | None, SpanQueue | None]:
    """The one to the spool, and the one to `target`, the endpoint; `None` where there is none."""
    spool = otlp = None
    receipts = None
    if target is not None and settings.spool is not None:
        receipts = ReceiptWriter(settings.spool, target.endpoint)
        target.write_receipts(receipts)
    if settings.spool is not None:
        ship = receipts is not None or settings.delivery == "spool"
        first = receipts.announce if receipts is not None else None
        policy = settings.spool_policy
        spool = SpanQueue(
            SpoolTarget(settings.spool, policy, ship=ship, first=first),
            Limits(SPOOL_QUEUE, SPOOL_BATCH, policy.window_seconds, settings.exit_seconds, while_moving=True),
        )
    if target is not None:
        said = queue_from_environment()
        otlp = SpanQueue(target, Limits(said.limit, said.batch, said.delay_seconds, settings.exit_seconds))
    return spool, otlp
