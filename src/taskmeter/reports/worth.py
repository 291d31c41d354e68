"""Whether an agent pays: the rule `P(success) > check / work`, with what the agent and its failures cost.

A person does a task for `work`. With an agent, every task costs what the agent and the check of its result do, `spent`;
a success saves the work, a failure leaves it to be done, and costs `harm` besides. So a task costs
`spent + (1 - p) * (work + harm)` instead of `work`, which is less when `p > (spent + harm) / (work + harm)`.
All are in one unit: money, or minutes, where nobody said what an hour costs.
"""

from __future__ import annotations

from taskmeter.reports.intervals import Interval, wilson
from taskmeter.reports.value_result import Verdict

_MOST = 10_000_000
"""More tasks than this are no advice."""


def break_even(spent: float, work: float, harm: float = 0.0) -> float:
    """The success rate from which on an agent pays; `work` is not 0."""
    return (spent + harm) / (work + harm)


def judge(rate: Interval, needed: Interval) -> Verdict:
    """By the whole interval of the success rate, and of the one that would be needed."""
    if rate.low > needed.high:
        return "pays"
    return "does not pay" if rate.high < needed.low else "cannot be told yet"


def more_tasks(succeeded: int, tried: int, at: float, needed: Interval) -> int | None:
    """How many more tasks would tell, if both rates stay where they are; `None` where hardly any number would."""
    share = succeeded / tried

    def would_tell(tasks: int) -> bool:
        low, high = wilson(round(share * tasks), tasks)
        closer = (tried / tasks) ** 0.5
        ends = Interval(at + (needed.low - at) * closer, at + (needed.high - at) * closer)
        return judge(Interval(low, high), ends) != "cannot be told yet"

    most = tried
    while not would_tell(most):
        most *= 2
        if most > _MOST:
            return None
    least = most // 2
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if would_tell(middle) else (middle, most)
    return max(1, most - tried)
