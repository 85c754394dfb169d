"""The splits of your own images: their folders, and splits that are missing and taken from the training images."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ferlab.data.dataset import Dataset, Split

SPLIT_FOLDERS = {  # by name in lower case
    "train": Split.TRAIN,
    "val": Split.VALIDATION,
    "validation": Split.VALIDATION,
    "valid": Split.VALIDATION,
    "test": Split.TEST,
}
SHARE = 0.15  # of the distinct images of each class, for each new split
MIN_DISTINCT = 3  # distinct images of a class; smaller classes stay in training entirely
SEED = 0
SPLIT_OFF_NOTE = "stratified by class"  # part of the note that records the new splits
DIVIDED = re.compile(rf"{SPLIT_OFF_NOTE}, .*, fingerprint ([0-9a-f]{{12}})$")  # its end


def split_off(dataset: Dataset, wanted: Sequence[Split], origin: str) -> Dataset:
    """Move random training images into other splits, and record it in the notes of the dataset.

    The new splits are stratified by class and always the same for the same images, whatever their names. Identical
    images stay in one split, so that no image is used for both training and scoring. Images that occur under two
    classes stay in training.

    Args:
        dataset: a dataset with training images.
        wanted: the splits to create; they must be absent.
        origin: where the images come from, for the note.

    Returns:
        The dataset with new `splits`; unchanged if every class is too small.
    """
    generator = np.random.default_rng(SEED)
    splits = dataset.splits.copy()
    for groups in _identical_by_class(dataset):
        order = generator.permutation(len(groups))
        count = max(1, round(SHARE * len(groups))) if len(groups) >= MIN_DISTINCT else 0
        for number, split in enumerate(wanted):
            for position in order[number * count : (number + 1) * count]:
                splits[groups[position]] = split
    created = [split.label for split in wanted if np.any(splits == split)]
    if not created:
        return dataset
    note = (
        f"{' and '.join(created)}: {round(100 * SHARE)} %{' each' if len(created) > 1 else ''} of {origin}, "
        f"{SPLIT_OFF_NOTE}, seed {SEED}, identical images kept together, "
        f"fingerprint {dataset.fingerprints[Split.TRAIN.label][:12]}"
    )
    return replace(dataset, splits=splits, notes=(*dataset.notes, note))


def divided_fingerprint(notes: Sequence[str]) -> str | None:
    """Return the fingerprint of the images that were divided, which later exclusions do not change.

    It is None if no images were divided, or by an early version, which did not record it.
    """
    return next((found[1] for note in notes if (found := DIVIDED.search(note))), None)


def _identical_by_class(dataset: Dataset) -> list[list[list[int]]]:
    """Group identical training images by class: for each class, lists of indices. Skips images of two classes."""
    groups: dict[bytes, list[int]] = {}
    for index in np.flatnonzero(dataset.splits == Split.TRAIN):
        groups.setdefault(dataset.images[index].tobytes(), []).append(int(index))
    by_class: list[list[list[int]]] = [[] for _ in dataset.class_names]
    for _, indices in sorted(groups.items()):
        labels = set(dataset.labels[indices].tolist())
        if len(labels) == 1:
            by_class[labels.pop()].append(indices)
    return by_class
