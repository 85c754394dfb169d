"""Predictions on Ray: workers that die, the rows of the local engine, and resumed jobs."""

import os
import signal
import sys
from pathlib import Path

import pyarrow.parquet
import pytest
from typer.testing import CliRunner

import ferlab.distributed.pool
from ferlab import Dataset, Predictor
from ferlab.cli import app
from ferlab.distributed.predict import predict_images
from ferlab.distributed.storage import Storage
from ferlab.distributed.worker import ShardResult, Worker
from ferlab.errors import ClusterError
from tests.distributed.conftest import LocalCluster
from tests.scenes import encoded

DIES_ONCE, DIES_ALWAYS = 1, 3  # shards


class DyingStorage(Storage):
    """Kills the process that writes a file."""

    def write(self, name: str, content: bytes) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class DyingWorker(Worker):
    """A worker whose process is killed at some shards, after their prediction and before their table is written."""

    def predict(self, shard: int) -> ShardResult:
        storage, died = self.storage, Path(self.storage.location).with_name("died")
        if shard == DIES_ALWAYS or (shard == DIES_ONCE and not died.exists()):
            died.touch()
            self.storage = DyingStorage(storage.location)
        return super().predict(shard)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--engine", "ray"], "needs --out, a folder"),
        (["--engine", "ray", "--out", "o", "--format", "csv"], "writes Parquet only"),
        (["--engine", "ray", "--out", "o", "--annotate", "a"], "needs --engine local"),
        (["--engine", "ray", "--out", "o", "-"], "cannot read standard input"),
        (["--workers", "2"], "needs --engine ray"),
        (["--column", "image"], "needs --engine ray"),
    ],
)
def test_options_of_the_other_engine_are_refused(options: list[str], message: str) -> None:
    refused = CliRunner().invoke(app, ["predict", "photo.jpg", *options])
    assert refused.exit_code == 2
    assert message in refused.stderr


@pytest.mark.ray
def test_no_image_is_lost_or_predicted_twice_when_workers_die(
    cluster: LocalCluster, demo: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray import cloudpickle

    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for number in range(24):
        (photos / f"{number:02}.png").write_bytes(encoded(demo.images[number]))
    (photos / "05.png").write_bytes(b"not an image")
    command = ["predict", str(photos), "--detector", "none"]
    ray_options = ["--engine", "ray", "--shard-size", "5", "--workers", "2", "--out", str(out)]
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(ferlab.distributed.pool, "Worker", DyingWorker)

    first = CliRunner().invoke(app, [*command, *ray_options])
    assert first.exit_code == 1
    assert "5 images without an outcome: their worker died 3 times" in first.stderr
    assert str(out / f"_inputs/00000{DIES_ALWAYS}.json") in first.stderr
    assert first.stdout == ""
    assert sorted(path.name for path in out.glob("*.parquet")) == [f"part-00000{n}.parquet" for n in (0, 1, 2, 4)]

    monkeypatch.undo()
    again = CliRunner().invoke(app, [*command, *ray_options, "--resume", "--strict"])
    assert again.exit_code == 1, "05.png, which cannot be read, is in a shard that was finished before"
    assert "5 images in" in again.stderr and "19 already done" in again.stderr
    assert not list(out.rglob(".ferlab-*"))

    local = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "local.parquet")])
    assert local.exit_code == 0
    assert pyarrow.parquet.read_table(out).equals(pyarrow.parquet.read_table(tmp_path / "local.parquet"))

    (photos / "05.png").write_bytes(encoded(demo.images[5]))
    repaired = CliRunner().invoke(app, [*command, *ray_options, "--resume", "--retry-errors", "--strict"])
    assert repaired.exit_code == 0, repaired.output
    assert "5 images in" in repaired.stderr and "0 unreadable; 19 already done" in repaired.stderr
    assert "error" not in pyarrow.parquet.read_table(out).column("status").to_pylist()


@pytest.mark.ray
def test_workers_for_which_no_node_has_the_cpus_are_refused(
    cluster: LocalCluster, demo: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(encoded(demo.images[0]))
    predictor = Predictor(detector="none")
    with pytest.raises(ClusterError, match="No node has 2 CPUs for a worker"):  # there are two nodes with one each
        predict_images([str(tmp_path / "a.png")], str(tmp_path / "out"), predictor, workers=1, cpus_per_worker=2)
