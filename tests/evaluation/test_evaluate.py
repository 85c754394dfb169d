"""Evaluate run folders, `.keras` files and artifacts; errors for models and data that do not fit."""

import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from ferlab import Dataset, Split, evaluate, train
from ferlab.data.exclude import exclude_images
from ferlab.data.splits import split_off
from ferlab.errors import DataError, FerlabError, MissingExtraError, RunError
from ferlab.evaluation.evaluate import _same_data, read_groups, views
from ferlab.evaluation.metrics import accuracy_by_group, log_loss, log_softmax
from ferlab.evaluation.trained_model import Provenance, open_model
from ferlab.json_files import read_result, write_result
from ferlab.models import build_model
from ferlab.results import Evaluation
from ferlab.runs import RunFolder
from tests.artifacts import linear_artifact
from tests.comparisons import write_run


@pytest.fixture
def linear(tmp_path: Path) -> Path:
    linear_artifact(tmp_path / "linear.onnx")
    return tmp_path / "linear.onnx"


def best_temperature(run: RunFolder) -> float:
    """Search on a grid."""
    stored = run.require_predictions("validation")
    logs = np.log(stored.probabilities.astype(float))
    grid = np.geomspace(0.05, 20, 3_000)
    return grid[np.argmin([log_loss(stored.labels, log_softmax(logs / temperature)) for temperature in grid])]


def stored_predictions(path: Path) -> dict[str, list]:
    """The predictions in a run folder on all scored splits, read anew."""
    found = {split: RunFolder(path).predictions(split) for split in ("validation", "test")}
    return {split: [array.tolist() for array in vars(one).values()] for split, one in found.items() if one}


def test_a_run_folder_and_its_model_file_get_the_same_metrics(small: Dataset, tmp_path: Path) -> None:
    path = train("study_newmodel", small, tmp_path / "run", epochs=1, batch_size=56).path
    result = evaluate(path, small, "test")
    assert (result.model, result.split, result.images) == (str(path), "test", 70)
    assert result.fingerprint == small.fingerprints["test"]
    assert (result.selected_on, result.selected_here, result.recorded) == (("validation", "test"), True, True)
    assert (result.tta, result.abstained, result.by_group) == (None, None, None)
    run = RunFolder(path)
    recorded = run.trained_result()
    assert recorded.test is not None
    assert vars(recorded.test) == {name: getattr(result, name) for name in vars(recorded.test)}
    assert recorded.test_reason is None
    assert run.require_predictions("test").probabilities.shape == (70, 7)
    alone = evaluate(run.model_file, small, "test")
    unknown = {"calibrated": None, "selected_on": None, "selected_here": False, "recorded": False}
    assert alone == replace(result, model=str(run.model_file), **unknown), "a .keras file has no provenance"
    assert result.calibrated is not None
    assert result.calibrated.temperature == pytest.approx(best_temperature(run), rel=0.005)
    assert result.calibrated.log_loss != result.log_loss
    validation = evaluate(path, small)
    assert recorded.validation is not None
    assert (validation.accuracy, validation.calibrated) == (recorded.validation.accuracy, None)


def test_evaluations_can_be_written_and_read(small: Dataset, linear: Path, tmp_path: Path) -> None:
    groups = dict.fromkeys(small.take(Split.VALIDATION).names.tolist(), "all")
    result = evaluate(linear, small, tta=True, abstain=0.5, groups=groups)
    write_result(tmp_path / "evaluation.json", result)
    assert read_result(Evaluation, tmp_path / "evaluation.json") == result


def test_a_missing_library_raises_and_names_the_extra(
    small: Dataset, linear: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)  # as if it were not installed
    with pytest.raises(MissingExtraError, match=r"pip install 'ferlab\[evaluate\]'"):
        evaluate(linear, small)


def test_the_accuracy_of_an_artifact_is_as_computed_by_hand(small: Dataset, tmp_path: Path) -> None:
    weights = linear_artifact(tmp_path / "linear.onnx")
    part = small.take(Split.VALIDATION)
    predicted = (part.images.reshape(len(part), -1).astype(np.float32) @ weights).argmax(axis=1)
    assert evaluate(tmp_path / "linear.onnx", small).accuracy == pytest.approx(np.mean(predicted == part.labels))


def test_the_leak_free_accuracy_leaves_out_copies_of_training_images(small: Dataset, linear: Path) -> None:
    """Ten validation images are replaced by copies of training images, which may be in another data set."""
    images, validation = small.images.copy(), np.flatnonzero(small.splits == Split.VALIDATION)
    images[validation[:10]] = images[np.flatnonzero(small.splits == Split.TRAIN)[:10]]
    leaky = replace(small, images=images)
    result = evaluate(linear, leaky)
    assert result.leak_free is not None
    assert (result.images, result.leak_free.images, result.leak_free_reason) == (70, 60, None)
    rest = evaluate(linear, leaky.where(np.isin(np.arange(len(small)), validation[10:])))
    assert result.leak_free.accuracy == rest.accuracy
    assert rest.leak_free is None
    assert "pass them with --train-data" in str(rest.leak_free_reason)
    assert evaluate(linear, leaky.take(Split.VALIDATION), training=leaky).leak_free == result.leak_free
    trained_on = evaluate(linear, leaky, "train")
    assert (trained_on.leak_free, trained_on.leak_free_reason) == (None, "these are training images")


def test_metrics_on_other_data_are_not_recorded(small: Dataset, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", small, "fernet_s", 0, 0.5)
    build_model("newmodel").save(RunFolder(path).model_file)
    before = RunFolder(path).result(), stored_predictions(path)
    fewer = small.where(np.arange(len(small)) % 2 == 0)
    for other in (fewer, replace(small, images=255 - small.images)):
        assert evaluate(path, other).selected_here is None, "its validation images may be among these"
        result = evaluate(path, other, "test")
        assert (result.selected_here, result.recorded) == (False, False)
        assert "trained on different images, whose copies are unknown" in str(result.leak_free_reason)
        assert result.leak_free is not None
        assert result.leak_free.images > 0
    assert (RunFolder(path).result(), stored_predictions(path)) == before
    assert evaluate(path, small).selected_here is True
    assert evaluate(path, small.take(Split.TEST), "test").recorded is True
    assert RunFolder(path).result() != before[0]


def test_an_evaluation_with_less_data_loses_no_recorded_metrics(small: Dataset, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", small, "fernet_s", 0, 0.5)
    build_model("newmodel").save(RunFolder(path).model_file)
    evaluate(path, small)
    whole = RunFolder(path).trained_result().validation
    assert evaluate(path, small.take(Split.VALIDATION)).recorded is True
    assert RunFolder(path).trained_result().validation == whole


def test_metrics_on_training_images_are_not_part_of_the_result(small: Dataset, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", small, "fernet_s", 0, 0.5)
    build_model("newmodel").save(RunFolder(path).model_file)
    before = RunFolder(path).result()
    assert evaluate(path, small, "train").recorded is True
    assert RunFolder(path).result() == before
    assert len(RunFolder(path).require_predictions("train").labels) == len(small.take(Split.TRAIN))


def test_a_random_split_that_differs_from_that_of_the_run_raises(tmp_path: Path, small: Dataset) -> None:
    """With fewer images, the random split moves training images into the test split."""
    training = replace(small, splits=np.full(len(small), Split.TRAIN), source="images")
    first, later = (
        split_off(part, [Split.VALIDATION, Split.TEST], "all")
        for part in (training, training.where(np.arange(len(training)) > 3))
    )
    run = RunFolder(write_run(tmp_path / "run", first, "fernet_s", 0, 0.5))
    build_model("newmodel").save(run.model_file)
    assert evaluate(run.path, first, "test").recorded
    with pytest.raises(DataError, match="was trained on some of its test images"):
        evaluate(run.path, later, "test")
    assert not evaluate(run.path, replace(later, source="holiday"), "test").recorded
    (tmp_path / "later.txt").write_text(f"{later.take(Split.TRAIN).names[0]}\n")
    (tmp_path / "list.txt").write_text(f"{first.take(Split.TRAIN).names[0]}\n{first.take(Split.TEST).names[0]}\n")
    without = exclude_images(first, tmp_path / "list.txt")
    assert evaluate(run.path, without, "test").images == len(first.take(Split.TEST)) - 1
    with pytest.raises(DataError, match="was trained on some of its test images"):
        evaluate(run.path, exclude_images(later, tmp_path / "later.txt"), "test")


def test_test_time_augmentation_averages_ten_views(small: Dataset, linear: Path) -> None:
    single, both = evaluate(linear, small), evaluate(linear, small, tta=True)
    assert both.tta is not None
    assert (both.tta.views, both.tta.seconds_ratio > 0) == (10, True)
    assert replace(both, tta=None) == single
    part, classify = small.take(Split.VALIDATION), open_model(linear)
    mean = np.mean([classify(view) for view in views(part.images)], axis=0)
    assert both.tta.accuracy == np.mean(mean.argmax(axis=1) == part.labels)


def test_views_are_shifted_and_mirrored() -> None:
    images = np.arange(2 * 6 * 6, dtype=np.uint8).reshape(2, 6, 6)
    made = list(views(images))
    assert len(made) == 10
    np.testing.assert_array_equal(made[0], images)
    np.testing.assert_array_equal(made[1], images[:, :, ::-1])
    np.testing.assert_array_equal(made[2][:, :4], images[:, 2:])
    np.testing.assert_array_equal(made[2][:, 5], images[:, 5])  # the border is repeated
    assert len({view.tobytes() for view in made}) == 10


def test_the_share_of_confident_predictions_is_their_coverage(small: Dataset, linear: Path) -> None:
    kept = evaluate(linear, small, abstain=0.5).abstained
    assert kept is not None
    assert 0 < kept.coverage <= 1
    assert (kept.threshold, kept.images) == (0.5, round(70 * kept.coverage))


def test_groups_are_read_from_a_table(small: Dataset, linear: Path, tmp_path: Path) -> None:
    names = small.names[small.splits == Split.VALIDATION]
    rows = [f"{name},{'old' if number % 2 else 'young'}" for number, name in enumerate(names[:60])]
    (tmp_path / "groups.csv").write_text("\n".join(["name,group", *rows]))
    result = evaluate(linear, small, groups=read_groups(tmp_path / "groups.csv")).by_group
    assert result is not None
    assert {name: row.images for name, row in result.groups.items()} == {"old": 30, "young": 30}
    assert result.largest_gap is not None
    assert result.largest_gap.difference >= 0


def test_groups_of_all_images_are_used_for_one_split(small: Dataset, linear: Path) -> None:
    groups = {name: str(number % 2) for number, name in enumerate(small.names.tolist())}
    fewer = small.omit(small.names == small.take(Split.VALIDATION).names[0], "one image")
    for data in (small, fewer):
        result = evaluate(linear, data, groups=groups).by_group
        assert result is not None
        assert sum(row.images for row in result.groups.values()) == len(data.take(Split.VALIDATION))
    with pytest.raises(DataError, match="names no image of this split"):
        evaluate(linear, small, groups=dict.fromkeys(small.take(Split.TRAIN).names.tolist(), "all"))


def test_groups_take_the_names_of_the_audit_table(tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text("name,group\n./-1/d.png,old\n./1/d.png,young\n")
    assert read_groups(tmp_path / "groups.csv") == {"-1/d.png": "old", "./1/d.png": "young"}


def test_malformed_groups_raise(small: Dataset, linear: Path, tmp_path: Path) -> None:
    for content, message in (
        ("name\na", "must have the columns name and group"),
        ("name,group\na,x\na,y", "line 3: a is in two groups"),
    ):
        (tmp_path / "bad.csv").write_text(content)
        with pytest.raises(DataError, match=message):
            read_groups(tmp_path / "bad.csv")
    with pytest.raises(DataError, match="cannot be read as a table of groups"):
        read_groups(tmp_path / "missing.csv")
    with pytest.raises(DataError, match="has no image 'nobody'"):
        evaluate(linear, small, groups={"nobody": "old"})


def test_models_that_cannot_be_opened_raise(small: Dataset, tmp_path: Path) -> None:
    for name, content in (("a.txt", b"text"), ("a.keras", b"text"), ("a.onnx", b"text")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FerlabError, match="is not a model file|cannot be loaded"):
            evaluate(tmp_path / name, small)
    with pytest.raises(FerlabError, match="does not exist"):
        evaluate(tmp_path / "nothing.keras", small)
    with pytest.raises(RunError, match="does not contain a trained model"):
        evaluate(tmp_path, small)


def test_an_empty_split_raises_before_the_model_is_opened(small: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no test images"):
        evaluate(tmp_path / "nothing.keras", small.take(Split.TRAIN, Split.VALIDATION), "test")


def test_code_in_a_model_file_is_not_run(small: Dataset, tmp_path: Path) -> None:
    """Keras stores the function of a Lambda layer as bytecode, and its safe mode refuses the file."""
    inputs = keras.Input((48, 48, 1))
    outputs = keras.layers.Lambda(lambda x: keras.ops.mean(x, axis=(1, 2, 3))[:, None] * np.ones(7))(inputs)
    keras.Model(inputs, outputs).save(tmp_path / "lambda.keras")
    with pytest.raises(FerlabError, match="cannot be loaded"):
        evaluate(tmp_path / "lambda.keras", small)


def test_scores_on_other_images_are_not_written_into_the_run_folder(demo: Dataset, tmp_path: Path) -> None:
    """Also if the run had no test split, and the data has nothing else."""
    known = Provenance(fingerprints={"train": "a", "validation": "b"})
    assert _same_data(replace(known, fingerprints=dict(demo.fingerprints)), demo)
    assert not _same_data(known, demo.take(Split.TEST))
    assert not _same_data(known, demo)


def test_classes_without_probabilities_cannot_be_written_as_probabilities(demo: Dataset, tmp_path: Path) -> None:
    part = demo.take(Split.VALIDATION)
    rows = "".join(f"{name},happy\n" for name in part.names.tolist())
    (tmp_path / "classes.csv").write_text(f"name,class\n{rows}")
    with pytest.raises(DataError, match="contains classes without probabilities"):
        evaluate(tmp_path / "classes.csv", demo, write=tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_groups_of_equal_accuracy_are_two_groups() -> None:
    gap = accuracy_by_group(np.array([True, True]), np.arange(2), np.array(["a", "b"])).largest_gap
    assert gap is not None
    assert {gap.higher, gap.lower} == {"a", "b"}
