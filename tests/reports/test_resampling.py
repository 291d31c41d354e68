"""Intervals hold the truth as often as they say, and agree with other ways to come to them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from taskmeter.reports.intervals import Interval, Sums, holm, more_of_the_tail, newcombe, skewed_ratio, wilson
from taskmeter.reports.resampling import (
    Change,
    Estimate,
    change_of,
    linear_ratio,
    mean_interval,
    percentile_interval,
    quantile,
    quantile_change,
    quantiles,
    ratio,
    resampled_sums,
)
from tests.simulation import Step, Tasks, Workflow, draw

BEFORE = Workflow(tail=0.01, tail_factor=5)
AFTER = Workflow(tail=0.01, tail_factor=5, steps=(Step(success=0.7, usd=0.12),), seconds=24)


def sure(estimate: Estimate | Change | None) -> Interval:
    assert estimate is not None
    return estimate.interval() if isinstance(estimate, Estimate) else estimate.interval


def cost_change(before: Tasks, after: Tasks) -> Interval:
    first, last = ratio(before.cost, before.succeeded, seed=1), ratio(after.cost, after.succeeded, seed=2)
    assert first is not None
    assert last is not None
    return sure(change_of(first, last))


def waste_change(before: Tasks, after: Tasks) -> Interval:
    first, last = (
        linear_ratio(np.where(tasks.succeeded, 0, tasks.cost), tasks.cost, seed=seed)
        for seed, tasks in enumerate((before, after))
    )
    assert first is not None
    assert last is not None
    return sure(change_of(first, last))


def rate(tasks: Tasks) -> tuple[int, int]:
    return int(tasks.succeeded.sum()), len(tasks)


INTERVALS: dict[str, tuple[float, Callable[[Tasks, Tasks], Interval]]] = {
    "cost per success": (BEFORE.cost_per_success, lambda one, _: sure(ratio(one.cost, one.succeeded))),
    "mean cost": (BEFORE.mean_cost, lambda one, _: mean_interval(one.cost) or Interval(0, 0)),
    "median time": (BEFORE.seconds, lambda one, _: percentile_interval(quantiles(one.seconds, 50))),
    "p95 of time": (BEFORE.seconds_at(95), lambda one, _: percentile_interval(quantiles(one.seconds, 95))),
    "success rate": (0.8, lambda one, _: Interval(*wilson(*rate(one)))),
    "change of cost per success": (AFTER.cost_per_success / BEFORE.cost_per_success - 1, cost_change),
    "change of wasted share": (AFTER.wasted_share - BEFORE.wasted_share, waste_change),
    "change of p95": (0.2, lambda one, two: sure(quantile_change(one.seconds, two.seconds, 95))),
    "change of success rate": (-0.1, lambda one, two: newcombe(rate(one), rate(two))),
}


SLOW = [pytest.param(figure, tasks, marks=pytest.mark.fuzz) for figure in INTERVALS for tasks in (80, 300, 2_000)]


@pytest.mark.parametrize(("figure", "tasks"), [("cost per success", 50), ("change of p95", 50), *SLOW])
def test_intervals_hold_the_truth_as_often_as_they_say(figure: str, tasks: int) -> None:
    """Of 200 simulations, about 190; 178 is four standard errors below. 2,000 tasks are dealt into hands."""
    truth, interval_of = INTERVALS[figure]
    held = 0
    for seed in range(200):
        interval = interval_of(draw(BEFORE, tasks, seed), draw(AFTER, tasks, seed + 1_000))
        held += interval.low <= truth <= interval.high
    assert 178 <= held <= 200


@pytest.mark.fuzz
def test_no_change_is_rarely_taken_for_one() -> None:
    """Of 200 comparisons of a workflow with itself, about 10 have a p-value below 0.05."""
    found = 0
    for seed in range(200):
        first, last = (draw(BEFORE, 80, seed + apart) for apart in (0, 1_000))
        before, after = ratio(first.cost, first.succeeded, seed=1), ratio(last.cost, last.succeeded, seed=2)
        assert before is not None
        assert after is not None
        change = change_of(before, after)
        assert change is not None
        found += change.p_value < 0.05
    assert 1 <= found <= 22


def test_the_error_of_a_mean_is_the_textbook_one() -> None:
    """Standard deviation over the root of the count, of few tasks and of more than there are hands."""
    for count in (100, 20_000):
        costs = draw(BEFORE, count, 4).cost
        found = linear_ratio(costs)
        assert found is not None
        assert found.at == pytest.approx(costs.mean())
        assert found.error == pytest.approx(costs.std() / count**0.5, rel=0.1)


def test_an_interval_is_near_that_of_another_implementation() -> None:
    """scipy's bias-corrected bootstrap of the same mean, which is a little narrower on a long tail."""
    costs = draw(BEFORE, 400, 5).cost
    theirs = stats.bootstrap((costs,), np.mean, rng=np.random.default_rng(1)).confidence_interval
    ours = mean_interval(costs)
    assert ours is not None
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=0.06)


def test_resampling_a_quantile_by_its_rank_is_resampling_it() -> None:
    """The same distribution as that of the quantile of real resamples, by Kolmogorov and Smirnov."""
    values = draw(BEFORE, 60, 6).seconds
    random = np.random.default_rng(7)
    real = [quantile(random.choice(values, len(values)), 95) for _ in range(2_000)]
    assert stats.ks_2samp(quantiles(values, 95), real).statistic < 0.05


def test_figures_of_the_same_tasks_are_resampled_together() -> None:
    """Two columns of which one is twice the other stay so in each resample; other tasks are another seed."""
    costs = np.array([1.0, 2.0, 3.0, 10.0])
    sums = resampled_sums(np.stack([costs, 2 * costs], axis=1), resamples=50)
    assert (sums[:, 1] == 2 * sums[:, 0]).all()
    assert (sums == resampled_sums(np.stack([costs, 2 * costs], axis=1), resamples=50)).all()
    assert (sums != resampled_sums(np.stack([costs, 2 * costs], axis=1), resamples=50, seed=1)).any()


def test_what_does_not_vary_is_a_point() -> None:
    """An interval without width, and no change to be told; nothing at all of one task or no success."""
    same = ratio([0.1] * 20)
    assert same is not None
    assert (same.interval().low, same.interval().high) == pytest.approx((0.1, 0.1))
    assert change_of(same, same) is None
    assert ratio([0.1]) is None
    assert ratio([0.1, 0.2], [0, 0]) is None


def test_shares_agree_with_the_literature() -> None:
    """Wilson as scipy has it; Newcombe's own example, 56 of 70 less 48 of 80; Holm by hand."""
    for successes, tried in ((0, 5), (5, 5), (81, 263)):
        theirs = stats.binomtest(successes, tried).proportion_ci(method="wilson")
        assert wilson(successes, tried) == pytest.approx((theirs.low, theirs.high))
    found = newcombe((48, 80), (56, 70))
    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_an_interval_from_sums_is_near_that_of_the_bootstrap() -> None:
    """Of a mean and of a cost per success, from sums alone."""
    for seed in range(5):
        tasks = draw(BEFORE, 400, seed)
        cost, succeeded = tasks.cost, tasks.succeeded
        largest = int(cost.argmax())
        sums = Sums(
            count=400,
            above=cost.sum(),
            above_2=(cost**2).sum(),
            above_3=(cost**3).sum(),
            below=int(succeeded.sum()),
            both=cost[succeeded].sum(),
            both_2=(cost[succeeded] ** 2).sum(),
        )
        found = skewed_ratio(sums, float(cost[largest]), largest_counts=bool(succeeded[largest]))
        assert found is not None
        theirs = sure(ratio(cost, succeeded))
        assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), rel=0.03)


def test_an_interval_from_sums_that_cannot_be() -> None:
    """None of no success and of no cost; a point where nothing varies."""
    assert skewed_ratio(Sums(10, 1.0, 0.1, 0.01, 0, 0.0, 0.0), 0.1, largest_counts=False) is None
    assert skewed_ratio(Sums(10, 0.0, 0.0, 0.0, 5, 0.0, 0.0), 0.0, largest_counts=False) is None
    same = Sums(10, 1.0, 0.1, 0.01, 10, 1.0, 0.1)
    assert skewed_ratio(same, 0.1, largest_counts=True) == Interval(0.1, 0.1)


def test_more_of_the_tail_is_added_where_there_is_one() -> None:
    """All of one task that makes a quarter of the spread; of one that makes a hundredth, a twenty-fifth."""
    assert more_of_the_tail(0.25) == more_of_the_tail(0.9) == 1
    assert more_of_the_tail(0.01) == 0.04
