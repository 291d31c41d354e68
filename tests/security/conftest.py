"""A meter whose hooks come off whatever happens."""

from __future__ import annotations

from tests.capture.conftest import meter

__all__ = ["meter"]
