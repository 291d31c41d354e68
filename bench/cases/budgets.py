"""What a call pays for budgets: nothing while there are none, an estimate and two short locks where there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from openai import OpenAI

from bench.harness import Plan, Result, compare
from bench.wire import client, instrumented
from taskmeter import Budget, account, track_task


def run(plan: Plan) -> Iterator[Result]:
    """A hooked call without any budget in force against one with the flag that it asks replaced, then under budgets."""
    openai = client(OpenAI)

    def call() -> object:
        return openai.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "x" * 1_000}])

    def within(budget: Budget) -> Callable[[], object]:
        def run() -> object:
            with track_task("bench", budget=budget):
                return call()

        return run

    def plain() -> object:
        with track_task("bench"):
            return call()

    def asking() -> None:
        if account.budgets.active:
            raise AssertionError

    def bare() -> None:
        pass

    with instrumented():
        yield compare("budget: none in force, what is asked", bare, asking, plan)
        yield compare("budget: calls in a task, none against 1", plain, within(Budget(calls=10**9)), plan)
        yield compare("budget: the same in money", plain, within(Budget(usd=10**6)), plan)
    account.budgets.active = False
