"""Intervals of what is to come hold the truth as often as they say."""

import math

import numpy as np
import pytest

from taskmeter.reports.precision import precision, tail_share
from taskmeter.reports.prediction import Prediction, predict_per_success, predict_spend, sample
from tests.simulation import Step, Workflow, draw

SEEDS = 200
TICKETS = Workflow()
CLASSIFY = Workflow("classify", (Step(usd=0.02, success=0.95),), sigma=0.4, tail=0)


def holds(found: Prediction | None, truth: float) -> bool:
    assert found is not None
    return found.interval.low <= truth <= found.interval.high


def covered(*held: bool) -> None:
    """Of 200 seeds 95 % are 190: fewer than 178 would be four standard deviations off."""
    assert len(held) == SEEDS
    assert 178 <= sum(held) < SEEDS


def test_a_spend_of_many_tasks_is_held_at_the_nominal_rate() -> None:
    """40 tasks with a spread as large as their mean forecast 20,000."""
    held: list[bool] = []
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        cost, to_come = np.exp(0.6 * random.standard_normal(40)), np.exp(0.6 * random.standard_normal(20_000))
        held.append(holds(predict_spend([sample(cost, np.ones(40), 0)], [20_000]), float(to_come.sum())))
    covered(*held)


@pytest.mark.fuzz
@pytest.mark.parametrize(("pilot", "future"), [(200, 20_000), (200, 100), (1_000, 300)])
def test_the_simulators_future_is_held_at_the_nominal_rate(pilot: int, future: int) -> None:
    """With its long tail, whether the mean or the sum is what is uncertain; so is the cost per success."""
    spends, per_success = [], []
    for seed in range(SEEDS):
        known, to_come = draw(TICKETS, pilot, seed), draw(TICKETS, future, seed + SEEDS)
        one = sample(known.cost, known.succeeded.astype(float), 0)
        spends.append(holds(predict_spend([one], [future]), float(to_come.cost.sum())))
        truth = float(to_come.cost.sum() / to_come.succeeded.sum())
        per_success.append(holds(predict_per_success([one], [future]), truth))
    covered(*spends)
    covered(*per_success)


@pytest.mark.fuzz
def test_a_mix_of_workflows_is_held_at_the_nominal_rate() -> None:
    """With volumes of their own each workflow is a sample; with the pilot's mix, the mix is uncertain too."""
    stated, free, part = [], [], []
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        tickets, others = draw(TICKETS, 120, seed), draw(CLASSIFY, 80, seed + 1_000)
        later, other_later = draw(TICKETS, 9_000, seed + 2_000), draw(CLASSIFY, 6_000, seed + 3_000)
        samples = [sample(one.cost, one.succeeded.astype(float), place) for place, one in enumerate((tickets, others))]
        truth = float(later.cost.sum() + other_later.cost.sum())
        stated.append(holds(predict_spend(samples, [9_000, 6_000]), truth))
        is_ticket, later_is_ticket = random.random(200) < 0.4, int(random.binomial(15_000, 0.4))
        cost = np.where(is_ticket, draw(TICKETS, 200, seed).cost, draw(CLASSIFY, 200, seed + 1_000).cost)
        tickets_later = float(draw(TICKETS, later_is_ticket, seed + 2_000).cost.sum())
        truth = tickets_later + float(draw(CLASSIFY, 15_000 - later_is_ticket, seed + 3_000).cost.sum())
        free.append(holds(predict_spend([sample(cost, np.ones(200), 0)], [15_000]), truth))
        only = sample(cost * is_ticket, np.ones(200), 1)
        part.append(holds(predict_spend([only], [15_000]), tickets_later))
    covered(*stated)
    covered(*free)
    covered(*part)


def test_the_two_uncertainties_are_told_apart() -> None:
    """Of costs 1 and 3: that of the mean of 100 tasks is 1.96 * 0.5 / 10, that of the sum of 10,000 a tenth of it."""
    found = predict_spend([sample(np.tile([1.0, 3.0], 50), np.ones(100), 0)], [10_000])
    assert found is not None
    assert found.value == 20_000
    assert found.half(found.if_future_known) == pytest.approx(0.098, rel=0.05)
    assert found.half(found.if_mean_known) == pytest.approx(0.0098, rel=0.05)
    assert found.half(found.interval) == pytest.approx(math.hypot(0.098, 0.0098), rel=0.05)


def test_costs_that_are_all_the_same_leave_nothing_uncertain() -> None:
    """Down to the last digit, in spite of floats."""
    found = predict_spend([sample(np.full(50, 0.1), np.ones(50), 0)], [1_000])
    assert found is not None
    assert found.interval.low == found.interval.high == found.value == pytest.approx(100)


def test_too_few_tasks_or_successes_have_no_interval() -> None:
    """Four tasks, four successes, no cost at all."""
    four = sample(np.array([1.0, 2, 3, 4]), np.ones(4), 0)
    assert predict_spend([four], [100]) is None
    many = sample(np.arange(1.0, 101), np.repeat([1.0, 0.0], [4, 96]), 0)
    assert predict_per_success([many], [100]) is None
    assert predict_spend([sample(np.zeros(100), np.ones(100), 0)], [100]) is None


def test_more_tasks_are_needed_for_what_varies_more() -> None:
    """(1.96 * variation / 0.2)^2 where costs are even; more where one task is most of it."""
    even = precision(np.tile([0.05, 0.15], 20))
    assert even is not None
    assert even.variation == pytest.approx(0.506, abs=0.001)
    assert 25 <= even.tasks_needed <= 27  # the bootstrap may ask for some more
    assert even.more_tasks == 0
    assert even.mean_within == pytest.approx(1.96 * 0.0506 / math.sqrt(40) / 0.1, rel=0.1)
    skewed = precision(np.append(np.ones(99), 100))
    assert skewed is not None
    assert skewed.tasks_needed > (1.96 * skewed.variation / 0.2) ** 2 > 2_000
    assert skewed.more_tasks == skewed.tasks_needed - 100
    same = precision(np.full(10, 0.1))
    assert same is not None
    assert (same.tasks_needed, same.mean_within) == (1, 0)
    assert precision(np.ones(4)) is None
    assert precision(np.zeros(10)) is None


@pytest.mark.fuzz
def test_the_tasks_that_are_needed_do_know_the_mean_within_20_percent() -> None:
    """What the median pilot asks for is enough in about 95 of 100 cases, and at most half more than the truth asks."""
    found = [precision(draw(TICKETS, 400, seed).cost) for seed in range(61)]
    needed = sorted(one.tasks_needed for one in found if one is not None)[30]
    near = [abs(draw(TICKETS, needed, 1_000 + seed).cost.mean() / TICKETS.mean_cost - 1) for seed in range(1_000)]
    assert sum(error <= 0.2 for error in near) >= 930
    # Squares of the lognormal factor and of its tail over those of the means: the variation is 1.75.
    variation = math.sqrt(math.exp(0.8**2) * (1 + 0.02 * 99) / 1.18**2 - 1)
    assert needed <= 1.5 * (1.96 * variation / 0.2) ** 2


def test_the_tail_is_the_costliest_percent() -> None:
    """At least one task: of 100 the one, of 101 two."""
    assert tail_share(np.append(np.ones(99), 1.0)) == 0.01
    assert tail_share(np.append(np.ones(99), 101.0)) == 0.505
    assert tail_share(np.append(np.ones(99), [2.0, 3.0])) == round(5 / 104, 6)
    assert tail_share(np.zeros(3)) is None
