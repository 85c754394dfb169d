"""Test comparisons and sweeps on Ray whose workers and nodes die: the numbers are those of local ones."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from ferlab import Dataset, compare, sweep
from ferlab.comparison.results import Comparison
from ferlab.distributed.engine import RayEngine
from ferlab.errors import ClusterError
from ferlab.plugins import load_plugin, unload_plugin
from ferlab.runs import RunFolder
from tests.distributed.conftest import LocalCluster, wait_until
from tests.test_plugins import GOOD, write

pytestmark = [pytest.mark.ray, pytest.mark.slow]

CHANGES = {"epochs": 8, "steps_per_epoch": 60, "batch_size": 16, "policy": "float32"}
SPACE = """
learning_rate = { min = 1e-3, max = 3e-2, log = true }
model.width = [2, 4]
"""


@pytest.fixture
def plugin(tmp_path: Path):
    path = write(tmp_path, GOOD)
    load_plugin(path)
    yield path
    unload_plugin("tiny")


def test_a_comparison_survives_the_death_of_a_worker(
    cluster: LocalCluster, plugin: Path, small: Dataset, tmp_path: Path
) -> None:
    expected = compare(["tiny_quick"], small, tmp_path / "local", **CHANGES)
    out = tmp_path / "ray"
    with ThreadPoolExecutor() as executor:
        job = executor.submit(compare, ["tiny_quick"], small, out, engine=RayEngine(), **CHANGES)
        wait_until(lambda: epochs(out / "runs" / "tiny_quick-seed0") >= 2, job)
        cluster.kill_worker("_run_task")
        found = job.result()
    assert comparable(found) == comparable(expected)
    assert [len(RunFolder(out / entry.run).history()) for entry in found.entries if entry.run] == [8]


def test_a_sweep_survives_the_loss_of_a_node(
    cluster: LocalCluster, plugin: Path, small: Dataset, tmp_path: Path
) -> None:
    space, trials = write(tmp_path, SPACE, "space.toml"), 2
    expected = sweep("tiny_quick", small, space, tmp_path / "local", trials=trials, **CHANGES)
    out = tmp_path / "ray"
    with ThreadPoolExecutor() as executor:
        job = executor.submit(sweep, "tiny_quick", small, space, out, trials=trials, engine=RayEngine(), **CHANGES)
        wait_until(lambda: epochs(out / "runs" / "trial-0001") >= 1, job)
        cluster.replace_node()
        found = job.result()
    assert [trial.changes for trial in found.trials] == [trial.changes for trial in expected.trials]
    assert {trial.status for trial in found.trials} <= {"completed", "pruned"}
    for trial, same in zip(found.trials, expected.trials, strict=True):
        epochs_of_both = min(len(trial.accuracies), len(same.accuracies))  # pruning depends on which ends first
        assert epochs_of_both
        assert trial.accuracies[:epochs_of_both] == same.accuracies[:epochs_of_both]


def test_runs_that_no_node_can_hold_are_refused_on_this_machine(
    cluster: LocalCluster, plugin: Path, small: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(ClusterError, match="A run needs 1 CPU core and 8 GPUs, which this machine does not have"):
        compare(["tiny_quick"], small, tmp_path / "out", engine=RayEngine(gpus_per_run=8), **CHANGES)


def epochs(run: Path) -> int:
    folder = RunFolder(run)
    return len(folder.history()) if folder.exists() else 0


def comparable(comparison: Comparison) -> Comparison:
    entries = [replace(entry, seconds=None, seconds_per_epoch=None) for entry in comparison.entries]
    return replace(comparison, entries=tuple(entries), findings=(), summary=())
