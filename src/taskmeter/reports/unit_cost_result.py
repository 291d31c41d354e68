"""What `taskmeter report` answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from taskmeter.records import ZERO
from taskmeter.reports.coverage import Coverage
from taskmeter.reports.outcomes import Outcome

Amount: TypeAlias = Literal[
    "total",
    "cost_per_success",
    "p50",
    "p95",
    "wasted",
    "context_tax",
    "reasoning_cost",
    "cache_saved",
    "outside_model",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCost:
    """One row. Amounts are exact, in the report's currency."""

    name: str
    kind: Literal["task", "unfinished", "no_task", "total"]
    """`unfinished`: tasks of which only what is inside is recorded: killed, or still open. `no_task`: outside any."""
    tasks: int
    succeeded: int = 0
    failed: int = 0
    abandoned: int = 0
    pending: int = 0
    unfinished: int = 0
    total: Decimal | None
    """`None` when nothing could be priced; a lower bound if there are `unpriced_calls`."""
    late: Decimal = ZERO
    """The part of `total` that was booked after its task had ended, or in another process."""
    cost_per_success: Decimal | None = None
    """All of `total`, failures included, over `succeeded`, to 12 decimals; `None` without a success."""
    cost_per_success_low: float | None = None
    cost_per_success_high: float | None = None
    """Ends of its 95 % interval, a statistic; `None` for fewer than 10 tasks with a price, or 5 successes."""
    success_rate: float | None = None
    """Of the tasks that succeeded, failed or were abandoned, 0 to 1; `None` without any."""
    success_rate_low: float | None = None
    success_rate_high: float | None = None
    """Ends of the 95 % Wilson interval of `success_rate`."""
    mean: Decimal | None = None
    """Cost of a task, nested ones included, to 12 decimals; like the percentiles, of tasks whose cost is known."""
    mean_low: float | None = None
    mean_high: float | None = None
    """Ends of its 95 % interval; `None` for fewer than 10 tasks."""
    p50: Decimal | None = None
    p90: Decimal | None = None
    p95: Decimal | None = None
    p99: Decimal | None = None
    max: Decimal | None = None
    tail_share: float | None = None
    """Of what these tasks cost: the part of the costliest 1 % of them, at least one."""
    max_over_median: float | None = None
    """`max` over `p50`; `None` where that is 0, like the next two."""
    over_50x_median: int | None = None
    """How many tasks cost 50 times `p50` or more."""
    over_50x_share: float | None = None
    """Of what these tasks cost: their part."""
    single_call_multiple: float | None = None
    """What a task costs over what its first priced call does, which is what one answer without an agent would cost."""
    calls: int
    retries: int
    input_tokens: int = 0
    """Cached included."""
    output_tokens: int = 0
    """Reasoning included."""
    wasted: Decimal | None
    """`None` where `total` is, like `estimated`."""
    wasted_share: float | None
    """Of `total`, 0 to 1; `None` when `total` is nothing."""
    waste: Mapping[str, Decimal] | None = None
    """`wasted` by class, those that are not 0."""
    estimated: Decimal | None
    estimated_share: float | None
    context_tax: Decimal | None = None
    """What was paid for input that an earlier call of the same task had sent already: an estimate, by length. Of the
    calls whose input was measured and has a price; `None` where there is no such call."""
    context_tax_share: float | None = None
    """Of `total`, 0 to 1, like the next shares."""
    unmeasured_calls: int = 0
    """Calls with input of which nobody knows what it was made of."""
    reasoning_cost: Decimal | None = None
    """What reasoning tokens cost; `None` where there were some, and no price of any is known."""
    reasoning_share: float | None = None
    cache_saved: Decimal | None = None
    """By how much caches made calls cheaper, net of what writing to them cost more: not in `total`. `None` where there
    were cached tokens, and no price of any is known."""
    outside_model: Decimal | None = None
    """The part of `total` that is on no model provider's invoice: tool runs, people's time, and charges but for those
    of models. `None` where there is some, and nothing of it has a price."""
    outside_model_share: float | None = None
    unpriced_calls: int
    exposed_attempts: int
    """HTTP requests without an answer that may be billed all the same: nothing of theirs is in `total`."""
    human_minutes: Decimal = ZERO
    """Time that people spent, priced or not."""
    value: Decimal | None = None
    """What the results are worth in all; `None` when nobody said."""
    quality: Decimal | None = None
    """The mean of the scores that were given."""
    coverage: Coverage
    estimates: tuple[Amount, ...] = ()
    """Which amounts contain estimates."""
    lower_bounds: tuple[Amount, ...] = ()
    """Which amounts leave out something whose price, or size, is not known, or that no recorded span has."""


@dataclass(frozen=True, slots=True)
class UnitCostReport:
    """Rows by falling total, what is in no finished task, the total, and what to know when reading them."""

    currency: str
    rows: tuple[UnitCost, ...]
    total: UnitCost
    notes: tuple[str, ...]
    unmatched: tuple[Outcome, ...] = ()
    """Recorded outcomes that are about no task in here."""
    by: str = "name"
    """What a row is for each of."""
