"""Scoring of run folders, `.keras` files and `.onnx` files, and what is refused."""

import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from ferlab import Dataset, Split, evaluate, train
from ferlab.data.exclude import exclude_images
from ferlab.data.splits import split_off
from ferlab.emotions import EMOTIONS
from ferlab.errors import DataError, FerlabError, MissingExtraError, RunError
from ferlab.evaluation.evaluate import load_classifier, read_groups, views
from ferlab.evaluation.metrics import log_loss, log_softmax
from ferlab.models import build_model
from ferlab.runs import RunFolder
from tests.artifacts import linear_artifact
from tests.comparisons import write_run

KEYS = {
    "schema", "model", "split", "images", "accuracy", "accuracy_interval", "balanced_accuracy", "top2_accuracy",
    "macro_f1", "log_loss", "brier_score", "expected_calibration_error", "reliability", "risk_coverage", "per_class",
    "confusion", "class_names", "fingerprint", "leak_free", "leak_free_reason", "agreement", "calibrated",
    "selected_on", "recorded",
}  # fmt: skip


def temperature_of(run: RunFolder) -> float:
    """By a search on a grid."""
    stored = run.predictions()
    labels, logs = stored["validation_labels"], np.log(stored["validation_probabilities"].astype(float))
    grid = np.geomspace(0.05, 20, 3_000)
    return grid[np.argmin([log_loss(labels, log_softmax(logs / temperature)) for temperature in grid])]


@pytest.mark.slow
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
    assert (result["selected_on"], result["recorded"]) == ("validation+test", True)
    unknown = {"model": "", "calibrated": None, "selected_on": None, "recorded": False}
    assert alone == alone | unknown | {"model": alone["model"]}, "a file alone says nothing of where it comes from"
    assert alone | unknown == result | unknown
    assert result["calibrated"]["temperature"] == pytest.approx(temperature_of(run), rel=0.005)
    assert result["calibrated"]["log_loss"] != result["log_loss"]
    assert evaluate(run.path, small)["accuracy"] == run.result()["validation"]["accuracy"]


def test_without_its_libraries_it_says_what_to_install(
    small: Dataset, linear: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)  # what Python itself takes for "not installed"
    with pytest.raises(MissingExtraError, match=r"pip install 'ferlab\[evaluate\]'"):
        evaluate(linear, small)


def test_an_artifact_by_hand(small: Dataset, tmp_path: Path) -> None:
    weights = linear_artifact(tmp_path / "linear.onnx")
    part = small.take(Split.VALIDATION)
    predicted = (part.images.reshape(len(part), -1).astype(np.float32) @ weights).argmax(axis=1)
    assert evaluate(tmp_path / "linear.onnx", small)["accuracy"] == pytest.approx(np.mean(predicted == part.labels))


@pytest.fixture
def linear(tmp_path: Path) -> Path:
    linear_artifact(tmp_path / "linear.onnx")
    return tmp_path / "linear.onnx"


def test_copies_of_training_images_are_told_apart(small: Dataset, linear: Path) -> None:
    """Ten validation images become copies of training images; whichever dataset holds these, they are found."""
    images, validation = small.images.copy(), np.flatnonzero(small.splits == Split.VALIDATION)
    images[validation[:10]] = images[np.flatnonzero(small.splits == Split.TRAIN)[:10]]
    leaky = replace(small, images=images)
    result = evaluate(linear, leaky)
    assert (result["images"], result["leak_free"]["images"], result["leak_free_reason"]) == (70, 60, None)
    rest = evaluate(linear, leaky.where(np.isin(np.arange(len(small)), validation[10:])))
    assert result["leak_free"]["accuracy"] == rest["accuracy"]
    assert rest["leak_free"] is None
    assert "name them by --train-data" in rest["leak_free_reason"]
    apart = evaluate(linear, leaky.take(Split.VALIDATION), training=leaky)
    assert apart["leak_free"] == result["leak_free"]
    assert evaluate(linear, leaky, "train")["leak_free_reason"] == "these are training images"


@pytest.mark.slow
def test_scores_on_other_data_leave_a_run_as_it_is(small: Dataset, tmp_path: Path) -> None:
    run = RunFolder(write_run(tmp_path / "run", small, "fernet_s", 0, 0.5))
    build_model("newmodel").save(run.model_file)
    before = run.result(), {name: array.tolist() for name, array in run.predictions().items()}
    fewer = small.where(np.arange(len(small)) % 2 == 0)
    for other in (fewer, replace(small, images=255 - small.images)):
        result = evaluate(run.path, other, "test")
        assert result["recorded"] is False
        assert "copies of what is missing here" in result["leak_free_reason"]
        assert result["leak_free"]["images"] > 0
    assert before == (run.result(), {name: array.tolist() for name, array in run.predictions().items()})
    assert evaluate(run.path, small.take(Split.TEST), "test")["recorded"] is True


def test_a_changed_random_split_is_not_scored(tmp_path: Path, small: Dataset) -> None:
    """A new image has moved others from training into the test split."""
    training = replace(small, splits=np.full(len(small), Split.TRAIN), source="pictures")
    first, later = (
        split_off(part, [Split.VALIDATION, Split.TEST], "all")
        for part in (training, training.where(np.arange(len(training)) > 3))
    )
    run = RunFolder(write_run(tmp_path / "run", first, "fernet_s", 0, 0.5))
    build_model("newmodel").save(run.model_file)
    assert evaluate(run.path, first, "test")["recorded"]
    with pytest.raises(DataError, match="pictures that the run learned are among those to be scored"):
        evaluate(run.path, later, "test")
    assert not evaluate(run.path, replace(later, source="holiday"), "test")["recorded"]
    (tmp_path / "list.txt").write_text(f"{first.take(Split.TRAIN).names[0]}\n{first.take(Split.TEST).names[0]}\n")
    assert (
        evaluate(run.path, exclude_images(first, tmp_path / "list.txt"), "test")["images"]
        == len(first.take(Split.TEST)) - 1
    )


def test_ten_views_stand_beside_the_single_one(small: Dataset, linear: Path) -> None:
    single, both = evaluate(linear, small), evaluate(linear, small, tta=True)
    assert both["tta"]["views"] == 10
    assert {key: value for key, value in both.items() if key != "tta"} == single
    part = small.take(Split.VALIDATION)
    classify = load_classifier(linear, part)
    mean = np.mean([classify(view) for view in views(part.images)], axis=0)
    assert both["tta"]["accuracy"] == np.mean(mean.argmax(axis=1) == part.labels)


def test_views_are_shifts_and_mirror_images() -> None:
    images = np.arange(2 * 6 * 6, dtype=np.uint8).reshape(2, 6, 6)
    made = list(views(images))
    assert len(made) == 10
    np.testing.assert_array_equal(made[0], images)
    np.testing.assert_array_equal(made[1], images[:, :, ::-1])
    np.testing.assert_array_equal(made[2][:, :4], images[:, 2:])
    np.testing.assert_array_equal(made[2][:, 5], images[:, 5])  # the border is repeated
    assert len({view.tobytes() for view in made}) == 10


def test_a_model_that_may_abstain(small: Dataset, linear: Path) -> None:
    result = evaluate(linear, small, abstain=0.5)
    assert 0 < result["abstained"]["coverage"] <= 1
    assert result["abstained"]["images"] == round(70 * result["abstained"]["coverage"])


def test_groups_from_a_table(small: Dataset, linear: Path, tmp_path: Path) -> None:
    names = small.names[small.splits == Split.VALIDATION]
    rows = [f"{name},{'old' if number % 2 else 'young'}" for number, name in enumerate(names[:60])]
    (tmp_path / "groups.csv").write_text("\n".join(["name,group", *rows]))
    result = evaluate(linear, small, groups=read_groups(tmp_path / "groups.csv"))["by_group"]
    assert {name: row["images"] for name, row in result["groups"].items()} == {"old": 30, "young": 30}
    assert result["largest_gap"]["difference"] >= 0
    for content, message in (
        ("name\na", "must have the columns name and group"),
        ("name,group\na,x\na,y", "line 3: a is in two groups"),
    ):
        (tmp_path / "bad.csv").write_text(content)
        with pytest.raises(DataError, match=message):
            read_groups(tmp_path / "bad.csv")
    with pytest.raises(DataError, match="has no image 'nobody' in this split"):
        evaluate(linear, small, groups={"nobody": "old"})


def test_an_artifact_of_other_classes_is_refused(small: Dataset, tmp_path: Path) -> None:
    linear_artifact(tmp_path / "sorted.onnx", class_names=sorted(EMOTIONS))
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
