"""Training targets: smoothed labels, FER+ votes and sample weights."""

import numpy as np

from ferlab.data import Dataset
from ferlab.errors import DataError
from ferlab.recipes import Recipe


def check_votes(recipe: Recipe, dataset: Dataset) -> None:
    """Check that the dataset has votes if the recipe uses them.

    Raises:
        DataError: if it has none.
    """
    if recipe.votes and dataset.votes is None:
        raise DataError(
            f"{recipe.name or recipe.architecture} trains on FER+ votes, but the dataset has none. Add --ferplus "
            "fer2013new.csv, or --set votes=0 to train on labels only."
        )


def image_targets(recipe: Recipe, training: Dataset) -> np.ndarray:
    """Compute the target probabilities of the training images.

    FER2013 has one label per image. The ten votes of FER+ (https://arxiv.org/abs/1608.01041) were collected separately,
    but they predict which other labels an image could have received. So they soften the label of each image
    individually, whereas label smoothing treats all images alike.

    Args:
        recipe: the recipe; uses `label_smoothing` and `votes`, the weight of the votes.
        training: the training images.

    Returns:
        `(N, K)` float32; rows sum to 1.
    """
    num_classes = len(training.class_names)
    labels = np.eye(num_classes)[training.labels]
    targets = (1 - recipe.label_smoothing) * labels + recipe.label_smoothing / num_classes
    if recipe.votes:
        targets = (1 - recipe.votes) * targets + recipe.votes * label_probabilities(training)
    return targets.astype(np.float32)


def label_probabilities(training: Dataset) -> np.ndarray:
    """Predict the label of each image from its votes, with a logistic regression fitted on the training images.

    Args:
        training: the training images, with votes.

    Returns:
        Probabilities `(N, K)`; rows sum to 1.
    """
    from sklearn.linear_model import LogisticRegression

    assert training.votes is not None
    shares = training.votes / np.maximum(training.votes.sum(axis=1, keepdims=True), 1)
    is_top = training.votes == training.votes.max(axis=1, keepdims=True)
    inputs = np.hstack([shares, np.sqrt(shares), is_top])
    model = LogisticRegression(max_iter=2000).fit(inputs, training.labels)
    probabilities = np.zeros((len(training), len(training.class_names)))
    probabilities[:, model.classes_] = model.predict_proba(inputs)
    return probabilities


def image_weights(recipe: Recipe, training: Dataset) -> np.ndarray:
    """Compute sample weights `(N,)` float32: 1, or inversely proportional to the frequency of the class."""
    labels, num_classes = training.labels, len(training.class_names)
    weights = np.ones(num_classes)
    if recipe.class_weights == "balanced":
        weights = len(labels) / num_classes / np.maximum(np.bincount(labels, minlength=num_classes), 1)
    return weights[labels].astype(np.float32)
