"""Latency: every model in every setting, with clear errors from the worker processes."""

import itertools
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from typer.testing import CliRunner

from ferlab import FerlabError
from ferlab.cli import app
from ferlab.cli.output import print_benchmark
from ferlab.evaluation.metrics import log_softmax
from ferlab.export.latency import TURNS, WARM_UP, Benchmark, benchmark, call_seconds, compiled_classifier
from ferlab.models import predict_logits
from tests.artifacts import linear_artifact


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    images = keras.Input((48, 48, 1))
    return keras.Model(images, layers.Dense(7)(layers.Flatten()(layers.Rescaling(1 / 255)(images))))


@pytest.fixture(scope="module")
def paths(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("latency")
    linear_artifact(folder / "linear.onnx")
    model.save(folder / "linear.keras")
    return [folder / "linear.onnx", folder / "linear.keras"]


@pytest.fixture(scope="module")
def result(paths: list[Path]) -> Benchmark:
    return benchmark(paths, threads=[1], batch_sizes=[1, 200], seconds=0.05, quiet=True)


def test_every_model_is_measured_in_every_setting(paths: list[Path], result: Benchmark) -> None:
    settings = [(row.threads, row.batch_size, row.model) for row in result.rows]
    assert settings == [(1, size, str(path)) for size, path in itertools.product([1, 200], paths)]
    for row in result.rows:
        assert row.calls >= 3 * TURNS
        assert 0 < row.p50_ms <= row.p99_ms
        assert row.faces_per_second > 0
    assert [row.ratio for row in result.rows][::2] == [1, 1]


def test_the_table_has_one_row_per_measurement(result: Benchmark, capsys: pytest.CaptureFixture[str]) -> None:
    print_benchmark(result)
    machine, versions, *rows = filter(None, capsys.readouterr().out.splitlines())
    assert f"{result.machine.cores} cores" in machine
    assert "onnxruntime" in versions
    assert [line.split()[:3] for line in rows[1:]] == [
        [str(row.threads), str(row.batch_size), row.model] for row in result.rows
    ]


def test_the_command_prints_json(paths: list[Path]) -> None:
    budget = ["--threads", "1", "--batch-sizes", "2", "--seconds", "0.05", "--quiet"]
    found = json.loads(CliRunner().invoke(app, ["benchmark", str(paths[0]), *budget, "--json"]).stdout)
    assert set(found) == {"schema", "machine", "seconds", "rows"}
    (row,) = found["rows"]
    assert (row["model"], row["batch_size"], row["ratio"]) == (str(paths[0]), 2, 1)


def test_the_command_rejects_malformed_numbers(paths: list[Path]) -> None:
    assert CliRunner().invoke(app, ["benchmark", str(paths[0]), "--threads", "1,x"]).exit_code == 2


def test_invalid_arguments_raise(paths: list[Path], tmp_path: Path) -> None:
    for models, options, reason in (
        ([tmp_path / "none.onnx"], {}, "does not exist"),
        ([], {}, "at least one model"),
        (paths, {"batch_sizes": [0]}, "above 0"),
    ):
        with pytest.raises(FerlabError, match=reason):
            benchmark(models, quiet=True, **options)


def test_errors_of_a_worker_reach_the_caller(paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("text")
    with pytest.raises(FerlabError, match="cannot be loaded as an ONNX model"):
        benchmark([tmp_path / "text.onnx"], threads=[1], quiet=True)
    (tmp_path / "fatal.py").write_text("import os\nos._exit(1)\n")
    with pytest.raises(FerlabError, match=r"process that ran .*linear\.onnx ended unexpectedly"):
        benchmark(paths[:1], threads=[1], plugins=[tmp_path / "fatal.py"], quiet=True)


def test_calls_are_timed_after_the_warm_up() -> None:
    batches = [np.zeros((size, 48, 48), np.uint8) for size in (4, 2, 1)]
    sizes: list[int] = []
    seconds = call_seconds(lambda images: sizes.append(len(images)) or images, batches)
    assert sizes == [4] * WARM_UP + [4, 2, 1]
    assert len(seconds) == 3
    assert min(seconds) >= 0


def test_the_compiled_model_makes_the_same_predictions(model: keras.Model) -> None:
    images = np.random.default_rng(0).integers(0, 256, (9, 48, 48), dtype=np.uint8)
    expected = np.exp(log_softmax(predict_logits(model, images) / 2))
    np.testing.assert_allclose(compiled_classifier(model, temperature=2)(images), expected, atol=1e-5)
