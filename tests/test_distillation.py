"""Teachers: what they say, and which are refused."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from ferlab import Dataset, train
from ferlab.batches import as_input
from ferlab.distillation import load_teacher
from ferlab.errors import RunError
from ferlab.metrics import log_softmax
from ferlab.models import build_model, predict_logits
from ferlab.runs import RunFolder
from tests.comparisons import write_run


def teacher(path: Path, data: Dataset, seed: int) -> str:
    """A run folder with an untrained network."""
    keras.utils.set_random_seed(seed)
    build_model("newmodel").save(RunFolder(write_run(path, data, "fair_newmodel", seed, 0.5)).model_file)
    return str(path)


def test_several_teachers_say_their_mean(small: Dataset, tmp_path: Path) -> None:
    paths = tuple(teacher(tmp_path / str(seed), small, seed) for seed in (0, 1))
    images = small.images[:8]
    models = [keras.models.load_model(RunFolder(Path(path)).model_file) for path in paths]
    expected = np.mean([np.exp(log_softmax(predict_logits(model, images))) for model in models], axis=0)
    np.testing.assert_allclose(load_teacher(paths, small)(as_input(images)), expected, atol=1e-5)


def test_a_student_learns_from_a_teacher_and_resumes(small: Dataset, tmp_path: Path) -> None:
    settings = {"epochs": 1, "batch_size": 56, "policy": "float32"}
    plain = train("study_newmodel", small, tmp_path / "plain", **settings)
    taught = {"teachers": (teacher(tmp_path / "teacher", small, 0),), "distillation": 0.5} | settings
    run = train("study_newmodel", small, tmp_path / "run", **taught)
    assert run.recipe().teachers == taught["teachers"]
    assert run.history()[0]["loss"] != pytest.approx(plain.history()[0]["loss"], rel=1e-3)
    assert train("study_newmodel", small, tmp_path / "run", resume=True, **taught).result() == run.result()


def test_teachers_that_cannot_be_are_refused(small: Dataset, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no trained model"):
        load_teacher((str(tmp_path / "none"),), small)
    path = teacher(tmp_path / "run", small, 0)
    for other in (replace(small, images=255 - small.images), replace(small, class_names=tuple("abcdefg"))):
        with pytest.raises(RunError, match="learnt other images or classes"):
            load_teacher((path,), other)
