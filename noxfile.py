"""Tests on what else the library has to work with, each in its own environment; see docs/compatibility.md and
docs/neighbours.md."""

from __future__ import annotations

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = True

# --- SDKs, OpenTelemetry and Pythons

NEWEST = ("openai>=3", "anthropic>=2")
SDKS = [
    nox.param("openai==1.66.0", "anthropic==0.50.0", id="openai-1-oldest"),
    nox.param("openai>=1,<2", "anthropic>=0,<1", id="openai-1-newest"),
    nox.param("openai==2.0.0", "anthropic==1.0.0", id="openai-2-oldest"),
    nox.param("openai>=2,<3", "anthropic>=1,<2", id="openai-2-newest"),
    nox.param("openai==3.0.0", "anthropic==2.0.0", id="openai-3-oldest"),
    nox.param(*NEWEST, id="newest"),
]
"""Of each SDK the oldest and the newest of each major: Anthropic's 0, 1 and 2 beside OpenAI's 1, 2 and 3."""


ROOMS = (
    *(f"tests/{room}" for room in ("scopes", "telemetry", "account", "pricing", "reports")),
    "tests/spool/test_write_and_read.py",
    "tests/test_cli.py",
)
"""What else depends on OpenTelemetry and the rest, and needs no more than the tests of capture do."""


def install(session: nox.Session, *pins: str) -> None:
    """The library and what its capture tests need, on the SDKs that `pins` name."""
    session.install("--group", "capture", "-e", ".[all]", *pins)


def check(session: nox.Session, *more: str, old: bool = False) -> None:
    """Runs the demo, the tests of capture and of the fake provider, and `more`, as pytest takes it. What an `old` SDK
    has not yet skips a test, else fails it."""
    session.run("uv", "pip", "freeze", "--exclude-editable", external=True)
    session.run("taskmeter", "demo", silent=True)
    env = {"TASKMETER_OLD_SDKS": "1"} if old else {}
    session.run(
        "pytest",
        "-nauto",
        "--dist=worksteal",
        "tests/capture",
        "tests/testing/test_fakes.py",
        *more,
        *session.posargs,
        env=env,
    )


@nox.session(python="3.11")
@nox.parametrize(["openai", "anthropic"], SDKS)
def sdks(session: nox.Session, openai: str, anthropic: str) -> None:
    """The oldest and newest SDKs of each major version."""
    install(session, openai, anthropic)
    check(session, old=(openai, anthropic) != NEWEST)


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """The oldest of everything that pyproject.toml allows: SDKs, OpenTelemetry and the rest."""
    session.install("--group", "capture", "scipy")
    session.run("uv", "pip", "uninstall", "mcp", external=True)  # it needs a newer pydantic
    packages = ("opentelemetry-api", "opentelemetry-sdk", "opentelemetry-semantic-conventions", "pydantic", "wrapt")
    session.install(
        "--resolution",
        "lowest-direct",
        *(f"--upgrade-package={name}" for name in ("opentelemetry-instrumentation", *packages)),
        "-r",
        "pyproject.toml",
        "--extra",
        "all",
        "opentelemetry-instrumentation>=0.51b0",  # goes with the API of its own day only
    )
    session.install("--no-deps", "-e", ".")
    check(session, *ROOMS, "--ignore=tests/capture/test_mcp.py", old=True)


@nox.session(python=["3.12", "3.13"])
def pythons(session: nox.Session) -> None:
    """The newer Pythons, with the newest SDKs."""
    install(session, *NEWEST)
    check(session)


# --- neighbours

SDK = ("openai", "anthropic")
LANGCHAIN = ("langchain-openai", "langchain-anthropic")
NEIGHBOURS = {
    "native": SDK,
    "openinference": (*SDK, "openinference-instrumentation-openai", "openinference-instrumentation-anthropic"),
    "openllmetry": (*SDK, "opentelemetry-instrumentation-openai", "opentelemetry-instrumentation-anthropic"),
    "opentelemetry": (
        *SDK,
        "opentelemetry-instrumentation-genai-openai",
        "opentelemetry-instrumentation-genai-anthropic",
    ),
    "logfire": (*SDK, "logfire"),
    "langchain-openinference": (*LANGCHAIN, "openinference-instrumentation-langchain"),
    "langchain-openllmetry": (*LANGCHAIN, "opentelemetry-instrumentation-langchain"),
    "langchain-openllmetry-both": (
        *LANGCHAIN,
        "opentelemetry-instrumentation-langchain",
        "opentelemetry-instrumentation-openai",
        "opentelemetry-instrumentation-anthropic",
    ),
    "langchain-langsmith": (*LANGCHAIN, "langsmith[otel]"),
    "litellm-openinference": ("litellm", "openinference-instrumentation-litellm"),
    "litellm-own": ("litellm",),
    "agents-openinference": ("openai-agents", "openinference-instrumentation-openai-agents"),
    "agents-openllmetry": ("openai-agents", "opentelemetry-instrumentation-openai-agents"),
}
"""Who watches the same calls -> what is installed for that. Their versions of the SDKs are theirs to choose."""


@nox.session(python="3.11")
@nox.parametrize("who", [nox.param(name, id=name) for name in NEIGHBOURS])
def neighbours(session: nox.Session, who: str) -> None:
    """Another library watches the same calls, put in place before our hooks and after them."""
    session.install("-e", ".", "pytest>=8.3", "pytest-timeout>=2.3", *NEIGHBOURS[who])
    session.run("uv", "pip", "freeze", "--exclude-editable", external=True)
    for order in ("before", "after"):
        session.run(
            "pytest",
            "tests/neighbours",
            "--confcutdir=tests/neighbours",
            "-pno:cacheprovider",
            "--override-ini=filterwarnings=default",
            "--disable-warnings",
            *session.posargs,
            env={"TASKMETER_NEIGHBOUR": who, "TASKMETER_NEIGHBOUR_ORDER": order},
        )
