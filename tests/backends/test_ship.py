"""`taskmeter ship` to rotel, a collector in Rust by another vendor, over HTTP and over gRPC."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.backends.backend import DEMO, DEMO_SPANS, free_port, serving
from tests.export.programs import run, spooled
from tests.export.receiver import Receiver
from tests.shipping.endpoint import fill

pytestmark = pytest.mark.backends


def shipped(spool: Path, directory: Path, protocol: str, *arguments: str) -> tuple[Receiver, str]:
    """What the collector passed on, and what the command printed."""
    package = find_spec("rotel")
    assert package is not None
    assert package.origin is not None
    ports = {"http": free_port(), "grpc": free_port()}
    with Receiver() as receiver:
        options = {
            "--otlp-http-endpoint": f"127.0.0.1:{ports['http']}",
            "--otlp-grpc-endpoint": f"127.0.0.1:{ports['grpc']}",
            "--exporter": "otlp",
            "--otlp-exporter-endpoint": receiver.url,
            "--otlp-exporter-protocol": "http",
        }
        agent = Path(package.origin).with_name("rotel-agent")
        command = [agent, "start", *(argument for option in options.items() for argument in option)]
        with serving(command, ports[protocol], directory):
            url = f"http://127.0.0.1:{ports[protocol]}"
            words = ["ship", "--spool", str(spool), "--endpoint", url, "--protocol", protocol, *arguments]
            program = f"from taskmeter.cli import main\nmain({words!r})\n"
            done = run(program, directory)
            assert (done.code, done.err) == (0, "")
            spans = len(spooled(spool))
            receiver.wait(lambda got: len(got.spans) >= spans, 30)
    return receiver, done.out


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_every_span_of_the_spool_arrives(tmp_path: Path, protocol: str) -> None:
    """Each once, under the same name, parent and attributes, of the same types."""
    assert run(DEMO, tmp_path).code == 0
    receiver, said = shipped(tmp_path / "spool", tmp_path, protocol)
    assert f" {DEMO_SPANS} sent, 0 already delivered" in said
    assert sorted(
        (span.trace_id, span.span_id, span.parent_id, span.name, sorted(span.attributes)) for span in receiver.spans
    ) == sorted(
        (span.trace_id, span.span_id, span.parent_span_id or "", span.name, sorted(span.attributes))
        for span in spooled(tmp_path / "spool")
    )
    recorded = {span.span_id: dict(span.attributes) for span in spooled(tmp_path / "spool")}
    for span in receiver.spans:
        values = {name: list(one) if isinstance(one, tuple) else one for name, one in span.attributes.items()}
        assert values == recorded[span.span_id]


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_large_spool_arrives(tmp_path: Path, protocol: str) -> None:
    """50,000 spans, each once."""
    total = fill(tmp_path / "spool", *[[500] * 10] * 10)
    receiver, _ = shipped(tmp_path / "spool", tmp_path, protocol, "--compression", "none")
    assert len(receiver.spans) == total == 50_000
    assert len({span.span_id for span in receiver.spans}) == total
