"""The open task's account: who it belongs to, what was booked to it, what was wasted, what it may spend. Pure."""

from taskmeter.account.accounts import Account, Purse, budgets, checked, own_budget
from taskmeter.account.budget import Amounts, Budget, BudgetExceeded, BudgetReason, BudgetStop, Limits
from taskmeter.account.charges import human_charge, stated_charge, tool_charge
from taskmeter.account.context import Prompt, Segment, Shares, share_out
from taskmeter.account.holds import Ask, Hold, Refusal, draw, reserve
from taskmeter.account.ledger import Entry, Ledger, LedgerLine
from taskmeter.account.outcome import OutcomeRecord, outcome_of
from taskmeter.account.redis_budgets import RedisBudgets
from taskmeter.account.repeats import Answers, StartedRun, ToolRuns, rules, use_rules
from taskmeter.account.scope import Scope, TaskIdentity, elsewhere, partial_of
from taskmeter.account.store import BudgetStore, SharedDraw, SharedRefused
from taskmeter.account.tally import Outlay, State
from taskmeter.account.toolprint import bound, toolprint

__all__ = [
    "Account",
    "Amounts",
    "Answers",
    "Ask",
    "Budget",
    "BudgetExceeded",
    "BudgetReason",
    "BudgetStop",
    "BudgetStore",
    "Entry",
    "Hold",
    "Ledger",
    "LedgerLine",
    "Limits",
    "OutcomeRecord",
    "Outlay",
    "Prompt",
    "Purse",
    "RedisBudgets",
    "Refusal",
    "Scope",
    "Segment",
    "SharedDraw",
    "SharedRefused",
    "Shares",
    "StartedRun",
    "State",
    "TaskIdentity",
    "ToolRuns",
    "bound",
    "budgets",
    "checked",
    "draw",
    "elsewhere",
    "human_charge",
    "outcome_of",
    "own_budget",
    "partial_of",
    "reserve",
    "rules",
    "share_out",
    "stated_charge",
    "tool_charge",
    "toolprint",
    "use_rules",
]
