"""Progress of comparisons: the time left follows from the work done so far."""

import pytest

from ferlab import progress
from ferlab.progress import ComparisonProgress, TrainingProgress
from ferlab.recipes import get_recipe
from ferlab.results import Epoch


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_the_time_left_covers_all_runs(clock: Clock) -> None:
    runs = ComparisonProgress([1, 3], quiet=True)
    runs.begin("first")
    assert runs.left(0.0) == "time left unknown"
    clock.now = 10
    assert runs.left(0.5) == "70 s left", "half a unit took 10 s, and 3.5 units are left"
    runs.end()
    runs.begin("second")
    clock.now = 20
    assert runs.left(0.0) == "60 s left"


def test_runs_that_were_finished_before_do_not_count(clock: Clock) -> None:
    runs = ComparisonProgress([5, 1, 1], quiet=True)
    runs.begin("finished before")
    runs.end()
    runs.begin("resumed after half of its epochs")
    runs.left(0.5)
    clock.now = 10
    assert runs.left(1.0) == "20 s left"


def test_a_comparison_shows_one_line_and_not_each_epoch(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    runs = ComparisonProgress([1.0, 1.0], quiet=False)
    runs.begin("fair_newmodel, seed 0")
    training = TrainingProgress(get_recipe("fair_newmodel").changed({"epochs": 2}), False, runs)
    training.start("float32")
    training.begin_epoch(0, steps=4)
    for _ in range(2):
        training.step()
    clock.now = 100
    training.show(0.5)
    training.end_epoch(Epoch(epoch=1, loss=1.0, accuracy=0.5, val_loss=1.0, val_accuracy=0.5, seconds=100))
    training.stop()
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["[1/2] fair_newmodel, seed 0", "  epoch 1/2, step 2/4, accuracy 0.500 (all runs: 12 min left)"]


def test_messages_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Names that look like markup or emoji, or hold control characters, neither fail nor vanish."""
    TrainingProgress(get_recipe("fair_newmodel"), quiet=False)._print("runs/v[/2] :smile: \x1b[2J done")
    assert capsys.readouterr().err == "runs/v[/2] :smile: \\x1b[2J done\n"
