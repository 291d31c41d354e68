"""What processes lost on the way to the spool is recorded beside it, and said by reports."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from taskmeter.cli import main
from taskmeter.spool.losses import FILES, LossFile, recorded_losses
from taskmeter.spool.receipts import prune_receipts
from taskmeter.telemetry import losses
from tests.reports.spans import Recorder


def loss_file(directory: Path, second: int) -> LossFile:
    return LossFile(directory, lambda: datetime(2026, 11, 28, 9, 30, second, tzinfo=UTC))


def test_the_totals_of_all_processes(tmp_path: Path) -> None:
    """Each has one file, with the last totals, for the owner's eyes only; who lost nothing has none."""
    spool = tmp_path / "spool"
    one, two, three = (loss_file(spool, second) for second in range(3))
    one.keep({"queue_full": 1})
    one.keep({"queue_full": 5, "exit": 2})
    two.keep({"exit": 10})
    three.keep({})
    assert recorded_losses(spool) == {"exit": 12, "queue_full": 5}
    files = sorted(path.name for path in spool.iterdir())
    assert files == [f"losses-20261128T09300{second}.000000Z-{os.getpid()}.json" for second in (0, 1)]
    if os.name == "posix":
        assert {stat.S_IMODE(path.stat().st_mode) for path in spool.iterdir()} == {0o600}


def test_what_cannot_be_written_is_written_later(tmp_path: Path) -> None:
    """When the disk is back, whether or not more was lost meanwhile."""
    (tmp_path / "spool").write_text("in the way")
    file = loss_file(tmp_path / "spool", 0)
    file.keep({"exit": 3})
    (tmp_path / "spool").unlink()
    file.keep({"exit": 3})
    assert recorded_losses(tmp_path / "spool") == {"exit": 3}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1]",
        "[" * 9_000,
        '{"exit": "3"}',
        '{"exit": -3}',
        '{"exit": 1e400}',
        '{"\\u001b[31m": 3}',
        '{"exit": 3',
        "\xff",
    ],
)
def test_a_file_that_makes_no_sense_says_nothing(content: str, tmp_path: Path) -> None:
    """Whoever wrote it."""
    (tmp_path / "losses-x.json").write_text(content, encoding="latin-1")
    assert recorded_losses(tmp_path) == {}


def test_reports_and_the_doctor_say_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a line on standard error; the doctor says what to do, until the record is deleted."""
    recorder = Recorder(tmp_path)
    with recorder.task("resolve", "a1", "0.3", TASK_KEY="T-1"):
        recorder.call("0.3")
    recorder.relations()
    loss_file(tmp_path, 0).keep({"queue_full": 1_200, "exit": 34})
    known = "1,234 spans are known to be lost (queue_full 1,200, exit 34): costs may be missing, see `taskmeter doctor`"
    for command in (["report"], ["show", "T-1"], ["breakdown"]):
        with pytest.raises(SystemExit) as end:
            main([*command, "--spool", str(tmp_path), "--format", "json"])
        assert (end.value.code, capsys.readouterr().err) == (0, f"taskmeter: {tmp_path}: {known}\n")
    with pytest.raises(SystemExit):
        main(["doctor", "--spool", str(tmp_path)])
    out = capsys.readouterr().out
    assert "1200 spans were lost on the way to the spool (queue_full): more were waiting" in " ".join(out.split())
    assert f"delete {FILES} in it when that is done" in " ".join(out.split())
    for path in tmp_path.glob(FILES):
        path.unlink()
    with pytest.raises(SystemExit):
        main(["doctor", "--spool", str(tmp_path)])
    assert "lost" not in capsys.readouterr().out


def test_a_record_goes_with_the_spans_of_its_time(tmp_path: Path) -> None:
    """When every span file that is left is younger."""
    loss_file(tmp_path, 0).keep({"exit": 1})
    (path,) = tmp_path.glob(FILES)
    written = datetime(2026, 11, 28, 9, tzinfo=UTC).timestamp()
    os.utime(path, (written, written))
    young, old = (
        tmp_path / "traces-20261128T120000.000000Z-7.jsonl",
        tmp_path / "traces-20261128T080000.000000Z-7.jsonl",
    )
    for file in (young, old):
        file.write_text("")
    prune_receipts(tmp_path, written, FILES)
    assert path.exists()
    old.unlink()
    prune_receipts(tmp_path, written, FILES)
    assert not path.exists()


def test_only_what_was_on_the_way_to_the_spool_is_missing_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an endpoint did not take is in the spool all the same."""
    monkeypatch.setattr(losses, "_lost", type(losses._lost)())
    losses.count("otlp", "rejected", 2)
    losses.count("spool", "exit", 3)
    assert losses.on_the_way_to("spool") == {"exit": 3}
