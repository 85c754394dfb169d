"""Export: artifacts of both formats are calibrated, match Keras and are complete, or are not written at all."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from typer.testing import CliRunner

from ferlab import Dataset, Split, evaluate
from ferlab.cli import app
from ferlab.cli.output import print_parity
from ferlab.errors import ArtifactError, ProtocolError, RunError
from ferlab.evaluation.metrics import log_loss, log_softmax
from ferlab.evaluation.trained_model import open_model
from ferlab.export import LICENSES, TOLERANCES, Agreement, BatchAgreement, Parity, export
from ferlab.export.export import other_networks
from ferlab.export.parity import compare_probabilities, require_parity
from ferlab.json_files import SCHEMA
from ferlab.models import predict_logits
from ferlab.predict import Artifact
from ferlab.runs import RunFolder
from tests.comparisons import write_run


@pytest.fixture(scope="module")
def run(demo: Dataset, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run folder with a small, very overconfident network."""
    run = RunFolder(write_run(tmp_path_factory.mktemp("export") / "run", demo, "fernet_s", 0, 0.5))
    keras.utils.set_random_seed(0)
    images = keras.Input((48, 48, 1))
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(layers.Rescaling(1 / 255)(images))
    model = keras.Model(images, layers.Dense(7, name="logits")(layers.Flatten()(x)))
    kernel, bias = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([20 * kernel, bias])
    model.save(run.model_file)
    return run


@pytest.fixture(scope="module", params=[".onnx", ".tflite"])
def exported(
    run: RunFolder, demo: Dataset, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Path, Parity]:
    """The run as an artifact of each format, with its parity."""
    out = (tmp_path_factory.mktemp("exported") / "deep" / "model").with_suffix(request.param)
    return out, export(run, demo, out)


def test_the_artifact_predicts_like_keras(run: RunFolder, demo: Dataset, exported: tuple[Path, Parity]) -> None:
    (out, parity), validation = exported, demo.take(Split.VALIDATION)
    artifact = Artifact(out)
    logits = predict_logits(keras.models.load_model(run.model_file), validation.images)
    temperature = artifact.metadata["temperature"]
    expected = np.exp(log_softmax(logits / temperature))
    np.testing.assert_allclose(artifact.probabilities(validation.images), expected, atol=1e-5)
    calibrated, raw = (log_loss(validation.labels, log_softmax(logits / t)) for t in (temperature, 1.0))
    assert calibrated < raw / 2
    assert (parity.images, parity.changed) == (420, 0)
    assert parity.max_difference < 1e-5
    assert artifact.metadata["accuracy"]["validation"] == parity.accuracy == evaluate(out, demo).accuracy
    assert [(row.batch_size, row.images, row.changed) for row in parity.batches] == [(1, 128, 0), (8, 128, 0)]
    assert all(row.max_difference < 1e-5 for row in parity.batches)
    assert all(min(row.p50_ms, row.keras_p50_ms) > 0 for row in parity.batches)


def test_the_artifact_contains_its_provenance(demo: Dataset, exported: tuple[Path, Parity]) -> None:
    metadata = Artifact(exported[0]).metadata
    assert metadata["name"] == "fernet_s"
    assert metadata["class_names"] == list(demo.class_names)
    assert metadata["protocol"] == {"trained_on": "train", "selected_on": ["validation"], "seed": 0}
    assert metadata["fingerprints"] == {name: demo.fingerprints[name] for name in ("train", "validation")}
    assert metadata["licenses"] == LICENSES
    counts = np.bincount(demo.take(Split.TRAIN).labels)
    np.testing.assert_allclose(metadata["class_shares"], counts / counts.sum())
    assert metadata["target"] is None


@pytest.mark.parametrize("stated", ["validation+test", ["validation", "test"]])
def test_the_splits_that_selected_a_model_are_a_list(run: RunFolder, tmp_path: Path, stated: str | list[str]) -> None:
    """Run folders of schema 1 join them by `+`."""
    copied = RunFolder(tmp_path / "run")
    shutil.copytree(run.path, copied.path)
    path = copied.path / "result.json"
    changes = {"schema": 1 if isinstance(stated, str) else SCHEMA, "selected_on": stated}
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    assert open_model(copied.path).provenance.selected_on == ("validation", "test")


def test_the_metadata_includes_teachers_and_the_start(demo: Dataset, tmp_path: Path) -> None:
    run = RunFolder(write_run(tmp_path / "run", demo, "fernet_s", 0, 0.5))
    assert other_networks(run) == {}
    taught = run.recipe().changed({"distillation": 0.8, "teachers": "runs/one,two.onnx", "start": "runs/first"})
    run.write_config(taught, seed=0)
    assert other_networks(run) == {"start": "first", "distillation": 0.8, "teachers": ["one", "two.onnx"]}


def test_data_with_classes_in_another_order_raises(run: RunFolder, demo: Dataset, tmp_path: Path) -> None:
    """Fingerprints contain the names of classes, not their order."""
    turned = replace(demo, class_names=demo.class_names[::-1], labels=6 - demo.labels)
    assert turned.fingerprints == demo.fingerprints
    with pytest.raises(ProtocolError, match="trained for the classes angry.*has neutral"):
        export(run, turned, tmp_path / "model.onnx")


def test_float16_halves_the_file_size(
    run: RunFolder, demo: Dataset, exported: tuple[Path, Parity], tmp_path: Path
) -> None:
    whole = exported[0]
    half = (tmp_path / "half").with_suffix(whole.suffix)
    assert export(run, demo, half, quantize="float16").max_difference < 0.02
    assert 0.49 < half.stat().st_size / whole.stat().st_size < 0.55


def test_the_command_exports_int8(run: RunFolder, tmp_path: Path) -> None:
    out = tmp_path / "model.tflite"
    arguments = ["export", str(run.path), "--data", "demo", "--format", "litert", "--quantize", "int8"]
    result = json.loads(CliRunner().invoke(app, [*arguments, "--out", str(out), "--json"]).stdout)
    assert result["bytes"] == out.stat().st_size < 100_000, "the last layer has 64,512 weights of one byte each"
    assert 0 < result["max_difference"] < 0.1
    sums = Artifact(out).probabilities(np.zeros((1, 48, 48), np.uint8)).sum(axis=1)
    np.testing.assert_allclose(sums, 1, atol=1e-6)


def test_the_table_has_one_row_per_batch_size(
    exported: tuple[Path, Parity], capsys: pytest.CaptureFixture[str]
) -> None:
    out, parity = exported
    print_parity(parity, out, "none")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("(quantize: none), compared with Keras on validation images")
    assert [line.split()[:2] for line in lines[2:]] == [["1", "128"], ["8", "128"], ["all", "420"]]


def test_no_file_is_written_if_predictions_deviate(
    run: RunFolder, demo: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """int8 cannot reach a tolerance of 1e-5."""
    monkeypatch.setitem(TOLERANCES, "int8", replace(TOLERANCES["none"], max_difference=1e-5))
    with pytest.raises(ArtifactError, match="No file was written"):
        export(run, demo, tmp_path / "model.onnx", quantize="int8")
    assert not list(tmp_path.iterdir())


SAME = {"max_difference": 0.0, "changed": 0.0, "keras_accuracy": 0.7, "accuracy": 0.7}
BATCH = BatchAgreement(images=128, **SAME, batch_size=8, keras_p50_ms=1.0, p50_ms=1.0)
PARITY = Parity(images=1000, **SAME, batches=(BATCH,))


def test_deviations_above_the_tolerance_raise() -> None:
    require_parity(PARITY, "none")
    require_parity(replace(PARITY, max_difference=0.5, changed=0.1, accuracy=0.696), "int8")
    for change, quantize, reason in (
        ({"max_difference": 0.002}, "none", "on all 1,000 images, probabilities differ by up to 0.002 .limit 0.001"),
        ({"max_difference": float("nan")}, "int8", "differ by up to nan"),
        ({"accuracy": 0.697}, "float16", "accuracy drops by 0.30 points"),
        (
            {"batches": (replace(BATCH, changed=0.2),)},
            "int8",
            "on 128 images in batches of 8, 20.0 % of the predictions change",
        ),
    ):
        with pytest.raises(ArtifactError, match=reason):
            require_parity(replace(PARITY, **change), quantize)


def test_agreement_is_as_computed_by_hand() -> None:
    expected = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.5, 0.5]])
    found = np.array([[0.9, 0.1], [0.3, 0.7], [0.2, 0.8], [0.5, 0.5]])
    result = compare_probabilities(expected, found, np.array([0, 0, 1, 1]))
    assert result == Agreement(
        images=4, max_difference=pytest.approx(0.3), changed=0.25, keras_accuracy=0.75, accuracy=0.5
    )


def test_invalid_runs_and_file_names_raise(run: RunFolder, demo: Dataset, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not contain a trained model"):
        export(tmp_path, demo, tmp_path / "model.onnx")
    with pytest.raises(ArtifactError, match="litert must end in .tflite, got model.onnx"):
        export(run, demo, tmp_path / "model.onnx", format="litert")
    with pytest.raises(ArtifactError, match="Use the suffix .onnx or .tflite"):
        export(run, demo, tmp_path / "model")
