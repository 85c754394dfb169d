"""Training targets: labels or the vote distributions of FER+, smoothed, and sample weights."""

import numpy as np

from ferlab.data import Dataset
from ferlab.data.ferplus_target import vote_distribution
from ferlab.emotions import Target
from ferlab.recipes import Recipe


def image_targets(recipe: Recipe, training: Dataset) -> np.ndarray:
    """Compute the target probabilities of the training images: their labels, or the vote distributions of FER+.

    Args:
        recipe: the recipe; uses `label_smoothing`.
        training: the training images.

    Returns:
        `(N, K)` float32; rows sum to 1.
    """
    num_classes = len(training.class_names)
    on_votes = training.target == Target.FERPLUS
    probabilities = vote_distribution(training) if on_votes else np.eye(num_classes)[training.labels]
    targets = (1 - recipe.label_smoothing) * probabilities + recipe.label_smoothing / num_classes
    return targets.astype(np.float32)


def image_weights(recipe: Recipe, training: Dataset) -> np.ndarray:
    """Compute sample weights `(N,)` float32: 1, or inversely proportional to the frequency of the class."""
    labels, num_classes = training.labels, len(training.class_names)
    weights = np.ones(num_classes)
    if recipe.class_weights == "balanced":
        weights = len(labels) / num_classes / np.maximum(np.bincount(labels, minlength=num_classes), 1)
    return weights[labels].astype(np.float32)
