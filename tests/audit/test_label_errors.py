"""Planted label errors are found from the predictions of a model on images that it was not trained on."""

import cv2
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ferlab import Dataset, Split
from ferlab.audit.label_errors import likely_errors


def gradient_histograms(images: np.ndarray) -> np.ndarray:
    """Compute histograms of oriented gradients (https://doi.org/10.1109/CVPR.2005.177)."""
    descriptor = cv2.HOGDescriptor((48, 48), (16, 16), (8, 8), (8, 8), 9)
    return np.stack([descriptor.compute(image).ravel() for image in images])


@pytest.fixture(scope="module")
def planted(demo: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels with 5 % errors, a mask of the errors, and predictions of a model trained on such labels."""
    generator = np.random.default_rng(0)
    wrong = generator.random(len(demo)) < 0.05
    labels = np.where(wrong, (demo.labels + generator.integers(1, 7, len(demo))) % 7, demo.labels)
    training, features = demo.splits == Split.TRAIN, gradient_histograms(demo.images)
    model = LogisticRegression(C=0.1, max_iter=300).fit(features[training], labels[training])
    return labels[~training], wrong[~training], model.predict_proba(features[~training])


@pytest.mark.slow
def test_planted_label_errors_are_found(planted: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    labels, wrong, probabilities = planted
    found = likely_errors(labels, probabilities)
    assert wrong[found].mean() > 0.6
    assert wrong[found].sum() > 0.6 * wrong.sum()


@pytest.mark.slow
def test_the_most_likely_errors_come_first(planted: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    labels, wrong, probabilities = planted
    found = likely_errors(labels, probabilities)
    own = probabilities[found, labels[found]]
    assert np.all(np.diff(own) >= 0)
    assert wrong[found[:20]].mean() > wrong[found].mean()
