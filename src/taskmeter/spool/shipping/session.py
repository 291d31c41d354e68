"""One shipper, with its endpoint and its lock."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from taskmeter.spool.shipping.endpoint import Endpoint
from taskmeter.spool.shipping.lock import only_shipper
from taskmeter.spool.shipping.over_grpc import GrpcSender
from taskmeter.spool.shipping.over_http import HttpSender
from taskmeter.spool.shipping.patience import Stop
from taskmeter.spool.shipping.shipper import Shipper, Terms


@contextmanager
def shipping(
    directory: Path,
    endpoint: Endpoint,
    terms: Terms,
    *,
    stop: Stop,
    say: Callable[[str], object],
    advanced: Callable[[int], object],
) -> Generator[Shipper]:
    """A shipper of the spool `directory`, the only one to `endpoint` for the block.

    Raises `ShippingError` where another is at it, and `MissingDependencyError`.
    """
    sender = GrpcSender(endpoint) if endpoint.protocol == "grpc" else HttpSender(endpoint)
    try:
        with only_shipper(directory, endpoint.name):
            yield Shipper(directory, endpoint.name, sender, terms, stop=stop, say=say, advanced=advanced)
    finally:
        sender.close()
