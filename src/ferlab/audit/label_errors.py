"""Find likely label errors with a model, by confident learning (https://arxiv.org/abs/1911.00068)."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ferlab.data import Dataset, Split
from ferlab.data.copies import has_copy_in
from ferlab.data.ferplus import votes_for_classes
from ferlab.data.ferplus_agreement import majority_agrees
from ferlab.errors import DataError, MissingExtraError
from ferlab.evaluation.trained_model import open_model

TOP = 100  # most likely errors, which are compared with the votes of FER+


@dataclass(frozen=True, kw_only=True)
class VoteComparison:
    """FER+ votes on the most likely label errors.

    Args:
        top: number of labels that were compared.
        label_outvoted: number of these labels for which another class has more votes.
        model_confirmed: number of these labels for which the predicted class has the most votes.
        label_outvoted_share_of_all: share of all checked labels that are outvoted, 0..1, as the base rate.
    """

    top: int
    label_outvoted: int
    model_confirmed: int
    label_outvoted_share_of_all: float


@dataclass(frozen=True, kw_only=True)
class LabelErrors:
    """Counts of likely label errors.

    Args:
        model: name of the model.
        images: number of images that the model predicted.
        likely_errors: number of likely label errors.
        by_class: the same by class of the label.
        voters: comparison with the votes of FER+; None without votes.
    """

    model: str
    images: int
    likely_errors: int
    by_class: dict[str, int]
    voters: VoteComparison | None


def unseen_probabilities(model: str | Path, dataset: Dataset) -> np.ndarray:
    """Predict the images that the model was not trained on: validation and test images without a copy in training.

    Args:
        model: a run folder, a `.keras` file, an artifact, or the name of a network in the package.
        dataset: a dataset with validation or test images.

    Returns:
        Probabilities, `(N, K)`; NaN for all other images.

    Raises:
        DataError: if there are no such images.
        FerlabError: if the file is not a model, or the model has different classes.
    """
    training = dataset.take(Split.TRAIN).images
    unseen = (dataset.splits != Split.TRAIN) & ~has_copy_in(dataset.images, training)
    if not unseen.any():
        raise DataError(
            f"{dataset.source} has only training images, which the model may have been trained on. Remove --model."
        )
    probabilities = np.full((len(dataset), len(dataset.class_names)), np.nan)
    opened = open_model(model)
    opened.require_classes(dataset.class_names, dataset.source)
    probabilities[unseen] = opened(dataset.images[unseen])
    return probabilities


def likely_errors(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Find labels that are probably incorrect.

    Args:
        labels: labels, `(N,)` int64.
        probabilities: predictions of a model that was not trained on these images, `(N, K)`.

    Returns:
        Indices of the likely label errors, `(M,)`, the least probable label first.

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
        warnings.simplefilter("ignore", UserWarning)  # classes with few images keep at least five of them
        ranked = find_label_issues(labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    return np.asarray(ranked, np.int64)


def describe_errors(part: Dataset, probabilities: np.ndarray, errors: np.ndarray, model: str) -> LabelErrors:
    """Count likely label errors, and compare the most likely ones with the votes of FER+.

    Args:
        part: the images that the model predicted.
        probabilities: predictions of the model, `(N, K)`.
        errors: indices of the likely errors, as returned by `likely_errors`.
        model: name of the model.
    """
    counts = np.bincount(part.labels[errors], minlength=len(part.class_names))
    return LabelErrors(
        model=model,
        images=len(part),
        likely_errors=len(errors),
        by_class={name: int(count) for name, count in zip(part.class_names, counts, strict=True)},
        voters=None if part.votes is None else _compare_with_votes(part, part.votes, probabilities, errors[:TOP]),
    )


def _compare_with_votes(part: Dataset, votes: np.ndarray, probabilities: np.ndarray, top: np.ndarray) -> VoteComparison:
    outvoted = ~majority_agrees(part)
    suggested = votes_for_classes(votes, part.class_names)[np.arange(len(part)), probabilities.argmax(axis=1)]
    confirmed = (suggested > 0) & (suggested == votes.max(axis=1))
    return VoteComparison(
        top=len(top),
        label_outvoted=int(outvoted[top].sum()),
        model_confirmed=int(confirmed[top].sum()),
        label_outvoted_share_of_all=float(outvoted.mean()),
    )
