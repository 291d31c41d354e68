"""Errors taskmeter raises, only ever for misuse of its own API. Faults of ours never reach the caller.

TaskmeterError                 root: catch this to catch all of ours
├── UsageError                 a function was called with an argument that makes no sense (also a ValueError)
├── ConfigurationError         `configure()` or an environment variable cannot be honoured (also a ValueError)
├── BudgetExceeded             a call was not sent, as a budget has no room for it; drawn here, made by the account
├── MissingDependencyError     an extra is not installed; the message is the exact `pip install` (also an ImportError)
├── SpoolError                 the spool directory named to a report is missing or holds nothing (also an OSError)
├── ShippingError              the spool cannot be shipped now: another shipper is at it (also an OSError)
└── SourceError                another source of spans cannot be read (also an OSError)
"""


class TaskmeterError(Exception):
    """The root of every error that taskmeter raises."""


class UsageError(TaskmeterError, ValueError):
    """An argument makes no sense. The message shows the value and the fix."""


class ConfigurationError(TaskmeterError, ValueError):
    """A setting cannot be honoured. The message names the setting, shows its value and the fix."""


class MissingDependencyError(TaskmeterError, ImportError):
    """An optional dependency is not installed. The message is the command that installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed. Install it with: pip install 'taskmeter[{extra}]'"
        )


class SpoolError(TaskmeterError, OSError):
    """A spool directory is missing or empty. The message names it and says how it gets filled."""


class ShippingError(TaskmeterError, OSError):
    """The spool cannot be shipped now. The message says who is at it."""


class SourceError(TaskmeterError, OSError):
    """A source of spans that is no spool cannot be read. The message names it, without its password, and says why."""
