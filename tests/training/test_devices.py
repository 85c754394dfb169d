"""Test training on several devices: two that JAX makes of the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ferlab import Dataset, FerlabError, train
from tests.test_plugins import GOOD, write

pytest.importorskip("jax")

TWO_DEVICES = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
SCRIPT = """
import json, sys
import ferlab
dataset = ferlab.load_dataset(sys.argv[1])
ferlab.load_plugin("tiny.py")
settings = dict(policy="float32", epochs=3, steps_per_epoch=0, batch_size=16, optimizer="sgd", schedule="constant")
for devices in ("one", "all"):
    run = ferlab.train("tiny_quick", dataset, devices, devices=devices, learning_rate=1e-4, **settings)
    print(json.dumps([(epoch.loss, epoch.val_loss) for epoch in run.history()]))
try:
    ferlab.train("tiny_quick", dataset, "odd", devices="all", **settings | {"batch_size": 15})
except ferlab.FerlabError as error:
    print(json.dumps(str(error)))
"""


@pytest.mark.slow
def test_two_devices_have_the_loss_curve_of_one(small: Dataset, small_table: Path, tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    command = [sys.executable, "-c", SCRIPT, str(small_table)]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | TWO_DEVICES, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    one, two, refused = map(json.loads, done.stdout.splitlines())
    assert two != one, "both were computed on one device"
    for losses, expected in zip(two, one, strict=True):
        assert losses == pytest.approx(expected, rel=1e-4)
    assert refused.startswith("A batch of 15 images cannot be divided among 2 devices. Change it, for example with")


def test_all_devices_need_jax(small: Dataset, tmp_path: Path) -> None:
    with pytest.raises(FerlabError, match="needs the backend jax"):
        train("fair_newmodel", small, tmp_path / "run", devices="all", epochs=1, steps_per_epoch=1)
    assert not (tmp_path / "run").exists()
