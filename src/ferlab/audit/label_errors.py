"""Labels that a model disputes, by confident learning (https://arxiv.org/abs/1911.00068)."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ferlab.data import Dataset, Split
from ferlab.data.copies import has_copy_in
from ferlab.data.votes import majority_agrees, own_votes
from ferlab.errors import DataError, MissingExtraError
from ferlab.evaluation.trained_model import open_model

TOP = 100  # of the ranking, beside which the voters' opinion is put


def unseen_probabilities(model: str | Path, dataset: Dataset) -> np.ndarray:
    """What a model says of the images that it cannot have learned from.

    Those are the images of the validation and test splits without a copy in training.

    Args:
        model: a run folder, a `.keras` file, an artifact, or `default`.
        dataset: with a validation or a test split.

    Returns:
        `(N, K)`, with NaN in the rows of all other images.

    Raises:
        DataError: if there are no such images.
        FerlabError: if the model is none, or was made for other classes.
    """
    learned = dataset.take(Split.TRAIN).images
    unseen = (dataset.splits != Split.TRAIN) & ~has_copy_in(dataset.images, learned)
    if not unseen.any():
        raise DataError(
            f"{dataset.source} has only training images, from which the model may have learned: leave out --model."
        )
    probabilities = np.full((len(dataset), len(dataset.class_names)), np.nan)
    opened = open_model(model)
    opened.require_classes(dataset.class_names, dataset.source)
    probabilities[unseen] = opened(dataset.images[unseen])
    return probabilities


def likely_errors(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Finds labels that are probably wrong.

    Args:
        labels: `(N,)` int64.
        probabilities: `(N, K)` of a model that was not trained on these images.

    Returns:
        Their positions `(M,)`, the least probable label first.

    Raises:
        MissingExtraError: if cleanlab is not installed.
    """
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        raise MissingExtraError("audit", "cleanlab") from None
    if len(np.unique(labels)) < 2:
        return np.empty(0, np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that classes with few images keep at least five of them
        ranked = find_label_issues(labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    return np.asarray(ranked, np.int64)


def describe_errors(part: Dataset, probabilities: np.ndarray, errors: np.ndarray) -> dict[str, Any]:
    """How many likely errors there are, by class, and what FER+'s voters say of the first hundred.

    Args:
        part: the images that were looked at.
        probabilities: `(N, K)` of the model on them.
        errors: positions, as `likely_errors` ranks them.

    Returns:
        `images, likely_errors, by_class`, and `voters`: null without votes, else `top` (how many of the ranking were
        compared), `label_outvoted` (of those, where another answer has more votes than the label), `model_confirmed`
        (where the model's class has the most votes), and `label_outvoted_share_of_all`, the base rate.
    """
    counts = np.bincount(part.labels[errors], minlength=len(part.class_names))
    return {
        "images": len(part),
        "likely_errors": len(errors),
        "by_class": {name: int(count) for name, count in zip(part.class_names, counts, strict=True)},
        "voters": None if part.votes is None else _voters(part, probabilities, errors[:TOP]),
    }


def _voters(part: Dataset, probabilities: np.ndarray, top: np.ndarray) -> dict[str, Any]:
    assert part.votes is not None
    outvoted = ~majority_agrees(part)
    votes = own_votes(part.votes, part.class_names)
    suggested = votes[np.arange(len(part)), probabilities.argmax(axis=1)]
    confirmed = (suggested > 0) & (suggested == part.votes.max(axis=1))
    return {
        "top": len(top),
        "label_outvoted": int(outvoted[top].sum()),
        "model_confirmed": int(confirmed[top].sum()),
        "label_outvoted_share_of_all": float(outvoted.mean()),
    }
