"""What is learned of each image: labels, smoothed and softened by votes."""

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


def drawn(number: int, seed: int = 0) -> tuple[Dataset, np.ndarray]:
    """Blank images whose label and whose ten votes are drawn alike, from probabilities that are returned."""
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


def test_balanced_classes_weigh_the_same_in_all(small: Dataset) -> None:
    weights = image_weights(replace(RECIPE, class_weights="balanced"), small)
    sums = np.bincount(small.labels, weights)
    np.testing.assert_allclose(sums, len(small) / 7, rtol=1e-5)
    assert image_weights(RECIPE, small).tolist() == [1] * len(small)


def test_votes_tell_which_labels_an_image_might_have_got() -> None:
    """Probabilities from the votes are closer to the true ones than labels, smoothed as well as can be, are."""
    data, shares = drawn(4000)
    labels = np.eye(7)[data.labels]
    told = np.abs(label_probabilities(data) - shares).sum(axis=1).mean()
    smoothed = min(np.abs((1 - a) * labels + a / 7 - shares).sum(axis=1).mean() for a in np.linspace(0, 1, 21))
    assert told < 0.6 * smoothed


def test_votes_get_their_share() -> None:
    data, _ = drawn(500)
    targets = image_targets(replace(RECIPE, votes=0.3, label_smoothing=0.1), data)
    expected = 0.7 * (0.9 * np.eye(7)[data.labels] + 0.1 / 7) + 0.3 * label_probabilities(data)
    np.testing.assert_allclose(targets, expected, rtol=1e-5)


def test_a_class_without_labels_gets_nothing_by_votes() -> None:
    data, _ = drawn(500)
    data = data.where(data.labels != 1)
    np.testing.assert_array_equal(label_probabilities(data)[:, 1], 0)


def test_training_without_the_votes_is_refused_and_leaves_nothing(small: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--ferplus"):
        train(RECIPE, small, tmp_path / "run", votes=0.5)
    assert not (tmp_path / "run").exists()


def test_a_training_learns_them(small: Dataset, tmp_path: Path) -> None:
    """From the same seed, the first steps lose something else where all voters are of different minds."""
    torn = replace(small, votes=np.ones((len(small), len(VOTES)), np.uint8))
    options = {"epochs": 1, "steps_per_epoch": 2, "batch_size": 16, "policy": "float32"}
    losses = [
        train(RECIPE, torn, tmp_path / str(share), votes=share, **options).history()[0].loss for share in (0.0, 1.0)
    ]
    assert losses[0] != losses[1]
