"""Wrong labels that were planted are found by what a model says of images that it has not seen."""

import cv2
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ferlab import Dataset, Split
from ferlab.audit.label_errors import likely_errors


def outlines(images: np.ndarray) -> np.ndarray:
    """Histograms of oriented gradients (https://doi.org/10.1109/CVPR.2005.177)."""
    descriptor = cv2.HOGDescriptor((48, 48), (16, 16), (8, 8), (8, 8), 9)
    return np.stack([descriptor.compute(image).ravel() for image in images])


@pytest.fixture(scope="module")
def planted(demo: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of which one in twenty is wrong, which ones, and the probabilities of a model that learned from such."""
    generator = np.random.default_rng(0)
    wrong = generator.random(len(demo)) < 0.05
    labels = np.where(wrong, (demo.labels + generator.integers(1, 7, len(demo))) % 7, demo.labels)
    learned, features = demo.splits == Split.TRAIN, outlines(demo.images)
    model = LogisticRegression(C=0.1, max_iter=300).fit(features[learned], labels[learned])
    return labels[~learned], wrong[~learned], model.predict_proba(features[~learned])


def test_planted_wrong_labels_are_found(planted: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    labels, wrong, probabilities = planted
    found = likely_errors(labels, probabilities)
    assert wrong[found].mean() > 0.6
    assert wrong[found].sum() > 0.6 * wrong.sum()


def test_the_surest_are_the_first(planted: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    labels, wrong, probabilities = planted
    found = likely_errors(labels, probabilities)
    own = probabilities[found, labels[found]]
    assert np.all(np.diff(own) >= 0)
    assert wrong[found[:20]].mean() > wrong[found].mean()
