"""Tests on what else the library has to work with, each in its own environment; see docs/neighbours.md."""

from __future__ import annotations

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = True

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
