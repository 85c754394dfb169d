"""Teachers: what they predict, and which models may not teach."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from ferlab import Dataset, train
from ferlab.errors import FerlabError, ProtocolError, RecipeError, RunError
from ferlab.evaluation.metrics import log_softmax
from ferlab.models import build_model, predict_logits
from ferlab.predict import Artifact
from ferlab.recipes import Recipe
from ferlab.runs import RunFolder
from ferlab.training.batches import to_model_input
from ferlab.training.distillation import mean_teacher, open_teachers
from tests.artifacts import linear_artifact
from tests.comparisons import write_run


def write_teacher(path: Path, data: Dataset, seed: int) -> str:
    """Write a run folder with an untrained network."""
    keras.utils.set_random_seed(seed)
    build_model("newmodel").save(RunFolder(write_run(path, data, "fair_newmodel", seed, 0.5)).model_file)
    return str(path)


def taught_by(*paths: str | Path) -> Recipe:
    return Recipe(architecture="fernet", teachers=tuple(map(str, paths)), distillation=0.5)


def test_several_teachers_predict_the_mean_of_their_probabilities(small: Dataset, tmp_path: Path) -> None:
    paths = [write_teacher(tmp_path / str(seed), small, seed) for seed in (0, 1)]
    images = small.images[:8]
    models = [keras.models.load_model(RunFolder(Path(path)).model_file) for path in paths]
    expected = np.mean([np.exp(log_softmax(predict_logits(model, images))) for model in models], axis=0)
    probabilities = mean_teacher(open_teachers(taught_by(*paths), small))(to_model_input(images))
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


@pytest.mark.slow
def test_a_student_learns_from_a_teacher_and_can_be_resumed_without_it(small: Dataset, tmp_path: Path) -> None:
    settings = {"epochs": 1, "batch_size": 56, "policy": "float32"}
    plain = train("study_newmodel", small, tmp_path / "plain", **settings)
    taught = {"teachers": (write_teacher(tmp_path / "teacher", small, 0),), "distillation": 0.5} | settings
    run = train("study_newmodel", small, tmp_path / "run", **taught)
    assert run.recipe().teachers == taught["teachers"]
    assert run.history()[0].loss != pytest.approx(plain.history()[0].loss, rel=1e-3)
    (tmp_path / "run" / "result.json").rename(tmp_path / "result.json")
    write_teacher(tmp_path / "teacher", small, 1)
    with pytest.raises(RunError, match="was started with other teachers"):
        train("study_newmodel", small, tmp_path / "run", resume=True, **taught)
    (tmp_path / "result.json").rename(tmp_path / "run" / "result.json")
    (tmp_path / "teacher").rename(tmp_path / "gone")
    assert train("study_newmodel", small, tmp_path / "run", resume=True, **taught).result() == run.result()


def test_teachers_without_a_trained_model_or_of_other_data_raise(small: Dataset, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path, message in (
        (tmp_path / "none", "does not exist"),
        (tmp_path / "empty", "does not contain a trained model"),
    ):
        with pytest.raises(FerlabError, match=message):
            open_teachers(taught_by(path), small)
    path = write_teacher(tmp_path / "run", small, 0)
    (teacher,) = open_teachers(taught_by(path), small)
    assert teacher.name == path
    for other in (replace(small, images=255 - small.images), replace(small, class_names=tuple("abcdefg"))):
        with pytest.raises(RunError, match="was trained on different images or classes than demo"):
            open_teachers(taught_by(path), other)


def test_a_keras_file_cannot_teach_because_it_does_not_contain_its_provenance(small: Dataset, tmp_path: Path) -> None:
    """Not even inside a run folder: only the class names are read from there."""
    build_model("newmodel").save(tmp_path / "model.keras")
    inside = RunFolder(Path(write_teacher(tmp_path / "run", small, 0))).model_file
    for path in (tmp_path / "model.keras", inside):
        with pytest.raises(RunError, match="does not say what it was trained on. Pass its run folder or an exported"):
            open_teachers(taught_by(path), small)


def test_teachers_with_a_distillation_of_0_raise(small: Dataset, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="because distillation is 0"):
        open_teachers(replace(taught_by(write_teacher(tmp_path / "run", small, 0)), distillation=0.0), small)


def test_views_for_teachers_that_do_not_exist_raise(small: Dataset) -> None:
    with pytest.raises(RecipeError, match="has no teachers to predict them"):
        open_teachers(Recipe(architecture="fernet", teacher_views=12), small)


def test_a_recipe_without_distillation_has_no_teachers(small: Dataset) -> None:
    assert open_teachers(Recipe(architecture="fernet"), small) == ()


def test_artifacts_teach_as_run_folders_do(small: Dataset, tmp_path: Path) -> None:
    path, fingerprints = tmp_path / "linear.onnx", {"train": small.fingerprints["train"]}
    linear_artifact(path, fingerprints=fingerprints, protocol={"selected_on": ["validation"]})
    teacher = mean_teacher(open_teachers(taught_by(path), small))
    expected = Artifact(path).probabilities(small.images[:8])
    np.testing.assert_allclose(teacher(to_model_input(small.images[:8])), expected, atol=1e-6)


@pytest.mark.parametrize("selected_on", [["validation", "test"], "validation+test"])
def test_artifacts_that_were_selected_on_the_test_split_may_not_teach(
    small: Dataset, tmp_path: Path, selected_on: list[str] | str
) -> None:
    """Older artifacts join the names of the splits."""
    path, fingerprints = tmp_path / "linear.onnx", {"train": small.fingerprints["train"]}
    linear_artifact(path, fingerprints=fingerprints, protocol={"selected_on": selected_on})
    with pytest.raises(ProtocolError, match="was selected on validation and test"):
        open_teachers(taught_by(path), small)


def test_artifacts_of_unknown_training_images_may_not_teach(small: Dataset, tmp_path: Path) -> None:
    linear_artifact(tmp_path / "linear.onnx")
    with pytest.raises(RunError, match="was trained on different images"):
        open_teachers(taught_by(tmp_path / "linear.onnx"), small)


def test_a_training_that_is_refused_for_its_teacher_writes_nothing(small: Dataset, tmp_path: Path) -> None:
    with pytest.raises(FerlabError, match="does not exist"):
        train("fernet_s_distilled", small, tmp_path / "run", teachers=(str(tmp_path / "none"),))
    assert not (tmp_path / "run").exists()
