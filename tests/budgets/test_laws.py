"""Laws of reservations: never more than the limit and what settling adds; nothing stays reserved."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmeter.account import accounts
from taskmeter.account.budget import NOTHING, Amounts, Limits
from taskmeter.account.tally import Draw, Outlay, Tally, reserve, settle

CENT = Decimal("0.01")
amounts = st.builds(lambda cents, tokens: Amounts(CENT * cents, tokens, 1), st.integers(0, 9), st.integers(0, 9))
steps = st.lists(
    st.tuples(
        st.sets(st.integers(0, 2), min_size=1),  # the tallies that a call draws on
        amounts,  # its worst case
        amounts,  # what it comes to
        st.integers(0, 2),  # attempts without an answer
        st.integers(0, 4),  # how many later calls begin before it ends
    ),
    max_size=30,
)
limits = st.builds(
    Limits,
    st.integers(1, 40).map(lambda cents: CENT * cents),
    st.integers(1, 60),
    st.one_of(st.none(), st.integers(1, 9)),
)


@given(steps, st.lists(limits, min_size=3, max_size=3))
def test_overshoot_is_the_settlement_error(program: Any, allowed: list[Limits]) -> None:
    """Whatever overlaps: spent is what calls came to, over a limit by no more than they went over their worst cases."""
    tallies = [Tally() for _ in range(3)]
    spent, errors = [NOTHING] * 3, [NOTHING] * 3
    pending: list[tuple[int, list[Draw], list[int], Outlay]] = []

    def end(now: int) -> None:
        for entry in [each for each in pending if each[0] <= now]:
            pending.remove(entry)
            _, draws, numbers, came_to = entry
            settle(draws, came_to)
            for number, drawn in zip(numbers, draws, strict=True):
                spent[number] = spent[number].plus(came_to.spent)
                over = came_to.spent.plus(came_to.exposed(drawn.amounts)).minus(drawn.amounts)
                errors[number] = errors[number].plus(Amounts(max(over.usd, CENT * 0), max(over.tokens, 0), 0))

    for now, (chosen, worst, real, unanswered, duration) in enumerate(program):
        end(now)
        numbers = sorted(chosen)
        draws = [Draw(tallies[number], worst, allowed[number]) for number in numbers]
        before = [tally.state() for tally in tallies]
        if reserve(draws) is not None:
            assert [tally.state() for tally in tallies] == before  # all or nothing
            continue
        pending.append((now + 1 + duration, draws, numbers, Outlay(real, unanswered, unanswered)))
    end(10**6)
    for number, tally in enumerate(tallies):
        state = tally.state()
        assert state.reserved == NOTHING
        assert state.spent == spent[number]
        room = Amounts(allowed[number].usd or CENT, allowed[number].tokens or 0, 10**6).plus(errors[number])
        assert Limits(*room).exceeded_by(state.spent.plus(state.exposed)) is None
        assert allowed[number].calls is None or state.spent.calls <= allowed[number].calls


def test_threads_never_overshoot() -> None:
    """Eight threads, two budgets of which each draws on one or both: the calls that fit are made, and no others."""
    first, second = Tally(), Tally()
    one = Amounts(CENT, 1, 1)
    start = threading.Barrier(8)

    def work(number: int) -> int:
        made = 0
        start.wait()
        for turn in range(200):
            wanted = [first, second] if (turn + number) % 2 else [second]
            draws = [Draw(tally, one, Limits(CENT * 300, None, None)) for tally in wanted]
            if reserve(draws) is None:
                settle(draws, Outlay(one))
                made += 1
        return made

    with ThreadPoolExecutor(8) as pool:
        made = sum(pool.map(work, range(8)))
    assert (made, second.state().spent) == (300, Amounts(CENT * 300, 300, 300))
    assert first.state().spent.calls <= 300
    assert first.state().reserved == second.state().reserved == NOTHING


def test_a_forked_process_has_nothing_under_way() -> None:
    """It goes on from what was spent; what its parent has under way is settled there."""
    tally = Tally()
    draws = [Draw(tally, Amounts(CENT, 1, 1), Limits(CENT * 2))]
    reserve(draws)
    settle(draws, Outlay(Amounts(CENT, 1, 1)))
    reserve(draws)
    child = os.fork()
    if child == 0:
        state = tally.state()
        os._exit(0 if (state.spent.calls, state.reserved) == (1, NOTHING) and reserve(draws) is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert tally.state().reserved.calls == 1


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_process_waits_for_no_lock_of_its_parents() -> None:
    """Another thread opens the account of a customer at that moment."""
    holding = threading.Event()

    def hold() -> None:
        with accounts._lock:
            holding.set()
            time.sleep(0.2)

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait()
    child = os.fork()
    if child == 0:
        os._exit(0 if accounts._lock.acquire(timeout=5) else 1)
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
