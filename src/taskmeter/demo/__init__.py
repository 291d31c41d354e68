"""The demonstration: a stub provider, three sample agents, and a run of them all."""

from taskmeter.demo.showcase import SHOWCASE_KEY, run

__all__ = ["SHOWCASE_KEY", "run"]
