"""Checks of what users pass in: each error shows the value and the fix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from taskmeter._bounds import bounded, shown
from taskmeter.errors import UsageError


def text(value: object, argument: str) -> str:
    """`value`, bounded, if it is a non-empty string; raises `UsageError` otherwise."""
    if not isinstance(value, str) or not value:
        msg = f"{argument}={shown(value)} must be a non-empty string"
        raise UsageError(msg)
    return bounded(value)


MAX_LABELS = 32
"""A span holds 128 attributes by default, and drops the first ones, its identity, when there are more."""


def free_labels(value: object) -> dict[str, str]:
    """A copy of `value` if it maps names to strings, empty for `None`; raises `UsageError` otherwise."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        msg = f"labels={shown(value)} must map names to strings, as in {{'channel': 'mail'}}"
        raise UsageError(msg)
    labels = cast("Mapping[object, object]", value)
    if len(labels) > MAX_LABELS:
        msg = f"labels= has {len(labels)} labels, more than {MAX_LABELS}: spans hold a limited number of attributes"
        raise UsageError(msg)
    return {text(name, "labels key"): text(label, f"labels[{shown(name)}]") for name, label in labels.items()}
