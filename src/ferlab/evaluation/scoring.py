"""Score probabilities on one split of a dataset, with the effects of copies and the agreement of FER+ votes."""

import numpy as np

from ferlab.data import Dataset, Split
from ferlab.data.copies import group_copies, has_copy_in
from ferlab.data.ferplus_agreement import agreement_classes
from ferlab.evaluation.metrics import compute_metrics, estimate_accuracy
from ferlab.results import AccuracyEstimate, SplitMetrics


def score_split(
    part: Dataset, split: Split, probabilities: np.ndarray, training: Dataset, trained_on: str | None = None
) -> SplitMetrics:
    """Compute the metrics of one split, also without leaks and by agreement of the FER+ votes.

    Args:
        part: the images of the split.
        split: which split it is.
        probabilities: `(N, K)`.
        training: a dataset in whose training split to search for copies of the images.
        trained_on: fingerprint of the images that the model was trained on, if known.

    Returns:
        The metrics, with intervals over groups of copies.
    """
    copies, correct = group_copies(part.images), probabilities.argmax(axis=1) == part.labels
    leak_free, reason = _without_copies(part, split, correct, copies, training)
    if leak_free and trained_on not in (None, training.fingerprints["train"]):
        reason = "the model was trained on different images, whose copies are unknown"
    masks = {} if part.votes is None else agreement_classes(part)
    agreement = {name: estimate_accuracy(correct[mask], copies[mask]) for name, mask in masks.items()}
    return SplitMetrics(
        **vars(compute_metrics(part.labels, probabilities, part.class_names, copies)),
        target=part.target,
        fingerprint=part.fingerprints[split.label],
        leak_free=leak_free,
        leak_free_reason=reason,
        agreement=agreement or None,
    )


def _without_copies(
    part: Dataset, split: Split, correct: np.ndarray, copies: np.ndarray, training: Dataset
) -> tuple[AccuracyEstimate | None, str | None]:
    if split == Split.TRAIN:
        return None, "these are training images"
    if not training.has(Split.TRAIN):
        return None, "no training images were given: pass them with --train-data"
    unseen = ~has_copy_in(part.images, training.take(Split.TRAIN).images)
    return estimate_accuracy(correct[unseen], copies[unseen]), None
