"""Test sweeps: what one writes, that a killed one continues with the same trials, and that none sees test images."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ferlab import Dataset, Split, load_dataset, sweep
from ferlab.errors import RecipeError, RunError
from ferlab.json_files import read_result
from ferlab.plugins import load_plugin, unload_plugin
from ferlab.recipes import get_recipe
from ferlab.report import write_sweep
from ferlab.runs import RunFolder
from ferlab.search.results import Sweep
from ferlab.search.sweep import _absolute
from tests.test_plugins import GOOD, write
from tests.training.test_train import wait_for

SPACE = """
learning_rate = { min = 1e-3, max = 3e-2, log = true }
model.width = [2, 4]
"""
CHANGES = {"epochs": 3, "steps_per_epoch": 4, "batch_size": 16, "policy": "float32"}
LONGER = CHANGES | {"steps_per_epoch": 20}


@pytest.fixture
def space(tmp_path: Path):
    """A search space, and the plugin whose recipe it belongs to."""
    load_plugin(write(tmp_path, GOOD))
    yield write(tmp_path, SPACE, "space.toml")
    unload_plugin("tiny")


def comparable(found: Sweep) -> Sweep:
    return replace(found, trials=tuple(replace(trial, seconds=0.0) for trial in found.trials))


def test_a_sweep_that_cannot_begin_leaves_its_folder_free(space: Path, small: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(RunError, match="cannot be opened"):
        sweep("tiny_quick", small, space, out, study="nothing://host/db", trials=1, **CHANGES)
    wide = write(tmp_path, "model.dropout = { min = 0.1, max = 1.5 }", "wide.toml")
    with pytest.raises(RecipeError, match="dropout"):
        sweep("fair_newmodel", small, wide, out, trials=1, **CHANGES)
    assert not (out / "runs").exists()


@pytest.mark.slow
def test_a_trial_with_an_unsuitable_teacher_fails_and_the_others_continue(
    small: Dataset, space: Path, tmp_path: Path
) -> None:
    """The name of its recipe need not be that of a function."""
    teachers = write(tmp_path, 'teachers = ["fer2013", ""]', "teachers.toml")
    recipe = replace(get_recipe("tiny_quick"), name="tiny-quick", distillation=0.0)
    found = sweep(recipe, small, teachers, tmp_path / "out", trials=4, **CHANGES)
    reasons = {trial.reason for trial in found.trials if trial.status == "failed"}
    assert {trial.changes["teachers"] for trial in found.trials if trial.status == "completed"} == {""}
    assert len(reasons) == 1 and "teacher" in str(reasons)
    compile((tmp_path / "out" / "best_recipe.py").read_text(), "best_recipe.py", "exec")


@pytest.mark.slow
def test_a_sweep_finds_a_recipe_and_never_reads_test_images(space: Path, small: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = sweep("tiny_quick", small, space, out, trials=5, **CHANGES)
    assert [trial.number for trial in found.trials] == list(range(5))
    assert {trial.status for trial in found.trials} <= {"completed", "pruned"}
    ranked = found.ranked()
    assert len(ranked) >= 2
    assert ranked[0].accuracy == max(trial.accuracy for trial in ranked)
    assert all(trial.accuracy == max(trial.accuracies) for trial in ranked)
    assert read_result(Sweep, out / "sweep.json") == found
    run = RunFolder(out / ranked[0].run)
    assert list(run.dataset().splits) == ["train", "validation"]
    assert run.recipe().flat_fields().items() >= ranked[0].changes.items()

    damaged = small.images.copy()
    damaged[small.splits == Split.TEST] = 0
    labels = np.where(small.splits == Split.TEST, 0, small.labels)
    blind = sweep(
        "tiny_quick", replace(small, images=damaged, labels=labels), space, tmp_path / "blind", trials=5, **CHANGES
    )
    assert comparable(blind) == comparable(found)

    page = write_sweep(found, out).read_text()
    assert page.count("<svg") == 3 + bool(found.importances)
    assert f"ferlab train best_tiny_quick --plugin {out / 'best_recipe.py'} --data demo --out runs/best" in page
    load_plugin(out / "best_recipe.py")
    try:
        best = get_recipe("best_tiny_quick")
    finally:
        unload_plugin("best_recipe")
    assert best.training_fields() == run.recipe().training_fields()

    more = sweep("tiny_quick", small, space, out, trials=6, resume=True, **CHANGES)
    assert more.trials[:5] == found.trials
    with pytest.raises(RunError, match="already contains a sweep"):
        sweep("tiny_quick", small, space, out, **CHANGES)
    with pytest.raises(RunError, match="a sweep with another data, recipe"):
        other = small.where(np.arange(len(small)) > 3)
        sweep("tiny_quick", other, space, out, resume=True, **CHANGES | {"epochs": 2})


@pytest.mark.slow
def test_a_diverged_trial_is_reported_and_the_others_continue(space: Path, small: Dataset, tmp_path: Path) -> None:
    space.write_text("learning_rate = [1e-3, 1e38]")
    changes = CHANGES | {"optimizer": "sgd", "schedule": "constant"}
    found = sweep("tiny_quick", small, space, tmp_path / "out", trials=4, **changes)
    failed = [trial for trial in found.trials if trial.status == "failed"]
    assert failed and all("diverged" in trial.reason for trial in failed)
    assert found.ranked()
    assert f"{len(failed)} failed" in found.describe()


@pytest.mark.slow
def test_a_killed_sweep_ends_with_the_same_trials_as_an_uninterrupted_one(
    space: Path, small_table: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    expected = sweep("tiny_quick", load_dataset(small_table), space, tmp_path / "whole", trials=3, **LONGER)
    process = start(space, small_table, broken)
    wait_for((broken / "runs" / "trial-0001" / "history.jsonl").is_file, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (broken / "sweep.json").exists()
    assert start(space, small_table, broken).wait() == 0
    assert comparable(read_result(Sweep, broken / "sweep.json")) == comparable(expected)


def start(space: Path, table: Path, out: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "ferlab", "sweep", "tiny_quick", "--plugin", str(space.with_name("tiny.py"))]
    command += ["--space", str(space), "--data", str(table), "--out", str(out), "--trials", "3", "--resume", "--quiet"]
    command += [f"--set={field}={value}" for field, value in LONGER.items()]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


@pytest.mark.slow
def test_a_trial_that_was_killed_before_it_had_its_values_gets_the_same(
    space: Path, small: Dataset, tmp_path: Path
) -> None:
    import optuna

    values = []
    for killed in (False, True):
        out = tmp_path / f"killed-{killed}"
        sweep("tiny_quick", small, space, out, trials=1, **CHANGES)
        if killed:
            optuna.load_study(study_name="ferlab", storage=f"sqlite:///{out / 'sweep.db'}").ask()
        found = sweep("tiny_quick", small, space, out, trials=2, resume=True, **CHANGES)
        values.append([trial.changes for trial in found.trials])
    assert values[0] == values[1]
    assert len(values[0]) == 2


def test_the_study_is_opened_under_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker of a cluster opens it in another working directory."""
    monkeypatch.chdir(tmp_path)
    assert _absolute("sqlite:///out/sweep.db") == f"sqlite:///{tmp_path}/out/sweep.db"
    assert _absolute("postgresql://host/sweep") == "postgresql://host/sweep"
