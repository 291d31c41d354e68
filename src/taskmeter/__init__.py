"""taskmeter: what each completed LLM-agent task cost, where the money went, and whether it was worth it."""

from taskmeter._config import WasteRules
from taskmeter._version import __version__
from taskmeter.capture import instrument, uninstrument
from taskmeter.diagnosis import diagnose
from taskmeter.errors import TaskmeterError
from taskmeter.records import Context, Cost, Usage
from taskmeter.scopes import (
    Task,
    carry,
    charge,
    current_task,
    document,
    record_outcome,
    track_step,
    track_task,
    track_tool,
)
from taskmeter.setup import configure
from taskmeter.telemetry.exporter import CostExporter
from taskmeter.telemetry.processor import TaskSpanProcessor

__all__ = [
    "Context",
    "Cost",
    "CostExporter",
    "Task",
    "TaskSpanProcessor",
    "TaskmeterError",
    "Usage",
    "WasteRules",
    "__version__",
    "carry",
    "charge",
    "configure",
    "current_task",
    "diagnose",
    "document",
    "instrument",
    "record_outcome",
    "track_step",
    "track_task",
    "track_tool",
    "uninstrument",
]
