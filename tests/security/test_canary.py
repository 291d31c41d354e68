"""A secret put wherever applications keep them is found nowhere in what taskmeter makes."""

from __future__ import annotations

import gzip
import io
import json
from base64 import b64encode
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from taskmeter.cli import main
from taskmeter.cli.commands import taskmeter as commands
from tests.export.programs import run
from tests.export.receiver import Receiver, Reply
from tests.security.canary import CANARY, found_in, secret

ROOT = Path(__file__).parents[2]


class Bytes(Receiver):
    """Keeps what is sent as it came, whatever the path."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.bodies: list[bytes] = []

    def take(self, path: str, encoding: str, body: bytes) -> Reply:
        self.bodies.append(gzip.decompress(body) if encoding == "gzip" else body)
        return Reply()


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the program of the canary leaves behind, by where."""
    home = tmp_path_factory.mktemp("canary")
    with Bytes() as receiver:
        endpoint = f"http://user:{CANARY}@127.0.0.1:{receiver.port}/?token={CANARY}"
        variables = {
            "PYTHONPATH": str(ROOT),
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={CANARY}",
            "OTEL_METRIC_EXPORT_INTERVAL": "600000",
            "OPENAI_API_KEY": CANARY,
            "ANTHROPIC_API_KEY": CANARY,
        }
        done = run(
            "import runpy\nrunpy.run_module('tests.security.canary_program', run_name='__main__')\n", home, **variables
        )
        assert done.code == 0, done.err
        left = {"output": done.out.encode(), "log": done.err.encode()}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            for name in commands.commands:
                left |= reported(name, home / "spool")
    left |= {f"spool/{path.name}": path.read_bytes() for path in (home / "spool").rglob("*") if path.is_file()}
    return left | {"wire": b"\n".join(receiver.bodies)}


def reported(command: str, spool: Path) -> dict[str, bytes]:
    """What a command says of the spool in every form that it has."""
    arguments = {"show": ["T-1"], "outcome": ["T-1", "--status", "failed"]}.get(command, [])
    left: dict[str, bytes] = {}
    for form in ([], ["--format", "json"], ["--format", "csv"], ["--json"]):
        if command == "demo" or (form and not _takes(command, form[0])):
            continue
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit):
            main([command, *arguments, "--spool", str(spool), *form])
        left[" ".join([command, *form])] = (out.getvalue() + err.getvalue()).encode()
    return left


def spooled(everything: dict[str, bytes]) -> bytes:
    """The program's spool file; those of `taskmeter outcome` are later."""
    return everything[min(where for where in everything if where.startswith("spool/traces-"))]


def _takes(command: str, option: str) -> bool:
    return any(option in parameter.opts for parameter in commands.commands[command].params)


def test_the_canary_is_nowhere(everything: dict[str, bytes]) -> None:
    """As bytes, in any case, as hex, base64 or escapes: on the wire, in the spool, logs, reports and the doctor."""
    assert {where: found for where, content in everything.items() if (found := found_in(content))} == {}


def test_everything_was_searched(everything: dict[str, bytes]) -> None:
    """The program did its work, and what it left is not empty."""
    spool = spooled(everything)
    kinds = [kind for kind in (b'"call"', b'"tool"', b'"task"', b'"step"', b'"attempt"', b'"outcome"') if kind in spool]
    assert len(kinds) == 6
    assert spool.count(b"taskmeter.span.kind") > 50
    assert everything["wire"].count(b"taskmeter.span.kind") > 50
    assert b"gen_ai.client.token.usage" in everything["wire"]
    assert b"com.anthropic.sdk.python" in spool
    log = everything["log"].decode()
    for place in ("scopes.key", "scopes.customer", "scopes.measure", "telemetry.start_span"):
        assert f"taskmeter failed in {place}" in log
    assert b"T-1" in everything["show"]
    assert json.loads(everything["report --format json"])["rows"]
    assert b"Own faults" in everything["output"]
    assert b": 0 sent" not in everything["ship"]
    assert b" left" not in everything["ship"]
    assert any(where.startswith("spool/shipped-") for where in everything)


def test_the_searcher_finds_what_is_there() -> None:
    """In every form that is searched for."""
    word = secret("place").encode()
    assert all(
        found_in(content) for content in (word, word.upper(), word.hex().encode(), json.dumps(secret("x")).encode())
    )
    assert all(found_in(b64encode(b"x" * before + word)) for before in range(6))
    assert found_in(b"nothing of it") == []


def test_what_the_application_names_is_recorded(everything: dict[str, bytes]) -> None:
    """Names, keys, customers, labels and reasons are what reports are about."""
    spool = spooled(everything)
    for named in (b"resolve", b"T-1", b"acme", b"mail", b"failed validation", b"reopened", b"lookup"):
        assert named in spool
