"""Test the guard of the protocol: nothing selects, stops or calibrates on the test split."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ferlab import Dataset, Split, compare, train
from ferlab.cli import app
from ferlab.errors import DataError, ProtocolError, RunError
from ferlab.export import export
from ferlab.protocol import calibration_images, check_origin, check_recipe, selection_splits
from ferlab.recipes import Recipe, get_recipe, recipe_groups
from ferlab.results import Result
from ferlab.runs import RunFolder
from ferlab.training.distillation import open_teachers
from tests.comparisons import write_run


def test_only_study_recipes_select_on_the_test_folder(small: Dataset) -> None:
    for group, names in recipe_groups().items():
        for name in names:
            expected = (Split.VALIDATION, Split.TEST) if group == "study" else (Split.VALIDATION,)
            assert selection_splits(get_recipe(name), small) == expected
    check_recipe(get_recipe("study_newmodel").changed({"selection": "validation"}))
    with pytest.raises(ProtocolError, match="would say nothing about new images"):
        check_recipe(get_recipe("fair_newmodel").changed({"selection": "test_folder"}))


BEGINNINGS = {"train": train, "compare": lambda recipe, *arguments: compare([recipe], *arguments)}


@pytest.mark.parametrize("begin", BEGINNINGS.values(), ids=BEGINNINGS)
def test_data_that_no_model_can_learn_from_is_refused_before_training(
    begin: Callable[..., object], small: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="all training images are 'angry'"):
        begin("fair_newmodel", small.where(small.labels == 0), tmp_path / "out")
    unseen = small.where((small.splits != Split.TRAIN) | (small.labels != 3))
    with pytest.raises(DataError, match="validation images are 'happy', but no training image is"):
        begin("fair_newmodel", unseen, tmp_path / "out")
    with pytest.raises(ProtocolError, match="no validation images"):
        begin("fair_newmodel", small.take(Split.TRAIN), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_splits_that_are_absent_select_nothing(small: Dataset) -> None:
    without_test = small.take(Split.TRAIN, Split.VALIDATION)
    assert selection_splits(get_recipe("study_newmodel"), without_test) == (Split.VALIDATION,)


def test_commands_refuse_selection_on_the_test_split_before_writing(small: Dataset, tmp_path: Path) -> None:
    for start in (train, lambda *arguments, **changes: compare([arguments[0]], *arguments[1:], **changes)):
        with pytest.raises(ProtocolError, match="on the test split"):
            start("fair_newmodel", small, tmp_path / "out", selection="test_folder")
    arguments = ["--data", "demo", "--out", str(tmp_path / "out"), "--set", "selection=test_folder"]
    result = CliRunner().invoke(app, ["train", "fair_newmodel", *arguments])
    assert isinstance(result.exception, ProtocolError)
    assert not (tmp_path / "out").exists()


def test_custom_recipes_may_not_select_on_the_test_split(small: Dataset, tmp_path: Path) -> None:
    """A recipe derived from one of the study's is not a study recipe."""
    own = replace(get_recipe("study_newmodel"), name="own", group="own")
    with pytest.raises(ProtocolError, match="own: selection=test_folder"):
        train(own, small, tmp_path / "run")


def test_training_and_calibration_need_validation_images(small: Dataset, tmp_path: Path) -> None:
    without = small.take(Split.TRAIN, Split.TEST)
    with pytest.raises(ProtocolError, match="no validation images to select the best epoch"):
        train("fair_newmodel", without, tmp_path / "run")
    with pytest.raises(ProtocolError, match="no validation images to calibrate probabilities"):
        calibration_images(without, None)


def test_calibration_takes_the_validation_images(small: Dataset) -> None:
    validation = calibration_images(small, small.summary())
    assert validation.fingerprints == {"validation": small.fingerprints["validation"]}


def test_artifacts_are_calibrated_only_on_the_validation_images_of_the_run(small: Dataset, tmp_path: Path) -> None:
    run = RunFolder(write_run(tmp_path / "run", small, "fair_newmodel", 0, 0.5))
    run.model_file.touch()
    test = small.take(Split.TEST)
    swapped = replace(test, splits=np.full(len(test), Split.VALIDATION))
    fewer = small.where(np.arange(len(small)) % 2 == 0)
    for data, message in (
        (swapped, "are the test images of the run"),
        (fewer, "are not those of"),
        (test, "no validation images"),
    ):
        with pytest.raises(ProtocolError, match=message):
            export(run, data, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_models_selected_on_a_test_split_are_refused_under_any_name_of_the_split(small: Dataset) -> None:
    known = small.fingerprints
    check_origin("teacher", Path("run"), ["validation"], known, small)
    for selected_on, fingerprints in (
        (["validation", "test"], {}),
        (["validation"], known | {"validation": known["test"]}),
    ):
        with pytest.raises(ProtocolError, match=f"The teacher run was selected on {' and '.join(selected_on)}, so"):
            check_origin("teacher", Path("run"), selected_on, fingerprints, small)


def test_teachers_selected_on_the_test_split_are_refused(small: Dataset, tmp_path: Path) -> None:
    write_run(tmp_path / "run", small, "study_newmodel", 0, 0.5, selected_on=("validation", "test"))
    save_model(tmp_path / "run")
    with pytest.raises(ProtocolError, match="it has seen the images of the test split"):
        open_teachers(student_of(tmp_path / "run"), small)


def test_teachers_selected_on_the_test_split_under_another_name_are_refused(small: Dataset, tmp_path: Path) -> None:
    """Validation and test split are exchanged in the data that the teacher was trained on."""
    exchanged = np.select(
        [small.splits == Split.VALIDATION, small.splits == Split.TEST], [Split.TEST, Split.VALIDATION]
    )
    other = replace(small, splits=np.where(small.splits == Split.TRAIN, small.splits, exchanged))
    write_run(tmp_path / "run", other, "fernet_s", 0, 0.5)
    save_model(tmp_path / "run")
    with pytest.raises(ProtocolError, match="it has seen the images of the test split"):
        open_teachers(student_of(tmp_path / "run"), small)
    (teacher,) = open_teachers(student_of(tmp_path / "run"), other)
    assert teacher.provenance.selected_on == ("validation",)


def test_failed_runs_are_neither_teachers_nor_artifacts(small: Dataset, tmp_path: Path) -> None:
    """A failed run has the model of its last good epoch, but no record of the splits that selected it."""
    run = RunFolder(write_run(tmp_path / "run", small, "study_newmodel", 0, 0.5, selected_on=("validation", "test")))
    run.model_file.touch()
    run.write_result(Result(status="failed", reason="the loss is nan", recipe="study_newmodel", seed=0))
    with pytest.raises(RunError, match="does not contain a trained model"):
        open_teachers(student_of(run.path), small)
    with pytest.raises(RunError, match="does not contain a trained model"):
        export(run, small, tmp_path / "model.onnx")


def save_model(run: Path) -> None:
    """Give a run folder a model, which is not checked."""
    RunFolder(run).model_file.touch()


def student_of(run: Path) -> Recipe:
    """Build a recipe that learns from the model of a run."""
    return Recipe(architecture="newmodel", teachers=(str(run),), distillation=0.5)
