"""Class priors: by Bayes' rule, on every way to predictions, and refused where they do not fit."""

import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from ferlab import Dataset, Predictor, Split, evaluate
from ferlab.cli import app
from ferlab.emotions import EMOTIONS
from ferlab.errors import ArtifactError
from ferlab.predict import Artifact
from ferlab.predict.class_prior import prior_factors
from tests.artifacts import linear_artifact

SHARES = (0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.4)
PRIOR = dict(zip(EMOTIONS, (0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.2), strict=True))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    linear_artifact(tmp_path / "linear.onnx", class_shares=SHARES)
    return tmp_path / "linear.onnx"


def expected(model: Path, images: np.ndarray) -> np.ndarray:
    weighted = Artifact(model).probabilities(images) * np.array(list(PRIOR.values())) / np.array(SHARES)
    return weighted / weighted.sum(axis=1, keepdims=True)


def test_probabilities_follow_bayes_rule(model: Path, small: Dataset) -> None:
    """For crops and images, in a pickled predictor, and in the scores of an evaluation."""
    images = small.take(Split.VALIDATION).images
    predictor = Predictor(model, "none", class_prior=PRIOR)
    found = [list(one.probabilities.values()) for one in predictor.classify(list(images))]
    np.testing.assert_allclose(found, expected(model, images), rtol=1e-5)
    [face] = pickle.loads(pickle.dumps(predictor)).predict(images[0])
    np.testing.assert_allclose(list(face.probabilities.values()), found[0], rtol=1e-5)
    assert predictor.settings["class_prior"] != Predictor(model, "none").settings["class_prior"]
    correct = np.argmax(found, axis=1) == small.take(Split.VALIDATION).labels
    assert evaluate(model, small, class_prior=PRIOR).accuracy == pytest.approx(correct.mean())


def test_commands_take_a_prior(model: Path, small: Dataset, tmp_path: Path) -> None:
    image = small.images[0]
    cv2.imwrite(str(tmp_path / "face.png"), image)
    text = ",".join(f"{name}={share}" for name, share in PRIOR.items())
    command = ["predict", str(tmp_path / "face.png"), "--model", str(model), "--detector", "none", "--format", "jsonl"]
    result = CliRunner().invoke(app, [*command, "--class-prior", text])
    row = json.loads(result.stdout.splitlines()[0])
    np.testing.assert_allclose([row[name] for name in EMOTIONS], expected(model, image[None])[0], atol=1e-4)
    for wrong in ("happy", f"{text},happy=0.001"):
        assert CliRunner().invoke(app, [*command, "--class-prior", wrong]).exit_code == 2


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ({"happy": 1.0}, "must name every class .* 'angry' is missing"),
        (PRIOR | {"bored": 0.1}, "'bored' is not one of them"),
        (PRIOR | {"happy": -0.1}, "numbers of 0 or more"),
        (dict.fromkeys(EMOTIONS, 0.0), "not all 0"),
    ],
)
def test_priors_that_do_not_fit_are_refused(model: Path, prior: dict[str, float], message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        Predictor(model, class_prior=prior)


def test_a_model_without_the_shares_of_its_classes_is_refused(tmp_path: Path, small: Dataset) -> None:
    """As artifacts of schema 2 are."""
    linear_artifact(tmp_path / "old.onnx", schema=2, class_shares=None)
    for refused in (
        lambda: Predictor(tmp_path / "old.onnx", class_prior=PRIOR),
        lambda: evaluate(tmp_path / "old.onnx", small, class_prior=PRIOR),
    ):
        with pytest.raises(ArtifactError, match="does not say how frequent its classes were in training"):
            refused()


def test_the_class_without_training_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="trained without 'b'"):
        prior_factors("model", ("a", "b", "c"), (0.0, 0.0, 1.0), {"a": 0, "b": 1, "c": 1})
