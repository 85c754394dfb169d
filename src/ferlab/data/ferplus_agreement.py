"""Agreement of the votes of FER+ with the labels of FER2013."""

from dataclasses import dataclass

import numpy as np

from ferlab.data import Dataset, Split
from ferlab.data.ferplus import VOTES, votes_for_classes

NOT_A_FACE = VOTES.index("NF")


@dataclass(frozen=True, kw_only=True)
class VoteSummary:
    """Agreement of the votes with the labels of a split, and with each other.

    Args:
        images: number of images.
        majority_agrees: share of images whose label has the most votes, 0..1; ties count.
        majority_agrees_by_class: the same by class; None for classes without images.
        median_entropy_bits: median entropy of the votes of an image.
        unanimous: number of images whose votes all agree with each other.
        nobody_voted_for_label: number of images without a vote for their label.
        not_a_face: number of images that most annotators marked as not a face.
    """

    images: int
    majority_agrees: float
    majority_agrees_by_class: dict[str, float | None]
    median_entropy_bits: float
    unanimous: int
    nobody_voted_for_label: int
    not_a_face: int


def agreement(dataset: Dataset) -> np.ndarray:
    """Return the share of votes for the label of each image, 0..1: `(N,)`; 0 for images without votes."""
    votes = _votes(dataset)
    chosen = votes_for_classes(votes, dataset.class_names)[np.arange(len(dataset)), dataset.labels]
    return chosen / np.maximum(votes.sum(axis=1), 1)


def majority_agrees(dataset: Dataset) -> np.ndarray:
    """Return whether no other class got more votes than the label: `(N,)` bool."""
    chosen = votes_for_classes(_votes(dataset), dataset.class_names)[np.arange(len(dataset)), dataset.labels]
    return (chosen > 0) & (chosen == _votes(dataset).max(axis=1))


def nobody_voted_for_label(dataset: Dataset) -> np.ndarray:
    """Return which images have votes, but none for their label: `(N,)` bool."""
    return (agreement(dataset) == 0) & (_votes(dataset).sum(axis=1) > 0)


def not_a_face(dataset: Dataset) -> np.ndarray:
    """Return which images a majority of annotators marked as not a face: `(N,)` bool."""
    votes = _votes(dataset)
    return 2 * votes[:, NOT_A_FACE].astype(int) > votes.sum(axis=1)


def entropy(votes: np.ndarray) -> np.ndarray:
    """Compute the Shannon entropy of the votes `(N, 10)` of each image in bits, 0..3.32; 0 if all votes agree."""
    from scipy.stats import entropy as shannon_entropy

    shares = votes / np.maximum(votes.sum(axis=1, keepdims=True), 1)
    return np.nan_to_num(shannon_entropy(shares, base=2, axis=1))


def agreement_classes(part: Dataset) -> dict[str, np.ndarray]:
    """Divide images by how well the votes agree with their labels.

    Args:
        part: images with votes.

    Returns:
        Masks `(N,)` bool by name: `unanimous`, all votes are for the label; `majority`, no other class has more votes;
        `outvoted`, another class has more; `nobody`, no vote is for the label.
    """
    shares, agrees = agreement(part), majority_agrees(part)
    return {
        "unanimous": shares == 1,
        "majority": agrees & (shares < 1),
        "outvoted": ~agrees & (shares > 0),
        "nobody": shares == 0,
    }


def describe_votes(dataset: Dataset) -> dict[str, VoteSummary]:
    """Summarize for each split how well the votes agree with the labels and with each other."""
    return {split.label: _describe(dataset.take(split)) for split in Split if dataset.has(split)}


def _describe(part: Dataset) -> VoteSummary:
    agrees = majority_agrees(part)
    by_class = {
        name: float(agrees[part.labels == label].mean()) if np.any(part.labels == label) else None
        for label, name in enumerate(part.class_names)
    }
    entropies = entropy(_votes(part))
    return VoteSummary(
        images=len(part),
        majority_agrees=float(agrees.mean()),
        majority_agrees_by_class=by_class,
        median_entropy_bits=float(np.median(entropies)),
        unanimous=int(np.sum(entropies == 0)),
        nobody_voted_for_label=int(nobody_voted_for_label(part).sum()),
        not_a_face=int(not_a_face(part).sum()),
    )


def _votes(dataset: Dataset) -> np.ndarray:
    assert dataset.votes is not None
    return dataset.votes
