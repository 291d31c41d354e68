"""taskmeter: what each completed LLM-agent task cost, where the money went, and whether it was worth it."""

from taskmeter._version import __version__

__all__ = ["__version__"]
