"""Open run folders, `.keras` files and artifacts in one way, with what each says of its origin."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from ferlab import Dataset
from ferlab.emotions import EMOTIONS
from ferlab.errors import ArtifactError, FerlabError, RunError
from ferlab.evaluation.metrics import log_softmax
from ferlab.evaluation.trained_model import TrainedModel, find_model, open_model
from ferlab.models import predict_logits
from ferlab.predict.artifact import Artifact
from ferlab.predict.packaged import packaged_file
from ferlab.runs import RunFolder
from tests.artifacts import linear_artifact
from tests.comparisons import write_run

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)


def small_network(num_classes: int = 7) -> keras.Model:
    keras.utils.set_random_seed(0)
    images = keras.Input((48, 48, 1))
    pooled = layers.AveragePooling2D(8)(layers.Rescaling(1 / 255)(images))
    return keras.Model(images, layers.Dense(num_classes)(layers.Flatten()(pooled)))


@pytest.fixture
def run(small: Dataset, tmp_path: Path) -> RunFolder:
    """A run folder with an untrained network."""
    run = RunFolder(write_run(tmp_path / "run", small, "fernet_s", 0, 0.5, selected_on=("validation", "test")))
    small_network().save(run.model_file)
    return run


def keras_probabilities(path: Path) -> np.ndarray:
    return np.exp(log_softmax(predict_logits(keras.models.load_model(path), IMAGES)))


def test_a_run_folder_says_what_it_was_trained_and_selected_on(run: RunFolder, small: Dataset) -> None:
    opened = open_model(run.path)
    assert (opened.name, opened.path, opened.run) == (str(run.path), run.model_file, run)
    assert opened.artifact is None
    assert opened.provenance.class_names == small.class_names
    assert opened.provenance.selected_on == ("validation", "test")
    assert opened.provenance.fingerprints == small.fingerprints
    np.testing.assert_allclose(opened(IMAGES), keras_probabilities(run.model_file), atol=1e-6)
    assert opened.keras_model is opened.keras_model, "it is loaded once"


def test_run_folders_of_earlier_versions_are_opened(run: RunFolder) -> None:
    """Schema 1 joined the names of the splits."""
    path = run.path / "result.json"
    stored = json.loads(path.read_text()) | {"schema": 1, "selected_on": "validation+test"}
    path.write_text(json.dumps(stored))
    assert open_model(run.path).provenance.selected_on == ("validation", "test")


def test_a_keras_file_does_not_say_where_it_comes_from(run: RunFolder, tmp_path: Path) -> None:
    opened = open_model(str(run.model_file))
    assert (opened.run, opened.artifact, opened.provenance.selected_on) == (None, None, None)
    assert opened.provenance.class_names == run.dataset().class_names, "the run folder around it is asked"
    shutil.copy(run.model_file, tmp_path / "alone.keras")
    assert open_model(tmp_path / "alone.keras").provenance.class_names is None
    assert opened.provenance.fingerprints == {}
    np.testing.assert_allclose(opened(IMAGES), keras_probabilities(run.model_file), atol=1e-6)


@pytest.mark.parametrize(
    ("protocol", "selected_on"),
    [
        ({"selected_on": ["validation"]}, ("validation",)),
        ({"selected_on": "validation+test"}, ("validation", "test")),
        ({}, None),
    ],
)
def test_an_onnx_file_says_what_it_was_trained_and_selected_on(
    tmp_path: Path, protocol: dict, selected_on: tuple[str, ...] | None
) -> None:
    """Older artifacts join the names of the splits."""
    path = tmp_path / "linear.onnx"
    linear_artifact(path, fingerprints={"train": "1" * 64}, protocol=protocol)
    opened = open_model(path, threads=1)
    assert (opened.run, opened.provenance.class_names) == (None, EMOTIONS)
    assert opened.provenance.selected_on == selected_on
    assert opened.provenance.fingerprints == {"train": "1" * 64}
    np.testing.assert_allclose(opened(IMAGES), Artifact(path).probabilities(IMAGES), atol=1e-6)


def test_a_tflite_file_is_an_artifact_as_well(demo: Dataset, tmp_path: Path) -> None:
    from ferlab.export import export

    run = RunFolder(write_run(tmp_path / "run", demo, "fernet_s", 0, 0.5))
    small_network().save(run.model_file)
    export(run, demo, tmp_path / "model.tflite")
    opened = open_model(tmp_path / "model.tflite")
    assert (opened.provenance.class_names, opened.provenance.selected_on) == (demo.class_names, ("validation",))
    assert opened.provenance.fingerprints["train"] == demo.fingerprints["train"]
    assert opened(IMAGES).argmax(axis=1).tolist() == keras_probabilities(run.model_file).argmax(axis=1).tolist()


def test_networks_in_the_package_are_opened_by_name() -> None:
    opened = open_model("default")
    assert (opened.name, opened.path, find_model("fast")) == ("default", packaged_file("fast"), opened.path)
    assert (opened.provenance.class_names, opened.provenance.selected_on) == (EMOTIONS, ("validation",))
    np.testing.assert_allclose(opened(IMAGES).sum(axis=1), 1, rtol=1e-5)


def test_an_artifact_holds_no_keras_model() -> None:
    with pytest.raises(FerlabError, match=r"is not a Keras model. Pass a run folder or a .keras file"):
        _ = open_model("default").keras_model


def test_missing_files_and_other_suffixes_raise(tmp_path: Path) -> None:
    for find in (find_model, open_model):
        with pytest.raises(FerlabError, match=r"nothing.onnx does not exist. Pass a run folder, a .keras, .onnx"):
            find(tmp_path / "nothing.onnx")
        (tmp_path / "model.h5").write_bytes(b"")
        with pytest.raises(FerlabError, match=r"model.h5 is not a model file. Pass a run folder, a .keras, .onnx"):
            find(tmp_path / "model.h5")


def test_folders_without_a_trained_model_raise(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match=r"empty does not contain a trained model \(model.keras\).*--resume"):
        open_model(tmp_path / "empty")
    (run.path / "result.json").unlink()
    with pytest.raises(RunError, match=r"run does not contain a trained model \(model.keras and result.json\)"):
        open_model(run.path)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [("text.keras", FerlabError, "cannot be loaded"), ("text.onnx", ArtifactError, "cannot be loaded")],
)
def test_damaged_files_raise(tmp_path: Path, name: str, error: type[Exception], message: str) -> None:
    (tmp_path / name).write_bytes(b"text")
    with pytest.raises(error, match=message):
        open_model(tmp_path / name)(IMAGES)


def test_keras_files_with_a_single_changed_bit_are_loaded_or_refused(run: RunFolder, tmp_path: Path) -> None:
    """Nearly all are refused: zipfile, json, h5py and Keras raise many kinds of exceptions."""
    content, generator = run.model_file.read_bytes(), np.random.default_rng(0)
    damaged, refused = tmp_path / "damaged.keras", 0
    for position in generator.integers(0, len(content), 40):
        changed = bytearray(content)
        changed[position] ^= 1 << int(generator.integers(8))
        damaged.write_bytes(changed)
        try:
            assert open_model(damaged)(IMAGES).shape == (5, 7)
        except FerlabError as error:
            assert str(damaged) in str(error)
            refused += 1
    assert refused > 5, refused
    print("REFUSED", refused)


def with_classes(tmp_path: Path, *names: str) -> TrainedModel:
    linear_artifact(tmp_path / "linear.onnx", class_names=names)
    return open_model(tmp_path / "linear.onnx")


def test_other_classes_or_another_order_of_classes_raise(run: RunFolder, small: Dataset, tmp_path: Path) -> None:
    sorted_names = tuple(sorted(EMOTIONS))
    opened = with_classes(tmp_path, *sorted_names)
    opened.require_classes(sorted_names, "demo")
    with pytest.raises(FerlabError, match=r"has the classes angry, disgust, fear, happy, neutral, .*; demo has angry"):
        opened.require_classes(EMOTIONS, "demo")
    open_model(run.path).require_classes(small.class_names, "demo")
    with pytest.raises(FerlabError, match="has the classes angry, .*; own has cat, dog"):
        open_model(run.path).require_classes(("cat", "dog"), "own")


def test_another_number_of_classes_raises_for_a_keras_file(tmp_path: Path) -> None:
    small_network(3).save(tmp_path / "three.keras")
    opened = open_model(tmp_path / "three.keras")
    opened.require_classes(("cat", "dog", "eel"), "own")
    with pytest.raises(FerlabError, match="has 3 classes, and demo has 7"):
        opened.require_classes(EMOTIONS, "demo")
