"""Tests of training targets and sample weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ferlab import Dataset, train
from ferlab.data.ferplus import VOTES
from ferlab.errors import DataError
from ferlab.recipes import Recipe
from ferlab.training.targets import image_targets, image_weights, label_probabilities
from tests.audit.builders import dataset

RECIPE = Recipe(architecture="fernet")


def synthetic(number: int, seed: int = 0) -> tuple[Dataset, np.ndarray]:
    """Blank images with a label and ten votes sampled from the same probabilities, which are returned."""
    generator = np.random.default_rng(seed)
    shares = generator.dirichlet(np.full(7, 0.3), number)  # (N, 7)
    labels = np.array([generator.choice(7, p=row) for row in shares])
    votes = np.zeros((number, len(VOTES)), np.uint8)
    votes[:, :7] = generator.multinomial(10, shares)
    return dataset(np.zeros((number, 48, 48), np.uint8), labels, np.zeros(number, int), votes=votes), shares


def test_smoothed_labels(small: Dataset) -> None:
    targets = image_targets(replace(RECIPE, label_smoothing=0.7), small)
    assert (targets.max(), targets.min(), targets.dtype) == (pytest.approx(0.4), pytest.approx(0.1), np.float32)
    np.testing.assert_array_equal(targets.argmax(axis=1), small.labels)


def test_balanced_classes_have_equal_total_weights(small: Dataset) -> None:
    weights = image_weights(replace(RECIPE, class_weights="balanced"), small)
    sums = np.bincount(small.labels, weights)
    np.testing.assert_allclose(sums, len(small) / 7, rtol=1e-5)
    assert image_weights(RECIPE, small).tolist() == [1] * len(small)


def test_votes_predict_label_probabilities_better_than_label_smoothing() -> None:
    """Probabilities from votes are closer to the true ones than labels with the best possible smoothing."""
    data, shares = synthetic(4000)
    labels = np.eye(7)[data.labels]
    error = np.abs(label_probabilities(data) - shares).sum(axis=1).mean()
    smoothing_error = min(np.abs((1 - a) * labels + a / 7 - shares).sum(axis=1).mean() for a in np.linspace(0, 1, 21))
    assert error < 0.6 * smoothing_error


def test_votes_are_weighted() -> None:
    data, _ = synthetic(500)
    targets = image_targets(replace(RECIPE, votes=0.3, label_smoothing=0.1), data)
    expected = 0.7 * (0.9 * np.eye(7)[data.labels] + 0.1 / 7) + 0.3 * label_probabilities(data)
    np.testing.assert_allclose(targets, expected, rtol=1e-5)


def test_votes_give_no_probability_to_a_class_without_labels() -> None:
    data, _ = synthetic(500)
    data = data.where(data.labels != 1)
    np.testing.assert_array_equal(label_probabilities(data)[:, 1], 0)


def test_training_without_votes_is_refused_and_writes_nothing(small: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--ferplus"):
        train(RECIPE, small, tmp_path / "run", votes=0.5)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_votes_change_the_loss(small: Dataset, tmp_path: Path) -> None:
    """With the same seed, the loss differs if the votes are spread over all classes."""
    ambiguous = replace(small, votes=np.ones((len(small), len(VOTES)), np.uint8))
    options = {"epochs": 1, "steps_per_epoch": 2, "batch_size": 16, "policy": "float32"}
    losses = [
        train(RECIPE, ambiguous, tmp_path / str(share), votes=share, **options).history()[0].loss
        for share in (0.0, 1.0)
    ]
    assert losses[0] != losses[1]
