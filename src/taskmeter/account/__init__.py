"""The open task's account: who it belongs to, what was booked to it, what of that was wasted. Pure."""

from taskmeter.account.charges import human_charge, stated_charge, tool_charge
from taskmeter.account.context import Prompt, Segment, Shares, share_out
from taskmeter.account.ledger import Entry, Ledger, LedgerLine
from taskmeter.account.outcome import OutcomeRecord, outcome_of
from taskmeter.account.repeats import rules, use_rules
from taskmeter.account.scope import Scope, TaskIdentity, elsewhere
from taskmeter.account.toolprint import bound, toolprint

__all__ = [
    "Entry",
    "Ledger",
    "LedgerLine",
    "OutcomeRecord",
    "Prompt",
    "Scope",
    "Segment",
    "Shares",
    "TaskIdentity",
    "bound",
    "elsewhere",
    "human_charge",
    "outcome_of",
    "rules",
    "share_out",
    "stated_charge",
    "tool_charge",
    "toolprint",
    "use_rules",
]
