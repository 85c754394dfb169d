"""All scores of probabilities on one split: what every evaluation says, whoever made the probabilities."""

from typing import Any

import numpy as np

from ferlab.data import Dataset, Split
from ferlab.data.copies import group_copies, has_copy_in
from ferlab.data.votes import accuracy_by_agreement
from ferlab.evaluation.metrics import accuracy_of, score


def score_split(
    part: Dataset, split: Split, probabilities: np.ndarray, training: Dataset, learned: str | None = None
) -> dict[str, Any]:
    """Scores probabilities, with the doubts that copies and voters raise.

    Args:
        part: the images of the split.
        split: which one it is.
        probabilities: `(N, K)`.
        training: any data set; images with a copy in its training split are told apart.
        learned: the fingerprint of the training images that the model learned, where it is known.

    Returns:
        All that `ferlab.evaluation.metrics.score` gives, with intervals over groups of copies; `fingerprint`;
        `leak_free`
        (`images, accuracy, accuracy_interval` without the images that have a copy in training; or null);
        `leak_free_reason`, why it is null, or to be doubted, else null; and `agreement`, what
        `ferlab.data.votes.accuracy_by_agreement` gives, or null without votes.
    """
    copies, right = group_copies(part.images), probabilities.argmax(axis=1) == part.labels
    leak_free, reason = None, None
    if split == Split.TRAIN:
        reason = "these are training images"
    elif not training.has(Split.TRAIN):
        reason = "no training images are at hand: name them by --train-data"
    else:
        unseen = ~has_copy_in(part.images, training.take(Split.TRAIN).images)
        leak_free = accuracy_of(right[unseen], copies[unseen])
        if learned not in (None, training.fingerprints["train"]):
            reason = "the model learned other training images than these: copies of what is missing here are not told"
    return {
        **score(part.labels, probabilities, part.class_names, copies),
        "fingerprint": part.fingerprints[split.label],
        "leak_free": leak_free,
        "leak_free_reason": reason,
        "agreement": None if part.votes is None else accuracy_by_agreement(part, probabilities),
    }
