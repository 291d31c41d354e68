"""The pytest plugin, in test runs of their own."""

from __future__ import annotations

import re
from decimal import Decimal

import openai
import pytest

from taskmeter.testing import costs

pytest_plugins = ["pytester"]
LOADED = (openai, costs)
"""Before any run in this process, as `pytester` takes back what a run imports."""

AGENT = """
import openai
import pytest
from taskmeter import track_task
from taskmeter.testing import Answer, Billed, FakeProvider, assert_cost_below

def ask(model="gpt-5-mini"):
    fake = FakeProvider(Answer("On its way.", Billed(input=1_000, output=100)))
    fake.client(openai.OpenAI).responses.create(model=model, input="Where is order 17?")

def agent(calls=1):  # $0.00045 a call
    with track_task("resolve", key="T-1"):
        for _ in range(calls):
            ask()
"""


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    return Run(pytester)


class Run:
    """Runs a file of tests that begins with `AGENT`."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester

    def __call__(self, tests: str, *options: str, strict: bool = True, apart: bool = False) -> pytest.RunResult:
        self._pytester.makepyfile(AGENT + tests)
        start = self._pytester.runpytest_subprocess if apart else self._pytester.runpytest_inprocess
        return start(*(("-W", "error", "--strict-markers") if strict else ()), *options)


def test_a_test_within_its_cost_passes_and_one_over_it_fails(run: Run) -> None:
    """With the figure, the limit and the tree; just the limit is allowed."""
    result = run("""
@pytest.mark.max_cost(usd="0.00045")
def test_within():
    agent()

@pytest.mark.max_cost(usd="0.0004499")
def test_over():
    agent()
""")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "the test cost $0.00045, which is more than $0.0004499 (1 call; 1,000 tokens in, 100 out)",
            "task resolve T-1  $0.00045  1,000 * 100 * succeeded",
            "└ chat gpt-5-mini $0.00045  1,000 * 100 *",
        ]
    )
    assert "Error" not in result.stdout.str()  # no traceback of ours around it


def test_the_table_lists_what_was_spent(run: Run) -> None:
    """The dearest test first, fixtures in a column of their own, and the total; a test that spent nothing is not in."""
    result = run("""
@pytest.fixture(scope="module")
def warm():
    agent(2)
    yield
    ask()

@pytest.mark.max_cost(usd=1)
class TestAgent:
    def test_cheap(self, warm):
        agent()

    def test_dear(self, warm):
        agent(4)

    def test_free(self):
        pass
""")
    result.assert_outcomes(passed=3)
    lines = result.stdout.lines
    start = next(number for number, line in enumerate(lines) if "what the tests cost (taskmeter)" in line)
    name = "test_the_table_lists_what_was_spent.py::TestAgent"
    assert lines[start + 1 : start + 6] == [
        "    cost  fixtures  calls  tokens in  out  test",
        f" $0.0018         -      4      4,000  400  {name}::test_dear",
        f"$0.00045  $0.00090      3      3,000  300  {name}::test_cheap",
        f"       -  $0.00045      1      1,000  100  {name}::test_free",
        " $0.0023   $0.0014      8      8,000  800  total of 3 tests",
    ]


def test_nothing_is_printed_where_nothing_was_spent(run: Run) -> None:
    """A run without costs looks as it would without the plugin."""
    result = run("def test_free(): pass")
    result.assert_outcomes(passed=1)
    assert "what the tests cost" not in result.stdout.str()


def test_a_long_table_is_cut(run: Run) -> None:
    """Twenty tests, unless -v asks for all."""
    tests = """
@pytest.mark.max_cost(usd=1)
@pytest.mark.parametrize("number", range(23))
def test_it(number):
    agent()
"""
    short = run(tests).stdout
    short.fnmatch_lines(["... and 3 more tests that cost no more; -v shows them", "*0.01*23*total of 23 tests"])
    assert len(re.findall(r"^\$0\.00045 .*test_it\[", short.str(), re.MULTILINE)) == 20
    whole = run(tests, "-v").stdout.str()
    assert len(re.findall(r"^\$0\.00045 .*test_it\[", whole, re.MULTILINE)) == 23
    assert "more tests" not in whole


def test_classes_parameters_and_coroutines(run: Run) -> None:
    """The nearest marker counts; async tests are measured like others."""
    result = run("""
@pytest.mark.max_cost(usd=0)
class TestAgent:
    @pytest.mark.parametrize("calls", [0, 1])
    def test_it(self, calls):
        agent(calls)

    @pytest.mark.max_cost(usd=1)
    def test_of_its_own(self):
        agent()

    @pytest.mark.anyio
    async def test_async(self):
        fake = FakeProvider(Answer())
        await fake.client(openai.AsyncOpenAI).responses.create(model="gpt-5-mini", input="x")

@pytest.mark.parametrize("calls", [1, pytest.param(2, marks=pytest.mark.max_cost(usd="0.0005"))])
def test_param(calls):
    agent(calls)

@pytest.fixture(params=["asyncio"])
def anyio_backend(request):
    return request.param
""")
    assert sorted(line.split(" - ")[0] for line in result.stdout.lines if line.startswith("FAILED")) == [
        f"FAILED test_classes_parameters_and_coroutines.py::{name}"
        for name in ("TestAgent::test_async[asyncio]", "TestAgent::test_it[1]", "test_param[2]")
    ]
    result.assert_outcomes(passed=3, failed=3)


def test_the_limit_is_for_the_function_not_for_its_fixtures(run: Run) -> None:
    """Who asks first for a shared fixture does not pay for it."""
    result = run("""
@pytest.fixture
def dear():
    agent(10)

@pytest.mark.max_cost(usd="0.001")
def test_it(dear):
    agent()
""")
    result.assert_outcomes(passed=1)


def test_unknown_is_not_0(run: Run) -> None:
    """A call at no known price fails the test, unless it is allowed; the table says what is a lower bound."""
    result = run("""
@pytest.mark.max_cost(usd=1)
def test_it():
    ask("gpt-77")

@pytest.mark.max_cost(usd=1, unpriced="allow")
def test_allowed():
    agent()
    ask("gpt-77")
""")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["what the test cost is not known: 1 of its calls, tool runs and reviews could not *"])
    result.stdout.fnmatch_lines(
        [
            "≥$0.00045 * 2 * 2,000 * 200  *::test_allowed",
            " unpriced * 1 * 1,000 * 100  *::test_it",
            "≥$0.00045 * 3 * 3,000 * 300  total of 2 tests",
            "≥ lower bound: a call in it could not be priced",
        ]
    )


def test_estimates_are_marked(run: Run) -> None:
    """In the table as in every report."""
    result = run("""
from taskmeter import charge

@pytest.mark.max_cost(usd=1)
def test_it():
    charge("0.5", category="tools", item="crm", estimated=True)
""")
    result.stdout.fnmatch_lines(["~$0.5000 * 0 * *::test_it", "~$0.5000 * total of 1 test", "~ partly estimated"])


def test_a_test_that_fails_fails_for_its_own_reason(run: Run) -> None:
    """What it cost is in the table all the same; an expected failure may be one of cost."""
    result = run("""
@pytest.mark.max_cost(usd=0)
def test_it():
    agent()
    assert "refund" == "sent"

@pytest.mark.xfail(strict=True)
@pytest.mark.max_cost(usd=0)
def test_expected():
    agent()
""")
    result.assert_outcomes(failed=1, xfailed=1)
    assert "which is more than" not in result.stdout.str()
    result.stdout.fnmatch_lines(["$0.00090 * total of 2 tests"])


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("max_cost(usd=-1)", "max_cost(usd=-1): usd=-1 must be finite and not negative; write @pytest.mark.max_cost(*"),
        ("max_cost", "*max_cost(): it takes usd= and unpriced=; write @pytest.mark.max_cost(usd='0.05')"),
        ("max_cost(limit=1)", "*max_cost(limit=1): it takes usd= and unpriced=; write @pytest.mark.max_cost(*"),
        ("max_cost(1, unpriced=0)", "*max_cost(1, unpriced=0): unpriced=0 is not 'fail' or 'allow'; write *"),
    ],
)
def test_a_marker_that_makes_no_sense(run: Run, marker: str, message: str) -> None:
    """It fails its test, before anything is spent."""
    result = run(f"""
@pytest.mark.{marker}
def test_it():
    agent()
""")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{message}"])
    assert "what the tests cost" not in result.stdout.str()


def test_the_fixture_gives_the_tasks(run: Run) -> None:
    """`taskmeter_tasks` needs no marker, and brings its test into the table."""
    result = run("""
def test_it(taskmeter_tasks):
    agent(2)
    taskmeter_tasks.only("resolve").assert_cost_below("0.001")
    assert taskmeter_tasks[0].calls == 2
""")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["$0.00090 * total of 1 test"])


def test_tests_without_a_marker_count_where_the_sdks_are_instrumented(run: Run, pytester: pytest.Pytester) -> None:
    """One line in conftest.py brings the whole suite into the table; it changes nothing else."""
    pytester.makeconftest("""
import pytest, taskmeter
@pytest.fixture(autouse=True, scope="session")
def metered():
    taskmeter.instrument()
    yield
    taskmeter.uninstrument()
""")
    result = run("def test_it(): agent()")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["$0.00045 * *::test_it", "$0.00045 * total of 1 test"])


def test_workers_of_xdist_report_to_the_controller(run: Run, pytester: pytest.Pytester) -> None:
    """One table, with the costs of all, and the figures in JUnit XML."""
    result = run(
        """
@pytest.mark.max_cost(usd="0.001")
@pytest.mark.parametrize("calls", [1, 2, 3])
def test_it(calls):
    agent(calls)
""",
        "-n2",
        "--junitxml=report.xml",
        apart=True,
    )
    result.assert_outcomes(passed=2, failed=1)
    assert result.stdout.str().count("what the tests cost (taskmeter)") == 1
    result.stdout.fnmatch_lines(
        ["the test cost $0.00135, which is more than $0.001 (3 calls; *", "*$0.0027 * 6 * total *"]
    )
    written = pytester.path.joinpath("report.xml").read_text()
    figures = re.findall(r'name="taskmeter_usd" value="([\d.]+)"', written)
    assert sorted(map(Decimal, figures)) == [Decimal("0.00045"), Decimal("0.0009"), Decimal("0.00135")]


def test_without_the_plugin(run: Run) -> None:
    """`-p no:taskmeter`: the marker is one that nobody registered, no test has a limit, there is no table."""
    tests = """
@pytest.mark.max_cost(usd=0)
def test_it():
    agent()
"""
    strict = run(tests, "-p", "no:taskmeter", apart=True)
    strict.stdout.fnmatch_lines(["*'max_cost' not found in `markers` configuration option"])
    lenient = run(tests, "-p", "no:taskmeter", strict=False, apart=True)
    lenient.assert_outcomes(passed=1, warnings=1)
    lenient.stdout.fnmatch_lines(["*PytestUnknownMarkWarning: Unknown pytest.mark.max_cost *"])
    assert "what the tests cost" not in lenient.stdout.str()


def test_a_run_that_never_uses_it_imports_nothing(pytester: pytest.Pytester) -> None:
    """The plugin is loaded in every run of whoever has taskmeter installed, and is a file of its own."""
    pytester.makepyfile("""
import sys
def test_it(request):
    assert request.config.pluginmanager.has_plugin("taskmeter")
    assert "taskmeter_pytest" in sys.modules
    assert [name for name in sys.modules if name.split(".")[0] == "taskmeter"] == []
    assert "opentelemetry.sdk" not in sys.modules
""")
    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=1)
