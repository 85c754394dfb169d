"""Teachers: what they say, and which are refused."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from ferlab import Dataset, train
from ferlab.errors import ProtocolError, RecipeError, RunError
from ferlab.evaluation.metrics import log_softmax
from ferlab.models import build_model, predict_logits
from ferlab.predict import Artifact
from ferlab.recipes import Recipe
from ferlab.runs import RunFolder
from ferlab.training.batches import to_model_input
from ferlab.training.distillation import check_teachers, load_teachers
from tests.artifacts import linear_artifact
from tests.comparisons import write_run


def teacher(path: Path, data: Dataset, seed: int) -> str:
    """A run folder with an untrained network."""
    keras.utils.set_random_seed(seed)
    build_model("newmodel").save(RunFolder(write_run(path, data, "fair_newmodel", seed, 0.5)).model_file)
    return str(path)


def taught_by(path: str | Path) -> Recipe:
    return Recipe(architecture="fernet", teachers=(str(path),), distillation=0.5)


def test_several_teachers_say_their_mean(small: Dataset, tmp_path: Path) -> None:
    paths = tuple(teacher(tmp_path / str(seed), small, seed) for seed in (0, 1))
    images = small.images[:8]
    models = [keras.models.load_model(RunFolder(Path(path)).model_file) for path in paths]
    expected = np.mean([np.exp(log_softmax(predict_logits(model, images))) for model in models], axis=0)
    np.testing.assert_allclose(load_teachers(paths)(to_model_input(images)), expected, atol=1e-5)


def test_a_student_learns_from_a_teacher_and_resumes(small: Dataset, tmp_path: Path) -> None:
    settings = {"epochs": 1, "batch_size": 56, "policy": "float32"}
    plain = train("study_newmodel", small, tmp_path / "plain", **settings)
    taught = {"teachers": (teacher(tmp_path / "teacher", small, 0),), "distillation": 0.5} | settings
    run = train("study_newmodel", small, tmp_path / "run", **taught)
    assert run.recipe().teachers == taught["teachers"]
    assert run.history()[0]["loss"] != pytest.approx(plain.history()[0]["loss"], rel=1e-3)
    (tmp_path / "teacher").rename(tmp_path / "gone")
    assert train("study_newmodel", small, tmp_path / "run", resume=True, **taught).result() == run.result()


def test_teachers_that_cannot_be_are_refused(small: Dataset, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no trained model"):
        check_teachers(taught_by(tmp_path / "none"), small)
    path = teacher(tmp_path / "run", small, 0)
    check_teachers(taught_by(path), small)
    for other in (replace(small, images=255 - small.images), replace(small, class_names=tuple("abcdefg"))):
        with pytest.raises(RunError, match="learned other images or classes"):
            check_teachers(taught_by(path), other)


def test_teachers_of_whom_nothing_is_learned_are_refused(small: Dataset, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="its distillation is 0"):
        check_teachers(replace(taught_by(teacher(tmp_path / "run", small, 0)), distillation=0.0), small)


def test_files_teach_as_runs_do(small: Dataset, tmp_path: Path) -> None:
    path, fingerprints = tmp_path / "linear.onnx", {"train": small.fingerprints["train"]}
    linear_artifact(path, fingerprints=fingerprints, protocol={"selected_on": "validation"})
    check_teachers(taught_by(path), small)
    expected = Artifact(path).probabilities(small.images[:8])
    np.testing.assert_allclose(load_teachers((str(path),))(to_model_input(small.images[:8])), expected, atol=1e-6)
    linear_artifact(path, fingerprints=fingerprints, protocol={"selected_on": "validation+test"})
    with pytest.raises(ProtocolError, match="test split"):
        check_teachers(taught_by(path), small)
    linear_artifact(path)
    with pytest.raises(RunError, match="learned other images"):
        check_teachers(taught_by(path), small)


def test_a_training_refused_for_its_teacher_leaves_nothing(small: Dataset, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no trained model"):
        train("fernet_s_distilled", small, tmp_path / "run", teachers=(str(tmp_path / "none"),))
    assert not (tmp_path / "run").exists()
