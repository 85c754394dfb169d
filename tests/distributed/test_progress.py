"""Test the progress of runs in other processes, which is read from their run folders."""

from pathlib import Path

import pytest

from ferlab import progress as terminal
from ferlab.distributed import progress
from ferlab.distributed.progress import ClusterProgress
from ferlab.engine import EndedRun, PlannedRun
from ferlab.recipes import get_recipe
from ferlab.results import Epoch
from ferlab.runs import RunFolder


def run_with(path: Path, epochs: int) -> Path:
    """Write a run folder with the first of 20 epochs."""
    path.mkdir(parents=True, exist_ok=True)
    run = RunFolder(path)
    run.write_config(get_recipe("fair_newmodel").changed({"epochs": 20}), 0, None)
    run.write_history(
        [Epoch(epoch=epoch, loss=1, accuracy=0.5, val_loss=1, val_accuracy=0.5, learning_rate=1e-3, seconds=1)
         for epoch in range(1, epochs + 1)]
    )  # fmt: skip
    return path


def test_runs_are_listed_with_the_time_left_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    resumed, other, third = run_with(tmp_path / "a-seed0", 10), tmp_path / "b-seed0", tmp_path / "c-seed0"
    planned = [PlannedRun(path=resumed, work=2.0), PlannedRun(path=other, work=1.0), PlannedRun(path=third, work=1.0)]
    with ClusterProgress(planned, first=1, quiet=False) as shown:
        run_with(resumed, 15)
        run_with(other, 10)
        now = terminal.PLAIN_INTERVAL + 1
        shown.update()
        assert "  running: a-seed0 75 %, b-seed0 50 % (2 min left)\n" in capsys.readouterr().err, "1 in 61 s, 2 left"
        shown.end(EndedRun(path=other, outcome="completed: best epoch 20, 50.00 % on validation"))
        shown.end(EndedRun(path=third, outcome="failed: no memory", reason="no memory"))
    assert capsys.readouterr().err.splitlines() == [
        "[2/4] b-seed0: completed: best epoch 20, 50.00 % on validation",
        "[3/4] c-seed0: failed: no memory",
    ]


def test_a_run_folder_that_cannot_be_read_does_not_end_the_display(tmp_path: Path) -> None:
    broken = run_with(tmp_path / "a-seed0", 3)
    (broken / "config.json").write_text("{")
    with ClusterProgress([PlannedRun(path=broken, work=1.0)], first=0, quiet=True) as shown:
        shown.update()
        shown.end(EndedRun(path=broken, outcome="failed: config.json cannot be read", reason="damaged"))
