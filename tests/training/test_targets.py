"""Tests of training targets and sample weights."""

from dataclasses import replace

import numpy as np
import pytest

from ferlab import Dataset
from ferlab.recipes import Recipe
from ferlab.training.targets import image_targets, image_weights

RECIPE = Recipe(architecture="fernet")


def test_smoothed_labels(small: Dataset) -> None:
    targets = image_targets(replace(RECIPE, label_smoothing=0.7), small)
    assert (targets.max(), targets.min(), targets.dtype) == (pytest.approx(0.4), pytest.approx(0.1), np.float32)
    np.testing.assert_array_equal(targets.argmax(axis=1), small.labels)


def test_balanced_classes_have_equal_total_weights(small: Dataset) -> None:
    weights = image_weights(replace(RECIPE, class_weights="balanced"), small)
    sums = np.bincount(small.labels, weights)
    np.testing.assert_allclose(sums, len(small) / 7, rtol=1e-5)
    assert image_weights(RECIPE, small).tolist() == [1] * len(small)
