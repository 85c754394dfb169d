"""The guard: nothing selects, stops or calibrates on the test split."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ferlab import Dataset, Split, compare, train
from ferlab.cli import app
from ferlab.errors import FerlabError, ProtocolError, RunError
from ferlab.export import export
from ferlab.protocol import calibration_images, check_recipe, selection_splits
from ferlab.recipes import Recipe, get_recipe, recipe_groups
from ferlab.runs import RunFolder
from ferlab.training.distillation import check_teachers
from tests.comparisons import write_run


def test_the_study_alone_may_select_on_the_test_folder(small: Dataset) -> None:
    for names in recipe_groups().values():
        for name in names:
            expected = [Split.VALIDATION, Split.TEST] if name.startswith("study_") else [Split.VALIDATION]
            assert selection_splits(get_recipe(name), small) == expected
    check_recipe(get_recipe("study_newmodel").changed({"selection": "validation"}))
    with pytest.raises(ProtocolError, match="says nothing about new images"):
        check_recipe(get_recipe("fair_newmodel").changed({"selection": "test_folder"}))


def test_commands_refuse_it_before_anything_is_written(small: Dataset, tmp_path: Path) -> None:
    for start in (train, lambda *arguments, **changes: compare([arguments[0]], *arguments[1:], **changes)):
        with pytest.raises(ProtocolError, match="by the test split"):
            start("fair_newmodel", small, tmp_path / "out", selection="test_folder")
    arguments = ["--data", "demo", "--out", str(tmp_path / "out"), "--set", "selection=test_folder"]
    result = CliRunner().invoke(app, ["train", "fair_newmodel", *arguments])
    assert isinstance(result.exception, ProtocolError)
    assert not (tmp_path / "out").exists()


def test_a_recipe_of_ones_own_may_not_either(small: Dataset, tmp_path: Path) -> None:
    """Whatever it is made from, for its results would stand beside those of others."""
    own = replace(get_recipe("study_newmodel"), name="own", group="own")
    with pytest.raises(ProtocolError, match="own: selection=test_folder"):
        train(own, small, tmp_path / "run")


def test_without_validation_images_nothing_is_trained_or_calibrated(small: Dataset, tmp_path: Path) -> None:
    without = small.take(Split.TRAIN, Split.TEST)
    with pytest.raises(ProtocolError, match="no validation images, and the best epoch"):
        train("fair_newmodel", without, tmp_path / "run")
    with pytest.raises(ProtocolError, match="no validation images, and probabilities"):
        calibration_images(without, None)


def test_no_artifact_is_calibrated_on_other_images_than_the_runs(small: Dataset, tmp_path: Path) -> None:
    run = RunFolder(write_run(tmp_path / "run", small, "fair_newmodel", 0, 0.5))
    run.model_file.touch()
    test = small.take(Split.TEST)
    swapped = replace(test, splits=np.full(len(test), Split.VALIDATION))
    fewer = small.where(np.arange(len(small)) % 2 == 0)
    for data, message in (
        (swapped, "are the run's own test images"),
        (fewer, "are not those of"),
        (test, "no validation images"),
    ):
        with pytest.raises(ProtocolError, match=message):
            export(run, data, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_a_teacher_that_the_test_split_chose_is_refused(small: Dataset, tmp_path: Path) -> None:
    run = RunFolder(write_run(tmp_path / "run", small, "study_newmodel", 0, 0.5, selected_on="validation+test"))
    run.model_file.touch()
    with pytest.raises(FerlabError, match="it brings what it knows of the test split"):
        check_teachers(Recipe(architecture="newmodel", teachers=(str(run.path),), distillation=0.5), small)


def test_a_teacher_that_calls_the_test_split_otherwise_is_refused(small: Dataset, tmp_path: Path) -> None:
    """Both test splits have changed places in the data that it was trained on."""
    exchanged = np.select(
        [small.splits == Split.VALIDATION, small.splits == Split.TEST], [Split.TEST, Split.VALIDATION]
    )
    other = replace(small, splits=np.where(small.splits == Split.TRAIN, small.splits, exchanged))
    run = RunFolder(write_run(tmp_path / "run", other, "fernet_s", 0, 0.5))
    run.model_file.touch()
    student = Recipe(architecture="newmodel", teachers=(str(run.path),), distillation=0.5)
    with pytest.raises(ProtocolError, match="it brings what it knows of the test split"):
        check_teachers(student, small)
    check_teachers(student, other)


def test_a_run_that_failed_is_no_teacher_and_no_artifact(small: Dataset, tmp_path: Path) -> None:
    """It has a model of its last good epoch, but nothing says any longer what chose that."""
    run = RunFolder(write_run(tmp_path / "run", small, "study_newmodel", 0, 0.5, selected_on="validation+test"))
    run.model_file.touch()
    run.write("result", {"status": "failed", "reason": "the loss is nan", "recipe": "study_newmodel", "seed": 0})
    with pytest.raises(RunError, match="holds no trained model"):
        check_teachers(Recipe(architecture="newmodel", teachers=(str(run.path),), distillation=0.5), small)
    with pytest.raises(RunError, match="holds no trained model"):
        export(run, small, tmp_path / "model.onnx")
