"""What is to be learned of each training image: its label, smoothed, and what FER+'s voters say of it."""

import numpy as np

from ferlab.data import Dataset
from ferlab.errors import DataError
from ferlab.recipes import Recipe


def check_votes(recipe: Recipe, dataset: Dataset) -> None:
    """Checks that votes are there for a recipe that learns from them.

    Raises:
        DataError: if they are not.
    """
    if recipe.votes and dataset.votes is None:
        raise DataError(
            f"{recipe.name or recipe.architecture} learns from FER+'s votes as well, and they are not given: add "
            "--ferplus fer2013new.csv, or --set votes=0 to learn from the labels alone."
        )


def image_targets(recipe: Recipe, training: Dataset) -> np.ndarray:
    """The probabilities that a network is to learn.

    FER2013 has one label a picture. The ten votes of FER+ (https://arxiv.org/abs/1608.01041) are another target, but
    tell which other labels the picture might have got. So they soften it, each picture in its own way, where label
    smoothing treats all alike. What they say of labels is learned on the training images.

    Args:
        recipe: its `label_smoothing`, and its `votes`, their share.
        training: the training images.

    Returns:
        `(N, K)` float32, rows of sum 1.
    """
    num_classes = len(training.class_names)
    labels = np.eye(num_classes)[training.labels]
    targets = (1 - recipe.label_smoothing) * labels + recipe.label_smoothing / num_classes
    if recipe.votes:
        targets = (1 - recipe.votes) * targets + recipe.votes * label_probabilities(training)
    return targets.astype(np.float32)


def label_probabilities(training: Dataset) -> np.ndarray:
    """What the votes on an image say of its label, by logistic regression of all labels on their votes.

    Args:
        training: the training images, with votes.

    Returns:
        `(N, K)` probabilities, rows of sum 1.
    """
    from sklearn.linear_model import LogisticRegression

    assert training.votes is not None
    shares = training.votes / np.maximum(training.votes.sum(axis=1, keepdims=True), 1)
    most = training.votes == training.votes.max(axis=1, keepdims=True)
    inputs = np.hstack([shares, np.sqrt(shares), most])
    model = LogisticRegression(max_iter=2000).fit(inputs, training.labels)
    probabilities = np.zeros((len(training), len(training.class_names)))
    probabilities[:, model.classes_] = model.predict_proba(inputs)
    return probabilities


def image_weights(recipe: Recipe, training: Dataset) -> np.ndarray:
    """The weight of each image in the loss, `(N,)` float32: 1, or inversely proportional to its class's frequency."""
    labels, num_classes = training.labels, len(training.class_names)
    weights = np.ones(num_classes)
    if recipe.class_weights == "balanced":
        weights = len(labels) / num_classes / np.maximum(np.bincount(labels, minlength=num_classes), 1)
    return weights[labels].astype(np.float32)
