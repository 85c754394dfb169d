"""Carving validation and test images out of the training images, where a data set comes without them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ferlab.data.dataset import Dataset, Split

SHARE = 0.15  # of the distinct pictures of each class, for each carved split
MIN_DISTINCT = 3  # pictures of a class, of which training keeps one; classes with fewer stay in training whole
SEED = 0
SPLIT_OFF_NOTE = "stratified by class"  # by which a note tells that splits were carved


def split_off(dataset: Dataset, wanted: Sequence[Split], origin: str) -> Dataset:
    """Moves training images into other splits, by lot but always alike, and notes it.

    It is stratified by class. Identical pictures stay together, so that none is trained on and scored as well, and
    pictures that occur under two classes stay in training. The outcome depends on the pictures, not on their names.

    Args:
        dataset: with a training split.
        wanted: the splits to make; they must be absent.
        origin: what the images are taken from, for the note.

    Returns:
        The data set with other `splits`; the one given where every class is too small.
    """
    generator = np.random.default_rng(SEED)
    splits = dataset.splits.copy()
    for groups in _identical_by_class(dataset):
        order = generator.permutation(len(groups))
        count = max(1, round(SHARE * len(groups))) if len(groups) >= MIN_DISTINCT else 0
        for number, split in enumerate(wanted):
            for position in order[number * count : (number + 1) * count]:
                splits[groups[position]] = split
    carved = [split.label for split in wanted if np.any(splits == split)]
    if not carved:
        return dataset
    note = (
        f"{' and '.join(carved)}: {round(100 * SHARE)} %{' each' if len(carved) > 1 else ''} of {origin}, "
        f"{SPLIT_OFF_NOTE}, seed {SEED}, identical pictures kept together"
    )
    return replace(dataset, splits=splits, notes=(*dataset.notes, note))


def _identical_by_class(dataset: Dataset) -> list[list[list[int]]]:
    """For each class the training images that are of it alone: lists of the indices of identical ones."""
    groups: dict[bytes, list[int]] = {}
    for index in np.flatnonzero(dataset.splits == Split.TRAIN):
        groups.setdefault(dataset.images[index].tobytes(), []).append(int(index))
    by_class: list[list[list[int]]] = [[] for _ in dataset.class_names]
    for _, indices in sorted(groups.items()):
        labels = set(dataset.labels[indices].tolist())
        if len(labels) == 1:
            by_class[labels.pop()].append(indices)
    return by_class
