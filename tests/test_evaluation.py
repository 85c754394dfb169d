"""Scoring of run folders, `.keras` files and `.onnx` files, and what is refused."""

from pathlib import Path

import keras
import numpy as np
import pytest

from ferlab import Dataset, Split, evaluate, train
from ferlab.emotions import EMOTIONS
from ferlab.errors import DataError, FerlabError, RunError
from ferlab.models import build_model
from tests.artefacts import linear_artefact

KEYS = {
    "schema", "model", "split", "images", "accuracy", "accuracy_interval", "macro_f1", "log_loss",
    "expected_calibration_error", "per_class", "confusion", "class_names", "fingerprint",
}  # fmt: skip


def test_a_run_folder_and_its_model_file_score_alike(small: Dataset, tmp_path: Path) -> None:
    run = train("study_newmodel", small, tmp_path / "run", epochs=1, batch_size=56)
    result = evaluate(run.path, small, "test")
    assert set(result) == KEYS
    assert (result["split"], result["images"]) == ("test", 70)
    assert result["fingerprint"] == small.fingerprints["test"]
    assert run.result()["test"]["accuracy"] == result["accuracy"]
    assert run.result()["test_reason"] is None
    assert run.predictions()["test_probabilities"].shape == (70, 7)
    alone = evaluate(run.model_file, small, "test")
    assert {**alone, "model": ""} == {**result, "model": ""}
    assert evaluate(run.path, small)["accuracy"] == run.result()["validation"]["accuracy"]


def test_an_artefact_by_hand(small: Dataset, tmp_path: Path) -> None:
    weights = linear_artefact(tmp_path / "linear.onnx")
    part = small.take(Split.VALIDATION)
    predicted = (part.images.reshape(len(part), -1).astype(np.float32) @ weights).argmax(axis=1)
    assert evaluate(tmp_path / "linear.onnx", small)["accuracy"] == pytest.approx(np.mean(predicted == part.labels))


def test_an_artefact_of_other_classes_is_refused(small: Dataset, tmp_path: Path) -> None:
    linear_artefact(tmp_path / "sorted.onnx", class_names=sorted(EMOTIONS))
    with pytest.raises(FerlabError, match="tells apart angry, disgust, fear, happy, neutral"):
        evaluate(tmp_path / "sorted.onnx", small)


def test_what_is_no_model_is_refused(small: Dataset, tmp_path: Path) -> None:
    for name, content in (("a.txt", b"text"), ("a.keras", b"text"), ("a.onnx", b"text")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FerlabError, match="is no model|cannot be loaded"):
            evaluate(tmp_path / name, small)
    with pytest.raises(FerlabError, match="does not exist"):
        evaluate(tmp_path / "nothing.keras", small)
    with pytest.raises(RunError, match="no trained model"):
        evaluate(tmp_path, small)
    with pytest.raises(DataError, match="no test images"):
        evaluate(tmp_path, small.take(Split.TRAIN, Split.VALIDATION), "test")


def test_another_number_of_classes_is_refused(small: Dataset, tmp_path: Path) -> None:
    build_model("newmodel", num_classes=3).save(tmp_path / "three.keras")
    with pytest.raises(FerlabError, match="tells 3 classes apart, and demo has 7"):
        evaluate(tmp_path / "three.keras", small)


def test_code_in_a_model_file_is_not_run(small: Dataset, tmp_path: Path) -> None:
    """A Lambda layer carries marshalled code: safe mode refuses the file."""
    inputs = keras.Input((48, 48, 1))
    outputs = keras.layers.Lambda(lambda x: keras.ops.mean(x, axis=(1, 2, 3))[:, None] * np.ones(7))(inputs)
    keras.Model(inputs, outputs).save(tmp_path / "lambda.keras")
    with pytest.raises(FerlabError, match="cannot be loaded"):
        evaluate(tmp_path / "lambda.keras", small)
