"""FER+ as a target: labels and distributions from the votes, by the protocol of its authors.

Barsoum et al. 2016 (https://arxiv.org/abs/1608.01041), in the form of their code
(https://github.com/microsoft/FERPlus, `src/ferplus.py`):

- A single vote for a class is ignored as an outlier.
- A validation or test image is scored if one class has more than half of the remaining votes. That class is its label.
- A training image teaches the distribution of its strongest classes: those with the most votes, until they have three
  quarters of the votes. It is omitted if that takes more than three classes, or if they have at most half of the votes.
- Images whose strongest class is `unknown` or `not a face` are omitted.
"""

from collections import Counter
from dataclasses import replace

import numpy as np

from ferlab.data.dataset import Dataset, Split
from ferlab.data.ferplus import VOTES, votes_for_classes
from ferlab.emotions import CONTEMPT, EMOTIONS, FERPLUS, Target
from ferlab.errors import DataError

NUM_CLASSES = VOTES.index("unknown")  # the columns before it are classes
CLASSES = tuple(name for column in VOTES[:NUM_CLASSES] for name, voted in FERPLUS.items() if voted == column)
COVERED = 0.75  # share of the votes that the strongest classes have together
MAX_CLASSES = 3
NONE = -1
REASONS = {
    NONE: "without a majority",
    VOTES.index("unknown"): "with an unknown emotion",
    VOTES.index("NF"): "without a face",
    VOTES.index("contempt"): "with contempt",
}


def with_ferplus_target(dataset: Dataset, *, contempt: bool = False) -> Dataset:
    """Replace the labels of FER2013 by those of FER+, and omit the images that have none.

    Args:
        dataset: images of FER2013 with votes.
        contempt: use the eight classes of FER+ instead of the seven that FER2013 has, too.

    Returns:
        The dataset with the target `ferplus`. Its notes count the omitted images by reason.

    Raises:
        DataError: if the dataset has no votes.
    """
    if dataset.votes is None:
        raise DataError(
            f"The target ferplus needs the votes of FER+ for {dataset.source}. Pass fer2013new.csv with --ferplus "
            "(github.com/microsoft/FERPlus)."
        )
    class_names = (*EMOTIONS, CONTEMPT) if contempt else EMOTIONS
    training = dataset.splits == Split.TRAIN
    strongest = np.where(training, _first(strongest_classes(dataset.votes)), majority(dataset.votes))
    labels = np.array([_label(int(column), class_names) for column in strongest], np.int64)
    labeled = replace(dataset, labels=labels, class_names=class_names, target=Target.FERPLUS)
    counts = Counter(strongest[labels == NONE].tolist())
    reasons = ", ".join(f"{counts[column]:,} {reason}" for column, reason in REASONS.items() if counts[column])
    note = f"FER+: {sum(counts.values()):,} images are omitted{f' ({reasons})' if reasons else ''}"
    return labeled.omit(labels == NONE, note)


def _label(column: int, class_names: tuple[str, ...]) -> int:
    name = CLASSES[column] if 0 <= column < NUM_CLASSES else ""
    return class_names.index(name) if name in class_names else NONE


def majority(votes: np.ndarray) -> np.ndarray:
    """Return the column of the class with more than half of the votes: `(N, 10)` to `(N,)` int64; -1 without one.

    Example:
        >>> majority(np.array([[6, 0, 4, 0, 0, 0, 0, 0, 0, 0], [5, 0, 5, 0, 0, 0, 0, 0, 0, 0]])).tolist()
        [0, -1]
    """
    counted = _without_outliers(votes)
    return np.where(2 * counted.max(axis=1) > counted.sum(axis=1), counted.argmax(axis=1), NONE)


def strongest_classes(votes: np.ndarray) -> np.ndarray:
    """Keep the votes for the strongest classes, and set all others to 0: `(N, 10)` to `(N, 10)` int64.

    Images that teach nothing have no votes left. Those that are unknown or not a face keep the votes that say so.

    Example:
        >>> strongest_classes(np.array([[6, 1, 3, 0, 0, 0, 0, 0, 0, 0]])).tolist()
        [[6, 0, 3, 0, 0, 0, 0, 0, 0, 0]]
    """
    rows, positions = np.unique(_without_outliers(votes), axis=0, return_inverse=True)  # many images have the same
    return np.array([_strongest(row) for row in rows], np.int64).reshape(rows.shape)[positions.reshape(-1)]


def _strongest(votes: np.ndarray) -> np.ndarray:
    kept, total = np.zeros_like(votes), votes.sum()
    for count in np.unique(votes[votes > 0])[::-1]:
        if kept.sum() >= COVERED * total or np.count_nonzero(kept) >= MAX_CLASSES:
            break
        tied = votes == count
        if tied[NUM_CLASSES:].any():  # weaker classes than these do not count
            kept[:NUM_CLASSES][tied[:NUM_CLASSES]] = count
            if not kept.any():
                kept[tied] = count
            break
        kept[tied] = count
    usable = 2 * kept.sum() > total and np.count_nonzero(kept) <= MAX_CLASSES
    return kept if usable else np.zeros_like(kept)


def _first(votes: np.ndarray) -> np.ndarray:
    """Return the column with the most votes, `(N,)`; -1 for rows without votes."""
    return np.where(votes.any(axis=1), votes.argmax(axis=1), NONE)


def _without_outliers(votes: np.ndarray) -> np.ndarray:
    return np.where(votes > 1, votes, 0).astype(np.int64)


def vote_distribution(training: Dataset) -> np.ndarray:
    """Compute the distribution over classes that each training image teaches.

    Args:
        training: training images with the target `ferplus`.

    Returns:
        `(N, K)` float64; rows sum to 1, and the label has the largest share.
    """
    assert training.votes is not None
    shares = votes_for_classes(strongest_classes(training.votes), training.class_names)
    return shares / shares.sum(axis=1, keepdims=True)
