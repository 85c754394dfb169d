"""Export: calibrated, checked against Keras, complete, and all or nothing, in both formats."""

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from typer.testing import CliRunner

from ferlab import Dataset, Split, evaluate
from ferlab.cli import app
from ferlab.cli import output as tables
from ferlab.errors import ArtifactError, ProtocolError, RunError
from ferlab.evaluation.metrics import log_loss, log_softmax
from ferlab.export import LICENSES, TOLERANCES, Agreement, BatchAgreement, Parity, export
from ferlab.export.export import taught_by
from ferlab.export.parity import agreement, refuse_if_different
from ferlab.models import predict_logits
from ferlab.predict import Artifact
from ferlab.runs import RunFolder
from tests.comparisons import write_run


@pytest.fixture(scope="module")
def run(demo: Dataset, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run folder with a small network that is far too sure of itself."""
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
    """The run as a file of each format, with what the check found."""
    out = (tmp_path_factory.mktemp("exported") / "deep" / "model").with_suffix(request.param)
    return out, export(run, demo, out)


def test_the_artifact_answers_as_keras_does(run: RunFolder, demo: Dataset, exported: tuple[Path, Parity]) -> None:
    (out, parity), validation = exported, demo.take(Split.VALIDATION)
    artifact = Artifact(out)
    logits = predict_logits(keras.models.load_model(run.model_file), validation.images)
    temperature = artifact.metadata["temperature"]
    expected = np.exp(log_softmax(logits / temperature))
    np.testing.assert_allclose(artifact.probabilities(validation.images), expected, atol=1e-5)
    calibrated, raw = (log_loss(validation.labels, log_softmax(logits / t)) for t in (temperature, 1.0))
    assert calibrated < raw / 2
    assert (parity.images, parity.changed) == (420, 0)
    assert parity.largest_difference < 1e-5
    assert artifact.metadata["accuracy"]["validation"] == parity.accuracy == evaluate(out, demo)["accuracy"]
    assert [(row.batch_size, row.images, row.changed) for row in parity.batches] == [(1, 128, 0), (8, 128, 0)]
    assert all(row.largest_difference < 1e-5 for row in parity.batches)
    assert all(min(row.milliseconds, row.keras_milliseconds) > 0 for row in parity.batches)


def test_it_says_where_it_comes_from(demo: Dataset, exported: tuple[Path, Parity]) -> None:
    metadata = Artifact(exported[0]).metadata
    assert metadata["name"] == "fernet_s"
    assert metadata["class_names"] == list(demo.class_names)
    assert metadata["protocol"] == {"trained_on": "train", "selected_on": "validation", "seed": 0}
    assert metadata["fingerprints"] == {name: demo.fingerprints[name] for name in ("train", "validation")}
    assert metadata["licenses"] == LICENSES


def test_it_says_what_it_learned_from_besides_labels(demo: Dataset, tmp_path: Path) -> None:
    run = RunFolder(write_run(tmp_path / "run", demo, "fernet_s", 0, 0.5))
    assert taught_by(run) == {}
    taught = run.recipe().changed({"votes": 0.5, "distillation": 0.8, "teachers": "runs/one,two.onnx"})
    run.write("config", {"recipe": taught.as_dict(), "seed": 0})
    assert taught_by(run) == {"votes": 0.5, "distillation": 0.8, "teachers": ["one", "two.onnx"]}


def test_classes_in_another_order_are_refused(run: RunFolder, demo: Dataset, tmp_path: Path) -> None:
    """Fingerprints hold the names of classes, not their order."""
    turned = replace(demo, class_names=demo.class_names[::-1], labels=6 - demo.labels)
    assert turned.fingerprints == demo.fingerprints
    with pytest.raises(ProtocolError, match="tells apart angry.*has neutral"):
        export(run, turned, tmp_path / "model.onnx")


def test_half_precision_halves_the_file(
    run: RunFolder, demo: Dataset, exported: tuple[Path, Parity], tmp_path: Path
) -> None:
    whole = exported[0]
    half = (tmp_path / "half").with_suffix(whole.suffix)
    assert export(run, demo, half, quantize="float16").largest_difference < 0.02
    assert 0.49 < half.stat().st_size / whole.stat().st_size < 0.55


def test_eight_bits_by_the_command_line(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model.tflite"
    arguments = ["export", str(run.path), "--data", "demo", "--format", "litert", "--quantize", "int8"]
    result = json.loads(CliRunner().invoke(app, [*arguments, "--out", str(out), "--json"]).stdout)
    assert result["bytes"] == out.stat().st_size < 100_000, "64,512 weights of the last layer, a byte each"
    assert 0 < result["largest_difference"] < 0.1
    sums = Artifact(out).probabilities(np.zeros((1, 48, 48), np.uint8)).sum(axis=1)
    np.testing.assert_allclose(sums, 1, atol=1e-6)
    tables.print_parity(result)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("(int8), compared on validation images")
    assert [line.split()[:2] for line in lines[2:]] == [["1", "128"], ["8", "128"], ["any", "size"]]


def test_a_model_that_answers_otherwise_leaves_no_file(
    run: RunFolder, demo: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight bits are too few where a tolerance asks for the same probabilities."""
    monkeypatch.setitem(TOLERANCES, "int8", replace(TOLERANCES["none"], difference=1e-5))
    with pytest.raises(ArtifactError, match="No file was written"):
        export(run, demo, tmp_path / "model.onnx", quantize="int8")
    assert not list(tmp_path.iterdir())


SAME = {"largest_difference": 0.0, "changed": 0.0, "keras_accuracy": 0.7, "accuracy": 0.7}
BATCH = BatchAgreement(images=128, **SAME, batch_size=8, keras_milliseconds=1.0, milliseconds=1.0)
PARITY = Parity(images=1000, **SAME, batches=(BATCH,))


def test_what_is_refused() -> None:
    refuse_if_different(PARITY, "none")
    refuse_if_different(replace(PARITY, largest_difference=0.5, changed=0.1, accuracy=0.696), "int8")
    for change, quantize, reason in (
        ({"largest_difference": 0.002}, "none", "on all 1,000 images probabilities differ by up to 0.002"),
        ({"largest_difference": float("nan")}, "int8", "differ by up to nan"),
        ({"accuracy": 0.697}, "float16", "0.30 points of accuracy are lost"),
        ({"batches": (replace(BATCH, changed=0.2),)}, "int8", "on 128 images in batches of 8 20.0 % get another class"),
    ):
        with pytest.raises(ArtifactError, match=reason):
            refuse_if_different(replace(PARITY, **change), quantize)


def test_agreement_by_hand() -> None:
    expected = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.5, 0.5]])
    found = np.array([[0.9, 0.1], [0.3, 0.7], [0.2, 0.8], [0.5, 0.5]])
    result = agreement(expected, found, np.array([0, 0, 1, 1]))
    assert result == Agreement(
        images=4, largest_difference=pytest.approx(0.3), changed=0.25, keras_accuracy=0.75, accuracy=0.5
    )


def test_what_cannot_be_exported_is_refused(run: RunFolder, demo: Dataset, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no trained model"):
        export(tmp_path, demo, tmp_path / "model.onnx")
    with pytest.raises(ArtifactError, match="litert ends in .tflite, and model.onnx does not"):
        export(run, demo, tmp_path / "model.onnx", format="litert")
    with pytest.raises(ArtifactError, match="Let it end in .onnx or .tflite"):
        export(run, demo, tmp_path / "model")
